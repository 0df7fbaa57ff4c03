#!/usr/bin/env -S python3 -Es
"""List, or delete, the results that no association asks for any more."""

import os
import shutil
from glob import glob

from _names import flagged_path
from _program import Fault, parser, run
from _tables import FLAGGED, read_members

# Every result is in one of these; each is kept or goes as a whole.
RESULTS = (
    "results/stacks/*",
    "results/figures/*",
    "results/tune/*",
    "results/flagged/*/*.fits",
    "results/associations/*.json",
    "results/by_association/*",
)


def wanted(rows):
    """
    Name the results that associations ask for.

    Parameters
    ----------
    rows : iterable of tuple
        The members table, of the columns in `_tables.COLUMNS`.

    Returns
    -------
    paths : set of str
        As RESULTS finds them.
    """
    paths = set()
    for association, _, exposure, exptype, _, stack in rows:
        paths |= {
            f"results/associations/{association}.json",
            f"results/by_association/{association}",
            f"results/stacks/{stack}",
            f"results/figures/{stack}",
            f"results/tune/{stack}",
        }
        if exptype in FLAGGED:
            paths.add(flagged_path(stack, exposure))
    return paths


def size(path):
    """Return the bytes of a file, or of all files in a folder; links count as nothing."""
    if os.path.islink(path):
        return 0
    if os.path.isdir(path):
        return sum(size(entry.path) for entry in os.scandir(path))
    return os.path.getsize(path)


def main(arguments):
    """List what is left over; delete it if told to."""
    _, rows, faults = read_members(arguments.associations, arguments.force_single)
    if faults:
        raise Fault("\n".join(faults))
    left = sorted({path for pattern in RESULTS for path in glob(pattern)} - wanted(rows))
    total = sum(size(path) for path in left) / 1e6
    for path in left:
        print(path)
        if arguments.delete:
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    if arguments.delete:
        for folder in glob("results/flagged/*"):
            if not os.listdir(folder):
                os.rmdir(folder)
    done = "deleted" if arguments.delete else "to delete with the target prune_delete"
    print(f"{len(left)} results, {total:.0f} MB, {done}")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("associations", nargs="+", help="association files or globs")
    options.add_argument("--force-single", action="store_true", help="never skip a product")
    options.add_argument("--delete", action="store_true", help="delete what is listed")
    run(main, options)
