"""
Write the associations of a folder of exposures: who goes with whom, from their headers.

Writes associations/pool.csv, a row per exposure found, and an association for each exposure to be
calibrated; files edited by hand are kept.
"""

import json
import os
from collections import Counter

import pandas as pd

from badpix_selfcal.associations import (
    COMBINED,
    choose_stack,
    exposure_name,
    read_association,
    read_members,
)
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.catalog import COLUMNS, find_same_names, mark_backgrounds, read_catalog
from badpix_selfcal.cli import parser, warn
from badpix_selfcal.errors import InputError
from badpix_selfcal.exposures import CATALOG, find_exposures
from badpix_selfcal.file_state import hash_text
from badpix_selfcal.grouping import find_members, find_selfcal, number_tiles
from badpix_selfcal.paths import workdir_path, workdir_patterns

from .generate_report import (
    check_backgrounds,
    fill_catalog,
    limit,
    list_doubts,
    list_unused,
    shorten,
    tabulate_groups,
)

FOLDER = os.path.dirname(CATALOG)
# Checksums of what was written, which tell a file edited by hand from one that is out of date.
WRITTEN = f"{FOLDER}/generated.csv"


# ---- associations --------------------------------------------------------------------------------


def relative(path):
    """Return a path as it is found from the folder of the associations."""
    return path if os.path.isabs(path) else os.path.relpath(path, FOLDER)


def make_association(exposure, members):
    """
    Make the association of an exposure.

    Parameters
    ----------
    exposure : Series
        Its row of the catalog.
    members : dict of str to DataFrame
        As of `find_members`.

    Returns
    -------
    association : dict
        Of the Level-2 schema of jwst, with the rule and the id that jwst gives to associations
        that did not come from the archive's pool.
    """
    return {
        "asn_type": "spec2",
        "asn_rule": "DMSLevel2bBase",
        "asn_id": "a3001",
        "asn_pool": os.path.basename(CATALOG),
        "program": exposure["program"],
        "target": exposure["target"],
        "products": [
            {
                "name": exposure["name"],
                "members": [
                    {"expname": relative(path), "exptype": role}
                    for role, rows in members.items()
                    for path in rows["path"]
                ],
            }
        ],
    }


def add_selfcal(association, folder, used, files, config):
    """
    Add selfcal members to an association, and point its members to where they are.

    Parameters
    ----------
    association : dict
        As read; changed in place.
    folder : str
        Where it lies.
    used : DataFrame
        The exposures of the catalog that are used.
    files : dict of str to str
        All exposures found, by file name without ``.gz``.
    config : dict

    Returns
    -------
    missing : list of str
        Members that are neither beside the association nor among the exposures.
    """
    missing = []
    for product in association["products"]:
        for member in product["members"]:
            path = os.path.join(os.path.realpath(folder), member["expname"])
            if not os.path.exists(path):
                path = files.get(os.path.basename(path).removesuffix(".gz"))
            if path is None:
                missing.append(member["expname"])
            else:
                member["expname"] = relative(workdir_path(path))
        roles = list_roles(product, used)
        if "selfcal" not in roles:
            for _, exposure in used.loc[roles.get("science", [])].iterrows():
                product["members"] += [
                    {"expname": relative(path), "exptype": "selfcal"}
                    for path in find_selfcal(exposure, used, config)["path"]
                ]
    return missing


def list_roles(product, used):
    """Return the rows of the catalog that are members of a product, as labels by role."""
    labels, roles = dict(zip(used["name"], used.index, strict=True)), {}
    for member in product["members"]:
        label = labels.get(exposure_name(member["expname"]))
        if label is not None:
            roles.setdefault(member["exptype"].lower(), []).append(label)
    return roles


def copy_associations(used, files, config, notes):
    """Yield the name and the copy of each existing association; add a note for each left out."""
    wanted = {"associations": config["from_associations"], "missing_members": "error"}
    _, paths, left_out, errors = read_members({**config, **wanted})
    notes += errors
    notes += [f"{name}.json: not copied: {reason}" for name, reason in left_out.items()]
    for path in paths.values():
        folder = os.path.dirname(path)
        if os.path.realpath(folder) == os.path.realpath(FOLDER):
            notes.append(f"{path}: copies go to {FOLDER}; keep from_associations in another folder")
            continue
        try:
            association = read_association(path)
        except InputError:  # which is among the errors
            continue
        missing = add_selfcal(association, folder, used, files, config)
        notes += [f"{path}: {name}: neither beside it nor in exposures" for name in missing]
        if any("science" in list_roles(product, used) for product in association["products"]):
            yield os.path.basename(path), association
        else:
            notes.append(f"{path}: its science exposure is not used; not copied")


def make_associations(used, config):
    """Yield the name and the association of each exposure to be calibrated: all but imprints."""
    for _, exposure in used[~used["is_imprt"]].iterrows():
        members = find_members(exposure, used, config)
        yield f"{exposure['name']}_spec2_asn.json", make_association(exposure, members)


# ---- files that become the user's once they are written ------------------------------------------


def read_text(path):
    """Return the text of a file; None if it is missing."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(path, text):
    """Write a file, whole or not at all."""
    with atomic_write(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)


def write_unless_edited(path, text, written):
    """
    Write a file unless it is as wanted or was edited by hand.

    Parameters
    ----------
    path, text : str
    written : dict of str to str
        Hash of what was written, by file name; changed in place.

    Returns
    -------
    outcome : {"written", "unchanged", "edited"}
    """
    name, existing = os.path.basename(path), read_text(path)
    edited = existing is not None and not written.get(name, "").startswith(hash_text(existing))
    if existing != text and edited:
        return "edited"
    written[name] = hash_text(text)
    if existing == text:
        return "unchanged"
    write_text(path, text)
    return "written"


def list_outcomes(outcomes, written):
    """Say what was written and what was not; `outcomes` as of `write_unless_edited`, by path."""
    edited = [path for path, outcome in outcomes.items() if outcome == "edited"]
    names = {os.path.basename(path) for path in outcomes}
    old = [n for n in sorted(written) if n not in names and os.path.exists(f"{FOLDER}/{n}")]
    counts = Counter(outcome for path, outcome in outcomes.items() if path != CATALOG)
    lines = [
        f"associations: {counts['written']} written, {counts['unchanged']} unchanged, in {FOLDER}/"
    ]
    if edited:
        lines.append(
            f"{len(edited)} edited by hand and kept: {shorten(edited)}; to make one again, delete "
            "it and run generate again"
        )
    if old:
        lines.append(
            f"{len(old)} of an earlier generate, no longer made: {shorten(old)}; delete them if "
            "they are not wanted"
        )
    return lines


# ---- all of it -----------------------------------------------------------------------------------


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--config", required=True, help="the config, JSON")
    return options


def main(arguments):
    """Write ``associations/``, and print what to check."""
    config = json.loads(arguments.config)
    match = config["selfcal_match"]
    config["selfcal_match"] = match if isinstance(match, list) else [match] if match else []
    if not config["exposures"]:
        raise InputError("config: exposures is empty; name a folder of exposures")
    backgrounds = workdir_patterns(config["backgrounds"])
    paths, notes = find_exposures(workdir_patterns(config["exposures"]))
    if not paths:
        raise InputError("\n".join(notes))
    paths, _ = find_exposures([*paths, *find_exposures(backgrounds)[0]])
    catalog = read_catalog(paths, config, warn)
    if errors := find_same_names(catalog):
        raise InputError("\n".join(errors))
    named = mark_backgrounds(catalog, backgrounds)
    notes += number_tiles(catalog)
    used = catalog[catalog["reason"] == ""]
    notes += [
        f"selfcal_match: no exposure has {keyword} in its header; correct it"
        for keyword in config["selfcal_match"]
        if len(used) and not used[keyword].any()
    ]
    made = make_associations(used, config)
    if config["from_associations"]:
        names = catalog["path"].map(os.path.basename).str.removesuffix(".gz")
        files = dict(zip(names, catalog["path"], strict=True))
        made = copy_associations(used, files, config, notes)
    written, outcomes, products = {}, {}, []
    if os.path.exists(WRITTEN):
        written = pd.read_csv(WRITTEN, dtype=str).set_index("file")["sha256"].to_dict()
    for name, association in made:
        path, text = f"{FOLDER}/{name}", json.dumps(association, indent=4) + "\n"
        outcomes[path] = write_unless_edited(path, text, written)
        if outcomes[path] == "edited":
            association = read_association(path)
        for product in association["products"]:
            roles, members = list_roles(product, used), product["members"]
            combined = [m["expname"] for m in members if m["exptype"].lower() in COMBINED]
            stack = choose_stack([*map(exposure_name, combined)], config["force_single"])
            if "science" in roles:
                products.append((stack, roles))
    fill_catalog(catalog, products)
    notes += check_backgrounds(catalog, named)
    outcomes[CATALOG] = write_unless_edited(
        CATALOG, catalog.to_csv(index=False, columns=COLUMNS), written
    )
    table = pd.DataFrame(sorted(written.items()), columns=["file", "sha256"]).to_csv(index=False)
    if table != read_text(WRITTEN):
        write_text(WRITTEN, table)
    lines = list_unused(catalog)
    if products:
        lines += tabulate_groups(catalog, products) + list_doubts(catalog, products)
    print("\n".join(lines + list_outcomes(outcomes, written)))
    for note in limit(notes):
        warn(note)
    if not products:
        raise InputError(
            f"{CATALOG}: nothing to calibrate among {len(catalog)} exposures; see its reasons"
        )
