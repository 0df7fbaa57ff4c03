"""Demo: compare the flags with the truth: bad pixels that were found, and false positives."""

import itertools
import os

import numpy as np
import pandas as pd

from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.flags import HIGH, LOW

STRENGTHS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # DN/s; of low pixels, half of it
COLUMNS = ("stack", "kind", "strength [DN/s]", "bad", "found", "recall", "flagged", "precision")


def count_found(stack, flags, truth, valid):
    """
    Count bad pixels that were found, by strength, and flagged ones that are bad.

    Parameters
    ----------
    stack : str
        Its name.
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    truth : ndarray of float32, [ny, nx]
        What bad pixels add to the rate, in DN/s.
    valid : ndarray of bool, [ny, nx]
        Where there is a minimum.

    Returns
    -------
    rows : list of tuple
        Of COLUMNS; the last of each kind is of all strengths, and only it has a precision.
    """
    rows = []
    ranges = [*itertools.pairwise(STRENGTHS), (STRENGTHS[0], STRENGTHS[-1])]
    for kind, value, sign, scale in (("high", HIGH, 1, 1.0), ("low", LOW, -1, 0.5)):
        strength, found = np.where(valid, sign * truth / scale, 0), flags == value
        for first, last in ranges:
            bad = (strength > first) & (strength <= last)
            n, n_found = np.count_nonzero(bad), np.count_nonzero(bad & found)
            text = f"{sign * scale * first:g} to {sign * scale * last:g}"
            rows.append((stack, kind, text, n, n_found, f"{n_found / max(1, n):.3f}"))
        n, n_bad = np.count_nonzero(found), np.count_nonzero(found & (strength > 0))
        rows[-1] += (n, f"{n_bad / max(1, n):.3f}")
    return rows


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("output", help="recall.csv")
    options.add_argument("--truth", nargs="+", required=True, help="truth_{detector}.fits")
    options.add_argument("--flags", nargs="+", required=True, help="flags.fits of stacks")
    return options


def main(arguments):
    """Write ``recall.csv``."""
    images, rows = map(read_image, arguments.truth), []
    truths = {header["DETECTOR"]: truth for truth, header in images}
    for path in arguments.flags:
        flags, header = read_image(path)
        minimum, _ = read_image(os.path.join(os.path.dirname(path), "minimum.fits"))
        if header["DETECTOR"] not in truths:
            raise InputError(f"{path}: no truth of {header['DETECTOR']}; give its truth, too")
        truth, valid = truths[header["DETECTOR"]], ~np.isnan(minimum)
        rows += count_found(header["BPXSTACK"], flags, truth, valid)
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    write_text(arguments.output, table.to_csv(index=False))
