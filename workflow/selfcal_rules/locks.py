"""Snakemake's lock of a folder: taken by one command at a time, and gone with its run."""

import contextlib
import functools
import os
import sys
from glob import glob

from snakemake.exceptions import WorkflowError

from badpix_selfcal import locks

ALONE = "prune_delete"  # takes the lock of runs itself, exclusively


def guarded(lock):
    """
    Guard the context manager by which Snakemake locks a folder.

    Inside, the run shares a lock with other runs there, to the end of its process: whoever gets it
    exclusively knows that no run lives, and that what lock files there are, a killed one has left.
    """

    @contextlib.contextmanager
    @functools.wraps(lock)
    def inner(persistence):
        with contextlib.ExitStack() as held:
            with door():
                remove_stale()
                if not only_deletes(persistence):
                    announce()
                held.enter_context(lock(persistence))
            yield

    inner.guarded = True
    return inner


@contextlib.contextmanager
def door():
    """Let one run in at a time; where the file system has no locks, all."""
    try:
        lock = locks.take(locks.DOOR, exclusive=True, wait=True)
    except OSError:
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def remove_stale():
    """Remove the lock files that a killed run left, if it is certain that no run lives."""
    left = glob(locks.LOCK_FILES)
    if not left:
        return
    kind = locks.file_system(".snakemake")
    if kind not in locks.LOCAL:
        say(
            f"{locks.LOCK_FILES} are there. On this file system ({kind or 'unknown'}) it is not "
            "known whether their run lives; if none does, say the same command with --unlock once."
        )
        return
    try:
        alone = locks.take(locks.RUNS, exclusive=True)
    except OSError:
        return
    if alone is not None:
        remove(left)
        os.close(alone)
        say("A run that was killed had left its lock; removed.")


def announce():
    """Hold the lock of runs until the process ends."""
    with contextlib.suppress(OSError):
        if locks.take(locks.RUNS) is None:
            raise WorkflowError(
                f"{os.getcwd()}: results are being deleted here; wait for the end, then run again"
            )


def only_deletes(persistence):
    """Tell whether a run does nothing but delete results."""
    names = {job.rule.name for job in persistence.dag.needrun_jobs()}
    return bool(names) and all(name.endswith(ALONE) for name in names)


def unlock():
    """
    Remove all lock files, as the user asks for by --unlock.

    Raises
    ------
    WorkflowError
        If a run lives.
    """
    alone = -1
    with contextlib.suppress(OSError):  # no locks on this file system: the user knows better
        alone = locks.take(locks.RUNS, exclusive=True)
    if alone is None:
        raise WorkflowError(
            f"{os.getcwd()}: a run is going on here; wait for its end, or end it (Ctrl-C, kill)"
        )
    remove(glob(locks.LOCK_FILES))
    if alone >= 0:
        os.close(alone)


def remove(paths):
    """Remove files that others may have removed already."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


def say(text):
    """Write a line to stderr."""
    print(text, file=sys.stderr)
