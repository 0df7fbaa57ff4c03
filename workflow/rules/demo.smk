# The demo: the exposures that demo/exposures.csv lists, simulated beside that table.


rule simulate_bad_pixels:
    """Demo: the bad pixels of a detector."""
    output:
        "demo/exposures/truth_{detector}.fits",
    log:
        "logs/simulate_bad_pixels/{detector}.log",
    wildcard_constraints:
        detector="[a-z0-9]+",
    priority: 9
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("demo/simulate_bad_pixels"),
    shell:
        "selfcal simulate_bad_pixels {wildcards.detector} {output} 2> {log}"


rule simulate:
    """Demo: an exposure."""
    input:
        collect(
            rules.simulate_bad_pixels.output,
            detector=lookup(dpath="{exposure}/detector", within=demo),
        ),
    output:
        "demo/exposures/{exposure}_rate.fits",
    log:
        "logs/simulate/{exposure}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("demo/simulate"),
        scene=lookup(dpath="{exposure}", within=demo),
    shell:
        "selfcal simulate --detector {params.scene[detector]} --source {params.scene[source]}"
        " --offset {params.scene[offset]} --pedestal {params.scene[pedestal]}"
        " --seed {params.scene[seed]} {input} {output} 2> {log}"
