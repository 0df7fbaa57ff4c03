"""The status of each association at the end of a run, and what the terminal says then."""

import contextlib
import os
import subprocess
from pathlib import Path

import pandas as pd
from snakemake.logging import logger

from badpix_selfcal.associations import exposure_name, list_missing
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import INTERRUPTED
from badpix_selfcal.labels import name_first, shorten_lines
from badpix_selfcal.paths import REFUSED, SKIPPED, path_of
from badpix_selfcal.stages import STAGES
from badpix_selfcal.unused_results import list_left_over

COLUMNS = ("association", "status", "stage", "message")
STATUS = ("done", "skipped", "failed", "not reached", "left out")
KILLED = "its log is empty: it was probably killed"
UNFLAGGED = "no background or selfcal exposure"
# Warnings of summary.csv: a part of their text, by what the terminal calls them.
WARNINGS = {
    "flags that follow source structure": "follow source structure",
    "an exposure that sets most of a minimum": " of the minimum",
    "no valid pixel": "no valid pixel in the minimum",
    "rows or columns that are off": "off over most of their length",
    "many flags": "of the pixels are flagged",
    "one exposure alone": "one exposure alone",
}
# What to do after a target, by what it makes.
NEXT = {
    "results/report.html": "open {}results/report.html in a browser",
    "results/figures/": "look at the pictures in {}results/figures/",
    "results/mask/": "docs/howto/mask.md says how to use {}results/mask/",
    "results/tune/": "write a suggestion in {}results/tune/ into config.yaml, then run again",
    "results/summary.csv": "the target report makes {}results/report.html",
}


def list_steps(association, rows):
    """
    List the steps that make a flagged association.

    Parameters
    ----------
    association : str
        Its name.
    rows : DataFrame
        Of `list_flagged`, of this association.

    Returns
    -------
    steps : list of (str, str, str)
        Stage, output and log, in the order in which they run.
    """
    steps = []
    for stack in sorted(set(rows["stack"]) - {SKIPPED}):
        names = [*(stage.name for stage in STAGES), "write_back"]
        steps += [(n, path_of(n, stack=stack), f"logs/{n}/{stack}.log") for n in names]
    for path in rows.loc[rows["stack"] == SKIPPED, "flagged"]:
        steps.append(("mark_skipped", path, f"logs/mark_skipped/{exposure_name(path)}.log"))
    output = path_of("associate", association=association)
    return [*steps, ("associate", output, f"logs/associate/{association}.log")]


def say(lines):
    """Print lines, and write them to Snakemake's log file."""
    for line in lines:
        logger.getChild("selfcal").info(line)


def find_status(steps, unfinished, started, stacks):
    """
    Tell what became of an association.

    Parameters
    ----------
    steps : list of (str, str, str)
        As of `list_steps`.
    unfinished : set of str
        Outputs that the run was to make and did not.
    started : float
        When the run began, in seconds since the epoch.
    stacks : set of str
        Of its products.

    Returns
    -------
    status : {"done", "skipped", "failed", "not reached"}
        Skipped: nothing was flagged.
    stage, message : str
        Where it failed, and the last line of the log there.
    """
    waiting = [(stage, log) for stage, output, log in steps if output in unfinished]
    if not waiting:
        return ("skipped", "", UNFLAGGED) if stacks == {SKIPPED} else ("done", "", "")
    for stage, log in waiting:
        # A job that did not begin leaves no log, or an old one.
        if os.path.exists(log) and os.path.getmtime(log) >= started:
            lines = Path(log).read_text(errors="replace").splitlines()
            # A program that was still starting says KeyboardInterrupt.
            if lines and lines[-1] in (INTERRUPTED, "KeyboardInterrupt"):
                return "not reached", stage, INTERRUPTED
            return "failed", stage, lines[-1] if lines else read_refusal(started) or KILLED
    return "not reached", "", ""


def read_refusal(started):
    """Return what Slurm said when it refused a job of this run, "" if it did not."""
    refused = os.path.exists(REFUSED) and os.path.getmtime(REFUSED) >= started
    return Path(REFUSED).read_text() if refused else ""


def name_missing(flagged, prefix="", ended=False):
    """Return a line for each flagged exposure missing in an existing folder."""
    lines = [f"{path}: {why}" for path, why in list_missing(flagged, prefix).items()]
    before = "missing; " if ended else "missing; unless this run writes it, "
    return shorten_lines([line.replace("missing; ", before, 1) for line in lines])


def list_stale(members, prefix):
    """Return lines of a page that is older than the results, and of results that none asks for."""
    lines, page = [], path_of("report")
    with contextlib.chdir(prefix or "."):
        times = [os.path.getmtime(p) for p in (path_of("summary"), page) if os.path.exists(p)]
        if times != sorted(times):
            lines.append(f"{prefix}{page} is older than the results: run the target report")
        left = list_left_over(members)
        size = sum(os.lstat(file).st_size for files in left.values() for file in files) / 1e6
    if left:
        what = f"results that no association asks for ({size:.0f} MB)"
        lines.append(f"{what}: the target prune lists them")
    return lines


def list_left_out(left_out):
    """Return a line for each association that is left out."""
    return shorten_lines([f"left out: {name}.json: {reason}" for name, reason in left_out.items()])


def report(members, flagged, left_out, outputs, started, prefix):
    """
    Write status.csv, and print what matters of it.

    An error of its own is printed, and no more: the run has ended as it has.

    Parameters
    ----------
    members : DataFrame
    flagged : DataFrame
        As of `list_flagged`.
    left_out : dict of str to str
        As of `read_members`.
    outputs : (set of str, set of str)
        The outputs of all jobs, and of those that did not finish; None where unknown.
    started : float
        When the run began, in seconds since the epoch.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.
    """
    asked, unfinished = outputs
    try:
        if asked is None:
            return
        asked, unfinished = ({path.removeprefix(prefix) for path in paths} for paths in outputs)
        rows = []
        for name, own in flagged.groupby("association"):
            if path_of("associate", association=name) in asked:
                steps = list_steps(name, own)
                rows.append((name, *find_status(steps, unfinished, started, set(own["stack"]))))
        if any(INTERRUPTED in row for row in rows):  # jobs that were starting said nothing
            rows = [(r[0], "not reached", "", "") if KILLED in r else r for r in rows]
        complete = len(rows) == members["association"].nunique()
        rows += [(name, "left out", "", why) for name, why in left_out.items() if complete]
        table = pd.DataFrame(rows, columns=COLUMNS)
        lines = list_failures(table)
        if path_of("summary") in asked - unfinished:
            lines += list_unflagged(members, table) + list_warnings(table, prefix)
        lines += name_missing(flagged, prefix, ended=True)
        if rows:
            counts = table["status"].value_counts()
            counts = ", ".join(f"{counts[s]} {s}" for s in STATUS if s in counts)
            path = prefix + path_of("status")
            lines.append(f"associations: {counts}; see {path}")
            with atomic_write(path) as part:
                table.to_csv(part, index=False)
            lines += list_stale(members, prefix)
        say(lines + [f"next: {do.format(prefix)}" for do in find_next(table, asked, unfinished)])
    except Exception as error:
        say([f"status: warning: {type(error).__name__}: {error}"])


def find_next(table, asked, unfinished):
    """Return what the user does next, as a list of one line or none."""
    if unfinished:
        first = "mend what failed, then " if "failed" in {*table["status"]} else ""
        return [f"{first}the same command goes on"]
    return [do for start, do in NEXT.items() if any(p.startswith(start) for p in asked)][:1]


def list_failures(table):
    """Return a line for each fault, with the associations that failed for it."""
    failed = table[table["status"] == "failed"]
    faults = failed.groupby(["stage", "message"], sort=False)["association"]
    lines = [f"{name_first(list(names), 3)} failed at {': '.join(f)}" for f, names in faults]
    return shorten_lines(lines)


def list_unflagged(members, table):
    """Return a line that counts the products of finished associations without flags."""
    ended = table.loc[table["status"].isin(("done", "skipped")), "association"]
    science = members[(members["exptype"] == "science") & members["association"].isin(ended)]
    n = (science["stack"] == SKIPPED).sum()
    text = f"{n} of {len(science)} products were not flagged: {UNFLAGGED}"
    return [f"{text}; the target generate adds them"] if n else []


def list_warnings(table, prefix):
    """Return a line that counts the warnings in the summary, of the associations of a run."""
    path = prefix + path_of("summary")
    summary = pd.read_csv(path, keep_default_na=False, dtype=str)
    rows = summary[summary["association"].isin(table["association"])]
    texts = rows.loc[rows["status"] != "SKIPPED", "warnings"]
    counts = {name: texts.str.contains(part, regex=False).sum() for name, part in WARNINGS.items()}
    lines = [f"{n} with {name}" for name, n in counts.items() if n]
    return [f"products with warnings: {', '.join(lines)}; see {path}"] if lines else []


def write_partial(name, outputs):
    """
    Write the summary or the page of a run that failed, of what exists: its rule did not run.

    It is older than its inputs in the next run, and is made again then.

    Parameters
    ----------
    name : {"summary", "report"}
    outputs : (set of str, set of str)
        As of `report`.
    """
    members, summary, page, status = map(path_of, ("members", "summary", "report", "status"))
    words = {
        "summary": ["--existing", members, path_of("checksums"), summary],
        "report": ["--status", status, "--provenance", path_of("provenance"),
                   members, summary, page],
    }  # fmt: skip
    if path_of(name) in (outputs[1] or ()) and os.path.exists(members):
        done = subprocess.run(["selfcal", name, *words[name]], capture_output=True, text=True)
        say(done.stderr.splitlines())
