# The tables and the associations: seconds of work, so on a cluster they run where snakemake runs.

import json


localrules:
    generate,
    members,
    associate,
    summary,
    provenance,


# Before there is any association: asked for by name, and no part of a run.
rule generate:
    """associations/: an association for each exposure of a folder tree, and pool.csv."""
    log:
        "logs/generate.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=json.dumps(config),
    shell:
        "selfcal generate --config {params.config:q} 2> {log}"


rule members:
    """members.csv: which exposure has which role, in which stack."""
    output:
        RESULTS["members"],
    log:
        "logs/members.log",
    priority: 7  # first, as the page of a run that fails needs it
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/members"),
        config=json.dumps({key: config[key] for key in associations.MEMBERS_KEYS}),
        made=sorted(made),
        table=lambda wildcards: hash_text(members.to_csv(index=False)),
    shell:
        "selfcal members --config {params.config:q} --made {params.made}"
        " --expected {params.table} --output {output} 2> {log}"


# The folder below which results go, where this is a module with a prefix; "" else.
PREFIX = find_prefix(str(rules.members.output), "members")


rule associate:
    """An association that points to the flagged exposures, and its view."""
    input:
        association=lambda wildcards: user_files([association_path(wildcards)]),
        # Not ancient(): in a run that makes them again, Snakemake would not see that the
        # association itself has changed.
        folders=lambda wildcards: collect(
            rules.write_back.output,
            stack={*stacks_of_association[wildcards.association]} - {SKIPPED},
        ),
        skipped=lambda wildcards: skipped_of_association.get(wildcards.association, []),
    output:
        association=RESULTS["associate"],
        view=directory(RESULTS["view"]),
    log:
        "logs/associate/{association}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/associate"),
        association=association_path,
        content=lambda wildcards: hash_content(association_path(wildcards)),
        stacks=lambda wildcards: stacks_of_association[wildcards.association],
        others=lambda wildcards: others_of_association.get(wildcards.association, []),
        saved=saved,
        stages=[stage.name for stage in list_stages(config)],
    shell:
        "selfcal associate --stages {params.stages} --saved {params.saved}"
        " --stacks {params.stacks} -- {params.association:q} {output} {params.others:q} 2> {log}"


rule summary:
    """summary.csv: a row per product, from the headers of the results."""
    input:
        collect(rules.write_back.output, stack=stacks),
        skipped_exposures,
        members=rules.members.output,
        checksums=RESULTS["checksums"],
    output:
        RESULTS["summary"],
    log:
        "logs/summary.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/summary"),
    shell:
        "selfcal summary {input.members} {input.checksums} {output} 2> {log}"


# Reads every exposure: no local rule, and none that a change of the config runs again.
rule checksums:
    """checksums.csv: size and SHA-256 of each exposure."""
    input:
        user_files(path_of_exposure.values()),
        members=rules.members.output,
    output:
        RESULTS["checksums"],
    log:
        "logs/checksums.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=run_runtime,
    params:
        code=code("tables/checksums"),
        states=lambda wildcards: hash_states(sorted({*path_of_exposure.values()} - made)),
    shell:
        "selfcal checksums {input.members} {output} 2> {log}"


rule provenance:
    """provenance.json: versions, config, inputs."""
    input:
        user_files(association_files.values()),
        checksums=rules.checksums.output,
        members=rules.members.output,
    output:
        RESULTS["provenance"],
    log:
        "logs/provenance.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/provenance"),
        contents=lambda wildcards: [*map(hash_content, association_files.values())],
        config=json.dumps(config, sort_keys=True),
    shell:
        "selfcal provenance --config {params.config:q}"
        " {input.members} {input.checksums} {output} 2> {log}"
