"""Outliers: pixels whose residual exceeds the noise, less those expected from noise alone."""

from statistics import NormalDist

import numpy as np

from badpix_selfcal.median import running_median, subtract_median
from badpix_selfcal.noise import ACROSS, measure_noise
from badpix_selfcal.robust_stats import SIGMA

CUT = 5.0  # times the noise
STRIPS, SHARE = 4, 4  # a fraction's estimate is made of so many strips, every so manieth pixel


def count_outliers(minimum, median, noise, n_exposures):
    """
    Count the outliers of a stack, less those expected from noise alone.

    Parameters
    ----------
    minimum, median, noise : ndarray of float32, [ny, nx]
        In one unit; the noise is NaN where a pixel is not judged.
    n_exposures : int
        Of which the minimum is taken.

    Returns
    -------
    low, high : float
        Pixels more than CUT times the noise below and above the median beyond those expected.
    """
    n = np.count_nonzero(~np.isnan(noise))
    residual = subtract_median(minimum, median)
    with np.errstate(invalid="ignore", over="ignore"):
        limit = np.float32(CUT) * noise
        counts = np.count_nonzero(residual < -limit), np.count_nonzero(residual > limit)
    return tuple(
        max(0.0, count - n * chance)
        for count, chance in zip(counts, tail_probabilities(CUT, n_exposures), strict=True)
    )


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
    median = running_median(image, kernel_size, axis, "shrink")
    return subtract_median(image, median) / measure_noise(image, median, kernel_size, axis)


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


def estimate_outliers(minimum, median, kernel_size, axis, n_exposures):
    """
    Estimate the number of outliers from strips of the image, where there is no noise yet.

    Parameters
    ----------
    minimum, median, n_exposures
        As of `count_outliers`; the median may have been taken with zeros beyond the edge.
    kernel_size, axis
        As of `measure_noise`.

    Returns
    -------
    low, high : float
    """
    across = axis - 1  # axis 1 is along x, the second of [y, x]
    size = minimum.shape[across]
    width = -(-size // (STRIPS * SHARE))
    strips = [slice(start, start + width) for start in range(0, size, SHARE * width)]

    def sampled(image):
        """Put the strips side by side, so far apart that no window of the noise sees two."""
        image = image.T if across else image
        gap = np.full((ACROSS // 2, image.shape[1]), np.nan, image.dtype)
        image = np.concatenate([part for strip in strips for part in (image[strip], gap)])
        return image.T if across else image

    images = sampled(minimum), sampled(median)
    level = measure_noise(*images, kernel_size, axis)
    counts = np.array(count_outliers(*images, level, n_exposures))
    return tuple(counts * size / sum(min(width, size - strip.start) for strip in strips))


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
