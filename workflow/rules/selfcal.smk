# The stages, in the order the data flow. Their parameters reach them through `params`, which
# Snakemake compares with those of the last run; `code` stands for the program itself.

used = parameters.effective(config)
by_noise = config["threshold"] == "sigma"


# Both hold disk_mb, so that its limit bounds the planes that lie around: a minimum comes first.
rule pedestal:
    """The planes of a stack, each less its residual pedestal."""
    input:
        exposures,
    output:
        temp(path_of("pedestal")),
    log:
        "logs/pedestal/{stack}.log",
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        disk_mb=stack_disk,
        runtime=stack_runtime,
    params:
        code=code("stages/pedestal"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal pedestal --stack={wildcards.stack} --log {log} --output {output}"
        " -- {params.exposures:q}"


rule minimum:
    """The minimum of the planes."""
    input:
        rules.pedestal.output,
    output:
        path_of("minimum"),
    log:
        "logs/minimum/{stack}.log",
    priority: 2
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        disk_mb=stack_disk,
        runtime=stack_runtime,
    params:
        code=code("stages/minimum"),
    shell:
        "selfcal minimum --log {log} {input} {output}"


rule unusable:
    """The pixels of no use in every exposure; in a run whose windows shrink alone."""
    input:
        exposures,
        minimum=rules.minimum.output,
    output:
        path_of("unusable"),
    log:
        "logs/unusable/{stack}.log",
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("stages/unusable"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal unusable --log {log} {input.minimum} {output} -- {params.exposures:q}"


rule median:
    """Its running median along the dispersion axis."""
    input:
        minimum=rules.minimum.output,
        # Where zeros lie beyond the edge, all is as in the reference, which does not look at DQ.
        unusable=rules.unusable.output if used["edge_mode"] == "shrink" else [],
    output:
        path_of("median"),
    log:
        "logs/median/{stack}.log",
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("stages/median"),
        parameters=parameters.words("median", used),
        unusable=lambda wildcards, input: (
            f"--unusable {input.unusable}" if input.unusable else ""
        ),
    shell:
        "selfcal median {params.parameters} {params.unusable} --log {log} {input.minimum} {output}"


rule noise:
    """The noise that differences are judged by; in a run with threshold: sigma alone."""
    input:
        rules.minimum.output,
        rules.median.output,
    output:
        path_of("noise"),
    log:
        "logs/noise/{stack}.log",
    priority: 4
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("stages/noise"),
    shell:
        "selfcal noise --log {log} {input} {output}"


rule threshold:
    """The flags: pixels that differ most from the median, or by more than their noise."""
    input:
        images=[rules.minimum.output[0], rules.median.output[0]],
        noise=rules.noise.output if by_noise else [],
    output:
        path_of("threshold"),
    log:
        "logs/threshold/{stack}.log",
    priority: 5
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("stages/threshold"),
        parameters=parameters.words("threshold", used),
        noise=lambda wildcards, input: f"--noise {input.noise}" if input.noise else "",
    shell:
        "selfcal threshold {params.parameters} {params.noise} --log {log} {input.images} {output}"


rule write_back:
    """An exposure with the flags of its stack."""
    input:
        exposures,
        flags=rules.threshold.output,
    output:
        path_of("write_back"),
    log:
        "logs/write_back/{stack}/{exposure}.log",
    priority: 6
    conda:
        "../../envs/environment.yaml"
    resources:
        # One exposure, 84 MB at most; by functions of it, thousands of jobs take longer to plan.
        mem_mb=700,
        runtime=5,
    params:
        code=code("stages/write_back"),
        exposure=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal write_back --log {log} -- {params.exposure:q} {input.flags} {output}"


rule skip:
    """A copy of an exposure that has nothing to calibrate from."""
    input:
        exposures,
    output:
        path_of("write_back", stack=SKIPPED),
    log:
        "logs/skip/{exposure}.log",
    priority: 6
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=10,
    params:
        code=code("stages/skip"),
        exposure=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal skip --log {log} -- {params.exposure:q} {output}"
