# What is asked for by name, and is not part of a run: snakemake plan, prune, prune_delete


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
        cores=workflow.cores,
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
