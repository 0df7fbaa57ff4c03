# What is asked for by name, and is not part of a run: snakemake plan, check, verify, mask, prune, prune_delete


localrules:
    plan,
    prune,
    prune_delete,
    verify,
    check,


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
        disk_mb=internals.limit_of(workflow, "disk_mb") or 0,
    shell:
        "selfcal plan --log {log} --prefix '{params.prefix}' --cores {params.cores}"
        " --disk-mb {params.disk_mb}"
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
        saved=saved_roles,
        delete="",
    shell:
        "selfcal prune --log {log} --prefix '{params.prefix}' {params.delete} {params.planned}"
        " --saved {params.saved}"


use rule prune as prune_delete with:
    log:
        "logs/prune_delete.log",
    params:
        planned=hand_over("members", rows),
        prefix=PREFIX,
        saved=saved_roles,
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
        code=code_if_run("tools/mask"),
        folders=[".", *config["mask_folders"]],
        share=config["mask_share"],
        merge=config["mask_merge"],
    shell:
        "selfcal mask --log {log} --share {params.share} {output} {params.folders:q}"
        " --merge {params.merge:q}"


rule check:
    """Say from the headers of the exposures whether a run would fail, before any work."""
    log:
        "logs/check.log",
    conda:
        "../../envs/environment.yaml"
    params:
        planned=hand_over("members", rows),
        output=path_of("check"),
    shell:
        "selfcal check --log {log} {params.planned} {params.output}"


# ---- verify: no results are inputs, as those that are stale are to be found, not made again ----


rule verify_stack:
    """Make a stack again, and compare."""
    output:
        temp(path_of("verify_stack")),
    log:
        "logs/verify_stack/{stack}.log",
    wildcard_constraints:
        stack=rf"[A-Za-z0-9._+-]*-[0-9a-f]{{12}}|{SKIPPED}",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        planned=verified,
        prefix=PREFIX,
        asked=inputs.PLANNED,  # each time anew
        parameters=" ".join(
            parameters.words(stage, used) for stage in ("median", "threshold")
        ),
    shell:
        "selfcal verify_stack --stack={wildcards.stack} {params.parameters} --log {log}"
        " --prefix '{params.prefix}' {params.planned} {output}"


rule verify_models:
    """Open flagged exposures under strict validation."""
    output:
        temp(path_of("verify_models")),
    log:
        "logs/verify_models/{part}.log",
    wildcard_constraints:
        part=r"\d+",
    priority: 1  # it may take longest, so it begins first
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        planned=opened_strictly,
        asked=inputs.PLANNED,
    shell:
        "selfcal verify_models --log {log} {params.planned} {output}"


rule verify_tables:
    """Make tables, associations and links again, and compare."""
    output:
        temp(path_of("verify_tables")),
    log:
        "logs/verify_tables.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        runtime=all_runtime,
    params:
        asked=inputs.PLANNED,
        noise="--noise" if by_noise else "",
        prefix=PREFIX,
        saved=saved_roles,
        members=hand_over("members", rows),
        exposures=hand_over("exposures", sorted(path_of_exposure.values())),
        associations=lambda wildcards: hand_over(
            "associations",
            [
                [
                    path,
                    name,
                    list(stacks_of_association[name]),
                    list(others_of_association.get(name, [])),
                ]
                for name, path in association_files.items()
            ],
        ),
    shell:
        "selfcal verify_tables --log {log} --prefix '{params.prefix}' {params.noise}"
        " --saved {params.saved} -- {params.members} {params.exposures}"
        " {params.associations} {output}"


rule verify:
    """Prove that the results are what today's inputs make."""
    input:
        collect(path_of("verify_stack"), stack=flagged_of_stack),
        collect(path_of("verify_models"), part=range(-(-len(flagged_pairs) // MODELS))),
        rules.verify_tables.output,
    log:
        "logs/verify.log",
    conda:
        "../../envs/environment.yaml"
    params:
        prefix=PREFIX,
    shell:
        "selfcal verify --log {log} --prefix '{params.prefix}' {input}"
