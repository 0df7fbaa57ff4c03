"""
What is used of Snakemake beyond its documentation: three names, each with what happens without.

Without `is_main_process`, jobs on a cluster validate the members again. Without `job_rate_limiter`,
large runs are slower. Without `dag`, status.csv is not written.
"""


def is_users_command(workflow):
    """Tell whether this is the user's command, not a job on a cluster that parses again."""
    return getattr(workflow, "is_main_process", True)


def lift_default_rate(workflow):
    """
    Lift Snakemake's own limit of 100 jobs a second; one that the user sets stays.

    Each selection of jobs starts a timer of a second that selects again and starts the next, so
    that the process selects all the time: 187 instead of 135 s for 200 associations.
    """
    scheduler = getattr(workflow, "scheduler", None)
    limit = getattr(scheduler, "job_rate_limiter", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        scheduler.job_rate_limiter = None


def run_outputs(workflow):
    """
    List the outputs of a run, to tell what became of it.

    Returns
    -------
    asked, unfinished : set of str
        The outputs of all jobs, and of those that did not finish; None where unknown.
    """
    try:
        asked = {str(path) for job in workflow.dag.jobs for path in job.output}
        return asked, {str(path) for job in workflow.dag.needrun_jobs() for path in job.output}
    except (AttributeError, TypeError):
        return None, None
