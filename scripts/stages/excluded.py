"""Stage beside the median: pixels that are bad in every exposure, by their DQ."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.cli import log, parser
from badpix_selfcal.excluded import find_excluded, read_dq_planes
from badpix_selfcal.file_state import read_recorded
from badpix_selfcal.fits_io import add_cards, read_image, write_image


def options():
    """Return the argument parser."""
    options = parser(__doc__, minimum="minimum.fits of the stack", output="excluded.fits")
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    return options


def main(arguments):
    """Write ``excluded.fits``: 1 where a pixel takes no part, else 0."""
    minimum, stack = read_image(arguments.minimum)
    planes = read_dq_planes(arguments.exposures, read_recorded(stack), minimum.shape)
    excluded = find_excluded(planes)
    header = add_cards(FITSHDR(), ("BPXSTACK", stack["BPXSTACK"], "stack"))
    log(f"{np.count_nonzero(excluded)} pixels are bad in every exposure")
    write_image(arguments.output, excluded.astype(np.uint8), header)
