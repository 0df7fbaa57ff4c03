"""Submit a job that Snakemake has written to Slurm, and print its number (see profiles/slurm)."""

import os
import re
import shlex
import subprocess
import time
import uuid

from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.paths import REFUSED

from .queue import LOGS, ask_queue, exit_file

# Answers of sbatch that pass with time: the controller is unreachable, or our jobs too many.
PASSING = re.compile(
    r"unable to contact|connect|timed out|time-?out|communicat|temporarily|try again|zero bytes"
    r"|unexpected message received|SubmitJob\w*Limit",
    re.IGNORECASE,
)
# Slurm says this for every limit, and names the limit only where it is told to.
POLICY, LIMIT = "job submit limit", re.compile(r"\b(Assoc|QOS)[A-Z]\w+")


def is_passing(reason):
    """Tell whether what sbatch answered passes with time, so that waiting helps."""
    return bool(PASSING.search(reason)) or (POLICY in reason and not LIMIT.search(reason))


def wrap_script(script, folder):
    """
    Wrap a job so that it leaves its exit code in a file, where it is found when Slurm forgot it.

    Parameters
    ----------
    script : str
        The shell script that Snakemake has written.
    folder : str
        The working directory of the run.
    """
    mark = shlex.quote(os.path.join(folder, exit_file("")))
    return (
        f"#!/bin/sh\n(\n{script}\n)\ncode=$?\nmark={mark}$SLURM_JOB_ID\n"
        'echo $code > "$mark.part" && mv "$mark.part" "$mark"\nexit $code\n'
    )


def submit(script, words, patience, pause):
    """
    Submit a script; wait where the controller does not answer or our jobs are too many.

    Parameters
    ----------
    script : str
        The batch script.
    words : list of str
        Options of sbatch.
    patience : float
        Seconds to wait at most.
    pause : float
        Seconds between two attempts.

    Returns
    -------
    number : str
        The job's.

    Raises
    ------
    InputError
        If Slurm refuses it, or still does so after that time.
    """
    mark = uuid.uuid4().hex
    command = ["sbatch", "--parsable", "--no-requeue", f"--comment={mark}", *words]
    end = time.monotonic() + patience
    # Without what describes a job that Snakemake itself may run in.
    own = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
    while True:
        done = subprocess.run(command, input=script, capture_output=True, text=True, env=own)
        if done.returncode == 0:
            return done.stdout.strip().partition(";")[0]
        reason = " ".join(done.stderr.split())
        if not is_passing(reason):
            raise InputError(f"{reason}; correct the submit command in the profile")
        if time.monotonic() > end:
            raise InputError(f"{reason}; run again later")
        time.sleep(pause)
        # It may have been taken, and the answer lost.
        for number, comment in (ask_queue("%i %k") or {}).items():
            if comment == mark:
                return number


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--patience", type=float, default=3600, help="wait for Slurm, seconds")
    options.add_argument("--pause", type=float, default=10, help="between attempts, seconds")
    options.add_argument("words", nargs="+", help="after --: options of sbatch, and the script")
    return options


def main(arguments):
    """Print the number of the submitted job."""
    *words, path = arguments.words
    name = re.sub(r"^snakejob\.|\.[0-9a-f-]+\.sh$", "", os.path.basename(path))
    os.makedirs(LOGS, exist_ok=True)
    with open(path, encoding="utf-8") as file:
        script = wrap_script(file.read(), os.getcwd())
    words = [f"--job-name={name}", f"--output={LOGS}/%x-%j.log", *words]
    try:
        print(submit(script, words, arguments.patience, arguments.pause))
    except InputError as error:
        with open(REFUSED, "w", encoding="utf-8") as file:
            file.write(str(error))
        raise
