"""What every program shares: its command line, its log, its faults."""

import argparse
import errno
import importlib
import os
import signal
import sys

from badpix_selfcal.version import VERSION

ROOMS = ("stages", "tables", "figures", "tune", "demo", "tools", "slurm")
SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = (".fits", ".json", ".csv", ".yaml")  # what no log is called


class Fault(Exception):  # noqa: N818
    """A fault in what the user gave, in a line for each: the file, the fault, the remedy."""


def load(name):
    """Import the program of a name, from the room that it lies in; None if there is none."""
    for room in ROOMS:
        # No path, but a name: a program is what lies in a room.
        if name.isidentifier() and os.path.exists(os.path.join(SCRIPTS, room, f"{name}.py")):
            return importlib.import_module(f"{room}.{name}")
    return None


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Of a fixed width; to ask the terminal for its own takes as long as to parse all options."""

    def __init__(self, prog):
        super().__init__(prog, width=98)


def parser(description):
    """Return the argument parser of a program, with the options that all of them share."""
    options = argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)
    options.add_argument("--log", metavar="FILE", help="write notes and tracebacks there")
    options.add_argument("--version", action="version", version=VERSION)
    return options


def run(module, words):
    """
    Run a program: parse the command line by its ``options()``, call its ``main(arguments)``.

    A fault ends it with one line on stderr and exit code 1; the traceback goes to the log.

    Parameters
    ----------
    module : module
        The program.
    words : sequence of str
        Its command line.

    Notes
    -----
    The process ends here, at once: to take modules down one by one is a tenth of a job's time.
    """
    program = module.__name__.rpartition(".")[2]
    options = module.options()
    options.prog = f"selfcal {program}"
    arguments = options.parse_args(words)
    # So that half-written files are removed when the scheduler ends a job.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        refuse_overwriting(arguments)
        if arguments.log:
            os.makedirs(os.path.dirname(arguments.log) or ".", exist_ok=True)
            log.file = open(arguments.log, "w", buffering=1)  # noqa: SIM115  until the end
        module.main(arguments)
    except Exception as error:
        if log.file or not isinstance(error, Fault):
            import traceback  # which takes time to import

            log(traceback.format_exc().rstrip())
        text = str(error) if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
        for line in text.splitlines():
            warn(f"{program}: error: {line}")
        leave(1)
    leave(0)


def leave(code):
    """End the process; what was written is flushed, and whoever reads it may have gone."""
    for file in (sys.stdout, sys.stderr, log.file):
        try:
            if file:
                file.flush()
        except OSError as error:
            if error.errno != errno.EPIPE:
                code = code or 1
    os._exit(code)


def refuse_overwriting(arguments):
    """Raise a `Fault` if a program's output or its log is one of its inputs, or data at all."""
    output = os.path.realpath(getattr(arguments, "output", os.devnull))
    log_file = os.path.realpath(arguments.log or os.devnull)
    for name, value in vars(arguments).items():
        for path in value if isinstance(value, list) else [value]:
            if not isinstance(path, str) or name == "log":
                continue
            if name != "output" and os.path.realpath(path) == output:
                raise Fault(f"{path}: input and output are one file; name another output")
            if arguments.log and same_file(path, log_file):
                raise Fault(f"{path}: the log is one of the other files; name another log")
    if os.path.isfile(log_file) and log_file.endswith(DATA):
        raise Fault(f"{arguments.log}: not a log, by its name; name another log")


def same_file(path, other):
    """Tell whether two paths are one file, by whatever links."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return os.path.realpath(path) == other


def log(text):
    """Write a line to the log (stdout when the program was given none)."""
    print(text, file=log.file or sys.stdout)


log.file = None


def warn(text):
    """Write a line to stderr, where the user looks, and to the log."""
    if log.file:
        log(text)
    print(text, file=sys.stderr)
