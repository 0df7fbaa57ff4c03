import atexit
import functools
import gc
import hashlib
import json
import os
import sys

import pandas as pd
from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.abspath(workflow.current_basedir.join("../../scripts"))
# Last, so that the names of a workflow that uses this one come first.
sys.path += [SCRIPTS, os.path.join(os.path.dirname(SCRIPTS), "workflow")]
# Rules call the one launcher, selfcal, whatever the working directory, the executor, the environment.
os.environ.update(
    PATH=os.pathsep.join(
        [os.path.dirname(sys.executable), SCRIPTS, *os.get_exec_path()]
    )
)

if os.pathsep in SCRIPTS:
    raise WorkflowError(
        f"{SCRIPTS}: PATH cannot name a folder with {os.pathsep} in it; move the workflow"
    )

# Of the objects that Snakemake makes while it plans, few are ever garbage; to look for it takes a
# fifth of the time to plan thousands of associations. Rule status.smk begins again. At the end
# nobody waits for it: half a second of 24 associations.
gc.disable()
atexit.register(gc.freeze)

from badpix_selfcal import names, parameters, parent, tables
from badpix_selfcal.exposures import Elsewhere
from badpix_selfcal.paths import SKIPPED, path_of
from selfcal_rules import checks, inputs, internals, planned, status
from selfcal_rules.fingerprint import fingerprint

main_process = internals.is_main_process(workflow)
os.environ[parent.RUN] = parent.this_process()
internals.spare_planning(workflow)
hand_over = functools.partial(planned.hand_over, write=main_process)

# ---- config and tables, once and before any work -------------------------------------------------

# A config.yaml in the working directory is what differs there from the defaults.
own_config = checks.own_config(
    os.path.join(os.path.dirname(SCRIPTS), "config.yaml"), internals.is_module(workflow)
)
if own_config:

    configfile: own_config

    if main_process:
        print(
            f"Config: {os.path.abspath(own_config)} over the defaults.",
            file=sys.stderr,
        )


config_schema = checks.read_schema(
    workflow.source_path("../schemas/config.schema.yaml")
)
checks.complete(config, config_schema)

demo_table = workflow.source_path("../../demo/exposures.csv")
demo = pd.read_csv(demo_table, index_col="exposure").to_dict(orient="index")

# A job on a cluster needs the rows of its own stacks, and finds them as the run was planned.
association_files, faults = {}, []
exposure_patterns = names.workdir_patterns(config["exposures"])
rows = (
    None
    if main_process
    else planned.rows_of_job(config, internals.job_wildcards(sys.argv))
)
reads_all = rows is None
if reads_all:
    elsewhere = Elsewhere(exposure_patterns)
    association_files, rows, faults = tables.read_members(
        config["associations"],
        config["force_single"],
        elsewhere if exposure_patterns else None,
    )
    faults += elsewhere.faults
# As Python's own strings: pandas' take a copy each, and another whenever they are looked at.
members = pd.DataFrame(rows, columns=tables.COLUMNS, dtype=object)
made = {f"demo/exposures/{exposure}_rate.fits" for exposure in demo}

left_out = {}
if reads_all and config["missing"] == "leave_out":
    left_out = checks.missing_members(members, made)
    members = members[~members["association"].isin(left_out)]
    rows = [row for row in rows if row[0] not in left_out]
    if left_out and not rows:
        faults.append(
            f"config: each of {len(left_out)} associations misses members; fetch them"
        )

made = {f"demo/exposures/{exposure}_rate.fits" for exposure in demo}

# Jobs on a cluster parse again; they need not check again.
if main_process:
    members_schema = checks.read_schema(
        workflow.source_path("../schemas/members.schema.yaml")
    )
    faults += checks.member_faults(members, members_schema, made)
    for warning in checks.member_warnings(members):
        print(f"warning: {warning}", file=sys.stderr)
    for line in status.left_out_lines(association_files, left_out):
        print(line, file=sys.stderr)
    if config_faults := checks.config_faults(config, config_schema):
        raise WorkflowError(*config_faults, *checks.first_of(faults))

# generate needs no association, and may be what mends them.
internals.raise_unless_asked_for(workflow, "generate", checks.first_of(faults))
for name in left_out:
    del association_files[name]
if main_process:
    planned.keep_rows(config, rows)


# ---- what the rules ask of the tables ------------------------------------------------------------

# Sorted, so that the order of the members in a table changes nothing.
combined = members[members["exptype"].isin(tables.COMBINED)].sort_values("exposure")
saved_roles = tables.SAVED[config["save_flagged_bkg"]]
flagged = members[members["exptype"].isin(saved_roles)].sort_values("exposure")
flagged = flagged.assign(
    flagged=[
        path_of("write_back", stack=stack, exposure=exposure)
        for stack, exposure in zip(flagged["stack"], flagged["exposure"])
    ]
)
path_of_exposure = dict(zip(combined["exposure"], combined["path"]))
stacked = combined[combined["stack"] != SKIPPED]
exposures_of_stack = stacked.groupby("stack")["path"].unique()
stacks_of_association = (
    members[members["exptype"] == "science"].groupby("association")["stack"].agg(list)
)
others_of_association = (
    members[~members["exptype"].isin(tables.COMBINED)]
    .groupby("association")["path"]
    .unique()
)
flagged_of_association = flagged.groupby("association")["flagged"].unique()
flagged_files = flagged["flagged"].unique()
flagged_of_stack = {
    stack: rows.drop_duplicates("exposure")[["path", "exposure"]].values.tolist()
    for stack, rows in flagged.groupby("stack")
}
flagged_science = flagged.loc[flagged["exptype"] == "science", "flagged"].unique()
# One exposure of each stack is shown before and after: the first science one by name.
shown = (
    flagged[(flagged["exptype"] == "science") & (flagged["stack"] != SKIPPED)]
    .groupby("stack")
    .first()
)


DEMO_MB = 60  # the largest exposure of the demo, before it is made


wildcard_constraints:
    **{p.name: r"[A-Za-z0-9][A-Za-z0-9.+-]*" for p in parameters.PARAMETERS},
    # By what names are made of: what a target says reaches the shell.
    association=checks.NAME,
    exposure=checks.NAME,
    stack=r"[A-Za-z0-9._+-]*-[0-9a-f]{12}",
    injection=r"[0-9]+",


# The user's own files: where a module has a prefix, it is not theirs.
PREFIX = internals.module_prefix(workflow)
user_file = local if PREFIX else str

# Each flagged exposure, and whose it is, for verify.
flagged_pairs = [
    [path, f"{PREFIX}{result}"]
    for path, result in flagged.drop_duplicates("flagged")[["path", "flagged"]].values
]
MODELS = 64  # that a program opens: the first takes it as long as 25 more


def user_files(paths):
    """Return files of the user's as inputs of a rule, less those that are dated in the future."""
    return [user_file(path) for path in inputs.dated(paths)]


def exposure_paths(wildcards):
    """Return the paths of a stack's exposures, or of one exposure, as its program reads them."""
    try:
        if "exposure" in wildcards.keys():
            return [path_of_exposure[wildcards.exposure]]
        return list(exposures_of_stack[wildcards.stack])
    except KeyError as error:
        raise WorkflowError(f"{error.args[0]}: in no association; correct the target")


def exposures(wildcards):
    """Return the exposures of a stack, or one exposure."""
    return user_files(exposure_paths(wildcards))


def exposure_states(wildcards):
    """Return what tells whether exposures changed, whatever their dates."""
    return inputs.states(exposure_paths(wildcards), made)


def association_path(wildcards):
    """Return the path of an association."""
    try:
        return association_files[wildcards.association]
    except KeyError:
        raise WorkflowError(
            f"{wildcards.association}.json: not among the associations; correct the target"
        )


def shown_exposure(wildcards):
    """Return the exposure that a stack's figures show."""
    return user_file(shown.loc[wildcards.stack, "path"])


def option_words(key):
    """Return a list of the config as the words of a program's option, none if it is empty."""
    value = config[key]
    words = value if isinstance(value, list) else [value] if value else []
    return [f"--{key.replace('_', '-')}", *words] if words else []


def association_file(wildcards):
    """Return the file of an association."""
    return user_files([association_path(wildcards)])


def association_content(wildcards):
    """Return what tells whether an association changed, whatever its date."""
    return inputs.content(association_path(wildcards))


def stacks(wildcards):
    """Return the stacks of an association's products, in their order."""
    return list(stacks_of_association[wildcards.association])


def flagged_exposures(wildcards):
    """Return the flagged exposures of an association."""
    return list(flagged_of_association[wildcards.association])


def others(wildcards):
    """Return the members of an association that play no part, where they are."""
    return list(others_of_association.get(wildcards.association, []))


def verified(wildcards):
    """Return the file that names a stack's exposures and its flagged ones."""
    stack = wildcards.stack
    if stack not in flagged_of_stack:
        raise WorkflowError(f"{stack}: in no association; correct the target")
    return hand_over(
        stack, [list(exposures_of_stack.get(stack, [])), flagged_of_stack[stack]]
    )


def opened_strictly(wildcards):
    """Return the file that names the flagged exposures of a part, and whose they are."""
    part = slice(int(wildcards.part) * MODELS, (int(wildcards.part) + 1) * MODELS)
    return hand_over(f"models-{wildcards.part}", flagged_pairs[part])


def suggestions(wildcards):
    """Return what the tuning has suggested so far: the page shows it, but does not ask for it."""
    paths = [
        f"{PREFIX}{path_of('tune', stack=stack)}/suggestion.txt"
        for stack in exposures_of_stack.index
    ]
    return [open(path).read() for path in paths if os.path.exists(path)]


def beside(stack):
    """List the stages of a stack that are not in every run, each with what is made from it."""
    pairs = []
    if parameters.effective(config)["edge_mode"] == "shrink":
        pairs.append((path_of("unusable", stack=stack), path_of("median", stack=stack)))
    if config["threshold"] == "sigma":
        pairs.append((path_of("noise", stack=stack), path_of("threshold", stack=stack)))
    return pairs


def deleted_results():
    """
    List the results that are missing although what is made from them, or with them, is there.

    With the associations they are all that a run must ask for; to ask for every file that it
    makes takes a third of the time to plan thousands of associations.
    """
    if not main_process:
        return []
    follows = [
        pair
        for stack in exposures_of_stack.index
        for pair in (
            (path_of("minimum", stack=stack), path_of("median", stack=stack)),
            *beside(stack),
            (path_of("median", stack=stack), path_of("threshold", stack=stack)),
        )
    ]
    follows += [
        (path_of("threshold", stack=stack), path)
        for stack, path in zip(flagged["stack"], flagged["flagged"])
        if stack != SKIPPED
    ]
    for name in association_files:
        made = path_of("associate", association=name)
        follows.append((path_of("view", association=name), made))
        follows += [(path, made) for path in flagged_of_association.get(name, ())]
    there = functools.cache(lambda path: os.path.exists(PREFIX + path))
    return list(
        {file: 0 for file, next_ in follows if not there(file) and there(next_)}
    )


@functools.cache
def code(program):
    """
    Return the content hash of a program, such as ``stages/median``.

    As a parameter it makes an edited program, and only that, run again: Snakemake's own
    trigger misses edited modules and old modification times, and takes a mere touch for an edit.
    """
    return fingerprint(SCRIPTS, program)


def code_if_run(program):
    """
    Return the same as a function, for rules that a plain run has no jobs of.

    Every command and every job on a cluster reads all rules; to hash all programs takes 0.1 s more.
    """
    return lambda wildcards: code(program)


def folder_hash(folder):
    """Return the content hash of the files of a folder of the scripts, for what is no program."""
    digest = hashlib.sha256()
    for name in sorted(os.listdir(f"{SCRIPTS}/{folder}")):
        with open(f"{SCRIPTS}/{folder}/{name}", "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:12]


@functools.cache
def stack_sizes(stack):
    """Return the sizes in MB of a stack's exposures, known before anything has run."""
    paths = exposures_of_stack.get(stack, [])
    return [os.path.getsize(p) / 1e6 if os.path.exists(p) else DEMO_MB for p in paths]


# Resources, by measurement: a stage's peak is 62 MB for MRS (exposures of 21 MB) and 135 MB for NIRSpec
# (84 MB); Snakemake itself, which a cluster's job starts twice, takes 180 MB each time. This is half as
# much again, and each further attempt gets as much once more.


def stack_memory(wildcards, attempt):
    """Return the MB that a stage needs, whatever the number of exposures: a few planes of one."""
    return attempt * int(600 + 2 * max(stack_sizes(wildcards.stack), default=0))


def stack_disk(wildcards):
    """Return the MB of a stack's pedestal.fits, a plane of the four or more of each exposure."""
    return int(sum(stack_sizes(wildcards.stack)) / 4) + 1


def stack_runtime(wildcards, attempt):
    """Return the minutes that a stage may take, at 10 MB/s from a slow shared file system."""
    return attempt * int(5 + sum(stack_sizes(wildcards.stack)) / 10 / 60)


def all_runtime(wildcards, attempt):
    """Return the minutes that reading every exposure may take, at 10 MB/s."""
    megabytes = sum(sum(stack_sizes(stack)) for stack in exposures_of_stack.index)
    return attempt * int(5 + megabytes / 10 / 60)


def status_rows(started):
    """Return the rows of status.csv of the associations of a run, and what else is to be said."""
    asked, unfinished = internals.outputs_of_run(workflow)
    rows = []
    for name in association_files:
        if path_of("associate", association=name) in asked:
            stacks = stacks_of_association[name]
            steps = status.steps(name, stacks, flagged_of_association[name])
            rows.append((name, *status.status(steps, unfinished, started, stacks)))
    ended = [row[0] for row in rows if row[1] in ("done", "skipped")]
    lines = status.unflagged_lines(
        [s for name in ended for s in stacks_of_association[name]]
    )
    if path_of("summary") in asked and os.path.exists(path_of("summary")):
        lines += status.warning_lines(set(ended))
    if len(rows) == len(association_files):
        rows += [(name, "left out", "", reason) for name, reason in left_out.items()]
    return rows, lines + status.place_lines(internals.targets_of(workflow))
