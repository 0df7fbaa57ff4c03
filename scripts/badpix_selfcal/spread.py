"""How far the values of an image spread: its scatter, and the limits of its display."""

import numpy as np

from badpix_selfcal.noise import SIGMA
from badpix_selfcal.running_median import running_median

ALONG, ACROSS = 61, 3  # pixels: within a slice, and with a few percent of error


def scatter(image):
    """Return the standard deviation of an image's middle: 1.4826 times the median deviation."""
    valid = image[np.isfinite(image)]
    return SIGMA * float(np.median(np.abs(valid - np.median(valid)))) if valid.size else 0.0


def local_scatter(image, axis):
    """
    Measure the scatter around each pixel, as it follows the light.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        A difference from a running median; NaN where there is no value.
    axis : {1, 2}
        The dispersion axis, along which the slices run.

    Returns
    -------
    scatter : ndarray of float32, [ny, nx]
        1.4826 times the median over 3 pixels across of the median over 61 along of its absolute
        values; NaN where the image is, and where it would be 0.
    """
    found = running_median(np.abs(image), ALONG, axis, "shrink")
    found = SIGMA * running_median(found, ACROSS, 3 - axis, "shrink")
    found[np.isnan(image) | ~(found > 0)] = np.nan
    return found


def limits(image, low=1, high=99.5):
    """Return two percentiles of an image's valid pixels, apart from each other."""
    valid = image[np.isfinite(image)]
    ends = [float(v) for v in np.percentile(valid, [low, high])] if valid.size else [0.0, 1.0]
    return ends if ends[1] > ends[0] else [ends[0] - 1, ends[0] + 1]
