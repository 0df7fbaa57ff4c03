"""
Snakemake in a process that is forked from one where it is imported already.

Most of a dry run's time is imports, and the tests run hundreds of them. What is forked has none of
the workflow's own modules: each run imports those of the Snakefile that it is given.
"""

import atexit
import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing import forkserver

IMPORTED = (
    *("snakemake.cli", "snakemake.api", "snakemake.dag", "snakemake.scheduling.job_scheduler"),
    *("snakemake.executors.local", "snakemake.linting.rules", "snakemake.report"),
    *("snakemake_executor_plugin_cluster_generic", "snakemake_logger_plugin_rich"),
    *("snakemake.storage", "snakemake.profiles", "smart_open", "requests", "jinja2"),
    *("pandas", "pyarrow.pandas_compat", "jsonschema", "yaml", "forked_plugins"),
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


def snakemake(arguments, cwd, environment, output):
    """Be ``python -m snakemake``, in a fresh fork."""
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

    try:
        main()
    finally:
        atexit._run_exitfuncs()


def run(arguments, cwd):
    """Run Snakemake; return code and output, both streams as one text, as `subprocess.run` does."""
    with tempfile.NamedTemporaryFile("r", errors="replace") as output:
        words = arguments, cwd, dict(os.environ), output.name
        job = server().Process(target=snakemake, args=words)
        job.start()
        job.join()
        return subprocess.CompletedProcess(arguments, job.exitcode, output.read())
