# The stages, in the order the data flow. Their parameters reach them through `params`, which
# Snakemake compares with those of the last run; `code` stands for the program itself.


rule pedestal:
    input:
        exposures,
    output:
        temp("results/stacks/{stack}/pedestal.fits"),
    log:
        "logs/pedestal/{stack}.log",
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("pedestal"),
    shell:
        "pedestal.py --stack={wildcards.stack} --log {log} --output {output} {input:q}"


rule minimum:
    input:
        rules.pedestal.output,
    output:
        "results/stacks/{stack}/minimum.fits",
    log:
        "logs/minimum/{stack}.log",
    priority: 2
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("minimum"),
    shell:
        "minimum.py --log {log} {input} {output}"


rule median:
    input:
        rules.minimum.output,
    output:
        "results/stacks/{stack}/median.fits",
    log:
        "logs/median/{stack}.log",
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("median"),
        kernel_size=config["kernel_size"],
        edge_mode=config["edge_mode"],
        dispersion_axis=config["dispersion_axis"],
    shell:
        "median.py --kernel-size {params.kernel_size} --edge-mode {params.edge_mode}"
        " --dispersion-axis {params.dispersion_axis} --log {log} {input} {output}"


rule threshold:
    input:
        rules.minimum.output,
        rules.median.output,
    output:
        "results/stacks/{stack}/flags.fits",
    log:
        "logs/threshold/{stack}.log",
    priority: 4
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("threshold"),
        flagfrac_lower=config["flagfrac_lower"],
        flagfrac_upper=config["flagfrac_upper"],
    shell:
        "threshold.py --flagfrac-lower {params.flagfrac_lower}"
        " --flagfrac-upper {params.flagfrac_upper} --log {log} {input} {output}"


rule write_back:
    input:
        exposure,
        rules.threshold.output,
    output:
        "results/flagged/{stack}/{exposure}_badpix_selfcal.fits",
    log:
        "logs/write_back/{stack}/{exposure}.log",
    priority: 5
    conda:
        "../../envs/environment.yaml"
    resources:
        # One exposure, 84 MB at most; by functions of it, thousands of jobs take longer to plan.
        mem_mb=700,
        runtime=5,
    params:
        code=code("write_back"),
    shell:
        "write_back.py --log {log} {input:q} {output}"


rule skip:
    input:
        exposure,
    output:
        "results/flagged/skipped/{exposure}_badpix_selfcal.fits",
    log:
        "logs/skip/{exposure}.log",
    priority: 5
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=700,
        runtime=10,
    params:
        code=code("skip"),
    shell:
        "skip.py --log {log} {input:q} {output}"
