"""Tuning: choose where to add warm and low pixels of graded strength to a stack's exposures."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.cli import log, parser
from badpix_selfcal.fits_io import add_cards, read_image, with_unit, write_image
from badpix_selfcal.median import subtract_median
from badpix_selfcal.robust_stats import measure_scatter

from .strengths import STRENGTHS

SHARE = 1e-4  # of the valid pixels, of each kind: a tenth of what is flagged by default


def choose_injections(free, sigma, rng):
    """
    Choose pixels at random, and what is added to them.

    Parameters
    ----------
    free : ndarray of bool, [ny, nx]
        Where a pixel may be chosen.
    sigma : float
        The noise of the residual, in the exposures' units.
    rng : numpy.random.Generator

    Returns
    -------
    added : ndarray of float32, [ny, nx]
        Each of STRENGTHS times `sigma`, in as many pixels above 0 as below; 0 elsewhere.
    """
    added = np.zeros(free.shape, np.float32)
    places = np.flatnonzero(free)
    each = max(2, round(SHARE * places.size / len(STRENGTHS)))
    strengths = np.repeat([*STRENGTHS, *(-s for s in STRENGTHS)], each)[: places.size]
    added.flat[rng.choice(places, strengths.size, replace=False)] = sigma * strengths
    return added


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits of the stack")
    options.add_argument("median", help="its median.fits")
    options.add_argument("flags", help="its flags.fits")
    options.add_argument("output", help="added.fits: what to add to each exposure")
    options.add_argument("--seed", type=int, default=1, help="the injection's number")
    return options


def main(arguments):
    """Write ``added.fits``."""
    minimum, _ = read_image(arguments.minimum)
    median, _ = read_image(arguments.median)
    flags, stack = read_image(arguments.flags)
    residual, unit = subtract_median(minimum, median), stack.get("BUNIT", "")
    sigma, header = measure_scatter(residual), FITSHDR()
    free = ~np.isnan(residual) & (flags == 0)
    added = choose_injections(free, sigma, np.random.default_rng([5, arguments.seed]))
    noise = "BPXSIGMA", sigma, with_unit(stack, "noise of minimum - median")
    add_cards(header, ("BUNIT", unit, "unit"), noise)
    log(f"noise {sigma} {unit}, {np.count_nonzero(added)} pixels")
    write_image(arguments.output, added, header)
