"""Say what became of a job on Slurm: running, success or failed (see profiles/slurm)."""

import contextlib
import glob
import os
import re
import sys

from badpix_selfcal.cli import parser

from .queue import LOGS, ask, exit_file, read_states

# Of a job that has not ended; Slurm's other words are of those that have.
GOING_ON = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "RESIZING", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED"),
}


def find_status(number, grace):
    """
    Tell what became of a job.

    Its own exit code counts first, then the controller's answer, then the accounts. Without an
    answer it is taken to be running. A job that is unknown everywhere and left no exit code was
    killed, but only after a while: a shared file system may show the file late.

    Parameters
    ----------
    number : str
        The job's.
    grace : float
        Seconds that a job must be unknown for.

    Returns
    -------
    status : {"running", "success", "failed"}
    reason : str
        Slurm's word for it, or ours.
    """
    code = read_exit_code(number)
    if code:
        return "failed", read_last_error(number) or f"exit code {code}"
    if code == 0:
        return "success", ""
    asked, states = read_states()
    state = (states or {}).get(number) or read_accounts(number)
    lost = os.path.join(LOGS, f"lost-{number}")
    if state is None and states is not None:
        with open(lost, "a"):  # dated when it was first unknown
            pass
        # An answer from before the job was submitted does not know it either.
        if asked - os.path.getmtime(lost) > grace:
            return "failed", "gone without a trace"
    if state is None or state in GOING_ON:
        return "running", ""
    return ("success", "") if state == "COMPLETED" else ("failed", read_last_error(number) or state)


def read_exit_code(number):
    """Return the exit code that a job has left, None if it left none."""
    with contextlib.suppress(OSError, ValueError), open(exit_file(number)) as file:
        return int(file.read())
    return None


def read_last_error(number):
    """Return what Slurm itself wrote last into a job's log: why it ended it; "" if nothing."""
    for path in glob.glob(f"{LOGS}/*-{number}.log"):
        with open(path, encoding="utf-8", errors="replace") as file:
            said = re.findall(r"^slurmstepd[^:]*: error: (.*)$", file.read(), re.M)
        if said:
            return said[-1].strip(" *")
    return ""


def read_accounts(number):
    """Return the state that Slurm's accounts have of a job, None where there are none."""
    words = (ask("sacct", "-X", "-n", "-P", "-o", "State", "-j", number) or "").split()
    return words[0] if words else None  # CANCELLED by 1000


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--grace", type=float, default=60, help="of an unknown job, seconds")
    options.add_argument("number", help="the job's")
    return options


def main(arguments):
    """Print the status; whatever goes wrong here is no failure of the job."""
    number, found = arguments.number, "running"
    try:
        found, reason = find_status(number, arguments.grace)
    except Exception as error:
        print(f"slurm_status: warning: {error}", file=sys.stderr)
    if found == "failed":
        print(f"Slurm job {number}: {reason}; see {LOGS}/*-{number}.log", file=sys.stderr)
    print(found)
