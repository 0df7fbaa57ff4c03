# What is asked for by name, and is not part of a run: snakemake plan, prune, prune_delete, mask


localrules:
    plan,
    prune,
    prune_delete,


rule plan:
    """Say what a run would make, and whether there is room for it."""
    log:
        "logs/plan.log",
    conda:
        "../../envs/environment.yaml"
    params:
        planned=hand_over("members", rows),
        config=json.dumps(config),
        prefix=PREFIX,
        cores=lambda wildcards: workflow.cores,
    shell:
        "selfcal plan --log {log} --prefix '{params.prefix}' --cores {params.cores}"
        " --config {params.config:q} {params.planned}"


rule prune:
    """List the results that no association asks for any more; prune_delete deletes them."""
    log:
        "logs/prune.log",
    conda:
        "../../envs/environment.yaml"
    params:
        planned=hand_over("members", rows),
        prefix=PREFIX,
        delete="",
    shell:
        "selfcal prune --log {log} --prefix '{params.prefix}' {params.delete} {params.planned}"


use rule prune as prune_delete with:
    log:
        "logs/prune_delete.log",
    params:
        planned=hand_over("members", rows),
        prefix=PREFIX,
        delete="--delete",


rule mask:
    """A MASK reference file of each detector, from the flags of all its stacks."""
    input:
        collect(rules.minimum.output, stack=exposures_of_stack.index),
        collect(rules.median.output, stack=exposures_of_stack.index),
        collect(rules.threshold.output, stack=exposures_of_stack.index),
        rules.members.output,
    output:
        directory(path_of("mask")),
    log:
        "logs/mask.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
        runtime=all_runtime,
    params:
        code=code("tools/mask"),
        folders=[".", *config["mask_folders"]],
        share=config["mask_share"],
        merge=config["mask_merge"],
    shell:
        "selfcal mask --log {log} --share {params.share} {output} {params.folders:q}"
        " --merge {params.merge:q}"
