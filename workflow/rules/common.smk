import os
import sys
import time

import pandas as pd
from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.abspath(workflow.current_basedir.join("../../scripts"))
SUPPORT = os.path.abspath(workflow.current_basedir.join("../support"))
if os.pathsep in SCRIPTS:
    raise WorkflowError(f"{SCRIPTS}: {os.pathsep} in its path; move the workflow")
# This package, whatever version is installed; it alone can be imported from there.
sys.path.insert(0, SCRIPTS)
sys.path.append(SUPPORT)
# Rules call the launcher, selfcal, whatever the working directory, executor or environment.
os.environ.update(
    PATH=os.pathsep.join([SCRIPTS, os.path.dirname(sys.executable), *os.get_exec_path()])
)

import code_hash
import run_status
import snakemake_compat
import validate_inputs
from badpix_selfcal import associations, parameters
from badpix_selfcal.atomic_io import measure_unzipped
from badpix_selfcal.file_state import hash_content, hash_states, hash_text, read_state
from badpix_selfcal.labels import shorten_lines
from badpix_selfcal.paths import RESULTS, SKIPPED, find_prefix, path_of
from badpix_selfcal.stages import list_stages

main_process = snakemake_compat.is_users_command(workflow)

# ---- config and tables, validated before any work -----------------------------------------------

# A config.yaml in the working directory holds what differs from the defaults.
if os.path.exists("config.yaml"):
    validate_inputs.check_yaml("config.yaml")

    configfile: "config.yaml"


SCHEMA = workflow.source_path("../schemas/config.schema.yaml")
config_schema = validate_inputs.validate_config(config, SCHEMA)
first_lines = validate_inputs.fill_associations(config)
used = parameters.used_parameters(config)

DEMO = workflow.source_path("../../demo/exposures.csv")
demo = pd.read_csv(DEMO, index_col="exposure").to_dict(orient="index")
made = {f"demo/exposures/{exposure}_rate.fits" for exposure in demo}

members, association_files, left_out, errors = associations.read_members(config, made)
# generate needs no association, and may mend them; other targets beside it need them.
words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv
asked = [word.endswith("generate") for word in words]
generating = all(asked) if "--" in sys.argv else any(asked)
if main_process and not generating:
    errors += validate_inputs.find_member_errors(members, made)
    first_lines += validate_inputs.find_member_warnings(members)
    first_lines += validate_inputs.find_new_exposures(config["exposures"], members)
    run_status.say(first_lines + run_status.list_left_out(left_out))
if errors and not generating:
    raise WorkflowError(*shorten_lines(errors, 50))

# ---- lookups of the rules ------------------------------------------------------------------------

# Sorted, so that the order of the members in an association changes nothing.
combined = members[members["exptype"].isin(associations.COMBINED)].sort_values("exposure")
flagged = associations.list_flagged(members, config["save_flagged_bkg"])
path_of_exposure = dict(zip(combined["exposure"], combined["path"]))


def group_unique(table, by, column):
    """Return the distinct values of a column of a table, by another column, as lists."""
    return table.groupby(by)[column].unique().map(list).to_dict()


exposures_of_stack = group_unique(combined[combined["stack"] != SKIPPED], "stack", "path")
exposures_to_flag = group_unique(flagged, "stack", "path")
skipped = flagged[flagged["stack"] == SKIPPED]
skipped_exposures = list(skipped["flagged"].unique())
products = members[members["exptype"] == "science"]
stacks_of_association = products.groupby("association")["stack"].agg(list).to_dict()
skipped_of_association = group_unique(skipped, "association", "flagged")
saved = associations.SAVED[config["save_flagged_bkg"]]
others = members[~members["exptype"].isin((*saved, "selfcal"))]
others_of_association = group_unique(others, "association", "path")
# One exposure of each stack is shown before and after: the first science one by name.
shown = products[products["stack"] != SKIPPED].sort_values("exposure").groupby("stack").first()
stacks = list(exposures_of_stack)


wildcard_constraints:
    association=associations.NAME.pattern,
    exposure=associations.NAME.pattern,
    stack=r"[A-Za-z0-9._+-]*-[0-9a-f]{12}",
    injection=r"[0-9]+",


def lookup_or_fail(table, key, what):
    """Return the value of a key, for a target of the user's that may be misspelt."""
    if key not in table:
        raise WorkflowError(f"{key}: {what}; correct the target")
    return table[key]


def exposure_paths(wildcards):
    """Return the paths of the exposures of a stack."""
    return lookup_or_fail(exposures_of_stack, wildcards.stack, "in no association")


def user_files(paths):
    """
    Return files of the user's as inputs, which do not lie below the prefix of a module.

    Not those dated in the future, as Snakemake fails a job whose output is older than an input.
    """
    past = [p for p in paths if (read_state(p) or (0, 0))[1] <= time.time_ns()]
    return [local(path) for path in past] if PREFIX else past


def exposure_path(wildcards):
    """Return the path of one exposure."""
    return lookup_or_fail(path_of_exposure, wildcards.exposure, "in no association")


def exposures(wildcards):
    """Return the exposures of a stack as inputs."""
    return user_files(exposure_paths(wildcards))


def exposure_states(wildcards):
    """Return the hash of sizes and times of a stack's exposures, less those of the demo."""
    return hash_states([path for path in exposure_paths(wildcards) if path not in made])


def association_path(wildcards):
    """Return the path of an association."""
    return lookup_or_fail(association_files, wildcards.association, "no association")


def shown_exposure(wildcards):
    """Return the path of the exposure of a stack that is shown before and after."""
    return lookup_or_fail(shown["path"], wildcards.stack, "in no association")


def hash_suggestions(wildcards):
    """Return the hash of tune's suggestions, which the page shows where they exist."""
    folders = [PREFIX + path_of("tune", stack=stack) for stack in stacks]
    return hash_text(" ".join(hash_content(f"{f}/suggestion.txt") for f in folders))


def code(program):
    """Return the hash of a program, such as ``stages/median``, of which an edit reruns its rule."""
    return code_hash.hash_code(SCRIPTS, program)


# Resources, as measured: a stage needs up to 140 MB for MRS (exposures of 21 MB) and 390 MB for NIRSpec
# (84 MB), most of it for files that write_back maps. Snakemake itself needs 180 MB, and a job on a
# cluster starts it twice. Each further attempt gets as much once more.
DEMO_MB = 60  # the largest exposure of the demo, before it is made


def list_sizes(paths):
    """Return the sizes of exposures in MB."""
    return [measure_unzipped(p) / 1e6 if os.path.exists(p) else DEMO_MB for p in paths]


def exposure_sizes(wildcards):
    """Return the sizes of a stack's exposures in MB."""
    return list_sizes(exposures_of_stack.get(wildcards.stack, []))


def stack_memory(wildcards, attempt):
    """Return the MB that a stage needs, whatever the number of exposures: a few planes of one."""
    return attempt * int(600 + 2 * max(exposure_sizes(wildcards), default=0))


def stack_disk(wildcards):
    """Return the MB of a stack's pedestal.fits: of each exposure, a plane of four or more."""
    return int(sum(exposure_sizes(wildcards)) / 4) + 1


def stack_runtime(wildcards, attempt):
    """Return the minutes that a stage needs at 10 MB/s, as from a slow shared file system."""
    return attempt * int(5 + sum(exposure_sizes(wildcards)) / 10 / 60)


stack_resources = {"mem_mb": stack_memory, "runtime": stack_runtime}


def run_runtime(wildcards, attempt):
    """Return the minutes to read every exposure at 10 MB/s."""
    return attempt * int(5 + sum(list_sizes(path_of_exposure.values())) / 10 / 60)
