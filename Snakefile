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


rule all:
    """Flag the bad pixels of all associations: the run itself."""
    input:
        collect(rules.associate.output.association, association=association_files),
        # Whatever was deleted is made again. What is not there yet need not be asked for.
        deleted_results(),
        rules.members.output,
        rules.summary.output,
        rules.checksums.output,
        rules.provenance.output,
