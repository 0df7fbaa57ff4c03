"""Robust statistics of images: scatter, and limits for their display."""

import numpy as np

from badpix_selfcal.median import running_median

SIGMA = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
ALONG, ACROSS = 61, 3  # pixels: within a slice, and with a few percent of error


def measure_scatter(image):
    """Return the standard deviation of an image's core: 1.4826 times the median deviation."""
    valid = image[np.isfinite(image)]
    return SIGMA * float(np.median(np.abs(valid - np.median(valid)))) if valid.size else 0.0


def measure_local_scatter(residual, axis):
    """
    Measure the scatter around each pixel, which follows the light.

    Parameters
    ----------
    residual : ndarray of float32, [ny, nx]
        NaN where there is no value.
    axis : {1, 2}
        The dispersion axis, along which the slices run.

    Returns
    -------
    scatter : ndarray of float32, [ny, nx]
        In the units of `residual`: 1.4826 times the median over 3 pixels across of the median over
        61 along of its absolute values; NaN where the residual is, and where it would be 0.
    """
    scatter = running_median(np.abs(residual), ALONG, axis, "shrink")
    scatter = SIGMA * running_median(scatter, ACROSS, 3 - axis, "shrink")
    scatter[np.isnan(residual) | ~(scatter > 0)] = np.nan
    return scatter


def find_limits(image, low=1, high=99.5):
    """Return two percentiles of an image's valid pixels, at least 2 apart if they are equal."""
    valid = image[np.isfinite(image)]
    ends = [float(v) for v in np.percentile(valid, [low, high])] if valid.size else [0.0, 1.0]
    return ends if ends[1] > ends[0] else [ends[0] - 1, ends[0] + 1]
