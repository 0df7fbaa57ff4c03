"""
The run that a program belongs to: where that was killed, the program takes no name any more.

Another run may have begun, with other parameters, and what is late would replace its results.
"""

import os

from badpix_selfcal.program import Fault

RUN = "BADPIX_SELFCAL_RUN"  # a variable of the environment: number and time of birth of the process


def born(pid):
    """Return when a process was born, in ticks since the computer started; "" if not known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The second field, a name, may hold anything, parentheses too.
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def this_process():
    """Return what the variable is for the programs that this process starts."""
    return f"{os.getpid()} {born(os.getpid())}"


def refuse_orphans():
    """
    Raise a `Fault` if the run that started this program has ended.

    Where /proc is missing, by the number alone.
    """
    pid, _, birth = os.environ.get(RUN, "").partition(" ")
    if not pid.isdecimal():
        return  # by hand
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        pass
    except ProcessLookupError:
        birth = "of a process that is gone"
    if birth and born(pid) != birth:
        raise Fault(f"process {pid}: the run has ended before its job; nothing is written")
