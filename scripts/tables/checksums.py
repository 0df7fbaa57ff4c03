"""Write the size and the SHA-256 of each exposure, which takes as long as reading them all."""

from badpix_selfcal.program import parser
from badpix_selfcal.tables import DIGEST_COLUMNS, digest_row, read_planned, write_table


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the exposures as the run was planned, JSON")
    options.add_argument("output", help="checksums.csv")
    return options


def main(arguments):
    """Write ``checksums.csv``."""
    paths = read_planned(arguments.planned)
    write_table(arguments.output, [DIGEST_COLUMNS, *map(digest_row, paths)])
