"""What became of each association in a run."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from badpix_selfcal.files import atomic_write
from badpix_selfcal.paths import SKIPPED, path_of

# Of a stack, in their order; unusable and noise are not in every run.
STAGES = ("pedestal", "minimum", "unusable", "median", "noise", "threshold")
STATUS = ("done", "skipped", "failed", "not reached", "left out")
KILLED = "its log is empty: it was probably killed"
UNFLAGGED = "no background or selfcal exposure beside"
# What the warnings of summary.csv are about: a part of their text, by what they are called.
WARNINGS = {
    "line-like flags": "maybe a spectral line",
    "an exposure that sets most of a minimum": " of the minimum",
    "unknown dispersion axis": "dispersion axis unknown",
    "no valid pixel": "no valid pixel in the minimum",
}
PLACES = {"report": "results/report.html", "figures": "results/figures/", "tune": "results/tune/"}


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


def status(steps, unfinished, started, stacks=()):
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
    stacks : iterable of str
        The stacks of its products.

    Returns
    -------
    status : {"done", "skipped", "failed", "not reached"}
        Skipped is one of which nothing was flagged.
    stage, message : str
        Where it failed, and the last line of the log there.
    """
    waiting = [(stage, log) for stage, output, log in steps if output in unfinished]
    if not waiting and set(stacks) == {SKIPPED}:
        return "skipped", "", f"{UNFLAGGED} its science"
    if not waiting:
        return "done", "", ""
    for stage, log in waiting:
        # A job that did not begin leaves no log, or an old one.
        if os.path.exists(log) and os.path.getmtime(log) >= started:
            lines = Path(log).read_text(errors="replace").splitlines()
            return "failed", stage, lines[-1] if lines else KILLED
    return "not reached", "", ""


def left_out_lines(paths, left_out, most=20):
    """Return a line for each association that is left out, `most` at most."""
    lines = [f"left out: {paths[name]}: {reason}" for name, reason in left_out.items()]
    more = [f"... and {len(lines) - most} more are left out"] if len(lines) > most else []
    return lines[:most] + more


def unflagged_lines(stacks):
    """Return a line if some products, of which the stacks are given, were skipped."""
    n = list(stacks).count(SKIPPED)
    text = f"{n} of {len(stacks)} products were not flagged: {UNFLAGGED} their science"
    return [f"{text}; the target generate adds them"] if n else []


def warning_lines(associations):
    """Return a line that counts the warnings of the summary, for the associations of a run."""
    path, counts = path_of("summary"), {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["association"] in associations and row["status"] != "SKIPPED":
                kinds = [kind for kind, mark in WARNINGS.items() if mark in row["warnings"]]
                for kind in kinds or ["an exposure that sets most of a minimum"] * bool(
                    row["warnings"]
                ):
                    counts[kind] = counts.get(kind, 0) + 1
    texts = [f"{n} with {kind}" for kind, n in counts.items() if n]
    return [f"products with warnings: {', '.join(texts)}; see {path}"] if texts else []


def place_lines(targets):
    """Say where the results of targets are that are no part of a run."""
    return [
        f"{name}: see {place}"
        for name, place in PLACES.items()
        if any(target.endswith(name) for target in targets)
    ]


def write_partial(name, launcher, unfinished):
    """
    Write a table or the page of a run that failed, of what there is: its rule did not come to that.

    It is older than what a next run makes, and is made again then.

    Parameters
    ----------
    name : {"summary", "report"}
        The page says what status.csv says.
    launcher : str
        The program selfcal.
    unfinished : set of str
        Outputs that the run was to make and did not.
    """
    members, summary, page = (path_of(name) for name in ("members", "summary", "report"))
    beside = ["--status", path_of("status"), "--provenance", path_of("provenance")]
    words = {
        "summary": ["--existing", members, path_of("checksums"), summary],
        "report": [*beside, members, summary, page],
    }
    if path_of(name) in unfinished and os.path.exists(members):
        command = [launcher, name, *words[name]]
        done = subprocess.run(command, capture_output=True, text=True)
        print(done.stderr, end="", file=sys.stderr)


def report(find_rows, started):
    """
    Write the status of all associations, and print what matters of it.

    A fault of its own is printed, too, and no more: the run has ended as it has.

    Parameters
    ----------
    find_rows : callable
        Gives for the time `started` the rows, each of association, status, stage, message, and
        further lines for the user.
    started : float
        When the run began, in seconds since the epoch.
    """
    path = path_of("status")
    try:
        rows, lines = find_rows(started)
        text = "\n".join([*failure_lines(rows), *lines, *count_lines(rows, path)])
        if rows:
            with atomic_write(path) as part, open(part, "w", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(("association", "status", "stage", "message"))
                table.writerows(rows)
    except Exception as error:
        text = f"status: warning: {error}"
    if text:
        print(text, file=sys.stderr)


def failure_lines(rows, most=20):
    """Return a line for each failure, `most` at most."""
    failed = [row for row in rows if row[1] == "failed"]
    lines = [f"{name} failed at {stage}: {message}" for name, _, stage, message in failed[:most]]
    if len(failed) > most:
        lines.append(f"... and {len(failed) - most} more")
    return lines


def count_lines(rows, path):
    """Return a line that counts the associations by status, none if there is no association."""
    found = [row[1] for row in rows]
    counts = [f"{found.count(status)} {status}" for status in STATUS if status in found]
    return [f"associations: {', '.join(counts)}; see {path}"] if rows else []
