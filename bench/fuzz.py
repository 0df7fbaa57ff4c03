"""
Break inputs and runs at random, and see that docs/development/promises.md holds: make fuzz.

Exposures and associations with broken bytes, and runs that are killed, cut off or out of room have
an equal share of the time each. Seeds are fixed: what breaks a promise is named by its kind and
seed, and becomes a test.
"""

import argparse
import collections
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import breaking


def main(seconds, kinds):
    """Try until the time is over; print the counts by kind, and each broken promise."""
    warnings.simplefilter("ignore")
    broken, quiet = 0, None
    with tempfile.TemporaryDirectory() as place:
        for kind in kinds:
            is_run = kind in breaking.RUNS
            if is_run and not quiet:
                (Path(place) / "quiet").mkdir()
                quiet = breaking.quiet_run(Path(place) / "quiet")
            counts, seed, end = collections.Counter(), 0, time.monotonic() + seconds / len(kinds)
            while time.monotonic() < end:
                seed += 1
                folder = Path(place) / f"{kind} {seed if is_run else ''}"
                folder.mkdir(exist_ok=True)
                try:
                    counts[breaking.trial(kind, seed, folder, *(quiet if is_run else ()))] += 1
                except Exception:
                    broken += 1
                    counts["BROKEN"] += 1
                    print(f"{kind}, seed {seed}:\n{traceback.format_exc()}", flush=True)
            print(f"{kind}: {seed}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
            sys.stdout.flush()
    return broken


if __name__ == "__main__":
    kinds = [*breaking.INPUTS, *breaking.RUNS]
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("seconds", type=float, nargs="?", default=60)
    options.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    arguments = options.parse_args()
    sys.exit(bool(main(arguments.seconds, arguments.kinds)))
