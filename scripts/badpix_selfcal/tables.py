"""
From association files to rows of the members table: who plays which role, and in which stack.

Plain JSON and text, so that a program which needs one association starts at once; the Snakefile
makes a pandas table of the rows.
"""

import csv
import functools
import glob
import hashlib
import json
import os
import re

from badpix_selfcal.files import atomic_write, reading
from badpix_selfcal.names import (
    association_name,
    exposure_name,
    stack_name,
    workdir_path,
    workdir_patterns,
)
from badpix_selfcal.paths import SKIPPED
from badpix_selfcal.program import Fault
from badpix_selfcal.recorded import unchanged

COLUMNS = ("association", "product", "exposure", "exptype", "path", "stack")
DIGEST_COLUMNS = ("path", "size", "modified", "sha256")
# The roles that enter the minimum, and those whose exposures are flagged.
COMBINED = ("science", "background", "selfcal")
FLAGGED = ("science", "background")
# What a run writes flagged exposures of, by the key save_flagged_bkg.
SAVED = {True: FLAGGED, False: ("science",)}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
LONGEST = 48  # of an exposure's name: with the suffix it must fit a FITS card


def write_table(path, rows):
    """Write rows as a CSV table, whole or not at all."""
    with atomic_write(path) as part, open(part, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_planned(path):
    """Read what the Snakefile hands to a program: the tables as the run was planned."""
    with reading(path), open(path, encoding="utf-8") as file:
        return json.load(file)


def digest_row(path):
    """Return a file's path, size in bytes, modification time in ns and SHA-256."""
    with reading(path), unchanged(path) as (size, modified), open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path, size, modified, digest


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
    faults : list of str
        Patterns that match nothing, and files of one name.
    """
    paths, faults = {}, []
    for pattern in workdir_patterns(patterns):
        literal = [pattern] if os.path.isfile(pattern) else []  # brackets in it mean themselves
        found = literal or sorted(glob.glob(pattern, recursive=True))
        if not found:
            faults.append(
                f"{pattern}: no association file matches; set associations in the config, or make "
                "some with the target generate"
            )
        for path in found:
            if not os.path.isfile(path):  # a FIFO would wait for ever
                faults.append(f"{path}: no regular file; remove it or name others")
                continue
            if "{" in path or "}" in path:
                faults.append(f"{path}: a brace, which names a wildcard; rename the folder or file")
                continue
            other = paths.setdefault(association_name(path), path)
            if other != path:
                faults.append(f"{path}: {other} has the same file name; rename one of them")
    return paths, faults


def read_association(path):
    """
    Read an association file.

    Returns
    -------
    association : dict
        Whose products each have a name and members, with an expname and an exptype.

    Raises
    ------
    Fault
        If it is not readable, not JSON, or not such a dict; a line for each fault of the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            association = json.load(file)
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}; check the path and its permissions") from error
    except (ValueError, RecursionError) as error:
        raise Fault(f"{path}: not JSON ({error}); make the association again") from error
    products = association.get("products") if isinstance(association, dict) else None
    if not isinstance(products, list) or not products:
        raise Fault(f"{path}: no list of products; give a Level-2 association")
    if str(association.get("asn_type", "")).endswith("3"):
        raise Fault(f"{path}: a Level-3 association; give Level-2 ones, of asn_type spec2")
    faults = [f"{path}: {fault}" for fault in product_faults(products)]
    if faults:
        raise Fault("\n".join(faults))
    return association


def product_faults(products):
    """Return what is wrong with the products of an association, one line each."""
    faults, names = [], set()
    for i, product in enumerate(products, start=1):
        name = product.get("name") if isinstance(product, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            faults.append(f"product {i} has no name that can be a folder's; give it one")
            continue
        if len(name) > 255:
            faults.append(f"product {name[:20]}... has a name of {len(name)} letters; shorten it")
            continue
        if name in names:
            faults.append(f"product {name} comes twice; rename one")
        names.add(name)
        members = product.get("members")
        if not isinstance(members, list) or not members:
            faults.append(f"product {name} has no list of members; add them")
            continue
        malformed = [m for m in members if not is_member(m)]
        if malformed:
            faults.append(
                f"product {name}: member {json.dumps(malformed[0])[:80]} lacks a text as "
                "expname or exptype; add it"
            )
            continue
        n_science = sum(m["exptype"].lower() == "science" for m in members)
        if n_science != 1:
            faults.append(
                f"product {name} has {n_science} science members; list exactly one in a product"
            )
        # Once for each, as the notebooks list most exposures twice.
        for expname, exptype in dict.fromkeys((m["expname"], m["exptype"]) for m in members):
            if not exptype.isprintable():
                faults.append(
                    f"product {name}: exptype {json.dumps(exptype)} holds what cannot be printed; "
                    "correct it"
                )
            if not expname.isprintable() or "{" in expname or "}" in expname:
                faults.append(
                    f"product {name}: expname {json.dumps(expname)} holds a brace or "
                    "what cannot be printed; rename the file or folder"
                )
            elif exptype.lower() in COMBINED and not is_name(exposure_name(expname)):
                faults.append(
                    f"product {name}: {expname}: file names may hold letters, digits, "
                    f"and . _ + -, {LONGEST} of them without the suffix; rename the file"
                )
    return faults


@functools.cache
def is_name(exposure):
    """Tell whether an exposure's name can be a folder's, and a FITS card's."""
    return NAME.fullmatch(exposure) is not None and len(exposure) <= LONGEST


def is_member(member):
    """Tell whether an entry of `members` has an expname and an exptype."""
    return isinstance(member, dict) and all(
        isinstance(member.get(key), str) and member[key] for key in ("expname", "exptype")
    )


def member_rows(path, force_single=False, elsewhere=None):
    """
    Read the members of an association.

    Parameters
    ----------
    path : str
        The association file.
    force_single : bool
        Calibrate a product from its science exposure alone rather than skip it.
    elsewhere : callable, optional
        Gives the path of a file that may not be where the association says (`Elsewhere`).

    Returns
    -------
    rows : list of tuple
        One per listed member, of the columns in COLUMNS; all members of a product have its stack.

    Raises
    ------
    Fault
        If the file is at fault (`read_association`).
    """
    folder = os.path.realpath(os.path.dirname(path))  # where `..` is that of the file
    rows = []
    for product in read_association(path)["products"]:
        members = [
            (
                exposure_name(m["expname"]),
                m["exptype"].lower(),
                elsewhere(path) if elsewhere else path,
            )
            for m in product["members"]
            for path in [member_path(folder, m["expname"])]
        ]
        combined = [exposure for exposure, exptype, _ in members if exptype in COMBINED]
        # Listed members count, as in the reference: science that lists itself as selfcal is two.
        alone = len(combined) == 1 and not force_single
        stack = SKIPPED if alone else stack_name(combined)
        rows += [(association_name(path), product["name"], *member, stack) for member in members]
    return rows


@functools.cache
def member_path(folder, expname):
    """Return the path of a member, one text for all that name it."""
    return workdir_path(os.path.join(folder, expname))


def read_members(patterns, force_single=False, elsewhere=None):
    """
    Read the members of all associations.

    Parameters
    ----------
    patterns, force_single, elsewhere
        As of `find_associations` and `member_rows`.

    Returns
    -------
    paths : dict of str to str
        As of `find_associations`.
    rows : list of tuple
        As of `member_rows`.
    faults : list of str
        Of all files at once.
    """
    paths, faults = find_associations(patterns)
    rows = []
    for path in paths.values():
        try:
            rows += member_rows(path, force_single, elsewhere)
        except Fault as fault:
            faults += str(fault).splitlines()
    return paths, rows, faults
