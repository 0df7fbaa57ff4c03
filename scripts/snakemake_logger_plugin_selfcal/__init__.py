"""
What a run says on the terminal: a logger plugin of Snakemake.

Shown are the workflow's own lines, warnings, errors, a line for each failed job, and on a terminal
a progress bar, else a line for each finished job. A dry run is shown as Snakemake shows it. All
else is in Snakemake's log file.
"""

import logging
import os
import re
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

OURS = "snakemake.logging.selfcal"  # the logger of the workflow's own lines
NOISE = ("Config file ", "Assuming ")  # before a run begins
SAID = ("At least one job did not", "Exiting because a job execution")  # by the job's line
# What Snakemake says after Ctrl-C and after SIGTERM.
ENDED = ("Terminating processes on user request", "Will exit after finishing")
STOPPED = ("interrupted;", "KeyboardInterrupt")  # the last line of a job that Ctrl-C ended
# What Snakemake says of mistakes, and the remedy.
REMEDIES = {
    "Unparsable value": "targets come after --: snakemake --config threshold=sigma -- plan",
    "No rule to produce": "correct the target; snakemake --list-target-rules names them",
    "not valid JSON or YAML": "correct the config file; in YAML, globs are quoted",
    "Config file must be given": "write lines of key: value into it, or delete it",
    "cannot be locked": "wait for the other run; after a kill -9, run once with --unlock",
    "Permission denied": "allow writing, or name another run folder with --directory",
    "No space left": "make room, or name another run folder with --directory",
    "Read-only file system": "name another run folder with --directory",
}
# Where in the code an error arose: a line before or after what it says.
PLACE = re.compile(r'(\w*(Error|Exception)( in (file|rule) .*)?:$)|(File ".*", line \d+)')
GUESS = re.compile(r" \(if you use input functions make sure .*\)\.")


class LogHandler(LogHandlerBase):
    """The handler that Snakemake calls with each event, in a thread of its own."""

    def __post_init__(self):
        settings = self.common_settings
        self.console = Console(
            stderr=not settings.stdout, no_color=settings.nocolor or None, highlight=False
        )
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.bar.add_task("")
        self.jobs = {}  # names and logs of jobs that run
        self.told = set()  # remedies, each once
        self.done = self.total = 0  # number of jobs
        self.began = time.time()
        self.running = self.interrupted = False
        sys.excepthook = end_quietly

    def say(self, text, style=None):
        """Print lines above the bar."""
        self.console.print(text, style=style, markup=False, soft_wrap=True)

    def emit(self, record):
        """Show an event, or do not; a fault of this plugin ends nothing."""
        try:
            self.show(record)
        except Exception:
            self.handleError(record)

    def show(self, record):
        """Show an event, or do not."""
        settings, event = self.common_settings, getattr(record, "event", None)
        text = record.getMessage()
        early = not self.running and event is None and not text.startswith(NOISE)
        if event == LogEvent.WORKFLOW_STARTED:
            self.running = True
        elif settings.verbose or (settings.dryrun and record.levelno < logging.WARNING):
            self.say(self.format(record))
        elif event == LogEvent.JOB_INFO:
            names = record.rule_name, *(record.wildcards or {}).values()
            self.jobs[record.jobid] = " ".join(names), record.log
        elif event == LogEvent.JOB_FINISHED:
            self.done += 1
            self.show_progress(*self.jobs.pop(record.job_id, ("a job", [])))
        elif event == LogEvent.RUN_INFO:
            self.total = record.stats["total"]
        elif event == LogEvent.JOB_ERROR:
            self.show_failure(record)
        elif record.levelno >= logging.WARNING:
            # A RuleException is a job that failed, as in JOB_ERROR.
            if getattr(record, "exception", None) != "RuleException":
                for line in describe_error(text):
                    if not line.endswith(tuple(self.told)):
                        self.say(f"{record.levelname.lower()}: {line}", "red")
                    self.told.update(r for r in REMEDIES.values() if line.endswith(r))
        elif text.startswith(ENDED):
            self.end()
        elif record.name == OURS or text.startswith("Nothing to be done") or early:
            self.say(text)

    def show_progress(self, name, logs):
        """Print what a job that has finished warns of or suggests, and move the bar or name it."""
        for line in self.read_log(logs):
            if ": warning: " in line or ": suggested " in line:
                self.say(line)
        if not self.console.is_terminal:
            self.say(f"{self.done} of {self.total}: {name}")
        elif self.interrupted or self.total - self.done < 2:
            self.bar.stop()  # as the last job may print: plan, check, generate
        else:
            running = ", ".join(name.split()[0] for name, _ in self.jobs.values())
            self.bar.update(0, completed=self.done, total=self.total, description=running)
            self.bar.start()

    def show_failure(self, record):
        """Print why a job failed, by its log; of one that Ctrl-C ended, only that."""
        self.jobs.pop(record.jobid, None)
        lines = self.read_log(record.log)
        errors = [line for line in lines if ": error: " in line]
        # Of a group that failed, most jobs have done well, or not begun.
        if not errors and not record.indent:
            errors = lines[-1:] or [f"{record.rule_name} said nothing: it was probably killed"]
        if errors and errors[0].startswith(STOPPED):
            self.end()
        for line in errors if not self.interrupted else []:
            self.say(f"{line} (log: {', '.join(record.log)})", "red")

    def end(self):
        """Say once that the run was interrupted."""
        if not self.interrupted:
            self.bar.stop()
            self.say("interrupted: waiting for the jobs that run")
        self.interrupted = True

    def read_log(self, logs):
        """Return the lines of a job's log, if it is of this run."""
        log = next(iter(logs), "")
        if not os.path.exists(log) or os.path.getmtime(log) < self.began:
            return []
        return Path(log).read_text(errors="replace").splitlines()

    def close(self):
        """Remove the bar."""
        if self.console.is_terminal:
            self.bar.stop()
        super().close()

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False


def end_quietly(kind, error, trace):
    """Print a line in place of a traceback when Snakemake is interrupted outside a run."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted; the same command goes on", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def describe_error(text):
    """Return an error of Snakemake's without its place in the code; of a mistake, a line."""
    lines = [line.strip() for line in text.partition("\nWildcards:")[0].splitlines()]
    lines = [GUESS.sub("", s) for s in lines if s and not PLACE.match(s) and not s.startswith(SAID)]
    last = -1 if "Traceback (most recent call last)" in text else 0  # which says what is wrong
    if remedies := [remedy for part, remedy in REMEDIES.items() if part in text]:
        return [f"{lines[last]}; {remedies[0]}"]
    return lines[last:]
