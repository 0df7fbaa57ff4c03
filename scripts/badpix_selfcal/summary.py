"""The summary of a run: one row per product, from the header of its flagged science exposure."""

import os

import pandas as pd

from badpix_selfcal.associations import COMBINED, exposure_name
from badpix_selfcal.file_state import read_recorded
from badpix_selfcal.fits_io import read_primary
from badpix_selfcal.flag_diagnostics import find_warnings
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.paths import path_of

# Column of the summary: card of the flagged exposure.
COUNTS = {
    "n_low": "BPXNLO",
    "n_high": "BPXNHI",
    "low_threshold": "BPXTHLO",
    "high_threshold": "BPXTHHI",
    "n_new": "BPXNNEW",
    "n_edge": "BPXNEDGE",
    "n_run": "BPXNRUN",
    "n_line": "BPXNLINE",
    "n_false_high": "BPXNFALS",
    "n_false_high_error": "BPXEFALS",
    "n_outliers_high": "BPXNDHI",
    "n_excluded": "BPXNOUT",
}
SETTINGS = {p.name: p.card for p in PARAMETERS}
CARDS = {"program": "PROGRAM", "target": "TARGPROP", **COUNTS, **SETTINGS, "version": "BPXVER"}
LEADING = ("association", "product", "science", "stack", "status", "n_exposures")
COLUMNS = (*LEADING, *CARDS, "warnings")
FEW = 4  # exposures of a stack: fewer, and emission lines may be flagged


def list_products(members):
    """
    List the products of a members table.

    Parameters
    ----------
    members : DataFrame
        Of the columns in `associations.COLUMNS`.

    Returns
    -------
    products : DataFrame
        In the order of the table: association, product, science (its exposure), stack, and the
        numbers of distinct exposures, n_exposures and n_background.
    """
    key = ["association", "product"]
    combined = members[members["exptype"].isin(COMBINED)]
    background = combined[combined["exptype"] == "background"]
    science = combined[combined["exptype"] == "science"].rename(columns={"exposure": "science"})
    counts = {
        "n_exposures": combined.groupby(key)["exposure"].nunique(),
        "n_background": background.groupby(key)["exposure"].nunique(),
    }
    products = science[[*key, "science", "stack"]].join(pd.DataFrame(counts), on=key)
    return products.fillna({"n_background": 0})


def summarize(members, prefix="", existing=False):
    """
    Summarize a run.

    Parameters
    ----------
    members : DataFrame
        Of the columns in `associations.COLUMNS`.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.
    existing : bool
        Leave out products whose flagged exposure is missing, as after a run that failed.

    Returns
    -------
    summary : DataFrame
        Of COLUMNS.
    read : dict of str to (str, int, int)
        The stack, and the size and modification time of the file that it read, by exposure.

    Raises
    ------
    InputError
        If a flagged exposure is missing or damaged.
    """
    rows, read = [], {}
    for product in list_products(members).to_dict("records"):
        stack, science = product["stack"], product["science"]
        path = prefix + path_of("flagged", stack=stack, exposure=science)
        if existing and not os.path.exists(path):
            continue
        header = read_primary(path)
        for exposure, state in read_recorded(header).items():
            read[exposure] = stack, *state
        cards = {column: header.get(card) for column, card in CARDS.items()}
        cards["target"] = cards["target"] or header.get("TARGNAME")
        warnings = "; ".join(list_warnings(header)) or None
        rows.append({**product, "status": header["S_BPXSLF"], **cards, "warnings": warnings})
    summary = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    return summary, read


def list_warnings(header):
    """List the warnings about a product, from the header of its flagged exposure or its flags."""
    warnings = [
        f"{header[card.replace('BPXW', 'BPXE')]}: {header[card]}"
        for card in header
        if card.startswith("BPXW")
    ]
    if header.get("S_BPXSLF") == "SKIPPED":
        return [*warnings, "no background or selfcal exposure, nothing flagged"]
    if not {"BPXTHLO", "BPXTHHI"} & set(header):
        warnings.append("no valid pixel in the minimum, nothing flagged")
    for warning in find_warnings(header):
        advice = f"; {advise(header)}" if "source structure" in warning else ""
        warnings.append(f"{warning}{advice}")
    return warnings


def advise(header):
    """Return what helps against flagged source structure, given what the stack has already."""
    if header.get("BPXEDGE") == "zero" and header["BPXNEDGE"] > header["BPXNFALS"] / 2:
        return "set edge_mode: shrink, as many lie at the ends"
    if not header.get("BPXNBKG"):
        return "add dedicated backgrounds"
    if header["BPXNEXP"] < FEW:
        return "add selfcal exposures of other positions or targets"
    return "look at runs.png of the target figures"


def find_replaced(read, checksums):
    """
    Find the exposures that changed between the stages and checksums.csv.

    Parameters
    ----------
    read : dict
        As of `summarize`.
    checksums : DataFrame
        Of the columns in `file_state.DIGEST_COLUMNS`.

    Returns
    -------
    errors : list of str
    """
    return [
        f"{row.path}: replaced or changed after it was read for {read[name][0]}; run again"
        for row in checksums.itertuples()
        if (name := exposure_name(row.path)) in read and read[name][1:] != (row.size, row.modified)
    ]
