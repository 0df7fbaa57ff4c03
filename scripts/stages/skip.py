"""Stage 5 where there is nothing to calibrate from: mark a copy of an exposure as SKIPPED."""

import os

from badpix_selfcal.files import atomic_write
from badpix_selfcal.headers import (
    calibrated_cards,
    card,
    copied,
    history,
    refresh_checksums,
    write_parts,
)
from badpix_selfcal.images import read_science
from badpix_selfcal.names import exposure_name
from badpix_selfcal.program import log, parser
from badpix_selfcal.recorded import unchanged
from badpix_selfcal.version import VERSION


def write_skipped(path, target, name, state):
    """Copy an exposure, marked as skipped; `name` is its new one, `state` that of the file."""
    _, hdus = read_science(path)  # finds the faults that the other stages would
    size, modified = state
    cards = calibrated_cards(
        hdus[0].cards,
        name,
        "SKIPPED",
        [
            card("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
            card("BPXE0001", exposure_name(path), "the exposure"),
            card("BPXS0001", size, "[byte] size of its file"),
            card("BPXT0001", modified, "[ns] time of its file, since 1970"),
            history(f"badpix_selfcal workflow {VERSION} skipped: no other exposure"),
        ],
    )
    write_parts(target, copied(path, hdus[0], cards))
    refresh_checksums(target, hdus)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("exposure", help="the exposure")
    options.add_argument("output", help="{exposure}_badpix_selfcal.fits")
    return options


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``, its arrays untouched."""
    with atomic_write(arguments.output) as part, unchanged(arguments.exposure) as state:
        write_skipped(arguments.exposure, part, os.path.basename(arguments.output), state)
    # To the log: it may be so of every exposure, which is said once, at the end of the run.
    log(
        f"skip: warning: {arguments.exposure}: no background or selfcal exposure beside it, so "
        "nothing is flagged; add some, or set force_single"
    )
