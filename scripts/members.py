#!/usr/bin/env -S python3 -Es
"""Write the members table: who plays which role in which product, and in which stack."""

from _program import Fault, parser, run
from _tables import COLUMNS, read_members, write_table


def main(arguments):
    """Write ``members.csv``."""
    _, rows, faults = read_members(arguments.associations, arguments.force_single)
    if faults:
        raise Fault("\n".join(faults))
    write_table(arguments.output, [COLUMNS, *rows])


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("associations", nargs="+", help="association files or globs")
    options.add_argument("output", help="members.csv")
    options.add_argument("--force-single", action="store_true", help="never skip a product")
    run(main, options)
