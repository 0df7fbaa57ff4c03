"""The queue of Slurm, asked once for all jobs, and the files in which jobs leave exit codes."""

import contextlib
import json
import os
import subprocess
import time

LOGS = ".snakemake/slurm_logs"  # below the working directory
QUEUE = f"{LOGS}/queue.json"
FRESH = 5  # seconds that an answer serves for all jobs, to be kind to the controller


def exit_file(number):
    """Return the file in which a job leaves its exit code."""
    return os.path.join(LOGS, f"exit-{number}")


def ask(*command):
    """Return what a command of Slurm's prints; None where it fails or does not answer."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(command, stderr=subprocess.PIPE, text=True, timeout=60)
    return None


def ask_queue(form):
    """
    Ask the controller for all of the user's jobs, those that ended of late among them.

    Parameters
    ----------
    form : str
        Of squeue: the job's number, a blank, what is asked for.

    Returns
    -------
    answers : dict of str to str, or None
        By the job's number; None where the controller does not answer.
    """
    answer = ask("squeue", "-h", "-t", "all", "-u", str(os.getuid()), "-o", form)
    jobs = (line.split(None, 1) for line in (answer or "").splitlines() if len(line.split()) > 1)
    return None if answer is None else dict(jobs)


def read_states():
    """Return the time of the last answer and the state of each job; None as of `ask_queue`."""
    with contextlib.suppress(OSError, ValueError), open(QUEUE, encoding="utf-8") as file:
        asked, states = json.load(file)
        if 0 <= time.time() - asked < FRESH:
            return asked, states
    asked, states = time.time(), ask_queue("%i %T")
    part = f"{QUEUE}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump([asked, states], file)
    os.replace(part, QUEUE)
    return asked, states
