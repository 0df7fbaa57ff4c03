"""Demo: simulate the unknown bad pixels of a detector, the truth that the flags should find."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.cli import parser
from badpix_selfcal.fits_io import add_cards, write_image

from .detectors import DETECTORS, SINGLE


def place_defects(shape, n, rng, defects):
    """
    Place defects at random.

    Parameters
    ----------
    shape : tuple of int
        [ny, nx].
    n : int
        How many.
    rng : numpy.random.Generator
    defects : sequence of (list of list of int, float)
        Their shapes and how often each comes, as in `detectors`.

    Returns
    -------
    number : ndarray of int, [ny, nx]
        Of the defect that a pixel belongs to, from 1; 0 of good pixels.
    """
    number = np.zeros(shape, int)
    y, x = np.unravel_index(rng.choice(number.size, n, replace=False), shape)
    shapes, shares = zip(*defects, strict=True)
    kind = rng.spawn(1)[0].choice(len(shapes), n, p=shares)  # single pixels are as without kinds
    for i, bad in enumerate(shapes):
        for dy, dx in np.argwhere(bad):
            of = kind == i
            number[(y[of] + dy) % shape[0], (x[of] + dx) % shape[1]] = np.flatnonzero(of) + 1
    return number


def count_defects(n_pixels, defects):
    """Return how many defects have so many pixels."""
    return round(n_pixels / sum(np.sum(bad) * share for bad, share in defects))


def simulate_bad_pixels(shape, rng, share=0.001, weakest=0.2, strongest=10.0, defects=SINGLE):
    """
    Choose warm and low pixels at random, with strengths evenly spread in the logarithm.

    Parameters
    ----------
    shape : tuple of int
        [ny, nx].
    rng : numpy.random.Generator
        Source of randomness.
    share : float
        Fraction of the pixels that are warm; as many again, half as strong, are low.
    weakest, strongest : float
        Added count rate of warm pixels, in DN/s; the same for all pixels of a defect.
    defects : sequence
        As of `place_defects`.

    Returns
    -------
    rate : ndarray of float32, [ny, nx]
        What to add to an exposure, in DN/s: above 0 warm, below 0 low, 0 good.
    """
    n = count_defects(share * shape[0] * shape[1], defects)
    number = place_defects(shape, 2 * n, rng, defects)
    strength = np.exp(rng.uniform(np.log(weakest), np.log(strongest), 2 * n))
    return np.float32([0, *strength[:n], *(-strength[n:] / 2)])[number]


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("detector", choices=[name.lower() for name in DETECTORS])
    options.add_argument("output", help="truth_{detector}.fits")
    return options


def main(arguments):
    """Write ``truth_{detector}.fits``."""
    name = arguments.detector.upper()
    detector, header = DETECTORS[name], FITSHDR()
    rng = np.random.default_rng([2026, detector.seed])
    rate = simulate_bad_pixels(detector.shape, rng, defects=detector.defects)
    add_cards(header, ("DETECTOR", name, "simulated detector"), ("BUNIT", "DN/s", "unit"))
    write_image(arguments.output, rate, header)
