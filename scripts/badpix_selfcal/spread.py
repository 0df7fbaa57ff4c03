"""How far the values of an image spread: its scatter, and the limits of its display."""

import numpy as np

from badpix_selfcal.noise import SIGMA


def scatter(image):
    """Return the standard deviation of an image's middle: 1.4826 times the median deviation."""
    valid = image[np.isfinite(image)]
    return SIGMA * float(np.median(np.abs(valid - np.median(valid)))) if valid.size else 0.0


def limits(image, low=1, high=99.5):
    """Return two percentiles of an image's valid pixels, apart from each other."""
    valid = image[np.isfinite(image)]
    ends = [float(v) for v in np.percentile(valid, [low, high])] if valid.size else [0.0, 1.0]
    return ends if ends[1] > ends[0] else [ends[0] - 1, ends[0] + 1]
