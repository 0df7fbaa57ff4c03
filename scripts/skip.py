#!/usr/bin/env -S python3 -Es
"""Stage 5 where there is nothing to calibrate from: mark a copy of an exposure as SKIPPED."""

import os

from _cards import card, copy_with_header, history, primary_cards, refresh_checksums
from _fits import read_science
from _program import VERSION, complain, parser, run, whole
from write_back import marked


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``, its arrays untouched."""
    read_science(arguments.exposure)  # finds the faults that the other stages would
    complain(
        f"skip: warning: {arguments.exposure}: no background or selfcal exposure beside it, so "
        "nothing is flagged; add some, or set force_single"
    )
    cards = marked(
        primary_cards(arguments.exposure)[0],
        os.path.basename(arguments.output),
        "SKIPPED",
        [
            card("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
            history(f"badpix_selfcal workflow {VERSION} skipped: no other exposure"),
        ],
    )
    with whole(arguments.output) as part:
        copy_with_header(arguments.exposure, part, cards)
        refresh_checksums(part)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("exposure", help="the exposure")
    options.add_argument("output", help="{exposure}_badpix_selfcal.fits")
    run(main, options)
