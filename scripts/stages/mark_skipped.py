"""Stage 5 of a product without background or selfcal exposures: a copy, marked as SKIPPED."""

import os

from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import log, parser
from badpix_selfcal.write_back import write_skipped


def options():
    """Return the argument parser."""
    return parser(__doc__, exposure="the exposure", output="{exposure}_badpix_selfcal.fits")


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``, its arrays untouched."""
    with atomic_write(arguments.output) as part:
        write_skipped(arguments.exposure, part, os.path.basename(arguments.output))
    log(
        f"{arguments.exposure}: no background or selfcal exposure, so "
        "nothing is flagged; add some, or set force_single"
    )
