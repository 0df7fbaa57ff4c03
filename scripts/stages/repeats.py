"""Stage beside the threshold: pixels that come and go, bad in some exposures of a stack."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.cli import add_parameters, log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import add_cards, open_fits, read_header, read_image, write_image
from badpix_selfcal.parameters import parameter_cards
from badpix_selfcal.paths import name_files
from badpix_selfcal.repeats import find_refusal, find_repeats


def options():
    """Return the argument parser."""
    files = name_files("pedestal", "excluded", "median")
    options = parser(__doc__, **files, output="repeats.fits")
    add_parameters(options, "repeats")
    return options


def main(arguments):
    """Write ``repeats.fits``: 1 where a pixel comes and goes, else 0; one plane at a time."""
    excluded = read_image(arguments.excluded)[0] > 0
    _, stack = read_image(arguments.median)
    with open_fits(arguments.pedestal) as fits:
        _, *hdus = list(fits)
        if reason := find_refusal([read_header(hdu) for hdu in hdus]):
            raise InputError(f"{stack['BPXSTACK']}: {reason}")
        found = stack["BPXKERN"], stack["BPXAXIS"], arguments.repeat_fraction
        repeats = find_repeats((hdu.read() for hdu in hdus), *found, excluded)
    cards = parameter_cards("repeats", {**vars(arguments), "threshold": "sigma"})
    header = add_cards(FITSHDR(), ("BPXSTACK", stack["BPXSTACK"], "stack"), *cards)
    log(f"{np.count_nonzero(repeats)} pixels come and go")
    write_image(arguments.output, repeats.astype(np.uint8), header)
