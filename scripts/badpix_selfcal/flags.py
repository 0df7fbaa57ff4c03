"""The values of a stack's flags, and the image that they are decided on."""

import numpy as np

GOOD, LOW, HIGH = 0, 1, 2


def difference(minimum, median):
    """Return `minimum` less `median`, arrays of float32 [ny, nx]; inf less inf is NaN, silently."""
    with np.errstate(invalid="ignore", over="ignore"):
        return minimum - median
