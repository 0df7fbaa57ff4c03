"""Stage beside the median: pixels that are bad in every exposure, by their DQ."""

from badpix_selfcal.associations import exposure_name
from badpix_selfcal.dq import DO_NOT_USE, REFERENCE_PIXEL
from badpix_selfcal.errors import InputError
from badpix_selfcal.file_state import unchanged
from badpix_selfcal.fits_io import read_dq


def find_excluded(planes):
    """
    Find the pixels that take no part: bad in every exposure.

    Parameters
    ----------
    planes : iterable of ndarray of uint32, [ny, nx]
        DQ of each exposure, read one at a time.

    Returns
    -------
    excluded : ndarray of bool, [ny, nx]
        Where every plane has DO_NOT_USE or REFERENCE_PIXEL.
    """
    excluded = True
    for dq in planes:
        excluded = excluded & (dq & (DO_NOT_USE | REFERENCE_PIXEL) > 0)
    return excluded


def read_dq_planes(exposures, states, shape):
    """
    Read DQ of each exposure of a stack, one at a time.

    Parameters
    ----------
    exposures : list of str
        Paths.
    states : dict of str to (int, int)
        Size and modification time of each exposure when the stage pedestal read it.
    shape : tuple of int
        [ny, nx] of the minimum.

    Yields
    ------
    dq : ndarray of uint32, [ny, nx]

    Raises
    ------
    InputError
        If an exposure has changed or is of another shape.
    """
    for path in exposures:
        with unchanged(path, states.get(exposure_name(path))):
            dq = read_dq(path)
        if dq.shape != shape:
            raise InputError(f"{path}: DQ has shape {dq.shape}, the minimum {shape}; run again")
        yield dq
