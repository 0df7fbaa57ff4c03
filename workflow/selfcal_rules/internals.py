"""
Snakemake's private interfaces, all that are used, each with its reason.

Another version may lack them: each then answers what is safe, and the run goes on.
"""

import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

LOCKS = Path(".snakemake/locks")


def is_main_process(workflow):
    """Tell whether this is the user's command, not a job on a cluster that parses again."""
    return getattr(workflow, "is_main_process", True)


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


def lock_files():
    """List the lock files of this folder: a killed run leaves them."""
    return list(LOCKS.glob("*.lock"))


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
