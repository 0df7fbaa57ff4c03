# The demo: the exposures that demo/exposures.csv lists, simulated beside that table, and how many of
# their bad pixels were found.


rule truth:
    """Demo: the bad pixels of a detector."""
    output:
        "demo/exposures/truth_{detector}.fits",
    log:
        "logs/truth/{detector}.log",
    wildcard_constraints:
        detector="[a-z0-9]+",
    priority: 9
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_if_run("demo/truth"),
    shell:
        "selfcal truth --log {log} {wildcards.detector} {output}"


rule simulate:
    """Demo: an exposure."""
    input:
        collect(
            rules.truth.output,
            detector=lookup(dpath="{exposure}/detector", within=demo),
        ),
    output:
        "demo/exposures/{exposure}_rate.fits",
    log:
        "logs/simulate/{exposure}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code_if_run("demo/simulate"),
        scene=lookup(dpath="{exposure}", within=demo),
    shell:
        "selfcal simulate --detector {params.scene[detector]} --source {params.scene[source]}"
        " --offset {params.scene[offset]} --pedestal {params.scene[pedestal]}"
        " --seed {params.scene[seed]} --log {log} {input} {output}"


demo_stacks = [
    stack
    for stack, paths in exposures_of_stack.items()
    if all(path.startswith("demo/exposures/") for path in paths)
]


rule recall:
    """Demo: how many bad pixels were found."""
    input:
        minimum=collect(path_of("minimum"), stack=demo_stacks),
        flags=collect(path_of("threshold"), stack=demo_stacks),
        truth=collect(
            rules.truth.output, detector={scene["detector"] for scene in demo.values()}
        ),
    output:
        path_of("recall"),
    log:
        "logs/recall.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_if_run("demo/recall"),
    shell:
        "selfcal recall --log {log} {output} --truth {input.truth} --flags {input.flags}"
