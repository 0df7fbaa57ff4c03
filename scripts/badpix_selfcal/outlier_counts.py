"""Outliers: pixels whose residual exceeds the noise, less those expected from noise alone."""

from statistics import NormalDist

import numpy as np

from badpix_selfcal.noise import measure_residual
from badpix_selfcal.robust_stats import SIGMA

CUT = 5.0  # times the noise


def measure_significance(image, axis, kernel_size=15):
    """
    Measure each pixel in units of its noise, whatever setting flags it.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        The minimum of a stack.
    axis : {1, 2}
        Its dispersion axis.
    kernel_size : int
        Of the median, whose windows shrink at the edges.

    Returns
    -------
    significance : ndarray of float32, [ny, nx]
        The residual over its noise; NaN where a pixel is not judged.
    """
    residual, noise = measure_residual(image, kernel_size, axis)
    return residual / noise


def count_outliers(significance, n_exposures):
    """
    Count the high outliers of a stack, less those expected from noise alone.

    Parameters
    ----------
    significance : ndarray of float32, [ny, nx]
        As of `measure_significance`.
    n_exposures : int
        Of which the minimum is taken.

    Returns
    -------
    n : float
        Pixels more than CUT times the noise above the median beyond those expected.
    """
    _, above = tail_probabilities(CUT, n_exposures)
    judged = np.count_nonzero(~np.isnan(significance))
    with np.errstate(invalid="ignore"):
        return max(0.0, np.count_nonzero(significance > CUT) - judged * above)


def find_false_positives(flagged, significance, sign):
    """
    Find the false positives: flagged pixels whose residual is too small for a bad pixel.

    Parameters
    ----------
    flagged : ndarray of bool, [ny, nx]
        Pixels flagged high or low.
    significance : ndarray of float32, [ny, nx]
        As of `measure_significance`.
    sign : {1, -1}
        1 where flagged as high, -1 as low.

    Returns
    -------
    false : ndarray of bool, [ny, nx]
        Flagged, and below CUT times the noise, or not judged. By chance, hardly one good pixel
        of a detector exceeds that.
    """
    with np.errstate(invalid="ignore"):
        return flagged & ~(sign * significance >= CUT)


def tail_probabilities(cut, n):
    """
    Compute how often the minimum of noise alone deviates from its median.

    Parameters
    ----------
    cut : float
        In units of its scatter: 1.4826 times its median absolute deviation.
    n : int
        Number of normal variables of which the minimum is taken.

    Returns
    -------
    below, above : float
        Probabilities.
    """
    normal = NormalDist()

    def share_above(x):
        return normal.cdf(-x) ** n

    middle = -normal.inv_cdf(0.5 ** (1 / n))
    near, far = 0.0, 1.0  # the median absolute deviation lies between, as for n = 1 it is 0.67
    for _ in range(40):
        half = (near + far) / 2
        inside = share_above(middle - half) - share_above(middle + half)
        near, far = (half, far) if inside < 0.5 else (near, half)
    reach = cut * SIGMA * half
    return 1 - share_above(middle - reach), share_above(middle + reach)
