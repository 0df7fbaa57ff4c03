from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.source_path("config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/selfcal.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/tools.smk"
include: "workflow/rules/status.smk"


rule all:
    """Flag the bad pixels of all associations: the run itself."""
    input:
        [collect(RESULTS[stage.name], stack=stacks) for stage in list_stages(config)],
        collect(rules.associate.output, association=association_files),
        collect(rules.write_back.output, stack=stacks),
        skipped_exposures,
        rules.members.output,
        rules.summary.output,
        rules.checksums.output,
        rules.provenance.output,
