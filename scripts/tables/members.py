"""Write the members table: one row per member of a product, and in which stack."""

from badpix_selfcal.program import parser
from badpix_selfcal.tables import COLUMNS, read_planned, write_table


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the rows as the run was planned, JSON")
    options.add_argument("output", help="members.csv")
    return options


def main(arguments):
    """Write ``members.csv``."""
    write_table(arguments.output, [COLUMNS, *read_planned(arguments.planned)])
