"""Tuning: count the injected pixels that were found, and the other flags, for each setting."""

import numpy as np
import pandas as pd

from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import parser
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.flag_diagnostics import estimate_false_positives, measure_structure
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import running_median, subtract_median
from badpix_selfcal.outlier_counts import find_false_positives, measure_significance
from badpix_selfcal.parameters import PARAMETERS, SETTING

from .strengths import STRENGTHS

COLUMNS = (*SETTING, "kind", "strength", "injected", "found", "others", "false")


def count_found(flags, residual, added, sigma, significance, structure):
    """
    Count found injections and other flags by strength.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high, of the exposures with `added`.
    residual : ndarray of float32, [ny, nx]
        Their minimum less its median.
    added : ndarray of float32, [ny, nx]
        Added to each exposure, in the units of `residual`.
    sigma : float
        The noise, in the same units.
    significance : ndarray of float32, [ny, nx]
        From `measure_significance`, of the exposures with `added`.
    structure : ndarray of float32, [ny, nx]
        From `measure_structure`, of the exposures with `added`.

    Returns
    -------
    rows : list of tuple
        Kind; strength, one of STRENGTHS in units of the noise; number of pixels injected with it;
        of these, flagged as this kind; other flags, of bad pixels or good ones; of these, false
        positives: those too weak for a bad pixel, and of the strong high ones the share that
        follows source structure. Other flags count at the strength of their residual, up to the
        next strength.
    """
    rows, bins = [], [*STRENGTHS, np.inf]
    for kind, value, sign in (("high", HIGH, 1), ("low", LOW, -1)):
        injected = np.round(sign * added / sigma).astype(int) if sigma else np.zeros(added.shape)
        # Weaker ones count with the weakest.
        scaled = np.clip(sign * residual / (sigma or 1), STRENGTHS[0], np.finfo("f4").max)
        flagged = flags == value
        other = flagged & (added == 0)
        n_others, _ = np.histogram(scaled[other], bins)
        weak = find_false_positives(other, significance, sign)
        n_false = np.histogram(scaled[weak], bins)[0].astype(float)
        if kind == "high" and (strong := other & ~weak).any():
            n, _ = estimate_false_positives(strong, structure)
            n_false += n / strong.sum() * np.histogram(scaled[strong], bins)[0]
        for strength, *others in zip(STRENGTHS, n_others, n_false, strict=True):
            here = injected == strength
            found = np.count_nonzero(here & flagged)
            counts = (round(float(n), 1) for n in others)
            rows.append((kind, strength, np.count_nonzero(here), found, *counts))
    return rows


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("added", help="added.fits")
    options.add_argument("minimum", help="minimum.fits of the exposures with it")
    options.add_argument("output", help="score.csv")
    options.add_argument("--medians", nargs="+", required=True, help="median.fits per setting")
    options.add_argument("--flags", nargs="+", required=True, help="flags.fits per setting")
    return options


def main(arguments):
    """Write ``score.csv``."""
    added, header = read_image(arguments.added)
    minimum, _ = read_image(arguments.minimum)
    significance, rows = None, []
    for median, flags in zip(arguments.medians, arguments.flags, strict=True):
        residual = subtract_median(minimum, read_image(median)[0])
        found, cards = read_image(flags)
        if significance is None:
            significance = measure_significance(minimum, cards["BPXAXIS"])
            smooth = running_median(minimum, 15, cards["BPXAXIS"], "shrink")
            structure = measure_structure(minimum, smooth, cards["BPXAXIS"])
        # Parameters that a setting does not use have their defaults.
        setting = [cards.get(p.card, p.default) for p in PARAMETERS if p.tuned]
        counts = count_found(found, residual, added, header["BPXSIGMA"], significance, structure)
        rows += [(*setting, *row) for row in counts]
    with atomic_write(arguments.output) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False)
