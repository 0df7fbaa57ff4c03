"""Beside stage 3: which pixels are of no use in every exposure, by their DQ."""

import numpy as np

from badpix_selfcal.headers import read_hdus
from badpix_selfcal.images import Header, add_cards, read_dq, read_image, write_image
from badpix_selfcal.names import exposure_name
from badpix_selfcal.program import Fault, log, parser
from badpix_selfcal.recorded import recorded, unchanged

OF_NO_USE = 1 | 1 << 31  # DO_NOT_USE, REFERENCE_PIXEL


def unusable(planes):
    """
    Find the pixels that are of no use in every exposure.

    Parameters
    ----------
    planes : iterable of ndarray of uint32, [ny, nx]
        DQ of each exposure, read one at a time.

    Returns
    -------
    unusable : ndarray of bool, [ny, nx]
        Where every plane has DO_NOT_USE or REFERENCE_PIXEL.
    """
    found = True
    for dq in planes:
        found = found & (dq & OF_NO_USE > 0)
    return found


def read_planes(paths, states, shape):
    """Yield DQ of each exposure; a `Fault` if it is not the file or of the shape of the minimum."""
    for path in paths:
        with unchanged(path, states.get(exposure_name(path))):
            dq = read_dq(path, read_hdus(path))
        if dq.shape != shape:
            raise Fault(f"{path}: DQ has shape {dq.shape}, the minimum {shape}; run again")
        yield dq


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits, which records what its exposures were")
    options.add_argument("output", help="unusable.fits")
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    return options


def main(arguments):
    """Write ``unusable.fits``: 1 where a pixel is of no use, else 0."""
    minimum, stack = read_image(arguments.minimum)
    found = unusable(read_planes(arguments.exposures, recorded(stack), minimum.shape))
    number = np.count_nonzero(found)
    header = Header()
    add_cards(
        header,
        ("BPXSTACK", stack["BPXSTACK"], "stack"),
        ("BPXNOUT", number, "pixels of no use in every exposure, left out"),
    )
    log(f"{number} pixels are of no use in every exposure")
    write_image(arguments.output, found.astype(np.uint8), header)
