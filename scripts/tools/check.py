"""Say from the headers of the exposures, before any work, what would fail and what is doubtful."""

import json
import os

import pandas as pd

from badpix_selfcal import associations
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import open_fits, science_of, shape_of
from badpix_selfcal.labels import count, shorten_lines
from badpix_selfcal.median import find_dispersion_axis
from badpix_selfcal.paths import SKIPPED, find_prefix, path_of
from badpix_selfcal.pedestal import find_disagreements, find_error

COLUMNS = ("file", "kind", "what")  # kind: error or warning


def read_exposure(path):
    """Return the cards of an exposure and the shape of SCI; raises `InputError`."""
    with open_fits(path) as fits:
        science, header, _ = science_of(path, fits)
        return header, shape_of(science)


def check_stack(stack, exposures, dispersion_axis):
    """
    Check the exposures of a stack as its stages do.

    Parameters
    ----------
    stack : str
    exposures : dict of str to (FITSHDR, tuple of int)
        Cards and shape by path, sorted by name, as the stages read them.
    dispersion_axis : str
        As of the config.

    Yields
    ------
    row : (str, str, str)
        Of COLUMNS.
    """
    seen = {}
    for path, (header, shape) in exposures.items():
        if error := find_error(header):
            yield path, "error", error
            continue
        errors, warnings = find_disagreements(header, shape, seen, os.path.basename(path))
        for kind, found in (("error", errors), ("warning", warnings)):
            yield from ((path, kind, f"{what} in the stack {stack}") for what in found)
    try:
        if seen:
            find_dispersion_axis(seen, dispersion_axis)
    except ValueError as error:
        yield next(iter(exposures)), "error", f"{error}; set dispersion_axis to 1 or 2"


def check_members(members, config, prefix="", left_out=None):
    """
    Check all exposures, and the folders of flagged ones.

    Parameters
    ----------
    members : DataFrame
    config : dict
        The keys dispersion_axis and save_flagged_bkg.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.
    left_out : dict of str to str, optional
        As of `read_members`.

    Returns
    -------
    found : DataFrame
        Of COLUMNS.
    """
    combined = members[members["exptype"].isin(associations.COMBINED)].sort_values("exposure")
    rows, exposures = [], {}
    for path in combined["path"].unique():
        try:
            exposures[path] = read_exposure(path)
        except InputError as error:
            rows.append((path, "error", str(error).removeprefix(f"{path}: ")))
    # Those of skipped products need only be readable.
    for stack, paths in combined[combined["stack"] != SKIPPED].groupby("stack")["path"]:
        own = {path: exposures[path] for path in paths if path in exposures}
        rows += check_stack(stack, own, str(config["dispersion_axis"]))
    flagged = associations.list_flagged(members, config["save_flagged_bkg"])
    missing = associations.list_missing(flagged, prefix)
    rows += [(path, "warning", remedy) for path, remedy in missing.items()]
    science = members[members["exptype"] == "science"]
    for row in science[science["stack"] == SKIPPED].itertuples():
        rows.append((f"{row.association}.json", "warning", f"product {row.product} is skipped"))
    rows += [(f"{n}.json", "warning", f"left out: {why}") for n, why in (left_out or {}).items()]
    return pd.DataFrame(rows, columns=COLUMNS).drop_duplicates()


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv")
    options.add_argument("--config", required=True, type=json.loads, help="the config, JSON")
    return options


def main(arguments):
    """Write ``check.csv``; fail where a run would."""
    members, config = associations.read_members_table(arguments.members), arguments.config
    prefix = find_prefix(arguments.members, "members")
    found = check_members(members, config, prefix, associations.read_members(config)[2])
    output = prefix + path_of("check")
    write_text(output, found.to_csv(index=False))
    lines = (found["file"] + ": " + found["what"]).groupby(found["kind"]).apply(list)
    errors, warnings = lines.get("error", []), lines.get("warning", [])
    for line in shorten_lines(warnings):
        print(f"warning: {line}")
    print(f"{count(len(errors), 'error')}, {count(len(warnings), 'warning')}; see {output}")
    if errors:
        raise InputError("\n".join(shorten_lines(errors)))
