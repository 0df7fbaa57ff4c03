"""
Snakemake's private interfaces, all that are used, each with its reason.

Another version may lack them: each then answers what is safe, and the run goes on.
"""

import _thread
import contextlib
import itertools
import re
import signal
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

from selfcal_rules import locks

NOTHING = frozenset()
# Of a job, which nobody adds to once it is made.
JOB_SETS = (
    "temp_output", "protected_output", "touch_output", "pipe_or_service_output", "_queue_input"
)  # fmt: skip


def is_main_process(workflow):
    """Tell whether this is the user's command, not a job on a cluster that parses again."""
    return getattr(workflow, "is_main_process", True)


def job_wildcards(words):
    """
    Return the wildcards of each rule that a job on a cluster is to run, None if they are not known.

    Parameters
    ----------
    words : list of str
        The job's command line, as Snakemake wrote it: --target-jobs rule:wildcard=value,... ...
    """
    if "--target-jobs" not in words:
        return None
    specs = words[words.index("--target-jobs") + 1 :]
    specs = itertools.takewhile(lambda word: not word.startswith("--"), specs)
    return [
        dict(re.findall(r"(\w+)=\"?([^,\"]+)", spec.partition(":")[2])) for spec in specs
    ]  # fmt: skip


def is_module(workflow):
    """Tell whether another workflow uses this one: the config.yaml beside it is not ours then."""
    try:
        return not workflow.modifier.is_main_snakefile()
    except AttributeError:
        return False


def module_prefix(workflow):
    """Return the folder below which a module's results go, from its `prefix:`; "" for none."""
    modifier = getattr(workflow, "modifier", None)
    return getattr(getattr(modifier, "path_modifier", None), "prefix", None) or ""


def targets_of(workflow):
    """Return what the user asked for by name; empty for the default target, or if it is unknown."""
    return list(getattr(getattr(workflow, "dag_settings", None), "targets", None) or [])


def raise_unless_asked_for(workflow, target, faults):
    """
    Raise faults before any work, but not where nothing except one target is asked for.

    What is asked for is not known while the rules are read, so that the faults have to wait until
    Snakemake begins to plan; where it does so otherwise, they do not wait.
    """
    if faults and not hasattr(workflow, "_prepare_dag"):
        raise WorkflowError(*faults)
    if faults:
        prepare = workflow._prepare_dag

        def checked(*words, **options):
            # In a module the rule may have a prefix.
            if {name.endswith(target) for name in targets_of(workflow)} != {True}:
                raise WorkflowError(*faults)
            return prepare(*words, **options)

        workflow._prepare_dag = checked


def lift_job_rate(workflow):
    """
    Lift the limit of jobs per second where jobs are local, which need none.

    To keep it, Snakemake wakes its scheduler again every second for each job that ever ran.
    """
    if getattr(workflow, "local_exec", False) and hasattr(workflow.scheduler, "job_rate_limiter"):
        workflow.scheduler.job_rate_limiter = None


def lift_job_rate_of_jobs():
    """
    Lift it in a job on a cluster, too, which no `onstart` reaches, before its scheduler is made.

    There it costs more: a process ends only when each of its timers has, a second later.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from snakemake.scheduling import job_scheduler

        job_scheduler.JobRateLimiter = lambda limit: None


def spare_planning(workflow):
    """
    Leave out what Snakemake does for each job while it plans, and nobody needs.

    It makes two objects for each list of files, always the same two, and expands the params of all
    jobs for environments that only --sdm conda has. It sorts the outputs of all jobs to see whether
    one lies in a folder that is another: of our rules that is known. For the times of outputs it
    keeps a group of tasks for each of all jobs at once. A fifth of time and memory.
    """
    try:
        from snakemake.dag import DAG
        from snakemake.iocontainers import AttributeGuard
        from snakemake.jobs import Job

        Job.output_mintime = property(output_mintime)
        DAG.cache_job = cache_job
        init, texts = Job.__init__, {}

        def spare_init(job, *words, **options):
            init(job, *words, **options)
            with contextlib.suppress(AttributeError):
                spare_job(job, texts)

        Job.__init__ = spare_init
        guards = {}
        AttributeGuard.__new__ = lambda cls, name: guards.setdefault(name, object.__new__(cls))
        if not {"CONDA"} & {m.name for m in workflow.deployment_settings.deployment_method}:
            DAG.update_conda_envs = lambda self: None
        if not is_module(workflow):
            DAG.check_directory_outputs = lambda self: None
    except (AttributeError, ImportError):
        pass


def spare_job(job, texts):
    """
    Keep one text of each path, and one empty set, instead of each job's own.

    Each file of a job holds its path twice, the second time with flags, which most files have
    none of; and a path is named by several jobs. This is a quarter of the memory.

    Parameters
    ----------
    job : Job
        That was just made.
    texts : dict of str to str
        The paths of all jobs so far.
    """
    for file in (*job.input, *job.output):
        if not file.flags and not file.is_callable():
            file._file = texts.setdefault(str(file), str(file))
    for name in JOB_SETS:
        if not getattr(job, name):
            setattr(job, name, NOTHING)


def cache_job(dag, job):
    """Let a job be found by its outputs; a log is never looked for, and need not be named yet."""
    for file in job.output:
        dag.job_cache[job.rule, file] = job


async def output_mintime(job):
    """Return when the oldest output of a job was changed, None if there is none."""
    files = [*job.output, job.benchmark] if job.benchmark else job.output
    times = [(await file.mtime()).local_or_storage() for file in files if await file.exists()]
    return min(times, default=None)


def limit_of(workflow, resource):
    """Return the most of a resource that a run may use at a time, None where it is not limited."""
    try:
        limit = workflow.global_resources.get(resource)
        return getattr(limit, "value", limit)
    except AttributeError:
        return None


def outputs_of_run(workflow):
    """
    Return what a run was to make, to tell what became of it.

    Returns
    -------
    asked, unfinished : set of str
        The outputs of all jobs, and of those that did not finish; both empty where it is not known.
    """
    try:
        dag = workflow.dag
        asked = {str(path) for job in dag.jobs for path in job.output}
        return asked, {str(path) for job in dag.needrun_jobs() for path in job.output}
    except (AttributeError, TypeError):
        return set(), set()


def guard_locks():
    """
    Make Snakemake's lock of a folder reliable, by locks of the system's.

    Snakemake's own are files, which a killed run leaves behind; which two commands may write at
    once; and all of which any run removes at its end, others' too. Dry runs take none, as before.
    """
    try:
        from snakemake import persistence

        base = getattr(persistence, "PersistenceBase", None) or persistence.Persistence
        if getattr(base.lock, "guarded", False):  # by another module of the same workflow
            return
        base.lock = locks.guarded(base.lock)
        base.cleanup_locks = lambda self: locks.unlock()
        if hasattr(base, "_delete_locks"):
            from snakemake.persistence.file import FilePersistence

            FilePersistence._delete_locks = delete_own_locks
    except (ImportError, AttributeError):
        pass  # Snakemake's own, then; after a kill it asks for --unlock


def guard_sigterm(workflow):
    """
    Let SIGTERM end a run whatever it is doing.

    Snakemake's handler waits for a lock that the very thread may hold which it interrupts: the run
    then hangs (9 of 96). In a thread of its own it waits for its turn.
    """
    handler = getattr(getattr(workflow, "scheduler", None), "exit_gracefully", None)
    if handler is None or signal.getsignal(signal.SIGTERM) != handler:
        return
    with contextlib.suppress(ValueError):  # not the main thread
        # Not threading.Thread, which takes locks to start.
        signal.signal(signal.SIGTERM, lambda *_: _thread.start_new_thread(handler, ()))


def delete_own_locks(persistence):
    """Remove the lock files of this run, and no others."""
    for path in persistence._lockfile.values():
        Path(path).unlink(missing_ok=True)
    persistence._lockfile.clear()


def one_line_per_job():
    """
    Write a line for each finished job where there is no terminal, so that a log shows progress.

    Snakemake's own lines name every file of every job: for `all` that may be ten thousands.
    """
    if sys.stderr.isatty():
        return
    try:
        from snakemake.logging import DefaultFormatter, LogEvent, get_event, logger

        handler = next(h for h in logger.handlers if h.name == "DefaultStreamHandler")
        names = {}

        class Formatter(DefaultFormatter):
            def format_job_finished(self, msg):
                return f"{time.strftime('%H:%M:%S')} {names.pop(msg['job_id'], msg['msg'])}"

        def kept(record):
            event = get_event(record)
            if event == LogEvent.JOB_INFO:
                wildcards = " ".join(str(value) for value in dict(record.wildcards or {}).values())
                names[record.jobid] = f"{record.rule_name} {wildcards}".strip()
            noise = record.getMessage().startswith(("Select jobs to execute", "Execute "))
            return event != LogEvent.JOB_INFO and not noise

        handler.setFormatter(Formatter(handler.formatter.quiet, handler.formatter.show_failed_logs))
        handler.addFilter(kept)
    except (ImportError, AttributeError, StopIteration, TypeError):
        pass  # Snakemake's own lines, then
