"""Stage 5: flagged copies of the exposures of a stack."""

import os
from concurrent.futures import ThreadPoolExecutor

from badpix_selfcal.associations import exposure_name
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_cards, read_image
from badpix_selfcal.paths import path_of
from badpix_selfcal.write_back import write_flagged


def options():
    """Return the argument parser."""
    options = parser(__doc__, flags="flags.fits of the stack", folder="for flagged exposures")
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="to flag")
    options.add_argument("--threads", type=int, default=1, help="exposures at a time")
    return options


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits`` of each exposure, a few at a time."""
    flags, header = read_image(arguments.flags)
    if flags.dtype != "u1" or "BPXSTACK" not in header:
        raise InputError(f"{arguments.flags}: no flags; give the file of the stage threshold")
    cards = read_cards(arguments.flags)

    def write(exposure):
        name = os.path.basename(path_of("flagged", exposure=exposure_name(exposure)))
        target = os.path.join(arguments.folder, name)
        if os.path.realpath(target) == os.path.realpath(exposure):
            raise InputError(f"{exposure}: read and written; name another folder")
        with atomic_write(target) as part:
            n_new = write_flagged(exposure, part, flags, header, cards, name)
        log(f"{name}: {n_new} flagged pixels are new")

    with ThreadPoolExecutor(arguments.threads) as pool:
        list(pool.map(write, arguments.exposures))
