"""
What the user's files were like when the run was planned, for `params`.

Snakemake itself takes a file for changed when its date is newer than a result; a reprocessed
download that keeps its date (``cp -p``, ``rsync -a``, ``mv``, a link to another folder) is not.
"""

import functools
import hashlib
import time

from badpix_selfcal import files

PLANNED = time.time_ns()
state = functools.cache(files.state)  # as it was when first asked for


def states(paths, made=frozenset()):
    """
    Hash the states of files.

    Parameters
    ----------
    paths : iterable of str
    made : set of str
        Those that the workflow makes itself, which change between planning and running and which
        Snakemake follows by itself.

    Returns
    -------
    digest : str
        12 hexadecimal digits, "" if all of them are made.
    """
    found = [(path, state(path)) for path in paths if path not in made]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12] if found else ""


@functools.cache
def content(path):
    """Return the digest of a small file, 12 hexadecimal digits; "" if there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:12]
    except OSError:
        return ""


def contents(paths):
    """Return the digest of many small files."""
    return hashlib.sha256(" ".join(map(content, paths)).encode()).hexdigest()[:12]


def dated(paths):
    """
    Leave out the files whose date lies in the future.

    Snakemake fails a job whose result is older than an input, and an archive may be read-only. Such
    a file is no `input`, then, but is read and followed by its state all the same.
    """
    return [path for path in paths if (found := state(path)) is None or found[1] <= PLANNED]
