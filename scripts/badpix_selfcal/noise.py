"""The noise that a pixel's difference from the median is judged by, lines and slopes in it."""

import numpy as np

from badpix_selfcal.flags import difference
from badpix_selfcal.running_median import running_median, transposed

ACROSS = 11  # pixels: fewer would take a blotch of 3 x 3 bad pixels for light
SIGMA = 1.4826  # standard deviation of a normal distribution over its median deviation


def noise(minimum, median, kernel_size, axis):
    """
    Measure the noise of ``minimum - median`` pixel by pixel.

    It is the largest of three: the scatter of the neighbourhood; what neighbours across the
    dispersion share, which is light, not a bad pixel; and how far the median may be off where it
    is steep, more so where its window is lopsided.

    Parameters
    ----------
    minimum, median : ndarray of float32, [ny, nx]
        The minimum of a stack and its running median with windows that shrink, in the same units.
    kernel_size : int
        Length of the median's window in pixels.
    axis : {1, 2}
        The dispersion axis as in DISPAXIS.

    Returns
    -------
    noise : ndarray of float32, [ny, nx]
        In the units of `minimum`; NaN where a pixel is not to be judged: where the difference or
        the scatter is missing, or the scatter is 0.

    Raises
    ------
    ValueError
        If `axis` is neither 1 nor 2, or if the shapes differ.

    Notes
    -----
    With d the difference, K the kernel and M the median: sigma is 1.4826 times the median over 11
    pixels across the dispersion of the median over 2 K + 1 pixels along it of abs(d); line is the
    absolute median over 11 pixels across of d; slope is abs(dM/dpixel) times the larger of 1 and
    twice the mean offset of the window's valid pixels from the pixel. All ignore NaN, all windows
    shrink at the edges, and line or slope count as 0 where they are missing.
    """
    if axis not in (1, 2):
        raise ValueError(f"dispersion axis {axis} is neither 1 nor 2")
    if minimum.shape != median.shape:
        raise ValueError(f"shapes {minimum.shape} and {median.shape} differ")
    if axis == 1:  # all is done along y, where whole rows are taken at once
        return transposed(noise(transposed(minimum), transposed(median), kernel_size, 2))
    found = difference(minimum, median)
    missing = np.isnan(found)
    level = np.abs(running_median(found, ACROSS, 1, "shrink"))  # the line
    np.fmax(level, slope(median, missing, kernel_size), out=level)
    np.abs(found, out=found)
    found = running_median(found, 2 * kernel_size + 1, 2, "shrink")
    found = running_median(found, ACROSS, 1, "shrink")
    found *= np.float32(SIGMA)
    missing |= ~(found > 0)
    np.fmax(found, level, out=found)
    found[missing] = np.nan
    return found


def slope(median, missing, kernel_size):
    """
    Measure how far the median may be off where it is steep.

    Parameters
    ----------
    median : ndarray of float32, [ny, nx]
        The dispersion along y.
    missing : ndarray of bool, [ny, nx]
        Pixels that the median's windows ignored.
    kernel_size : int

    Returns
    -------
    slope : ndarray of float32, [ny, nx]
        Change of the median per pixel, times twice the mean offset of the window's valid pixels
        where that exceeds half a pixel; NaN where unknown.
    """
    if len(median) < 2:
        return np.full_like(median, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        steep = np.gradient(median, axis=0)
        np.abs(steep, out=steep)
        steep *= np.maximum(1, 2 * np.abs(mean_offset(~missing, kernel_size // 2)))
    return steep


def mean_offset(valid, half):
    """
    Average how far along y the valid pixels of each pixel's window lie from it.

    Parameters
    ----------
    valid : ndarray of bool, [ny, nx]
    half : int
        Pixels that the window reaches to either side, as far as the image goes.

    Returns
    -------
    offset : ndarray of float32, [ny, nx]
        In pixels; NaN where the window has no valid pixel.
    """
    ny, nx = valid.shape
    offset = np.empty((ny, nx), np.float32)
    valid = valid.astype(np.int32)
    number, total = np.zeros((2, nx), np.int32)
    for y in range(-half, ny):  # the window moves up by one row, its offsets fall by one
        total -= number
        if y + half < ny:
            number += valid[y + half]
            total += half * valid[y + half]
        if y - half > 0:
            number -= valid[y - half - 1]
            total += (half + 1) * valid[y - half - 1]
        if y >= 0:
            with np.errstate(invalid="ignore"):
                offset[y] = total / number
    return offset
