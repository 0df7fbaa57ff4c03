"""Join the faults that were found; without any, write the SHA-256 of every result."""

import csv
import os

from badpix_selfcal.again import COLUMNS
from badpix_selfcal.files import atomic_write
from badpix_selfcal.paths import path_of
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import digest_row, read_planned, write_table


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the paths of all results, JSON")
    options.add_argument("faults", nargs="+", help="tables of faults")
    return options


def main(arguments):
    """Write ``verify.csv`` and, if it is empty, ``SHA256SUMS``, which sha256sum -c takes."""
    rows = []
    for path in arguments.faults:
        with open(path, newline="", encoding="utf-8") as file:
            rows += [tuple(row) for row in csv.reader(file)][1:]
    table = path_of("verify")
    write_table(table, [COLUMNS, *rows])
    if rows:
        lines = [f"{path}: {fault}" for path, fault in rows[:20]]
        if len(rows) > 20:
            lines.append(f"... and {len(rows) - 20} more in {table}")
        raise Fault("\n".join(lines))
    results = read_planned(arguments.planned)
    folder = os.path.dirname(table)
    with atomic_write(path_of("sums")) as part, open(part, "w", encoding="utf-8") as file:
        for path in results:
            file.write(f"{digest_row(path)[-1]}  {os.path.relpath(path, folder)}\n")
    print(f"{len(results)} results are what today's inputs and parameters make, to the bit.")
