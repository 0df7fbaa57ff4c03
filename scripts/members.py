#!/usr/bin/env -S python3 -Es
"""Write the members table: who plays which role in which product, and in which stack."""

import csv

from _program import Fault, parser, run, whole
from _tables import COLUMNS, read_members


def main(arguments):
    """Write ``members.csv``."""
    _, rows, faults = read_members(arguments.associations, arguments.force_single)
    if faults:
        raise Fault("\n".join(faults))
    with whole(arguments.output) as part, open(part, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("associations", nargs="+", help="association files or globs")
    options.add_argument("output", help="members.csv")
    options.add_argument("--force-single", action="store_true", help="never skip a product")
    run(main, options)
