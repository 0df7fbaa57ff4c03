"""
Compare the estimate of false flags that ``tune`` gives with the truth of the demo.

After ``make run``: ``PYTHONPATH=scripts .venv/bin/python bench/false_flags.py``. Prints, for groups
of the settings of ``workflow/tune.csv``, the range of estimate over truth (docs/howto/tune.md), and
what the setting with 7 and 5 sigma misses.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from badpix_selfcal.fits_io import read_image
from badpix_selfcal.median import running_median
from badpix_selfcal.noise import measure_noise
from badpix_selfcal.outlier_counts import find_false_positives, measure_significance
from badpix_selfcal.threshold import flag_beyond_noise, flag_outliers

ROOT = Path(__file__).parent.parent
MANY = 100  # false flags: below, a ratio says little


def main(folder):
    """Print the table; `folder` has the demo's results and exposures."""
    with open(ROOT / "workflow/tune.csv", newline="") as file:
        settings = list(csv.DictReader(file))
    ratios = defaultdict(list)
    for path in sorted((folder / "results/stacks").glob("*/flags.fits")):
        _, header = read_image(path)
        axis, detector = header["BPXAXIS"], header["DETECTOR"].lower()
        truth, _ = read_image(folder / f"demo/exposures/truth_{detector}.fits")
        minimum, _ = read_image(path.parent / "minimum.fits")
        judged = measure_significance(minimum, axis)
        medians = {}
        for row in settings:
            kernel, mode, way = int(row["kernel_size"]), row["edge_mode"], row["threshold"]
            if (kernel, mode) not in medians:
                medians[kernel, mode] = running_median(minimum, kernel, axis, mode)
            median = medians[kernel, mode]
            if way == "sigma":
                cuts = float(row["nsigma_lower"]), float(row["nsigma_upper"])
                scale = measure_noise(minimum, kernel, axis)
                flags = flag_beyond_noise(minimum, median, scale, *cuts)
                group = f"sigma, kernel {kernel}"
            else:
                cuts = float(row["flagfrac_lower"]), float(row["flagfrac_upper"])
                flags, *_ = flag_outliers(minimum, median, *cuts)
                group = way
            counts = []
            for value, sign in ((2, 1), (1, -1)):
                true = np.count_nonzero((flags == value) & (sign * truth <= 0))
                estimate = np.count_nonzero(find_false_positives(flags == value, judged, sign))
                counts += [true, estimate]
                if true >= MANY:
                    ratios[group].append(estimate / true)
            if (kernel, way, cuts) == (15, "sigma", (7, 5)):
                print(
                    path.parent.name, "high true, estimate, low:", *counts, "of", (flags > 0).sum()
                )
    for group, values in ratios.items():
        low, middle, high = np.percentile(values, [0, 50, 100])
        print(f"{group}: {low:.2f} to {high:.2f}, median {middle:.2f}, {len(values)} cases")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT))
