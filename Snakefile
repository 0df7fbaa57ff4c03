from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.source_path("config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/selfcal.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


rule all:
    input:
        collect(
            "results/associations/{association}.json", association=association_files
        ),
        rules.summary.output,
