"""What every program of the workflow shares: command line, log, faults, whole files."""

import argparse
import contextlib
import os
import signal
import sys

VERSION = "0.1.0"


class Fault(Exception):  # noqa: N818
    """A fault in what the user gave, in a line for each: the file, the fault, the remedy."""


def parser(description):
    """Return the argument parser of a program, with the options that all of them share."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--log", metavar="FILE", help="write notes and tracebacks there")
    options.add_argument("--version", action="version", version=VERSION)
    return options


def run(main, options, argv=None):
    """
    Run a program: parse the command line, call ``main(arguments)``, end with its exit code.

    A fault ends it with one line on stderr and exit code 1; the traceback goes to the log.
    """
    arguments = options.parse_args(argv)
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    # So that half-written files are removed when the scheduler ends a job.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        if arguments.log:
            os.makedirs(os.path.dirname(arguments.log) or ".", exist_ok=True)
            note.log = open(arguments.log, "w", buffering=1)  # noqa: SIM115  until the end
        refuse_overwriting(arguments)
        main(arguments)
    except Exception as error:
        if note.log or not isinstance(error, Fault):
            import traceback  # which takes time to import

            note(traceback.format_exc().rstrip())
        text = str(error) if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
        for line in text.splitlines():
            complain(f"{program}: error: {line}")
        sys.exit(1)


def refuse_overwriting(arguments):
    """Raise a `Fault` if a program's output is one of its inputs."""
    output = os.path.realpath(getattr(arguments, "output", os.devnull))
    for name, value in vars(arguments).items():
        for path in value if isinstance(value, list) else [value]:
            if name != "output" and isinstance(path, str) and os.path.realpath(path) == output:
                raise Fault(f"{path}: input and output are one file; name another output")


def note(text):
    """Write a line to the log (stdout when the program was given none)."""
    print(text, file=note.log or sys.stdout)


note.log = None


def complain(text):
    """Write a line to stderr, where the user looks, and to the log."""
    if note.log:
        note(text)
    print(text, file=sys.stderr)


@contextlib.contextmanager
def whole(path):
    """
    Yield a name beside `path` to write to; `path` itself appears when all of it is written.

    A reader never sees half a file, and a failed or killed program leaves the old one.

    Raises
    ------
    Fault
        If it cannot be written, for want of space or permission.
    """
    part = f"{path}.part"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise Fault(
            f"{path}: cannot be written ({reason}); make room or allow it, then run again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def fraction(text):
    """Read a fraction of pixels: 0 to 0.5 (the range of the reference's ``flagfrac_*``)."""
    value = float(text)
    if not 0 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 0.5")
    return value


def odd(text):
    """Read a kernel size: an odd number of pixels, 1 or more."""
    value = int(text)
    if value < 1 or value % 2 == 0:
        raise argparse.ArgumentTypeError(f"{text} is not an odd number of pixels")
    return value
