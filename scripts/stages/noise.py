"""Stage 4 of threshold sigma: noise model for the residuals, with emission lines and slopes."""

import numpy as np

from badpix_selfcal.cli import log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_image, write_image
from badpix_selfcal.noise import measure_noise
from badpix_selfcal.paths import name_files


def options():
    """Return the argument parser."""
    return parser(__doc__, **name_files("minimum", "excluded", "median"), output="noise.fits")


def main(arguments):
    """Write ``noise.fits``; NaN where a pixel is not judged."""
    minimum, _ = read_image(arguments.minimum)
    excluded = read_image(arguments.excluded)[0] > 0
    _, header = read_image(arguments.median)
    if header["BPXEDGE"] != "shrink":
        raise InputError(f"{arguments.median}: its edge_mode is not shrink; make it with shrink")
    noise = measure_noise(minimum, header["BPXKERN"], header["BPXAXIS"], excluded)
    log(f"{np.count_nonzero(~np.isnan(noise))} pixels are judged")
    write_image(arguments.output, noise, header)
