"""Write the report's first page: warnings on top, then products and, for the demo, recall."""

import csv
import os

from badpix_selfcal.files import atomic_write
from badpix_selfcal.program import parser
from badpix_selfcal.tables import write_table

PRODUCTS = (
    *("product", "stack", "status", "science", "background", "selfcal", "other", "flagged", "high"),
    *("low", "new", "already DO_NOT_USE", "at the edge", "in runs", "line-like"),
    *("deviants high", "deviants low", "association"),
)
COUNTED = ("science", "background", "selfcal")


def roles(members):
    """
    Count the members of each product by role.

    Parameters
    ----------
    members : iterable of dict
        The rows of members.csv.

    Returns
    -------
    counts : dict of (str, str) to dict
        By association and product: how many distinct exposures have each role.
    """
    found = {}
    for row in members:
        role = row["exptype"] if row["exptype"] in COUNTED else "other"
        product = found.setdefault((row["association"], row["product"]), {})
        product.setdefault(role, set()).add(row["exposure"])
    return {key: {role: len(names) for role, names in of.items()} for key, of in found.items()}


def product_row(row, counts):
    """Return a row of the products table, from one of summary.csv and its counts by role."""
    low, high, new = (int(row[key]) if row[key] else "" for key in ("n_low", "n_high", "n_new"))
    complete = row["status"] == "COMPLETE"
    return (
        *(row[key] for key in ("product", "stack", "status")),
        *(counts.get(role, 0) for role in (*COUNTED, "other")),
        *((low + high, high, low, new, low + high - new) if complete else [""] * 5),
        *(
            row[key]
            for key in ("n_edge", "n_run", "n_line", "deviant_high", "deviant_low", "association")
        ),
    )


def warning_rows(summary):
    """List (product, warning) with skipped products first; equal warnings of a stack come once."""
    found = {}
    for row in summary:
        if row["warnings"]:
            key = row["product"] if row["status"] == "SKIPPED" else row["stack"]
            found.setdefault((row["status"] != "SKIPPED", row["warnings"], key), []).append(
                row["product"]
            )
    rows = []
    for (_, warning, _), products in sorted(found.items()):
        more = f" and {len(products) - 1} more of its stack" if len(products) > 1 else ""
        rows.append((products[0] + more, warning))
    return rows


def page(summary, warnings, recall):
    """Return the page as reStructuredText, which includes the tables beside it."""
    n_skipped = sum(row["status"] == "SKIPPED" for row in summary)
    n_warned = sum(bool(row["warnings"]) for row in summary)
    n_stacks = len({row["stack"] for row in summary if row["status"] == "COMPLETE"})
    lines = [
        f"**{len(summary)} products: {len(summary) - n_skipped} complete in {n_stacks} stacks, "
        f"{n_skipped} skipped, {n_warned} with warnings.**",
        "",
        "Each stack's figures are under *Results* on the left. Of the flagged pixels of a product, "
        "*new* ones were not DO_NOT_USE before; *at the edge* are those within half a kernel of "
        "the ends, *in runs* those of three or more in a row along the dispersion, *line-like* "
        "those that may be of a spectral line. *Deviants* are about how many pixels differ from "
        "their median by more than five times their noise, less those that noise alone would give: "
        "where far fewer are flagged, flagfrac is too small for this detector, where far more, too "
        "large.",
        "",
    ]
    tables = [("Warnings", "warnings.csv")] if warnings else []
    tables += [("Products", "products.csv")]
    if recall:
        tables.append(("The demo: found of the simulated bad pixels", recall))
    for title, file in tables:
        lines += [title, "-" * len(title), "", ".. csv-table::", "   :header-rows: 1"]
        lines += [f"   :file: {file}", ""]
    return "\n".join(lines)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("summary", help="summary.csv")
    options.add_argument("output", help="overview.rst; the tables go beside it")
    options.add_argument("--recall", help="recall.csv of the demo")
    return options


def main(arguments):
    """Write ``overview.rst``, ``products.csv`` and ``warnings.csv``."""
    with open(arguments.members, newline="") as file:
        counts = roles(csv.DictReader(file))
    with open(arguments.summary, newline="") as file:
        summary = list(csv.DictReader(file))
    warnings = warning_rows(summary)
    products = [product_row(r, counts[r["association"], r["product"]]) for r in summary]
    folder = os.path.dirname(arguments.output)
    for name, header, rows in (
        ("products.csv", PRODUCTS, products),
        ("warnings.csv", ("product", "warning"), warnings),
    ):
        write_table(os.path.join(folder, name), [header, *rows])
    recall = os.path.relpath(arguments.recall, folder) if arguments.recall else None
    with atomic_write(arguments.output) as part, open(part, "w") as file:
        file.write(page(summary, warnings, recall))
