"""
What is used of Snakemake beyond its documentation: three names, each with what happens without.

Without `is_main_process`, jobs on a cluster validate the members again. Without `modifier`, results
of a module below a prefix are not found by `plan`, `prune` and the end of a run. Without `dag`,
status.csv is not written.
"""


def is_main_process(workflow):
    """Tell whether this is the user's command, not a job on a cluster that parses again."""
    return getattr(workflow, "is_main_process", True)


def module_prefix(workflow):
    """Return the folder below which the results of a module go, from its `prefix:`; "" if none."""
    modifier = getattr(workflow, "modifier", None)
    return getattr(getattr(modifier, "path_modifier", None), "prefix", None) or ""


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
