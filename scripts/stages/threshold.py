"""Stage 4: flag the pixels that differ most from the median, on both ends."""

import warnings

import numpy as np

from badpix_selfcal import parameters
from badpix_selfcal.doubts import LONG, counts
from badpix_selfcal.flags import GOOD, HIGH, LOW, difference
from badpix_selfcal.images import add_cards, read_image, with_unit, write_image
from badpix_selfcal.program import log, parser


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


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("median", help="median.fits")
    options.add_argument("output", help="flags.fits")
    parameters.add_options(options, "threshold")
    return options


def main(arguments):
    """Write ``flags.fits``, and into its header what is doubtful about them."""
    minimum, _ = read_image(arguments.minimum)
    median, header = read_image(arguments.median)
    lower, upper = arguments.flagfrac_lower, arguments.flagfrac_upper
    flags, low, high = flag_outliers(minimum, median, lower, upper)
    n_low, n_high = np.count_nonzero(flags == LOW), np.count_nonzero(flags == HIGH)
    axis = header.get("BPXAXIS") or None
    found = difference(minimum, median)
    n_edge, n_run, n_line = counts(flags, found, high, axis, header["BPXKERN"])
    add_cards(
        header,
        *parameters.cards("threshold", arguments),
        ("BPXTHLO", low, with_unit(header, "low threshold")),
        ("BPXTHHI", high, with_unit(header, "high threshold")),
        ("BPXNLO", n_low, "pixels flagged below the low threshold"),
        ("BPXNHI", n_high, "pixels flagged above the high threshold"),
        ("BPXNEDGE", n_edge, "of them within half a kernel of the ends"),
    )
    if axis:
        add_cards(
            header,
            ("BPXNRUN", n_run, f"of them in runs of {LONG} or more along the axis"),
            ("BPXNLINE", n_line, "of them that may belong to a spectral line"),
        )
    log(f"flagged {n_low} low (< {low}), {n_high} high (> {high})")
    write_image(arguments.output, flags, header)
