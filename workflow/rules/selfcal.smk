# The stages, in the order of the data. Their parameters reach them through `params`, which Snakemake
# compares with those of the last run; `code` stands for the program.

by_noise = config["threshold"] == "sigma"
shrink = used["edge_mode"] == "shrink"
# What figures, pages, tuning and masks read of a stack.
images_to_show = [RESULTS[stage] for stage in ("minimum", "median", "threshold")]


# Both hold disk_mb, so that its limit bounds the temporary planes: a minimum comes first.
rule pedestal:
    """The planes of a stack, each less its residual pedestal."""
    input:
        exposures,
    output:
        temp(RESULTS["pedestal"]),
    log:
        "logs/pedestal/{stack}.log",
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
        disk_mb=stack_disk,
    params:
        code=code("stages/pedestal"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal pedestal --stack={wildcards.stack} --output {output}"
        " -- {params.exposures:q} 2> {log}"


rule minimum:
    """The minimum of the planes."""
    input:
        rules.pedestal.output,
    output:
        RESULTS["minimum"],
    log:
        "logs/minimum/{stack}.log",
    priority: 2
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
        disk_mb=stack_disk,
    params:
        code=code("stages/minimum"),
        # Those of pedestal, too: Snakemake records them for a job that fails, and its output is gone.
        pedestal=code("stages/pedestal"),
        states=exposure_states,
    shell:
        "selfcal minimum {input} {output} 2> {log}"


rule excluded:
    """The pixels that are bad in every exposure; with edge_mode shrink or threshold sigma."""
    input:
        exposures,
        minimum=rules.minimum.output,
    output:
        RESULTS["excluded"],
    log:
        "logs/excluded/{stack}.log",
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
    params:
        code=code("stages/excluded"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal excluded {input.minimum} {output} -- {params.exposures:q} 2> {log}"


rule median:
    """The running median of the minimum along the dispersion axis."""
    input:
        minimum=rules.minimum.output,
        # With edge_mode zero, all is as in the reference, which does not read DQ.
        excluded=rules.excluded.output if shrink else [],
    output:
        RESULTS["median"],
    log:
        "logs/median/{stack}.log",
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
    params:
        code=code("stages/median"),
        parameters=parameters.format_options("median", used),
    shell:
        "selfcal median {params.parameters} --excluded {input.excluded}"
        " -- {input.minimum} {output} 2> {log}"


rule noise:
    """The noise of the residuals; with threshold sigma."""
    input:
        rules.minimum.output,
        rules.excluded.output,
        rules.median.output,
    output:
        RESULTS["noise"],
    log:
        "logs/noise/{stack}.log",
    priority: 4
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
    params:
        code=code("stages/noise"),
    shell:
        "selfcal noise {input} {output} 2> {log}"


rule repeats:
    """The pixels that come and go; with repeat_fraction."""
    input:
        rules.pedestal.output,
        rules.excluded.output,
        rules.median.output,
    output:
        RESULTS["repeats"],
    log:
        "logs/repeats/{stack}.log",
    priority: 4
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
        disk_mb=stack_disk,
    params:
        code=code("stages/repeats"),
        parameters=parameters.format_options("repeats", used),
    shell:
        "selfcal repeats {params.parameters} {input} {output} 2> {log}"


rule threshold:
    """The flags: pixels whose residual exceeds a threshold."""
    input:
        images=[rules.minimum.output[0], rules.median.output[0]],
        noise=rules.noise.output if by_noise else [],
        repeats=rules.repeats.output if used.get("repeat_fraction") else [],
    output:
        RESULTS["threshold"],
    log:
        "logs/threshold/{stack}.log",
    priority: 5
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
    params:
        code=code("stages/threshold"),
        parameters=parameters.format_options("threshold", used),
        repeats=parameters.format_options("repeats", used),
    shell:
        "selfcal threshold {params.parameters} {params.repeats} --noise {input.noise}"
        " --repeats {input.repeats} -- {input.images} {output} 2> {log}"


rule write_back:
    """The exposures of a stack with its flags."""
    input:
        exposures,
        flags=rules.threshold.output,
    output:
        directory(RESULTS["write_back"]),
    log:
        "logs/write_back/{stack}.log",
    priority: 6
    conda:
        "../../envs/environment.yaml"
    # Two exposures at a time for each core, as half of them wait for the disk: 3.4 instead of 4.3 s for
    # 64 of NIRSpec. More would need more memory; small stacks run side by side.
    threads: lambda wildcards: min(2, 1 + len(exposures_to_flag[wildcards.stack]) // 8)
    resources:
        **stack_resources,
    params:
        code=code("stages/write_back"),
        exposures=lambda wildcards: exposures_to_flag[wildcards.stack],
        states=exposure_states,
    shell:
        "selfcal write_back --threads $((2 * {threads})) {input.flags} {output}"
        " -- {params.exposures:q} 2> {log}"


rule mark_skipped:
    """A copy of an exposure without background or selfcal exposures."""
    input:
        lambda wildcards: user_files([exposure_path(wildcards)]),
    output:
        path_of("flagged", stack=SKIPPED),
    log:
        "logs/mark_skipped/{exposure}.log",
    priority: 6
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=10,
    params:
        code=code("stages/mark_skipped"),
        exposure=exposure_path,
        state=lambda wildcards: hash_states({exposure_path(wildcards)} - made),
    shell:
        "selfcal mark_skipped -- {params.exposure:q} {output} 2> {log}"
