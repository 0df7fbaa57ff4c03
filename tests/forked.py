"""
Snakemake, and the programs of its jobs, in processes forked from one where libraries are imported.

Most of a dry run's time, and of a small job's, is imports, and the tests run hundreds of the one
and thousands of the other. What is forked has none of the workflow's own modules: each run imports
those of the Snakefile that it is given, each job those of its program. The jobs of the README's
commands, of runs that signals end, and of Slurm, start anew, as for users.
"""

import atexit
import contextlib
import functools
import multiprocessing
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from multiprocessing import forkserver

IMPORTED = (
    *("snakemake.cli", "snakemake.api", "snakemake.dag", "snakemake.scheduling.job_scheduler"),
    *("snakemake.executors.local", "snakemake.linting.rules", "snakemake.report"),
    *("snakemake_executor_plugin_cluster_generic", "snakemake_logger_plugin_rich"),
    *("snakemake.storage", "snakemake.profiles", "smart_open", "requests", "jinja2"),
    *("pandas", "pyarrow.pandas_compat", "jsonschema", "yaml"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("PIL.PngImagePlugin", "stdatamodels.jwst.datamodels", "forked_plugins"),
)
TESTS = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.dirname(TESTS)


@functools.cache
def server():
    """Start what forks, once; it silently leaves out modules that it does not find."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = TESTS  # until Python 3.13 it does not get our sys.path
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)
    return context


def snakemake(arguments, cwd, environment, output, programs):
    """Be ``python -m snakemake``, in a fresh fork; its `programs` are forks, too, or start anew."""
    to = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(to, 1)
    os.dup2(to, 2)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    ours = (f"{OURS}/scripts", f"{OURS}/workflow", f"{OURS}/tests")
    sys.path[:] = [str(cwd), *(path for path in sys.path if path and not path.startswith(ours))]
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    if programs == "forked":
        sys.modules["snakemake.shell"].sp = Shell
    try:
        main()
    finally:
        atexit._run_exitfuncs()


SPECIAL = set("();<>|&$`*?#")  # to a shell


class Shell:
    """What Snakemake starts the commands of jobs by, in place of `subprocess`."""

    PIPE, CalledProcessError = subprocess.PIPE, subprocess.CalledProcessError

    @staticmethod
    def Popen(command, *, env, stdout, **options):  # noqa: N802
        """Fork for a plain call of a program; for all else start a shell, as Snakemake does."""
        call = command.removeprefix("set -euo pipefail;")
        words = shlex.shlex(call, posix=True, punctuation_chars="".join(SPECIAL))
        plain = stdout != subprocess.PIPE and not any(word[:1] in SPECIAL for word in words)
        name, *words = shlex.split(call)
        path = os.path.realpath(shutil.which(name, path=env["PATH"]) or "")
        if plain and path.endswith("/scripts/selfcal"):
            return Program(path, [name, *words], env)
        return subprocess.Popen(command, env=env, stdout=stdout, **options)


class Program:
    """A program of the workflow, in a fork."""

    def __init__(self, path, words, environment):
        self.pid = os.fork()
        if not self.pid:
            os._exit(self.code_of(path, words, environment))

    @staticmethod
    def code_of(path, words, environment):
        """Run the program; return its exit code, if it does not end by itself."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, closefd=False) for n in (1, 2))
        scripts = os.path.dirname(path)
        ours = f"{scripts}/", f"{os.path.dirname(scripts)}/workflow/"
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(ours):
                del sys.modules[name]
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0], sys.argv = scripts, words
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
                return 1
            return end.code or 0
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def wait(self):
        """Wait for its end; return its code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def run(arguments, cwd, programs="forked"):
    """Run Snakemake; return code and output, both streams as one text, as `subprocess.run` does."""
    with tempfile.NamedTemporaryFile("r", errors="replace") as output:
        words = arguments, cwd, dict(os.environ), output.name, programs
        job = server().Process(target=snakemake, args=words)
        job.start()
        job.join()
        return subprocess.CompletedProcess(arguments, job.exitcode, output.read())


def alone(*words):
    """Be the same in a session of its own."""
    os.setsid()
    snakemake(*words)


class Started:
    """A run of Snakemake that goes on, in a session of its own; to be used as a `Popen` is."""

    def __init__(self, arguments, cwd):
        with tempfile.TemporaryDirectory() as folder:
            pipe = os.path.join(folder, "pipe")
            os.mkfifo(pipe)
            words = arguments, cwd, dict(os.environ), pipe, "anew"
            self.job = server().Process(target=alone, args=words)
            self.job.start()
            output = open(pipe, errors="replace")  # noqa: SIM115  # waits until the run has begun
        self.pid, self.said = self.job.pid, ""
        self.reader = threading.Thread(target=self.read, args=[output], daemon=True)
        self.reader.start()

    def read(self, output):
        """Read what the run and its programs say, to the end of the last of them."""
        with output:
            self.said = output.read()

    @property
    def returncode(self):
        """Of the run that has ended; that of a signal is negative."""
        return self.job.exitcode

    def poll(self):
        """Return the code, None while it runs."""
        return self.job.exitcode

    def wait(self):
        """Wait for the end of the run, not of its programs."""
        self.job.join()

    def communicate(self, timeout=None):
        """Wait for the end of the run and of its programs; return both streams as one text."""
        self.reader.join(timeout)
        if self.reader.is_alive():
            raise subprocess.TimeoutExpired("snakemake", timeout)
        self.job.join()
        return self.said, None

    def send_signal(self, number):
        """Send a signal to the run alone, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """kill -9 of the run alone."""
        self.send_signal(signal.SIGKILL)

    def kill_all(self):
        """kill -9 of the run and its programs, if any of them has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
