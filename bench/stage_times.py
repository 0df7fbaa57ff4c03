"""
Time the stages against what jwst does in their place, in process, alternating, on the same arrays.

Run by ``run.py``, or alone.
"""

import statistics
import time

import numpy as np
from stcal.outlier_detection.utils import medfilt

from badpix_selfcal.median import running_median
from badpix_selfcal.minimum import take_minimum

REPEATS = 3


def seconds(function, *arguments):
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare(theirs, ours, first=lambda result: result):
    """
    Time two calls one after the other, REPEATS times; stop if their results differ.

    Returns
    -------
    theirs, ours : float
        Medians of the seconds.
    """
    times = []
    for _ in range(REPEATS):
        (their_time, expected), (our_time, found) = seconds(*theirs), seconds(*ours)
        if not np.array_equal(expected, first(found), equal_nan=True):
            raise SystemExit(f"{ours[0].__name__}: the results differ")
        times.append((their_time, our_time))
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def rows(kernel_sizes=(5, 15, 51, 151)):
    """Yield what was compared, with what, and the seconds of both."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1024, 1032)).astype(np.float32)
    image[rng.random(image.shape) < 0.02] = np.nan
    for kernel_size in kernel_sizes:
        for axis in (1, 2):
            kernel = (1, kernel_size) if axis == 1 else (kernel_size, 1)
            times = compare((medfilt, image, kernel), (running_median, image, kernel_size, axis))
            yield f"median, kernel {kernel_size}, axis {axis}", "stcal's medfilt", *times
    planes = [np.roll(image, i) for i in range(36)]
    times = compare((nanmin_of_stack, planes), (take_minimum, planes), lambda result: result[0])
    yield "minimum of 36 planes, and its source", "numpy.nanmin of their stack", *times


def nanmin_of_stack(planes):
    """Take the minimum as jwst does: of all planes at once."""
    return np.nanmin(np.asarray(planes), axis=0)


if __name__ == "__main__":
    for name, instead, theirs, ours in rows():
        print(f"{name:40} {ours:7.3f}  {instead:15} {theirs:7.3f}  {theirs / ours:5.1f}")
