"""
Break headers of exposures at random; compare what is read with astropy: make fuzz SECONDS=600.

Seeds are fixed: the same number of seconds on the same machine does the same. What it finds becomes
a test in tests/test_refused.py.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from conftest import write_exposure

from badpix_selfcal.headers import read_hdus
from badpix_selfcal.program import Fault


def structure(path):
    """Return name, shape and place of the data of each HDU, by astropy; None if it cannot."""
    try:
        with fits.open(path) as hdus:
            return [(h.name.upper(), h.shape, h.fileinfo()["datLoc"]) for h in hdus[1:]]
    except Exception:
        return None


def mutated(content, spans, rng):
    """Change a few bytes of the headers, cut the file, or double a part of it."""
    broken = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start, end = spans[rng.integers(len(spans))]
        broken[int(rng.integers(start, end))] = int(rng.integers(256))
    kind = rng.integers(10)
    if kind == 0:
        del broken[int(rng.integers(len(broken))) :]
    elif kind == 1:
        place = 2880 * int(rng.integers(len(broken) // 2880))
        broken[place:place] = broken[place : place + 2880]
    return bytes(broken)


def main(seconds):
    """Mutate until the time is over; print the counts, and each seed that is read otherwise."""
    warnings.simplefilter("ignore")
    counts = {"refused": 0, "the same": 0, "astropy refuses": 0, "otherwise": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = write_exposure(f"{folder}/x_rate.fits")
        content = Path(path).read_bytes()
        with fits.open(path) as hdus:
            spans = [(h.fileinfo()["hdrLoc"], h.fileinfo()["datLoc"]) for h in hdus]
        end, seed = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            seed += 1
            Path(path).write_bytes(mutated(content, spans, np.random.default_rng(seed)))
            try:
                found = [(h.name, h.shape, h.start) for h in read_hdus(path)[1:]]
            except Fault:
                counts["refused"] += 1
                continue
            wanted = structure(path)
            what = "astropy refuses" if wanted is None else "the same"
            if wanted is not None and wanted != found:
                what = "otherwise"
                print(f"seed {seed}: {found} but {wanted}")
            counts[what] += 1
    print(f"{seed} files: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    return counts["otherwise"]


if __name__ == "__main__":
    sys.exit(bool(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)))
