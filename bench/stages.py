"""
Time the median filter against stcal's, in process, alternating, on the same image.

Run by ``make bench``; prints a table of medians of the times and their ratios.
"""

import statistics
import time

import numpy as np
from stcal.outlier_detection.utils import medfilt

from median import median

REPEATS = 3


def seconds(function, *arguments):
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1024, 1032)).astype(np.float32)
    image[rng.random(image.shape) < 0.02] = np.nan
    print("1024 x 1032 pixels, 2 % NaN; seconds, median of", REPEATS)
    print(f"{'kernel':>6} {'axis':>4} {'stcal':>7} {'here':>7} {'ratio':>6}")
    for kernel_size in (5, 15, 51, 151):
        for axis in (1, 2):
            kernel = (1, kernel_size) if axis == 1 else (kernel_size, 1)
            times = {"stcal": [], "here": []}
            for _ in range(REPEATS):
                theirs, expected = seconds(medfilt, image, kernel)
                ours, found = seconds(median, image, kernel_size, axis)
                if not np.array_equal(expected, found, equal_nan=True):
                    raise SystemExit("the medians differ")
                times["stcal"].append(theirs)
                times["here"].append(ours)
            stcal, here = (statistics.median(times[name]) for name in times)
            print(f"{kernel_size:6} {axis:4} {stcal:7.3f} {here:7.3f} {stcal / here:6.1f}")


if __name__ == "__main__":
    main()
