"""The launcher, ``selfcal NAME ...``, and what all programs share: command line, notes, errors."""

import argparse
import contextlib
import gc
import importlib
import os
import signal
import sys

from badpix_selfcal import parameters
from badpix_selfcal.errors import InputError
from badpix_selfcal.version import VERSION

GROUPS = ("stages", "tables", "figures", "tune", "demo", "tools", "slurm")
PACKAGE = os.path.dirname(os.path.abspath(__file__))
# Beside the package in a checkout, within it where it is installed.
INSTALLED = os.path.isdir(os.path.join(PACKAGE, "programs"))
PROGRAMS = os.path.join(PACKAGE, "programs") if INSTALLED else os.path.dirname(PACKAGE)
INTERRUPTED = "interrupted; the same command goes on"


def list_programs():
    """Return the programs of each group by name: the files that have options."""
    found = {}
    for group in GROUPS:
        folder = os.path.join(PROGRAMS, group)
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".py")):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                if "\ndef options(" in file.read():
                    found.setdefault(group, []).append(name.removesuffix(".py"))
    return found


def load(name):
    """Import the program of a name; None if there is none."""
    for group in GROUPS:
        if name.isidentifier() and os.path.exists(os.path.join(PROGRAMS, group, f"{name}.py")):
            package = "badpix_selfcal.programs." if INSTALLED else ""
            module = importlib.import_module(f"{package}{group}.{name}")
            return module if hasattr(module, "options") else None
    return None


def main():
    """Run the program that the command line names; without a name, list them all."""
    name, *words = sys.argv[1:] or ["--help"]
    module = load(name)
    gc.enable()  # which the launcher disabled for the imports
    if module:
        return run(module, words)
    lines = [f"  {group + ':':9} {' '.join(names)}" for group, names in list_programs().items()]
    text = "\n".join(["selfcal PROGRAM --help says what a program does. Programs:", *lines])
    if name not in ("-h", "--help"):
        sys.exit(f"selfcal: error: {name}: no such program; name one of these\n{text}")
    print(text)


def parser(description, **positional):
    """
    Return the argument parser of a program, with the options that all of them share.

    Parameters
    ----------
    description : str
    **positional : str
        The help of each positional argument, by its name, in the order of the command line.
    """
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, text in positional.items():
        options.add_argument(name, help=text)
    options.add_argument("--version", action="version", version=VERSION)
    return options


def add_parameters(options, stage):
    """Add the parameters of a stage to its argument parser."""
    for p in parameters.stage_parameters(stage):
        kind = {"choices": p.allowed} if isinstance(p.allowed, tuple) else {"type": p.allowed}
        options.add_argument(parameters.option_of(p.name), default=p.default, help=p.help, **kind)


def run(module, words):
    """
    Run a program: parse the command line by its ``options()``, call its ``main(arguments)``.

    An error ends it with one line on stderr, which rules send to the log, and exit code 1.

    Parameters
    ----------
    module : module
        The program.
    words : sequence of str
        Its command line.
    """
    program = module.__name__.rpartition(".")[2]
    options = module.options()
    options.prog = f"selfcal {program}"
    arguments = options.parse_args(words)
    # So that temporary files are removed when the scheduler ends a job.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        refuse_overwriting(arguments)
        module.main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output has gone
        os._exit(0)
    except InputError as error:
        log("\n".join(f"{program}: error: {line}" for line in str(error).splitlines()))
        sys.exit(1)
    except Exception as error:
        import traceback  # which takes time to import

        log(f"{traceback.format_exc()}{program}: error: {type(error).__name__}: {error}")
        sys.exit(1)


def end(number, _):
    """End a program on a signal."""
    os.write(sys.stderr.fileno(), f"{INTERRUPTED}\n".encode())
    sys.exit(128 + number)


def refuse_overwriting(arguments):
    """Raise an `InputError` if a program's output is one of its inputs."""
    output = getattr(arguments, "output", None) or ""
    for name, value in vars(arguments).items():
        for path in value if isinstance(value, list) else [value]:
            with contextlib.suppress(OSError, ValueError):
                if name != "output" and isinstance(path, str) and os.path.samefile(path, output):
                    raise InputError(f"{path}: read and written; name another output")


def log(text):
    """Write a note to stderr, which rules send to the log; to stdout where its disk is full."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        print(text)
