"""Stage 5 where there is nothing to calibrate from: mark a copy of an exposure as SKIPPED."""

import os

from badpix_selfcal.files import atomic_write
from badpix_selfcal.headers import (
    calibrated_cards,
    card,
    copy_with_header,
    history,
    refresh_checksums,
)
from badpix_selfcal.images import read_science
from badpix_selfcal.program import log, parser
from badpix_selfcal.version import VERSION


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("exposure", help="the exposure")
    options.add_argument("output", help="{exposure}_badpix_selfcal.fits")
    return options


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``, its arrays untouched."""
    _, hdus = read_science(arguments.exposure)  # finds the faults that the other stages would
    # To the log: it may be so of every exposure, which is said once, at the end of the run.
    log(
        f"skip: warning: {arguments.exposure}: no background or selfcal exposure beside it, so "
        "nothing is flagged; add some, or set force_single"
    )
    cards = calibrated_cards(
        hdus[0].cards,
        os.path.basename(arguments.output),
        "SKIPPED",
        [
            card("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
            history(f"badpix_selfcal workflow {VERSION} skipped: no other exposure"),
        ],
    )
    with atomic_write(arguments.output) as part:
        copy_with_header(arguments.exposure, hdus[0], part, cards)
        refresh_checksums(part, hdus)
