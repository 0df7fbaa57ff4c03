"""What became of each association in a run."""

import csv
import os
import sys
from pathlib import Path

from badpix_selfcal.files import atomic_write
from badpix_selfcal.paths import SKIPPED, path_of

STAGES = ("pedestal", "minimum", "median", "threshold")  # of a stack, in their order


def steps(association, stacks, flagged):
    """
    List the steps that make an association.

    Parameters
    ----------
    association : str
        Its name.
    stacks, flagged : iterable of str
        The stacks of its products, "skipped" among them, and its flagged exposures' files.

    Yields
    ------
    stage, output, log : str
        In the order in which they run.
    """
    for stack in sorted(set(stacks) - {SKIPPED}):
        for stage in STAGES:
            yield stage, path_of(stage, stack=stack), f"logs/{stage}/{stack}.log"
    for path in flagged:
        stack, name = path.split("/")[-2:]
        exposure = name.removesuffix("_badpix_selfcal.fits")
        if stack == SKIPPED:
            yield "skip", path, f"logs/skip/{exposure}.log"
        else:
            yield "write_back", path, f"logs/write_back/{stack}/{exposure}.log"
    output = path_of("associate", association=association)
    yield "associate", output, f"logs/associate/{association}.log"


def status(steps, unfinished, started):
    """
    Tell what became of an association.

    Parameters
    ----------
    steps : iterable of (str, str, str)
        As of `steps`.
    unfinished : set of str
        Outputs that the run was to make and did not.
    started : float
        When the run began, in seconds since the epoch.

    Returns
    -------
    status : {"done", "failed", "not reached"}
    stage, message : str
        Where it failed, and the last line of the log there.
    """
    waiting = [(stage, log) for stage, output, log in steps if output in unfinished]
    if not waiting:
        return "done", "", ""
    for stage, log in waiting:
        # A job that did not begin leaves no log, or an old one.
        if os.path.exists(log) and os.path.getmtime(log) >= started:
            lines = Path(log).read_text(errors="replace").splitlines() or ["no word; killed?"]
            return "failed", stage, lines[-1]
    return "not reached", "", ""


def report(find_rows, started):
    """
    Write the status of all associations, and print what matters of it.

    A fault of its own is printed, too, and no more: the run has ended as it has.

    Parameters
    ----------
    find_rows : callable
        Gives the rows, each of association, status, stage, message, for the time `started`.
    started : float
        When the run began, in seconds since the epoch.
    """
    path = path_of("status")
    try:
        rows = find_rows(started)
        text = lines_of(rows, path)
        if rows:
            with atomic_write(path) as part, open(part, "w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(("association", "status", "stage", "message"))
                table.writerows(rows)
    except Exception as error:
        text = f"status: warning: {error}"
    print(text, file=sys.stderr)


def lines_of(rows, path, most=20):
    """Return the lines for the user: `most` of the failures at most, and the counts."""
    if not rows:
        return "no association was asked for"
    failed = [row for row in rows if row[1] == "failed"]
    lines = [f"{name} failed at {stage}: {message}" for name, _, stage, message in failed[:most]]
    if len(failed) > most:
        lines.append(f"... and {len(failed) - most} more")
    found = [row[1] for row in rows]
    counts = [f"{found.count(s)} {s}" for s in ("done", "failed", "not reached") if s in found]
    return "\n".join([*lines, f"associations: {', '.join(counts)}; see {path}"])
