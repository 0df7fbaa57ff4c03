"""Wavelengths of pixels, where an exposure has a WCS (assign_wcs was run)."""

import numpy as np

from badpix_selfcal.cli import log
from badpix_selfcal.fits_io import read_primary


def read_wavelengths(path, y, x):
    """
    Read the wavelengths of pixels from the WCS of an exposure.

    Parameters
    ----------
    path : str
        An exposure.
    y, x : ndarray of int, [n]
        Pixels, counted from 0.

    Returns
    -------
    wavelengths : ndarray of float32, [n]
        In micron; NaN between slices, and everywhere if the exposure has no WCS.
    """
    missing = np.full(len(x), np.nan, np.float32)
    if read_primary(path).get("S_WCS") != "COMPLETE" or not len(x):
        return missing
    from stdatamodels.jwst import datamodels  # 0.9 s

    try:
        with datamodels.open(path) as model:
            wcs = model.meta.wcs
            world = wcs(np.asarray(x, float), np.asarray(y, float))
            unit = wcs.output_frame.unit[2]
            return np.asarray(world[2] * unit.to("um"), np.float32)
    except Exception as error:  # of a WCS that this environment cannot read
        log(f"{path}: no wavelengths ({type(error).__name__}: {error})")
        return missing
