"""Stage 4: flag the pixels whose residual, minimum - median, exceeds a threshold."""

import warnings

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.fits_io import add_cards, with_unit
from badpix_selfcal.flag_diagnostics import count_diagnostics
from badpix_selfcal.flags import GOOD, HIGH, LOW
from badpix_selfcal.median import subtract_median
from badpix_selfcal.outlier_counts import CUT, count_outliers, measure_significance
from badpix_selfcal.parameters import parameter_cards


def flag_outliers(minimum, median, flagfrac_lower=0.001, flagfrac_upper=0.001):
    """
    Flag the pixels whose residual lies beyond thresholds set by fractions of the pixels.

    Parameters
    ----------
    minimum, median : ndarray of float32, [ny, nx]
        The minimum of a stack and its running median, in the same units.
    flagfrac_lower, flagfrac_upper : float
        Fractions of the valid pixels to flag on the low and on the high end, 0 to 0.5.

    Returns
    -------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high. NaN is never flagged, nor is a tie with a threshold.
    low, high : float
        The thresholds of ``minimum - median``, in the units of `minimum`; NaN without any
        valid pixel.

    Raises
    ------
    ValueError
        If a fraction is out of range or if the shapes differ.

    Notes
    -----
    After ``jwst.badpix_selfcal.badpix_selfcal.badpix_selfcal`` of jwst 3.0.0.
    """
    if not (0 <= flagfrac_lower <= 0.5 and 0 <= flagfrac_upper <= 0.5):
        raise ValueError(f"fractions {flagfrac_lower}, {flagfrac_upper} are not in 0 to 0.5")
    if minimum.shape != median.shape:
        raise ValueError(f"shapes {minimum.shape} and {median.shape} differ")
    with warnings.catch_warnings(), np.errstate(invalid="ignore", over="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # no valid pixel: NaN says it
        residual = subtract_median(minimum, median)
        low, high = np.nanpercentile(residual, [100 * flagfrac_lower, 100 * (1 - flagfrac_upper)])
    flags = np.full(residual.shape, GOOD, np.uint8)
    flags[residual < low] = LOW
    flags[residual > high] = HIGH
    return flags, float(low), float(high)


def flag_beyond_noise(minimum, median, noise, nsigma_lower=7.0, nsigma_upper=5.0):
    """
    Flag the pixels whose residual exceeds a multiple of their noise.

    Parameters
    ----------
    minimum, median, noise : ndarray of float32, [ny, nx]
        The minimum of a stack, its running median and the noise, in the same units.
    nsigma_lower, nsigma_upper : float
        Positive; the minimum of several exposures has a heavier tail below.

    Returns
    -------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high. NaN in any of the images is never flagged, nor is a tie.

    Raises
    ------
    ValueError
        If a number is not positive or if the shapes differ.
    """
    if not (nsigma_lower > 0 and nsigma_upper > 0):
        raise ValueError(f"nsigma {nsigma_lower}, {nsigma_upper} are not positive")
    if not minimum.shape == median.shape == noise.shape:
        raise ValueError(f"shapes {minimum.shape}, {median.shape} and {noise.shape} differ")
    residual = subtract_median(minimum, median)
    flags = np.full(residual.shape, GOOD, np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        flags[residual < -np.float32(nsigma_lower) * noise] = LOW
        flags[residual > np.float32(nsigma_upper) * noise] = HIGH
    return flags


def median_of_valid(image):
    """Return the median of an image's valid pixels, NaN if there is none."""
    valid = image[~np.isnan(image)]
    return float(np.median(valid)) if valid.size else np.nan


def flag_stack(minimum, median, header, values, noise=None, repeats=None):
    """
    Flag the pixels of a stack as the parameters say.

    Parameters
    ----------
    minimum, median : ndarray of float32, [ny, nx]
    header : FITSHDR
        Of the median.
    values : dict
        The parameters of the stages repeats and threshold, by name.
    noise : ndarray of float32, [ny, nx], optional
        With threshold sigma.
    repeats : ndarray of bool, [ny, nx], optional
        With repeat_fraction: pixels that come and go, which are flagged high, too.

    Returns
    -------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    header : FITSHDR
        Of the median, with the parameters, thresholds, counts and diagnostics added.
    """
    header = FITSHDR(header)
    axis, kernel_size = header["BPXAXIS"], header["BPXKERN"]
    if noise is not None:
        lower, upper = values["nsigma_lower"], values["nsigma_upper"]
        flags = flag_beyond_noise(minimum, median, noise, lower, upper)
        surface = upper * noise
        low, high = -lower * median_of_valid(noise), median_of_valid(surface)
        judged, outliers = ~np.isnan(noise), []
        if repeats is not None:
            added = repeats & (flags == GOOD)
            flags[added] = HIGH
            card = ("BPXNREP", np.count_nonzero(added), "high flags on pixels that come and go")
            outliers = [*parameter_cards("repeats", values), card]
    else:
        lower, upper = values["flagfrac_lower"], values["flagfrac_upper"]
        flags, low, high = flag_outliers(minimum, median, lower, upper)
        surface, judged = high, ~np.isnan(subtract_median(minimum, median))
        significance = measure_significance(minimum, axis)
        n_outliers = round(count_outliers(significance, header.get("BPXNEXP", 1)))
        outliers = [("BPXNDHI", n_outliers, f"high outliers, about: {CUT:g} times the noise")]
    add_cards(
        header,
        *parameter_cards("threshold", values),
        ("BPXTHLO", low, with_unit(header, "low threshold")),
        ("BPXTHHI", high, with_unit(header, "high threshold")),
        ("BPXNLO", np.count_nonzero(flags == LOW), "pixels flagged below the low threshold"),
        ("BPXNHI", np.count_nonzero(flags == HIGH), "pixels flagged above the high threshold"),
        ("BPXNPIX", np.count_nonzero(judged), "pixels that might have been flagged"),
        *outliers,
        *count_diagnostics(flags, minimum, median, surface, axis, kernel_size),
    )
    return flags, header
