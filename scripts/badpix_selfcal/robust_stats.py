"""Robust statistics of images: scatter, and limits for their display."""

import numpy as np

SIGMA = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def measure_scatter(image):
    """Return the standard deviation of an image's core: 1.4826 times the median deviation."""
    valid = image[np.isfinite(image)]
    return SIGMA * float(np.median(np.abs(valid - np.median(valid)))) if valid.size else 0.0


def find_limits(image, low=1, high=99.5):
    """Return two percentiles of an image's valid pixels, at least 2 apart if they are equal."""
    valid = image[np.isfinite(image)]
    ends = [float(v) for v in np.percentile(valid, [low, high])] if valid.size else [0.0, 1.0]
    return ends if ends[1] > ends[0] else [ends[0] - 1, ends[0] + 1]
