"""List, or delete, the results that no association asks for any more."""

import contextlib
import json
import os
import re
from glob import glob

from badpix_selfcal.locks import alone
from badpix_selfcal.paths import SKIPPED, path_of
from badpix_selfcal.program import parser
from badpix_selfcal.tables import FLAGGED, read_planned

# Every result is in one of these; each is kept or goes as a whole.
OF_STACK = ("stack", "figures", "blink", "thumbnail", "tune")
OF_ASSOCIATION = ("associate", "view")
RESULTS = [
    *(path_of(name, stack="*") for name in OF_STACK),
    *(path_of(name, association="*") for name in OF_ASSOCIATION),
    path_of("write_back", stack="*", exposure="*"),
]
# What the workflow calls its files in the folder of a stack; what has another name is the user's.
STACK = re.compile(rf"[^/]+-[0-9a-f]{{12}}|{SKIPPED}")
FILE = re.compile(
    r"(pedestal|minimum|unusable|median|noise|flags|added)\.fits"
    r"|(flags|stages|histogram|tails|cuts|places|sources|runs|known|cost|recall_\w+)\.(png|svg)"
    r"|fractions\.(png|svg)"  # of version 0.1
    r"|(numbers|score|recall|settings)\.csv|suggestion\.txt|flags\.reg|\.snakemake_timestamp"
)
PART = re.compile(r".*\.part")  # of a program that was killed


def wanted(rows, roles=FLAGGED):
    """
    Name the results that associations ask for.

    Parameters
    ----------
    rows : iterable of tuple
        The members table, of the columns in `tables.COLUMNS`.
    roles : sequence of str
        The exptypes whose flagged exposures are written.

    Returns
    -------
    paths : set of str
        As RESULTS finds them.
    """
    paths = set()
    for association, _, exposure, exptype, _, stack in rows:
        paths |= {path_of(name, stack=stack) for name in OF_STACK}
        paths |= {path_of(name, association=association) for name in OF_ASSOCIATION}
        if exptype in roles:
            paths.add(path_of("write_back", stack=stack, exposure=exposure))
    return paths


def left_over(kept):
    """
    Find the results that are not to be kept, and what killed programs have left.

    Parameters
    ----------
    kept : set of str
        As of `wanted`.

    Returns
    -------
    paths : list of str
        Files, and folders of which `own_files` may go.
    """
    found = {path for pattern in RESULTS for path in glob(pattern)} - kept
    found |= {
        os.path.join(folder, name)
        for pattern in RESULTS
        for folder in {os.path.dirname(pattern), *glob(os.path.dirname(pattern))}
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if PART.fullmatch(name)
    }
    return sorted(path for path in found if is_own(path))


def is_own(path):
    """Tell whether a path is the workflow's: by its name, and really where it seems to be."""
    folder, name = os.path.split(path)
    # `results` itself may be a link to another disk; below it, a link leads to what is not ours.
    inside = os.path.relpath(folder, "results")
    real = os.path.normpath(os.path.join(os.path.realpath("results"), inside))
    if os.path.islink(path) or os.path.realpath(folder) != real:
        return False
    if PART.fullmatch(name):
        return os.path.isfile(path)
    if os.path.isdir(path):
        view = os.path.dirname(path_of("view")) == folder
        return bool(own_files(path)) and (view or STACK.fullmatch(name) is not None)
    if folder == os.path.dirname(path_of("associate")):
        return is_flagged_association(path)
    # A page is named after its stack, a flagged exposure lies in a folder that is.
    page = folder == os.path.dirname(path_of("blink"))
    stack = os.path.splitext(name)[0] if page else os.path.basename(folder)
    return STACK.fullmatch(stack) is not None and os.path.isfile(path)


def is_flagged_association(path):
    """Tell whether a file is an association of ours: one whose products name their stacks."""
    try:
        with open(path, encoding="utf-8") as file:
            stacks = [product["stack"] for product in json.load(file)["products"]]
        return bool(stacks) and all(STACK.fullmatch(stack) for stack in stacks)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def own_files(folder):
    """List the files of the workflow's in a folder of a stack, or the links of a view."""
    view = path_of("view", association="")
    return [
        path
        for place, _, names in os.walk(folder)  # which follows no link
        for path in (os.path.join(place, name) for name in names)
        if PART.fullmatch(os.path.basename(path))
        or (
            os.path.islink(path)
            if folder.startswith(view) and not path.endswith(".snakemake_timestamp")
            else FILE.fullmatch(os.path.basename(path)) and not os.path.islink(path)
        )
    ]


def size(path):
    """Return the bytes of a file, or of the workflow's files in a folder; links are nothing."""
    files = own_files(path) if os.path.isdir(path) else [path]
    return sum(os.path.getsize(file) for file in files if not os.path.islink(file))


def delete(path):
    """Delete a file, or the workflow's files in a folder, and what is empty then."""
    if not os.path.isdir(path):
        os.remove(path)
        folders = [os.path.dirname(path)]
    else:
        for file in own_files(path):
            os.remove(file)
        folders = [place for place, _, _ in os.walk(path, topdown=False)]
    for folder in folders:
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(folder)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the members as the run was planned, JSON")
    options.add_argument("--prefix", default="", help="folder below which the results lie")
    options.add_argument(
        "--saved", nargs="+", default=FLAGGED, help="roles whose flagged exposures are written"
    )
    options.add_argument("--delete", action="store_true", help="delete what is listed")
    return options


def main(arguments):
    """List what is left over; delete it if told to, and only if no run is going on."""
    kept = wanted(read_planned(arguments.planned), arguments.saved)
    if arguments.delete:
        alone()
    os.chdir(arguments.prefix or ".")
    left = left_over(kept)
    total = sum(size(path) for path in left) / 1e6
    for path in left:
        print(path)
        if arguments.delete:
            delete(path)
            if os.path.exists(path):
                print(f"  {path} holds files that are not the workflow's; they stay")
    done = "deleted" if arguments.delete else "to delete with the target prune_delete"
    print(f"{len(left)} results, {total:.0f} MB, {done}")
