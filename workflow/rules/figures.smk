# Pictures of what was flagged, made when asked for: snakemake figures


rule figures:
    input:
        collect("results/figures/{stack}/flags.png", stack=exposures_of_stack.index),


rule draw_flags:
    input:
        rules.minimum.output,
        rules.threshold.output,
    output:
        "results/figures/{stack}/flags.png",
    log:
        "logs/draw_flags/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code("draw_flags"),
    shell:
        "draw_flags.py --log {log} {input} {output}"
