#!/usr/bin/env -S python3 -Es
"""Write the summary: one row per product, from the headers of its flagged science exposure."""

import pandas as pd

from _cards import primary_values
from _names import flagged_path
from _program import parser, run, whole
from _tables import COMBINED

# Column of the summary: card of the flagged exposure, type.
CARDS = {
    "status": ("S_BPXSLF", "string"),
    "n_low": ("BPXNLO", "Int64"),
    "n_high": ("BPXNHI", "Int64"),
    "low_threshold": ("BPXTHLO", "Float64"),
    "high_threshold": ("BPXTHHI", "Float64"),
    "n_new": ("BPXNNEW", "Int64"),
    "flagfrac_lower": ("BPXFRLO", "Float64"),
    "flagfrac_upper": ("BPXFRHI", "Float64"),
    "kernel_size": ("BPXKERN", "Int64"),
    "edge_mode": ("BPXEDGE", "string"),
    "dispersion_axis": ("BPXAXIS", "Int64"),
    "version": ("BPXVER", "string"),
}


def products(members):
    """
    List the products of a members table.

    Parameters
    ----------
    members : DataFrame
        With the columns association, product, exposure, exptype, path, stack.

    Returns
    -------
    products : DataFrame
        One row per product, in the table's order: association, product, science (its exposure),
        stack, n_exposures (distinct ones in the stack).
    """
    key = ["association", "product"]
    combined = members[members["exptype"].isin(COMBINED)]
    counts = combined.groupby(key)["exposure"].nunique().rename("n_exposures")
    science = members[members["exptype"] == "science"].rename(columns={"exposure": "science"})
    table = science[[*key, "science", "stack"]].merge(counts.reset_index(), on=key)
    return table.reset_index(drop=True)


def row_of(header):
    """Return the summary's columns from a flagged exposure's header, None where it says nothing."""
    row = {column: header.get(card) for column, (card, _) in CARDS.items()}
    return {**row, "warnings": "; ".join(warnings_of(header)) or None}


def warnings_of(header):
    """List the warnings that belong to a flagged exposure."""
    found = [
        f"{header[card.replace('BPXW', 'BPXE')]}: {text}"
        for card, text in header.items()
        if card.startswith("BPXW")
    ]
    if header.get("BPXAXIS") == "0":
        found.append("dispersion axis unknown, median in two dimensions")
    if header.get("S_BPXSLF") == "COMPLETE" and not {"BPXTHLO", "BPXTHHI"} & set(header):
        found.append("no valid pixel in the minimum, nothing flagged")
    if header.get("S_BPXSLF") == "SKIPPED":
        found.append("no background or selfcal exposure, nothing flagged")
    return found


def main(arguments):
    """Write ``summary.csv``."""
    table = products(pd.read_csv(arguments.members, dtype="string", keep_default_na=False))
    paths = [flagged_path(*row) for row in table[["stack", "science"]].itertuples(index=False)]
    cards = pd.DataFrame(
        [row_of(primary_values(path)) for path in paths], columns=[*CARDS, "warnings"]
    )
    for column, (_, dtype) in CARDS.items():
        # By way of numbers, as the cards are texts.
        values = cards[column] if dtype == "string" else pd.to_numeric(cards[column])
        table[column] = values.astype(dtype)
    table["warnings"] = cards["warnings"]
    leading = ["association", "product", "science", "stack", "status"]
    with whole(arguments.output) as part:
        table[leading + [c for c in table if c not in leading]].to_csv(part, index=False)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("output", help="summary.csv")
    run(main, options)
