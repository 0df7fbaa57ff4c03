# Parameters chosen by evidence, on request: snakemake tune. Pixels of known strength are injected into
# the exposures of a stack, and each setting of the table is judged by how many of them it finds.

from snakemake.utils import Paramspace

INJECTIONS = range(1, 6)  # several, for error bars

tune_table = config["tune"] or workflow.source_path("../tune.csv")
settings = validate_inputs.read_settings(tune_table, config_schema)
# Settings with the same parameters of the median share it.
of_median = [p.name for p in parameters.stage_parameters("median") if p.tuned]
n_others = len(settings.columns) - len(of_median)
medians = Paramspace(settings[of_median].drop_duplicates())
flags = Paramspace(settings)
# Wildcards in place of values: each job has those of its own setting.
setting = {name: f"{{{name}}}" for name in settings}
TUNE = RESULTS["tune"]
TUNED = f"{TUNE}/{{injection}}"


rule tune:
    """Compare settings by injection and recovery, for every stack."""
    input:
        collect(f"{TUNE}/cost.png", stack=stacks),


rule inject:
    input:
        rules.minimum.output,
        rules.median.output,
        rules.threshold.output,
    output:
        temp(f"{TUNED}/added.fits"),
    log:
        "logs/inject/{stack}/{injection}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("tune/inject"),
    shell:
        "selfcal inject --seed {wildcards.injection} --log {log} {input} {output}"


rule tune_pedestal:
    input:
        exposures=exposures,
        added=rules.inject.output,
    output:
        temp(f"{TUNED}/pedestal.fits"),
    log:
        "logs/tune_pedestal/{stack}/{injection}.log",
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("stages/pedestal"),
        exposures=exposure_paths,
        states=exposure_states,
    shell:
        "selfcal pedestal --stack={wildcards.stack} --add {input.added} --log {log}"
        " --output {output} -- {params.exposures:q}"


use rule minimum as tune_minimum with:
    input:
        rules.tune_pedestal.output,
    output:
        temp(f"{TUNED}/minimum.fits"),
    log:
        "logs/tune_minimum/{stack}/{injection}.log",


use rule median as tune_median with:
    input:
        minimum=rules.tune_minimum.output,
        excluded=branch(
            evaluate("{edge_mode} == 'shrink'"),
            then=rules.excluded.output[0],
            otherwise=[],
        ),
    output:
        temp(f"{TUNED}/{medians.wildcard_pattern}/median.fits"),
    log:
        f"logs/tune_median/{{stack}}/{{injection}}/{medians.wildcard_pattern}.log",
    params:
        code=code("stages/median"),
        parameters=parameters.format_options("median", {**config, **setting}),
        excluded=lambda wildcards, input: (
            f"--excluded {input.excluded}" if input.excluded else ""
        ),


use rule noise as tune_noise with:
    input:
        rules.tune_minimum.output,
        rules.excluded.output,
        rules.tune_median.output,
    output:
        temp(f"{TUNED}/{medians.wildcard_pattern}/noise.fits"),
    log:
        f"logs/tune_noise/{{stack}}/{{injection}}/{medians.wildcard_pattern}.log",


use rule threshold as tune_threshold with:
    input:
        images=[rules.tune_minimum.output[0], rules.tune_median.output[0]],
        noise=branch(
            evaluate("{threshold} == 'sigma'"),
            then=rules.tune_noise.output[0],
            otherwise=[],
        ),
    output:
        temp(f"{TUNED}/{flags.wildcard_pattern}/flags.fits"),
    log:
        f"logs/tune_threshold/{{stack}}/{{injection}}/{flags.wildcard_pattern}.log",
    params:
        code=code("stages/threshold"),
        parameters=parameters.format_options("threshold", {**config, **setting}),
        noise=lambda wildcards, input: f"--noise {input.noise}" if input.noise else "",
        repeats="",


rule score:
    input:
        added=rules.inject.output,
        minimum=rules.tune_minimum.output,
        medians=[
            f"{TUNED}/{pattern.rsplit('/', n_others)[0]}/median.fits"
            for pattern in flags.instance_patterns
        ],
        flags=[f"{TUNED}/{pattern}/flags.fits" for pattern in flags.instance_patterns],
    output:
        f"{TUNED}/score.csv",
    log:
        "logs/score/{stack}/{injection}.log",
    priority: 5
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=stack_memory,
        runtime=stack_runtime,
    params:
        code=code("tune/score"),
    shell:
        "selfcal score --log {log} {input.added} {input.minimum} {output}"
        " --medians {input.medians} --flags {input.flags}"


rule draw_tune:
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
    resources:
        mem_mb=1000,
    params:
        code=code("tune/draw_tune"),
        folder=subpath(output.recall, parent=True),
    shell:
        "selfcal draw_tune --title {wildcards.stack} --log {log} {params.folder} {input}"
