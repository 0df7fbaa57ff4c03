"""
Write the associations of a folder of exposures: who goes with whom, from their headers.

Writes associations/pool.csv, a row per exposure found, and an association for each exposure to be
calibrated; files edited by hand are kept.
"""

import functools
import json
import os
from collections import defaultdict
from pathlib import Path

import pandas as pd

from badpix_selfcal.associations import (
    COMBINED,
    choose_stack,
    exposure_name,
    read_association,
    read_members,
)
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.catalog import COLUMNS, find_same_names, mark_backgrounds, read_catalog
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.exposures import CATALOG, find_exposures
from badpix_selfcal.file_state import hash_text
from badpix_selfcal.grouping import find_members, find_selfcal, number_tiles
from badpix_selfcal.labels import shorten_lines
from badpix_selfcal.paths import workdir_patterns

from . import generate_report as report

FOLDER = os.path.dirname(CATALOG)
# Checksums of what was written, which tell a file edited by hand from one that is out of date.
WRITTEN = f"{FOLDER}/generated.csv"
BACKGROUNDS_KEPT = (
    "backgrounds: not used, as from_associations keeps the backgrounds of its associations; "
    "remove one of the two"
)


# ---- associations --------------------------------------------------------------------------------


@functools.cache
def relative(path):
    """Return a path as it is found from the folder of the associations."""
    return path if os.path.isabs(path) else os.path.relpath(path, FOLDER)


def list_entries(exposures, role):
    """Return exposures as members of an association in FOLDER."""
    return [{"expname": relative(exposure["path"]), "exptype": role} for exposure in exposures]


def make_associations(used, config):
    """
    Make an association of each exposure to be calibrated: all but imprints.

    Parameters
    ----------
    used : dict of int to dict
        The rows of the catalog that are used, by their labels.
    config : dict

    Yields
    ------
    name : str
        Of the file.
    association : dict
        Of the Level-2 schema of jwst, with the rule and the id that jwst gives to associations
        that did not come from the archive's pool.
    """
    groups = defaultdict(list)
    for exposure in used.values():
        groups[exposure["group"]].append(exposure)
    for exposure in used.values():
        if exposure["is_imprt"]:
            continue
        members = find_members(exposure, groups[exposure["group"]], config)
        entries = [entry for role, rows in members.items() for entry in list_entries(rows, role)]
        yield (
            f"{exposure['name']}_spec2_asn.json",
            {
                "asn_type": "spec2",
                "asn_rule": "DMSLevel2bBase",
                "asn_id": "a3001",
                "asn_pool": os.path.basename(CATALOG),
                "program": exposure["program"],
                "target": exposure["target"],
                "products": [{"name": exposure["name"], "members": entries}],
            },
        )


def copy_associations(used, config, notes):
    """
    Copy existing associations, with selfcal members added where a product has none.

    Parameters
    ----------
    used, config
        As of `make_associations`.
    notes : list of str
        A line is added for each association that is not copied, and for each member that is
        neither beside its association nor among the exposures.

    Yields
    ------
    name, association
        As of `make_associations`; the members point to where they are.
    """
    labels = {exposure["name"]: label for label, exposure in used.items()}
    given = {"associations": config["from_associations"], "missing_members": "error"}
    members, paths, left_out, errors = read_members({**config, **given})
    notes += errors
    notes += [f"{name}.json: not copied: {reason}" for name, reason in left_out.items()]
    for name, own in members.groupby("association", sort=False):
        path, association = paths[name], read_association(paths[name])
        if os.path.realpath(os.path.dirname(path)) == os.path.realpath(FOLDER):
            notes.append(f"{path}: copies go to {FOLDER}; keep from_associations in another folder")
            continue
        lost = own.loc[~own["path"].map(os.path.exists), "path"]
        notes += [f"{path}: {member}: neither there nor in exposures" for member in lost]
        expnames, is_used = map(relative, own["path"]), False
        for product in association["products"]:
            for member in product["members"]:
                member["expname"] = next(expnames)
            roles = list_roles(product, labels)
            is_used = is_used or "science" in roles
            for label in roles.get("science", []) if "selfcal" not in roles else []:
                selfcal = find_selfcal(used[label], list(used.values()), config)
                product["members"] += list_entries(selfcal, "selfcal")
        if is_used:
            yield os.path.basename(path), association
        else:
            notes.append(f"{path}: its science exposure is not used; not copied")


def list_roles(product, labels):
    """Return the rows of the catalog that are members of a product, as labels by role."""
    roles = {}
    for member in product["members"]:
        label = labels.get(exposure_name(member["expname"]))
        if label is not None:
            roles.setdefault(member["exptype"].lower(), []).append(label)
    return roles


# ---- files that become the user's once they are written ------------------------------------------


def write_unless_edited(path, text, written):
    """
    Write a file unless it is as wanted or was edited by hand.

    Parameters
    ----------
    path, text : str
    written : dict of str to str
        Checksum of what was written, by file name; changed in place.

    Returns
    -------
    outcome : {"written", "unchanged", "edited"}
    """
    name = os.path.basename(path)
    existing = Path(path).read_text(errors="replace") if os.path.exists(path) else None
    edited = existing is not None and not written.get(name, "").startswith(hash_text(existing))
    if existing != text and edited:
        return "edited"
    written[name] = hash_text(text)
    if existing == text:
        return "unchanged"
    write_text(path, text)
    return "written"


# ---- all of it -----------------------------------------------------------------------------------


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--config", required=True, help="the config, JSON")
    return options


def make_catalog(config):
    """Return the catalog of the exposures, and what to say of it; raises `InputError`."""
    if not config["exposures"]:
        raise InputError("config: exposures is empty; name a folder of exposures")
    paths, notes = find_exposures(workdir_patterns(config["exposures"]))
    if not paths:
        raise InputError("\n".join(notes))
    paths, _ = find_exposures([*paths, *find_exposures(config["backgrounds"])[0]])
    catalog = read_catalog(paths, config, print)
    if errors := find_same_names(catalog):
        raise InputError("\n".join(errors))
    used = catalog[catalog["reason"] == ""]
    notes += [
        f"selfcal_match: no exposure has {keyword} in its header; correct it"
        for keyword in config["selfcal_match"]
        if len(used) and not used[keyword].any()
    ]
    return catalog, notes + number_tiles(catalog)


def main(arguments):
    """Write ``associations/``, and print what to check."""
    config = json.loads(arguments.config)
    match = config["selfcal_match"]
    config["selfcal_match"] = match if isinstance(match, list) else [match] if match else []
    copies, backgrounds = config["from_associations"], workdir_patterns(config["backgrounds"])
    config["backgrounds"] = [] if copies else backgrounds
    catalog, notes = make_catalog(config)
    notes += [BACKGROUNDS_KEPT] if copies and backgrounds else []
    named = mark_backgrounds(catalog, config["backgrounds"])
    used = catalog[catalog["reason"] == ""].to_dict("index")
    labels = {exposure["name"]: label for label, exposure in used.items()}
    made = make_associations(used, config)
    if copies:
        made = copy_associations(used, config, notes)
    written, outcomes, products = {}, {}, []
    if os.path.exists(WRITTEN):
        written = pd.read_csv(WRITTEN, dtype=str).set_index("file")["sha256"].to_dict()
    for name, association in made:  # one by one, so that few are in memory
        path, text = f"{FOLDER}/{name}", json.dumps(association, indent=4) + "\n"
        outcomes[path] = write_unless_edited(path, text, written)
        if outcomes[path] == "edited":
            association = read_association(path)
        for product in association["products"]:
            roles, members = list_roles(product, labels), product["members"]
            combined = [m["expname"] for m in members if m["exptype"].lower() in COMBINED]
            stack = choose_stack([*map(exposure_name, combined)], config["force_single"])
            if "science" in roles:
                products.append((stack, roles))
    report.fill_catalog(catalog, products)
    notes += report.check_backgrounds(catalog, named)
    text = catalog.to_csv(index=False, columns=COLUMNS)
    outcomes[CATALOG] = write_unless_edited(CATALOG, text, written)
    table = pd.DataFrame(sorted(written.items()), columns=["file", "sha256"])
    write_text(WRITTEN, table.to_csv(index=False))
    lines = report.list_unused(catalog)
    if products:
        lines += report.tabulate_groups(catalog, products) + report.list_doubts(catalog, products)
        lines += report.list_purposes(catalog, products)
    lines += report.list_outcomes(outcomes, written) + shorten_lines(notes)
    print("\n".join(lines))
    if not products:
        raise InputError(f"{CATALOG}: nothing to calibrate in it; see its reasons")
    print("next: correct what is not as you want it, then run without a target")
