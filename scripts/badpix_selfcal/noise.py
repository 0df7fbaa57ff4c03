"""Stage 4 of threshold sigma: noise model for the residuals, with emission lines and slopes."""

import bottleneck
import numpy as np

from badpix_selfcal.median import exclude, move_window, running_median, subtract_median
from badpix_selfcal.robust_stats import SIGMA

ACROSS = 11  # pixels: fewer would take a blotch of 3 x 3 bad pixels for light


def measure_noise(minimum, kernel_size, axis, excluded=None):
    """
    Measure the noise of the residuals of a stack, pixel by pixel.

    It is the largest of three: the scatter of the neighbourhood; the signal shared by neighbouring
    pixels across the dispersion, which is source light; and the error of the median where it is
    steep, larger where its window is lopsided.

    Parameters
    ----------
    minimum : ndarray of float32, [ny, nx]
        The minimum of a stack.
    kernel_size : int
        Length of the running median's window in pixels.
    axis : {1, 2}
        The dispersion axis as in DISPAXIS.
    excluded : ndarray of bool, [ny, nx], optional
        Pixels that take no part.

    Returns
    -------
    noise : ndarray of float32, [ny, nx]
        In the units of `minimum`; NaN where a pixel is not judged: where it is excluded, where the
        minimum or the scatter is missing, or the scatter is 0.

    Raises
    ------
    ValueError
        If `axis` is neither 1 nor 2, or if the shapes differ.

    Notes
    -----
    With M the running median, of windows that shrink at the edges and ignore excluded pixels, r the
    residual and K the kernel: sigma is 1.4826 times the median over 11 pixels across the dispersion
    of the median over 2 K + 1 pixels along it of abs(r); line is the absolute median over 11 pixels
    across of r; slope is abs(dM/dpixel) times the larger of 1 and twice the mean offset of the
    window's valid pixels from the pixel. All ignore NaN, all windows shrink at the edges, and line
    or slope count as 0 where they are missing. M is known at excluded pixels, too, so that their
    neighbours have a slope.
    """
    return measure_residual(minimum, kernel_size, axis, excluded)[1]


def measure_residual(minimum, kernel_size, axis, excluded=None):
    """Return the residual of a stack [ny, nx] and its noise, as of `measure_noise`."""
    if axis not in (1, 2):
        raise ValueError(f"dispersion axis {axis} is neither 1 nor 2")
    if excluded is not None and minimum.shape != excluded.shape:
        raise ValueError(f"shapes {minimum.shape} and {excluded.shape} differ")
    minimum = exclude(minimum, excluded)
    median = running_median(minimum, kernel_size, axis, "shrink")
    residual = subtract_median(minimum, median)
    line = np.abs(running_median(residual, ACROSS, 3 - axis, "shrink"))
    slope = measure_slope(median, residual, kernel_size, axis)
    sigma = running_median(np.abs(residual), 2 * kernel_size + 1, axis, "shrink")
    sigma = np.float32(SIGMA) * running_median(sigma, ACROSS, 3 - axis, "shrink")
    noise = np.fmax(sigma, np.fmax(line, slope))
    noise[np.isnan(residual) | ~(sigma > 0)] = np.nan
    return residual, noise


def measure_slope(median, residual, kernel_size, axis):
    """
    Measure the error of the median where it is steep.

    Parameters
    ----------
    median, residual : ndarray of float32, [ny, nx]
        The residual is NaN where the median's windows ignored a pixel.
    kernel_size : int
    axis : {1, 2}

    Returns
    -------
    slope : ndarray of float32, [ny, nx]
        Change of the median per pixel, times twice the mean offset of the window's valid pixels
        where that exceeds half a pixel; NaN where unknown.
    """
    along = 2 - axis
    if median.shape[along] < 2:
        return np.full_like(median, np.nan)
    offset = measure_offset(~np.isnan(residual), kernel_size, axis)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(np.gradient(median, axis=along)) * np.maximum(1, 2 * np.abs(offset))


def measure_offset(valid, kernel_size, axis):
    """
    Average how far the valid pixels of each pixel's window lie from it.

    Parameters
    ----------
    valid : ndarray of bool, [ny, nx]
    kernel_size : int
        Length of the window in pixels, as far as the image goes.
    axis : {1, 2}

    Returns
    -------
    offset : ndarray of float32, [ny, nx]
        In pixels; NaN where the window has no valid pixel.
    """
    valid = valid.astype(np.float32)  # of which sums of places are exact
    place = np.expand_dims(np.arange(valid.shape[2 - axis], dtype=np.float32), axis - 1)
    number, total = (
        move_window(bottleneck.move_sum, values, kernel_size, axis, 0)
        for values in (valid, valid * place)
    )
    with np.errstate(invalid="ignore"):
        return (total - number * place) / number
