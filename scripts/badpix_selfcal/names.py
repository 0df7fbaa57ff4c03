"""Names: of exposures, of associations, of stacks, and of the files that carry them."""

import functools
import os
import re

SUFFIX = re.compile(
    r"_(rate|rateints|assign_?wcs|assignwcsstep|badpix_?selfcal(step)?|msa_?flagging)$"
)


def workdir_path(path):
    """Return a path as the workflow writes it: relative if below the working directory."""
    path = os.path.abspath(os.path.expanduser(path))
    return path.removeprefix(os.path.join(os.getcwd(), ""))


def workdir_patterns(patterns):
    """Return a config value, a pattern or a list of them, as a list of `workdir_path`."""
    patterns = patterns if isinstance(patterns, list) else filter(None, [patterns])
    return [workdir_path(str(pattern)) for pattern in patterns]


@functools.cache
def exposure_name(path):
    """Return an exposure's name: its file name without ``.fits`` and without a pipeline suffix."""
    return SUFFIX.sub("", os.path.basename(path).removesuffix(".fits"))


def association_name(path):
    """Return an association's name: its file name without ``.json``."""
    return os.path.basename(path).removesuffix(".json")


def stack_name(exposures):
    """
    Name a stack after its exposures and nothing else: a readable part and a hash of their names.

    Parameters
    ----------
    exposures : iterable of str
        Names of exposures, in any order; one listed twice counts once.

    Returns
    -------
    name : str
        Such as ``jw01204_mirifulong_6exp-0f3a5b7c9d1e``.
    """
    import hashlib  # slow to import, and most programs name no stack

    names = sorted(set(exposures))
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    if len(names) == 1:
        return f"{names[0]}-{digest}"
    shared = os.path.commonprefix(names)  # noqa: RUF071  letter by letter is meant
    # Cut between the parts of a name, which in archive names are program, observation, visit, ...
    start = re.match(r"jw\d{5}(\d{3}(\d{3})?)?(?=[^_]*$)|.*(?=_)|", shared)[0] or shared
    end = {name.rpartition("_")[2] for name in names}
    parts = [start[:36], *(end if len(end) == 1 else ()), f"{len(names)}exp"]
    readable = "_".join(filter(None, parts)).lstrip("_-.+")  # no option, no hidden file
    return f"{readable}-{digest}"
