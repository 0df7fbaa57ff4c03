"""Warm and low pixels of graded strength, to add to a stack's exposures."""

import numpy as np

STRENGTHS = (2, 3, 4, 6, 10, 20, 40)  # in units of the noise
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
