"""Stage 4 of threshold sigma: the noise that a pixel's difference from the median is judged by."""

import numpy as np

from badpix_selfcal.images import read_image, write_image
from badpix_selfcal.noise import noise
from badpix_selfcal.program import Fault, log, parser


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("median", help="median.fits, its windows shrinking at the edges")
    options.add_argument("output", help="noise.fits")
    return options


def main(arguments):
    """Write ``noise.fits``; NaN where a pixel is not judged."""
    minimum, _ = read_image(arguments.minimum)
    median, header = read_image(arguments.median)
    if not header.get("BPXAXIS"):
        raise Fault(
            f"{arguments.median}: the dispersion axis is unknown, which threshold sigma needs; "
            "set dispersion_axis to 1 or 2"
        )
    if header["BPXEDGE"] != "shrink":
        raise Fault(f"{arguments.median}: its edge_mode is not shrink; make it with shrink")
    found = noise(minimum, median, header["BPXKERN"], header["BPXAXIS"])
    log(f"{np.count_nonzero(~np.isnan(found))} pixels are judged")
    write_image(arguments.output, found, header)
