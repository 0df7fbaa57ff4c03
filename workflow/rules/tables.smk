# The tables and the associations: seconds of work, so on a cluster they run where snakemake runs.


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
        exposures=exposure_patterns,
        backgrounds=option_words("backgrounds"),
        selfcal_match=option_words("selfcal_match"),
        selfcal_days=config["selfcal_days"],
        selfcal_most=config["selfcal_most"],
        selfcal_programs=config["selfcal_programs"],
        from_associations=option_words("from_associations"),
        force_single="--force-single" if config["force_single"] else "",
    shell:
        "selfcal generate --log {log} {params.exposures:q} {params.backgrounds:q}"
        " {params.selfcal_match:q} --selfcal-days {params.selfcal_days}"
        " --selfcal-most {params.selfcal_most} --selfcal-programs {params.selfcal_programs}"
        " {params.from_associations:q} {params.force_single}"


rule members:
    """members.csv: which exposure plays which role, in which stack."""
    output:
        path_of("members"),
    log:
        "logs/members.log",
    priority: 7  # first, as the page of a run that fails needs it
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/members"),
        planned=hand_over("members", rows),
    shell:
        "selfcal members --log {log} {params.planned} {output}"


rule associate:
    """An association that points to the flagged exposures, and its view."""
    input:
        association=association_file,
        # Not ancient(), though only their being there matters: in a run that makes them again,
        # Snakemake would then not see that the association itself has changed.
        flagged=flagged_exposures,
    output:
        association=path_of("associate"),
        view=directory(path_of("view")),
    log:
        "logs/associate/{association}.log",
    priority: 7
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/associate"),
        association=association_path,
        content=association_content,
        stacks=stacks,
        noise="--noise" if by_noise else "",
        others=others,
        saved=saved_roles,
    shell:
        "selfcal associate --log {log} {params.noise} --stacks {params.stacks}"
        " --saved {params.saved} --others {params.others:q} -- {params.association:q} {output}"


rule summary:
    """summary.csv: what was flagged, a row per product."""
    input:
        # Without a name of their own, which would cost time by their number squared.
        list(flagged_science),
        members=rules.members.output,
        checksums=path_of("checksums"),
    output:
        path_of("summary"),
    log:
        "logs/summary.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/summary"),
    shell:
        "selfcal summary --log {log} {input.members} {input.checksums} {output}"


# Reads every exposure: no local rule, and none that a change of the config runs again.
rule checksums:
    """checksums.csv: size and SHA-256 of each exposure."""
    input:
        user_files(path_of_exposure.values()),
    output:
        path_of("checksums"),
    log:
        "logs/checksums.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=all_runtime,
    params:
        code=code("tables/checksums"),
        planned=hand_over("exposures", sorted(path_of_exposure.values())),
        states=lambda wildcards: inputs.states(path_of_exposure.values(), made),
    shell:
        "selfcal checksums --log {log} {params.planned} {output}"


rule provenance:
    """provenance.json: versions, config, inputs."""
    input:
        user_files(association_files.values()),
        checksums=rules.checksums.output,
    output:
        path_of("provenance"),
    log:
        "logs/provenance.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tables/provenance"),
        planned=hand_over("associations", sorted(association_files.values())),
        contents=lambda wildcards: inputs.contents(sorted(association_files.values())),
        config=json.dumps(
            {**config, "associations": names.workdir_patterns(config["associations"])},
            sort_keys=True,
        ),
    shell:
        "selfcal provenance --log {log} --config {params.config:q} --output {output}"
        " {input.checksums} {params.planned}"
