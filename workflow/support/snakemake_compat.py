"""
What is used of Snakemake beyond its documentation: two names, each with what happens without.

Without `is_main_process`, jobs on a cluster validate the members again. Without `dag`, there is no
status.csv.
"""


def is_users_command(workflow):
    """Tell whether this is the user's command, not a job on a cluster that parses again."""
    return getattr(workflow, "is_main_process", True)


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
