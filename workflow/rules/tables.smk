# The tables and the associations: seconds of work, so on a cluster they run where snakemake runs.


localrules:
    members,
    associate,
    summary,
    provenance,


rule members:
    input:
        list(association_files.values()),
    output:
        "results/members.csv",
    log:
        "logs/members.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("members"),
        # By their patterns, as ten thousand paths do not fit a command line.
        associations=_names.tidy_patterns(config["associations"]),
        force_single="--force-single" if config["force_single"] else "",
    shell:
        "members.py --log {log} {params.force_single} {params.associations:q} {output}"


rule associate:
    input:
        association=association_file,
        # Not ancient(), though only their being there matters: in a run that makes them again,
        # Snakemake would then not see that the association itself has changed.
        flagged=flagged_exposures,
    output:
        association="results/associations/{association}.json",
        view=directory("results/by_association/{association}"),
    log:
        "logs/associate/{association}.log",
    priority: 6
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("associate"),
        stacks=stacks,
    shell:
        "associate.py --log {log} {input.association:q} {output} --stacks {params.stacks}"


rule summary:
    input:
        # Without a name of their own, which would cost time by their number squared.
        list(flagged_science),
        members=rules.members.output,
    output:
        "results/summary.csv",
    log:
        "logs/summary.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("summary"),
    shell:
        "summary.py --log {log} {input.members} {output}"


# Reads every exposure: no local rule, and none that a change of the config runs again.
rule checksums:
    input:
        list(path_of_exposure.values()),
    output:
        "results/checksums.csv",
    log:
        "logs/checksums.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=all_runtime,
    params:
        code=code("checksums"),
        associations=_names.tidy_patterns(config["associations"]),
    shell:
        "checksums.py --log {log} {params.associations:q} {output}"


rule provenance:
    input:
        list(association_files.values()),
        checksums=rules.checksums.output,
    output:
        "results/provenance.json",
    log:
        "logs/provenance.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("provenance"),
        associations=_names.tidy_patterns(config["associations"]),
        config=json.dumps(
            {**config, "associations": _names.tidy_patterns(config["associations"])},
            sort_keys=True,
        ),
    shell:
        "provenance.py --log {log} --config {params.config:q} --output {output}"
        " {input.checksums} {params.associations:q}"
