"""Stage 4: flag the pixels that differ most from the median, or by more than the noise allows."""

import warnings

import numpy as np

from badpix_selfcal import parameters
from badpix_selfcal.cautions import cautions
from badpix_selfcal.deviants import CUT, count_deviants, estimate_deviants
from badpix_selfcal.doubts import LONG, counts
from badpix_selfcal.flags import GOOD, HIGH, LOW, difference
from badpix_selfcal.images import add_cards, read_image, with_unit, write_image
from badpix_selfcal.program import Fault, log, parser, warn


def flag_outliers(minimum, median, flagfrac_lower=0.001, flagfrac_upper=0.001):
    """
    Flag the pixels whose difference from the median lies beyond the thresholds.

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
        found = difference(minimum, median)
        low, high = np.nanpercentile(found, [100 * flagfrac_lower, 100 * (1 - flagfrac_upper)])
    flags = np.full(found.shape, GOOD, np.uint8)
    flags[found < low] = LOW
    flags[found > high] = HIGH
    return flags, float(low), float(high)


def flag_beyond_noise(minimum, median, noise, nsigma_lower=7.0, nsigma_upper=5.0):
    """
    Flag the pixels whose difference from the median exceeds so many times their noise.

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
    found = difference(minimum, median)
    flags = np.full(found.shape, GOOD, np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        flags[found < -np.float32(nsigma_lower) * noise] = LOW
        flags[found > np.float32(nsigma_upper) * noise] = HIGH
    return flags


def middle(image):
    """Return the median of an image's valid pixels, NaN if there is none."""
    valid = image[~np.isnan(image)]
    return float(np.median(valid)) if valid.size else np.nan


def threshold_cards(header, flags, low, high, judged, deviants):
    """
    Return the cards that tell what was flagged.

    Parameters
    ----------
    header : Header
        Of the median.
    flags : ndarray of uint8, [ny, nx]
    low, high : float
        The thresholds, or the medians of theirs where each pixel has its own.
    judged : ndarray of bool, [ny, nx]
        Pixels that might have been flagged.
    deviants : (float, float)
        As of `count_deviants`; NaN where unknown.

    Returns
    -------
    cards : list of (keyword, value, comment)
    """
    n_low, n_high = (round(n) if n == n else n for n in deviants)
    return [
        ("BPXTHLO", low, with_unit(header, "low threshold")),
        ("BPXTHHI", high, with_unit(header, "high threshold")),
        ("BPXNLO", np.count_nonzero(flags == LOW), "pixels flagged below the low threshold"),
        ("BPXNHI", np.count_nonzero(flags == HIGH), "pixels flagged above the high threshold"),
        ("BPXNPIX", np.count_nonzero(judged), "pixels that might have been flagged"),
        ("BPXNDLO", n_low, f"deviants, about: {CUT:g} times the noise too low"),
        ("BPXNDHI", n_high, f"deviants, about: {CUT:g} times the noise too high"),
    ]


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("median", help="median.fits")
    options.add_argument("output", help="flags.fits")
    options.add_argument("--noise", metavar="FILE", help="noise.fits, for threshold sigma")
    parameters.add_options(options, "threshold")
    return options


def main(arguments):
    """Write ``flags.fits``, and into its header what is doubtful about them."""
    if (arguments.threshold == "sigma") != bool(arguments.noise):
        raise Fault("--noise: threshold sigma needs it, fraction has none; give both or neither")
    minimum, _ = read_image(arguments.minimum)
    median, header = read_image(arguments.median)
    axis, kernel_size = header["BPXAXIS"], header["BPXKERN"]
    n_exposures = header.get("BPXNEXP", 1)
    found = difference(minimum, median)
    if arguments.noise:
        noise, _ = read_image(arguments.noise)
        lower, upper = arguments.nsigma_lower, arguments.nsigma_upper
        flags = flag_beyond_noise(minimum, median, noise, lower, upper)
        surface = upper * noise
        low, high = -lower * middle(noise), middle(surface)
        deviants = count_deviants(minimum, median, noise, n_exposures)
        judged = ~np.isnan(noise)
    else:
        lower, upper = arguments.flagfrac_lower, arguments.flagfrac_upper
        flags, low, high = flag_outliers(minimum, median, lower, upper)
        surface, judged, deviants = high, ~np.isnan(found), (np.nan, np.nan)
        if axis:
            deviants = estimate_deviants(minimum, median, kernel_size, axis, n_exposures)
    n_edge, n_run, n_line = counts(flags, found, surface, axis or None, kernel_size)
    add_cards(
        header,
        *parameters.cards("threshold", arguments),
        *threshold_cards(header, flags, low, high, judged, deviants),
        ("BPXNEDGE", n_edge, "flagged within half a kernel of the ends"),
    )
    if axis:
        add_cards(
            header,
            ("BPXNRUN", n_run, f"flagged in runs of {LONG} or more along the axis"),
            ("BPXNLINE", n_line, "flagged that may belong to a spectral line"),
        )
    log(f"flagged {header['BPXNLO']} low (< {low}), {header['BPXNHI']} high (> {high})")
    for caution in cautions(header):
        warn(f"threshold: warning: {arguments.minimum}: {caution}")
    write_image(arguments.output, flags, header)
