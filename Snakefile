from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.source_path("config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/selfcal.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/tools.smk"
include: "workflow/rules/status.smk"


# All that is kept is asked for, so that whatever was deleted is made again.
rule all:
    """Flag the bad pixels of all associations: the run itself."""
    input:
        collect(rules.minimum.output, stack=exposures_of_stack.index),
        collect(rules.median.output, stack=exposures_of_stack.index),
        collect(rules.noise.output if by_noise else [], stack=exposures_of_stack.index),
        collect(rules.threshold.output, stack=exposures_of_stack.index),
        list(flagged_files),
        collect(rules.associate.output, association=association_files),
        rules.members.output,
        rules.summary.output,
        rules.checksums.output,
        rules.provenance.output,
