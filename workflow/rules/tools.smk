# What is asked for by name, and no part of a run: snakemake plan, check, verify, mask, prune,
# prune_delete


localrules:
    plan,
    check,
    prune,
    prune_delete,


rule plan:
    """Say how large the results of a run are, and whether there is room for them."""
    input:
        rules.members.output,
    log:
        "logs/plan.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=json.dumps(config),
        cores=workflow.cores or 1,
    shell:
        "selfcal plan --cores {params.cores} --config {params.config:q} {input} 2> {log}"


rule check:
    """Say from the headers of the exposures whether a run would fail, before any work."""
    input:
        rules.members.output,
    log:
        "logs/check.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=json.dumps(config),
    shell:
        "selfcal check --config {params.config:q} {input} 2> {log}"


rule prune:
    """List the results that no association asks for any more; prune_delete deletes them."""
    input:
        rules.members.output,
    log:
        "logs/prune.log",
    conda:
        "../../envs/environment.yaml"
    params:
        delete="",
    shell:
        "selfcal prune {params.delete} {input} 2> {log}"


use rule prune as prune_delete with:
    log:
        "logs/prune_delete.log",
    params:
        delete="--delete",


rule mask:
    """A MASK reference file of each detector, from the flags of all its stacks."""
    input:
        collect(images_to_show, stack=stacks),
        members=rules.members.output,
    output:
        directory(RESULTS["mask"]),
    log:
        "logs/mask.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
        runtime=run_runtime,
    params:
        code=code("tools/mask"),
        min_fraction=config["mask_min_fraction"],
        runs=config["mask_runs"],
        merge=config["mask_merge"],
    shell:
        "selfcal mask --min-fraction {params.min_fraction} --runs {params.runs:q}"
        " --merge {params.merge:q} -- {input.members} {output} 2> {log}"


# No results are inputs, and no job makes them: what is stale is to be found, not made again.
rule verify:
    """Prove that the results are what today's inputs give."""
    log:
        "logs/verify.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores or 1
    resources:
        mem_mb=lambda wildcards, attempt, threads: attempt * threads * 1000,
        runtime=run_runtime,
    params:
        config=json.dumps(config),
        prefix=PREFIX,
    shell:
        "selfcal verify --threads {threads} --prefix={params.prefix:q}"
        " --config {params.config:q} 2> {log}"
