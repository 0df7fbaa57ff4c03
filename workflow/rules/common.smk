import functools
import gc
import hashlib
import json
import os
import re
import sys

import pandas as pd
from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.abspath(workflow.current_basedir.join("../../scripts"))
sys.path.insert(0, SCRIPTS)
# Rules call the programs by name, whatever the working directory, the executor, the environment.
os.environ.update(
    PATH=os.pathsep.join(
        [SCRIPTS, os.path.dirname(sys.executable), *os.get_exec_path()]
    )
)

# Of the objects that Snakemake makes, few are ever garbage; to look for it at Python's default
# rate takes an eighth of the time to plan thousands of associations.
gc.set_threshold(100_000)

import _checks
import _names
import _status
import _tables

# ---- config and tables, once and before any work -------------------------------------------------

config_schema = _checks.read_schema(
    workflow.source_path("../schemas/config.schema.yaml")
)
_checks.complete(config, config_schema)

demo_table = workflow.source_path("../../demo/exposures.csv")
demo = pd.read_csv(demo_table, index_col="exposure").to_dict(orient="index")

association_files, rows, faults = _tables.read_members(
    config["associations"], config["force_single"]
)
members = pd.DataFrame(rows, columns=_tables.COLUMNS)

# Jobs on a cluster parse again; they need not check again.
if workflow.is_main_process:
    made = {f"demo/exposures/{exposure}_rate.fits" for exposure in demo}
    members_schema = _checks.read_schema(
        workflow.source_path("../schemas/members.schema.yaml")
    )
    faults = [
        *_checks.config_faults(config, config_schema),
        *faults,
        *_checks.member_faults(members, members_schema, made),
    ]
    for warning in _checks.member_warnings(members):
        print(f"warning: {warning}", file=sys.stderr)
if faults:
    raise WorkflowError(*faults)


# ---- what the rules ask of the tables ------------------------------------------------------------

# Sorted, so that the order of the members in a table changes nothing.
combined = members[members["exptype"].isin(_tables.COMBINED)].sort_values("exposure")
flagged = members[members["exptype"].isin(_tables.FLAGGED)].sort_values("exposure")
flagged = flagged.assign(
    flagged=[
        _names.flagged_path(*row) for row in zip(flagged["stack"], flagged["exposure"])
    ]
)
path_of_exposure = dict(zip(combined["exposure"], combined["path"]))
stacked = combined[combined["stack"] != _tables.SKIPPED]
exposures_of_stack = stacked.groupby("stack")["path"].unique()
stacks_of_association = (
    members[members["exptype"] == "science"].groupby("association")["stack"].agg(list)
)
flagged_of_association = flagged.groupby("association")["flagged"].unique()
flagged_files = flagged["flagged"].unique()
flagged_science = flagged.loc[flagged["exptype"] == "science", "flagged"].unique()


DEMO_MB = 60  # the largest exposure of the demo, before it is made


wildcard_constraints:
    association=r"[^/]+",
    exposure=r"[^/]+",
    stack=r"[^/]+-[0-9a-f]{12}",


def exposures(wildcards):
    """Return the exposures of a stack."""
    return list(exposures_of_stack[wildcards.stack])


def exposure(wildcards):
    """Return the file of an exposure."""
    return path_of_exposure[wildcards.exposure]


def association_file(wildcards):
    """Return the file of an association."""
    try:
        return association_files[wildcards.association]
    except KeyError:
        raise WorkflowError(
            f"{wildcards.association}.json: not among the associations; correct the target"
        )


def stacks(wildcards):
    """Return the stacks of an association's products, in their order."""
    return list(stacks_of_association[wildcards.association])


def flagged_exposures(wildcards):
    """Return the flagged exposures of an association."""
    return list(flagged_of_association[wildcards.association])


def code(program):
    """
    Hash the contents of a program and of the modules beside it that it imports.

    As a parameter it makes an edited program, and only that, run again: Snakemake's own
    trigger misses edited modules and old modification times, and takes a mere touch for an edit.
    """
    pending, known = [program], {}
    while pending:
        name = pending.pop()
        path = os.path.join(SCRIPTS, f"{name}.py")
        if name not in known and os.path.exists(path):
            with open(path, "rb") as file:
                known[name] = file.read()
            pending += re.findall(
                r"^ *(?:from|import) (\w+)", known[name].decode(), re.M
            )
    content = b"".join(known[name] for name in sorted(known))
    return hashlib.sha256(content).hexdigest()[:12]


@functools.cache
def stack_sizes(stack):
    """Return the sizes in MB of a stack's exposures, known before anything has run."""
    paths = exposures_of_stack[stack]
    return [os.path.getsize(p) / 1e6 if os.path.exists(p) else DEMO_MB for p in paths]


# Resources, by measurement: a stage's peak is 62 MB for MRS (exposures of 21 MB) and 135 MB for NIRSpec
# (84 MB); Snakemake itself, which a cluster's job starts twice, takes 180 MB each time. This is half as
# much again, and each further attempt gets as much once more.


def stack_memory(wildcards, attempt):
    """Return the MB that a stage needs, whatever the number of exposures: a few planes of one."""
    return attempt * int(600 + 2 * max(stack_sizes(wildcards.stack)))


def stack_runtime(wildcards, attempt):
    """Return the minutes that a stage may take, at 10 MB/s from a slow shared file system."""
    return attempt * int(5 + sum(stack_sizes(wildcards.stack)) / 10 / 60)


def all_runtime(wildcards, attempt):
    """Return the minutes that reading every exposure may take, at 10 MB/s."""
    megabytes = sum(sum(stack_sizes(stack)) for stack in exposures_of_stack.index)
    return attempt * int(5 + megabytes / 10 / 60)


def status_rows(dag, started):
    """Return the rows of status.csv for the associations that a run was to make."""
    asked = {str(path) for job in dag.jobs for path in job.output}
    unfinished = {str(path) for job in dag.needrun_jobs() for path in job.output}
    rows = []
    for name in association_files:
        if f"results/associations/{name}.json" in asked:
            steps = _status.steps(
                name, stacks_of_association[name], flagged_of_association[name]
            )
            rows.append((name, *_status.status(steps, unfinished, started)))
    return rows
