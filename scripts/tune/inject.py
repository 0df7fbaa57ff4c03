"""Tuning: choose where to add warm and low pixels of graded strength to a stack's exposures."""

import numpy as np

from badpix_selfcal.flags import difference
from badpix_selfcal.images import Header, add_cards, read_image, with_unit, write_image
from badpix_selfcal.injection import STRENGTHS
from badpix_selfcal.program import log, parser
from badpix_selfcal.spread import scatter

SHARE = 1e-4  # of the valid pixels, of each kind: a tenth of what is flagged by default


def injection(free, sigma, rng):
    """
    Choose pixels at random, and what is added to them.

    Parameters
    ----------
    free : ndarray of bool, [ny, nx]
        Where a pixel may be chosen.
    sigma : float
        The noise of minimum - median, in the exposures' units.
    rng : numpy.random.Generator

    Returns
    -------
    added : ndarray of float32, [ny, nx]
        Of each of STRENGTHS times `sigma` as many pixels above 0 as below; 0 elsewhere.
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
    found = difference(minimum, median)
    sigma = scatter(found)
    free = ~np.isnan(found) & (flags == 0)
    added = injection(free, sigma, np.random.default_rng([5, arguments.seed]))
    header = Header()
    unit = stack.get("BUNIT", "")
    add_cards(
        header,
        ("BUNIT", unit, "unit"),
        ("BPXSTACK", stack["BPXSTACK"], "stack"),
        ("BPXSIGMA", sigma, with_unit(stack, "noise of minimum - median")),
        ("BPXSEED", arguments.seed, "seed of the injection"),
    )
    log(f"noise {sigma} {unit}, {np.count_nonzero(added)} pixels")
    write_image(arguments.output, added, header)
