# What is asked for by name, and is not part of a run: snakemake plan, prune, prune_delete


localrules:
    plan,
    prune,
    prune_delete,


rule plan:
    log:
        "logs/plan.log",
    conda:
        "../../envs/environment.yaml"
    params:
        snakefile=workflow.main_snakefile,
        config=json.dumps(config),
    shell:
        "plan.py --log {log} --snakefile {params.snakefile:q} --config {params.config:q}"


rule prune:
    log:
        "logs/prune.log",
    conda:
        "../../envs/environment.yaml"
    params:
        associations=_names.tidy_patterns(config["associations"]),
        options=["--force-single"] if config["force_single"] else [],
    shell:
        "prune.py --log {log} {params.options} {params.associations:q}"


use rule prune as prune_delete with:
    log:
        "logs/prune_delete.log",
    params:
        associations=_names.tidy_patterns(config["associations"]),
        options=["--delete"] + (["--force-single"] if config["force_single"] else []),
