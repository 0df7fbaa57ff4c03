"""Write the summary: one row per product, from the headers of its flagged science exposure."""

import csv
import os

from badpix_selfcal.cautions import cautions
from badpix_selfcal.files import atomic_write
from badpix_selfcal.headers import read_primary
from badpix_selfcal.names import exposure_name
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.paths import path_of, prefix_of
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.recorded import recorded
from badpix_selfcal.tables import COMBINED

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
    "deviant_low": "BPXNDLO",
    "deviant_high": "BPXNDHI",
    "n_left_out": "BPXNOUT",
}
CARDS = {**COUNTS, **{p.name: p.card for p in PARAMETERS}, "version": "BPXVER"}
LEADING = ("association", "product", "science", "stack", "status", "n_exposures")


def products(members):
    """
    List the products of a members table.

    Parameters
    ----------
    members : iterable of dict
        Rows with association, product, exposure, exptype, path, stack.

    Returns
    -------
    products : list of dict
        In the table's order: association, product, science (its exposure), stack, n_exposures
        (distinct ones in the stack); n_background of them are background.
    """
    found, exposures, backgrounds = {}, {}, {}
    for row in members:
        key = row["association"], row["product"]
        if row["exptype"] in COMBINED:
            exposures.setdefault(key, set()).add(row["exposure"])
        if row["exptype"] == "background":
            backgrounds.setdefault(key, set()).add(row["exposure"])
        if row["exptype"] == "science":
            names = ("association", "product", "stack")
            found[key] = {**{n: row[n] for n in names}, "science": row["exposure"]}
    return [
        {
            **found[key],
            "n_exposures": len(exposures[key]),
            "n_background": len(backgrounds.get(key, ())),
        }
        for key in found
    ]


def row_of(header, product):
    """
    Return the summary's columns of a product.

    Parameters
    ----------
    header : dict
        Of its flagged science exposure.
    product : dict
        As of `products`.

    Returns
    -------
    row : dict
        None where the header says nothing.
    """
    row = {column: header.get(card) for column, card in CARDS.items()}
    warnings = "; ".join(warnings_of(header, product)) or None
    return {"status": header["S_BPXSLF"], **row, "warnings": warnings}


def advice(product):
    """Say what helps against flagged lines: it depends on what the stack has already."""
    if not product["n_background"]:
        return "add dedicated backgrounds"
    if product["n_exposures"] < 4:
        return "add selfcal exposures of other positions or targets"
    return "look at runs.png of the target figures"


def warnings_of(header, product):
    """List the warnings that belong to a product, as of `row_of`."""
    found = [
        f"{header[card.replace('BPXW', 'BPXE')]}: {text}"
        for card, text in header.items()
        if card.startswith("BPXW")
    ]
    if header.get("BPXAXIS") == 0:
        found.append("dispersion axis unknown, median in two dimensions")
    if header.get("S_BPXSLF") == "COMPLETE" and not {"BPXTHLO", "BPXTHHI"} & set(header):
        found.append("no valid pixel in the minimum, nothing flagged")
    if header.get("S_BPXSLF") == "SKIPPED":
        found.append("no background or selfcal exposure, nothing flagged")
    if header.get("BPXNLINE"):
        found.append(
            f"{header['BPXNLINE']} flagged pixels repeat at one wavelength on bright structure, "
            f"maybe a spectral line; {advice(product)}"
        )
    return found + cautions(header)


def read_states(path):
    """Return size and modification time of each exposure, by name, and its path; checksums.csv."""
    if not os.path.exists(path):  # after a run that failed before
        return {}
    with open(path, newline="") as file:
        return {
            exposure_name(row["path"]): ((int(row["size"]), int(row["modified"])), row["path"])
            for row in csv.DictReader(file)
        }


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("checksums", help="checksums.csv, of the files that the results are of")
    options.add_argument("output", help="summary.csv")
    options.add_argument("--existing", action="store_true", help="leave out what is not there")
    return options


def main(arguments):
    """Write ``summary.csv``."""
    with open(arguments.members, newline="") as file:
        rows = products(csv.DictReader(file))
    prefix = prefix_of(arguments.members, "members")
    states, replaced = read_states(arguments.checksums), {}
    with atomic_write(arguments.output) as part, open(part, "w", newline="") as file:
        columns = [*LEADING, *CARDS, "warnings"]
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for row in rows:
            path = prefix + path_of("write_back", stack=row["stack"], exposure=row["science"])
            if arguments.existing and not os.path.exists(path):
                continue
            header = read_primary(path).values
            for exposure, state in recorded(header).items():
                if exposure in states and states[exposure][0] != state:
                    replaced[states[exposure][1]] = row["stack"]
            table.writerow({**row, **row_of(header, row)})
        if replaced:
            lines = [
                f"{path}: replaced or changed after it was read for {stack}; run again"
                for path, stack in replaced.items()
            ]
            raise Fault("\n".join(lines))
