"""Demo: simulate the unknown bad pixels of a detector, the truth that the flags should find."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.cli import parser
from badpix_selfcal.fits_io import add_cards, write_image

from .detectors import DETECTORS


def simulate_bad_pixels(shape, rng, share=0.001, weakest=0.2, strongest=10.0):
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
        Added count rate of warm pixels, in DN/s.

    Returns
    -------
    rate : ndarray of float32, [ny, nx]
        What to add to an exposure, in DN/s: above 0 warm, below 0 low, 0 good.
    """
    rate = np.zeros(shape, np.float32)
    n = round(share * rate.size)
    pixels = rng.choice(rate.size, 2 * n, replace=False)
    strength = np.exp(rng.uniform(np.log(weakest), np.log(strongest), 2 * n))
    rate.flat[pixels[:n]] = strength[:n]
    rate.flat[pixels[n:]] = -strength[n:] / 2
    return rate


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
    rate = simulate_bad_pixels(detector.shape, np.random.default_rng([2026, detector.seed]))
    add_cards(header, ("DETECTOR", name, "simulated detector"), ("BUNIT", "DN/s", "unit"))
    write_image(arguments.output, rate, header)
