"""Join the faults that were found; without any, write the SHA-256 of every result."""

import csv
import os

from badpix_selfcal.again import COLUMNS, below, prefix_option
from badpix_selfcal.files import atomic_write
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import write_table


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    prefix_option(options)
    options.add_argument("tables", nargs="+", help="tables of results, faults and digests")
    return options


def main(arguments):
    """Write ``verify.csv`` and, if it is empty, ``SHA256SUMS``, which sha256sum -c takes."""
    rows, path_of = [], below(arguments.prefix)
    for path in arguments.tables:
        with open(path, newline="", encoding="utf-8") as file:
            rows += [tuple(line) for line in csv.reader(file)][1:]
    faults = [(path, fault) for path, fault, _ in rows if fault]
    table = path_of("verify")
    write_table(table, [COLUMNS[:2], *faults])
    if faults:
        lines = [f"{path}: {fault}" for path, fault in faults[:20]]
        if len(faults) > 20:
            lines.append(f"... and {len(faults) - 20} more in {table}")
        raise Fault("\n".join(lines))
    folder = os.path.dirname(table)
    with atomic_write(path_of("sums")) as part, open(part, "w", encoding="utf-8") as file:
        for path, _, digest in sorted(rows):
            file.write(f"{digest}  {os.path.relpath(path, folder)}\n")
    print(f"{len(rows)} results are what today's inputs and parameters make, to the bit.")
