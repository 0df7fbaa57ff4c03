"""Write the size and the SHA-256 of each exposure, which takes as long as reading them all."""

import csv

from badpix_selfcal.associations import COMBINED
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import parser
from badpix_selfcal.file_state import DIGEST_COLUMNS, read_digest


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv", output="checksums.csv")
    return options


def main(arguments):
    """Write ``checksums.csv``."""
    with open(arguments.members, newline="", encoding="utf-8") as file:
        paths = {row["path"] for row in csv.DictReader(file) if row["exptype"] in COMBINED}
    with atomic_write(arguments.output) as part, open(part, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(DIGEST_COLUMNS)
        table.writerows(map(read_digest, sorted(paths)))
