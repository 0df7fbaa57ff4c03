"""
From association files to the members table: which exposure has which role, in which stack.

pandas is imported where a table is made, as the stages need names alone.
"""

import functools
import glob
import hashlib
import json
import os
import re

from badpix_selfcal.errors import InputError, LeftOutError
from badpix_selfcal.exposures import make_finder, merge_links
from badpix_selfcal.left_out import find_incomplete, find_other_mode, find_superseded
from badpix_selfcal.paths import SKIPPED, path_of, workdir_path, workdir_patterns

COLUMNS = ("association", "product", "exposure", "exptype", "path", "stack")
# The roles that enter the minimum, and those whose exposures are flagged.
COMBINED = ("science", "background", "selfcal")
FLAGGED = ("science", "background")
# Roles whose flagged exposures a run writes, by the key save_flagged_bkg.
SAVED = {True: FLAGGED, False: ("science",)}
# The keys of the config that decide which members there are.
MEMBERS_KEYS = ("associations", "candidates", "exposures", "force_single", "missing_members")
MISSING = "missing selfcal"  # role of a selfcal member that is dropped, as its file is missing
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
LONGEST = 48  # letters of an exposure's name: with the suffix it must fit a FITS card
SUFFIX = re.compile(
    r"_(rate|rateints|assign_?wcs|assignwcsstep|badpix_?selfcal(step)?|msa_?flagging)$"
)


@functools.cache
def exposure_name(path):
    """Return an exposure's name: its file name without ``.fits``, ``.gz`` and pipeline suffix."""
    return SUFFIX.sub("", os.path.basename(path).removesuffix(".gz").removesuffix(".fits"))


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


def find_associations(patterns):
    """
    List the association files that the config names.

    Parameters
    ----------
    patterns : str or list of str
        Globs or paths, relative to the working directory or absolute.

    Returns
    -------
    paths : dict of str to str
        The path of each association's file (`workdir_path`), by its name.
    errors : list of str
        Patterns that match nothing, and files of one name.
    """
    paths, errors = {}, []
    for pattern in workdir_patterns(patterns):
        literal = [pattern] if os.path.isfile(pattern) else []  # brackets in it mean themselves
        found = literal or sorted(glob.glob(pattern, recursive=True))
        if not found:
            errors.append(
                f"{pattern}: no association file matches; set associations in the config, or make "
                "some with the target generate"
            )
        for path in found:
            if not os.path.isfile(path):  # a FIFO would wait for ever
                errors.append(f"{path}: no regular file; remove it or name others")
                continue
            if "{" in path or "}" in path:
                errors.append(f"{path}: a brace, which names a wildcard; rename the folder or file")
                continue
            if not NAME.fullmatch(association_name(path)):
                errors.append(f"{path}: file names may hold letters, digits and . _ + -; rename it")
                continue
            other = paths.setdefault(association_name(path), path)
            if other != path:
                errors.append(f"{path}: {other} has the same file name; rename one of them")
    return paths, errors


def read_association(path):
    """
    Read an association file.

    Returns
    -------
    association : dict
        Whose products each have a name and members, with an expname and an exptype. Of a name
        that is a path, as `asn_from_list` writes it, the last part is taken.

    Raises
    ------
    LeftOutError
        If it is of another mode or level than IFU spectra of Level 2.
    InputError
        If it is not readable, not JSON, or not such a dict; a line for each fault of the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            association = json.load(file)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the path and its permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); make the association again") from error
    products = association.get("products") if isinstance(association, dict) else None
    if not isinstance(products, list) or not products:
        raise InputError(f"{path}: no list of products; give a Level-2 association")
    if reason := find_other_mode(association):
        raise LeftOutError(f"{path}: {reason}; give Level-2 associations of MRS or NIRSpec IFU")
    for product in products:
        if isinstance(product, dict) and isinstance(product.get("name"), str):
            product["name"] = os.path.basename(product["name"])
    errors = [f"{path}: {error}" for error in find_product_errors(products)]
    if errors:
        raise InputError("\n".join(errors))
    return association


def find_product_errors(products):
    """Return what is wrong with the products of an association, one line each."""
    errors, names = [], set()
    for i, product in enumerate(products, start=1):
        name = product.get("name") if isinstance(product, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            errors.append(f"product {i} has no name that can be a folder's; give it one")
            continue
        if len(name) > 255:
            errors.append(f"product {name[:20]}... has a name of {len(name)} letters; shorten it")
            continue
        if name in names:
            errors.append(f"product {name} comes twice; rename one")
        names.add(name)
        members = product.get("members")
        if not isinstance(members, list) or not members:
            errors.append(f"product {name} has no list of members; add them")
            continue
        if malformed := [m for m in members if not is_member(m)]:
            errors.append(
                f"product {name}: member {json.dumps(malformed[0])[:80]} lacks a text as "
                "expname or exptype; add it"
            )
            continue
        n_science = sum(m["exptype"].lower() == "science" for m in members)
        if n_science != 1:
            errors.append(
                f"product {name} has {n_science} science members; list exactly one in a product"
            )
        # Once for each, as the notebooks list most exposures twice.
        for expname, exptype in dict.fromkeys((m["expname"], m["exptype"]) for m in members):
            if not exptype.isprintable():
                errors.append(
                    f"product {name}: exptype {json.dumps(exptype)} holds what cannot be printed; "
                    "correct it"
                )
            if not expname.isprintable() or "{" in expname or "}" in expname:
                errors.append(
                    f"product {name}: expname {json.dumps(expname)} holds a brace or "
                    "what cannot be printed; rename the file or folder"
                )
            elif exptype.lower() in COMBINED and not is_name(exposure_name(expname)):
                errors.append(
                    f"product {name}: {expname}: file names may hold letters, digits, "
                    f"and . _ + -, {LONGEST} of them without the suffix; rename the file"
                )
    return errors


@functools.cache
def is_name(exposure):
    """Tell whether an exposure's name can be a folder's, and a FITS card's."""
    return NAME.fullmatch(exposure) is not None and len(exposure) <= LONGEST


def is_member(member):
    """Tell whether an entry of `members` has an expname and an exptype."""
    return isinstance(member, dict) and all(
        isinstance(member.get(key), str) and member[key] for key in ("expname", "exptype")
    )


def read_rows(path, force_single=False, find=None, is_missing=None):
    """
    Read the members of an association.

    Parameters
    ----------
    path : str
        The association file.
    force_single : bool
        Calibrate a product from its science exposure alone rather than skip it.
    find : callable, optional
        Returns the path of a file that may be elsewhere than the association says.
    is_missing : callable, optional
        Tells of a path whether its file is missing: a selfcal member then has the role MISSING.

    Returns
    -------
    rows : list of tuple
        One per listed member, of the columns in COLUMNS; all members of a product have its stack.

    Raises
    ------
    InputError
        As of `read_association`.
    """
    folder = os.path.realpath(os.path.dirname(path))  # where `..` is that of the file
    name, rows = association_name(path), []
    for product in read_association(path)["products"]:
        members = []
        for member in product["members"]:
            file = member_path(folder, member["expname"])
            file, role = find(file) if find else file, member["exptype"].lower()
            if role == "selfcal" and is_missing and is_missing(file):
                role = MISSING
            members.append((exposure_name(member["expname"]), role, file))
        combined = [exposure for exposure, role, _ in members if role in COMBINED]
        stack = choose_stack(combined, force_single)
        rows += [(name, product["name"], *member, stack) for member in members]
    return rows


def choose_stack(exposures, force_single=False):
    """Return the stack of a product, from the names of its exposures that enter the minimum."""
    # Listed members count, as in the reference: science that lists itself as selfcal is two.
    alone = len(exposures) == 1 and not force_single
    return SKIPPED if alone else stack_name(exposures)


@functools.cache
def member_path(folder, expname):
    """Return the path of a member, one text for all that name it."""
    return workdir_path(os.path.join(folder, expname))


def read_members(config, made=()):
    """
    Read the members of all associations.

    Parameters
    ----------
    config : dict
        The keys in MEMBERS_KEYS.
    made : collection of str
        Exposures that need not exist, as the workflow makes them.

    Returns
    -------
    members : DataFrame
        One row per listed member, of the columns in COLUMNS.
    paths : dict of str to str
        The file of each association that takes part, by its name.
    left_out : dict of str to str
        Why an association is left out, by its name: of another mode, superseded, or, with
        missing_members "skip", incomplete.
    errors : list of str
        Of all associations at once.
    """
    import pandas as pd

    @functools.cache
    def is_missing(path):
        return path not in made and not os.path.isfile(path)

    paths, errors = find_associations(config["associations"])
    find = make_finder(workdir_patterns(config["exposures"]), errors)
    skip = is_missing if config["missing_members"] == "skip" else None
    rows, left_out = [], {}
    for name, path in paths.items():
        try:
            rows += read_rows(path, config["force_single"], find, skip)
        except LeftOutError as reason:
            left_out[name] = str(reason).removeprefix(f"{path}: ").partition(";")[0]
        except InputError as error:
            errors += str(error).splitlines()
    members = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    merge_links(members)
    combined = members[members["exptype"].isin(COMBINED)]
    if skip:
        left_out |= find_incomplete(combined, is_missing)
        combined = combined[~combined["association"].isin(left_out)]
    if config.get("candidates") == "best":
        left_out |= find_superseded(combined)
    members = members[~members["association"].isin(left_out)]
    if left_out and not len(members) and not errors:
        first = next(f"{name}.json: {reason}" for name, reason in left_out.items())
        errors.append(f"config: all {len(left_out)} associations are left out: {first}")
    paths = {name: path for name, path in paths.items() if name not in left_out}
    return members, paths, left_out, errors


def list_flagged(members, save_flagged_bkg=True):
    """
    List the flagged exposures that a run writes.

    Parameters
    ----------
    members : DataFrame
    save_flagged_bkg : bool
        As of the config.

    Returns
    -------
    flagged : DataFrame
        The rows of members with these roles, sorted by exposure, with their file in the column
        `flagged`.
    """
    rows = members[members["exptype"].isin(SAVED[save_flagged_bkg])].sort_values("exposure")
    pairs = zip(rows["stack"], rows["exposure"], strict=True)
    return rows.assign(flagged=[path_of("flagged", stack=s, exposure=e) for s, e in pairs])


def list_missing(flagged, prefix=""):
    """
    List the flagged exposures that are missing in a folder that exists: Snakemake does not notice.

    Parameters
    ----------
    flagged : DataFrame
        As of `list_flagged`.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.

    Returns
    -------
    missing : dict of str to str
        The remedy, by path.
    """
    missing = {}
    for stack, files in flagged[flagged["stack"] != SKIPPED].groupby("stack")["flagged"]:
        folder = prefix + path_of("write_back", stack=stack)
        there = set(os.listdir(folder)) if os.path.isdir(folder) else None
        for file in sorted(files.unique() if there is not None else ()):
            if os.path.basename(file) not in there:
                missing[prefix + file] = f"missing; delete the folder {folder} and run again"
    return missing


def read_members_table(path):
    """Read members.csv as a DataFrame of texts."""
    import pandas as pd

    return pd.read_csv(path, dtype=str, keep_default_na=False)
