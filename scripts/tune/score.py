"""Tuning: inject pixels into a stack; count those that each setting finds, and the other flags."""

import json

import numpy as np
import pandas as pd

from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import log, parser
from badpix_selfcal.fits_io import open_fits, read_image
from badpix_selfcal.flag_diagnostics import estimate_false_positives, measure_structure
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import find_dispersion_axis, running_median, subtract_median
from badpix_selfcal.minimum import take_minimum
from badpix_selfcal.outlier_counts import find_false_positives, measure_significance
from badpix_selfcal.parameters import SETTING
from badpix_selfcal.paths import name_files
from badpix_selfcal.pedestal import read_planes
from badpix_selfcal.robust_stats import measure_scatter
from badpix_selfcal.selfcal import flag_minimum

from .inject import STRENGTHS, choose_injections

INPUTS = ("minimum", "median", "flags", "excluded")
COLUMNS = (*SETTING, "kind", "strength", "injected", "found", "others", "false", "dither")


def measure_dither(paths):
    """Return the extent of the pointings of exposures, in arcsec; NaN where one is unknown."""
    pointings = []
    for path in paths:
        with open_fits(path) as fits:
            header = fits["SCI"].read_header()
        pointings.append((header.get("RA_V1"), header.get("DEC_V1")))
    ra, dec = np.unwrap(np.array(pointings, float).T, period=360)
    return 3600 * np.hypot(np.ptp(ra) * np.cos(np.radians(dec[0])), np.ptp(dec))


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
    options = parser(__doc__, **name_files(*INPUTS), output="score.csv")
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    options.add_argument("--seed", type=int, default=1, help="the injection's number")
    options.add_argument("--settings", required=True, type=json.loads, help="a dict of each, JSON")
    options.add_argument("--dispersion-axis", default="auto", help="1, 2 or auto")
    return options


def main(arguments):
    """Write ``score.csv``."""
    files = (vars(arguments)[name] for name in INPUTS)
    (minimum, header), (median, _), (flags, _), (excluded, _) = map(read_image, files)
    residual = subtract_median(minimum, median)
    sigma, free = measure_scatter(residual), ~np.isnan(residual) & (flags == 0)
    added = choose_injections(free, sigma, np.random.default_rng([5, arguments.seed]))
    log(f"noise {sigma} {header.get('BUNIT', '')}, {np.count_nonzero(added)} pixels")
    lowest = take_minimum(plane for _, plane, _ in read_planes(arguments.exposures, added))
    dither, rows = measure_dither(arguments.exposures), []
    axis = find_dispersion_axis(header, arguments.dispersion_axis)
    significance = measure_significance(lowest[0], axis)
    structure = measure_structure(lowest[0], running_median(lowest[0], 15, axis, "shrink"), axis)
    for setting in arguments.settings:
        kernel_size, edge_mode, threshold, *cuts = (setting[name] for name in SETTING)
        unused = excluded > 0 if edge_mode == "shrink" else None
        cuts = {"fraction": cuts[:2], "sigma": cuts[2:]}
        found = flag_minimum(*lowest, unused, None, axis, kernel_size, edge_mode, threshold, cuts)
        residual = subtract_median(found.minimum, found.median)
        counts = count_found(found.flags, residual, added, sigma, significance, structure)
        rows += [(*(setting[name] for name in SETTING), *row, dither) for row in counts]
    write_text(arguments.output, pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False))
