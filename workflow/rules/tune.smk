# Parameters chosen by evidence, on request: snakemake tune. Pixels of known strength are injected into
# the exposures of a stack, and each setting of the table is judged by how many of them it finds.

import tune_settings

INJECTIONS = range(1, 6)  # several, for error bars
TUNE = RESULTS["tune"]

tune_table = config["tune"] or workflow.source_path("../tune.csv")
settings = tune_settings.read_settings(tune_table, config_schema)


rule tune:
    """Compare settings by injection and recovery, for every stack."""
    input:
        collect(f"{TUNE}/cost.png", stack=stacks),


rule score:
    """Count what each setting finds of injected pixels, and its other flags."""
    input:
        exposures,
        images=[*images_to_show, RESULTS["excluded"]],
    output:
        f"{TUNE}/{{injection}}/score.csv",
    log:
        "logs/score/{stack}/{injection}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **stack_resources,
    params:
        code=code("tune/score"),
        axis=config["dispersion_axis"],
        settings=settings.to_json(orient="records"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal score --seed {wildcards.injection} --dispersion-axis {params.axis}"
        " --settings {params.settings:q} {input.images} {output}"
        " -- {params.exposures:q} 2> {log}"


rule draw_tune:
    """Draw what each setting finds, and suggest one."""
    input:
        rules.threshold.output,
        collect(rules.score.output, injection=INJECTIONS, allow_missing=True),
    output:
        *[
            report(
                f"{TUNE}/{name}.png",
                caption="../report/tune.rst",
                category="Tuning",
                subcategory="{stack}",
                labels={"figure": label},
            )
            for name, label in (
                ("recall_high", "high pixels by strength"),
                ("recall_low", "low pixels by strength"),
                ("cost", "found against false positives"),
            )
        ],
        recall=f"{TUNE}/recall.csv",
        suggestion=f"{TUNE}/suggestion.txt",
        settings=f"{TUNE}/settings.csv",
    log:
        "logs/draw_tune/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("tune/draw_tune"),
        folder=subpath(output.recall, parent=True),
    shell:
        "selfcal draw_tune --title {wildcards.stack} {params.folder} {input} 2> {log}"
