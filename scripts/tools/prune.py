"""List, or delete, the results that no association asks for any more."""

import os
import shutil
from glob import glob

from badpix_selfcal.locks import alone
from badpix_selfcal.paths import path_of
from badpix_selfcal.program import parser
from badpix_selfcal.tables import FLAGGED, read_planned

# Every result is in one of these; each is kept or goes as a whole.
OF_STACK = ("stack", "figures", "tune")
OF_ASSOCIATION = ("associate", "view")
RESULTS = [
    *(path_of(name, stack="*") for name in OF_STACK),
    *(path_of(name, association="*") for name in OF_ASSOCIATION),
    path_of("write_back", stack="*", exposure="*"),
]


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
        paths |= {path_of(name, stack=stack) for name in OF_STACK}
        paths |= {path_of(name, association=association) for name in OF_ASSOCIATION}
        if exptype in FLAGGED:
            paths.add(path_of("write_back", stack=stack, exposure=exposure))
    return paths


def size(path):
    """Return the bytes of a file, or of all files in a folder; links count as nothing."""
    if os.path.islink(path):
        return 0
    if os.path.isdir(path):
        return sum(size(entry.path) for entry in os.scandir(path))
    return os.path.getsize(path)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the members as the run was planned, JSON")
    options.add_argument("--prefix", default="", help="folder below which the results lie")
    options.add_argument("--delete", action="store_true", help="delete what is listed")
    return options


def main(arguments):
    """List what is left over; delete it if told to."""
    kept = wanted(read_planned(arguments.planned))
    if arguments.delete:
        alone()
    os.chdir(arguments.prefix or ".")
    left = sorted({path for pattern in RESULTS for path in glob(pattern)} - kept)
    total = sum(size(path) for path in left) / 1e6
    for path in left:
        print(path)
        if arguments.delete:
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    if arguments.delete:
        for folder in glob(os.path.dirname(path_of("write_back", stack="*"))):
            if not os.listdir(folder):
                os.rmdir(folder)
    done = "deleted" if arguments.delete else "to delete with the target prune_delete"
    print(f"{len(left)} results, {total:.0f} MB, {done}")
