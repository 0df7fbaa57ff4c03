# What people look at, made when asked for: snakemake figures, snakemake report


localrules:
    report,


FIGURES = {
    "flags": "which pixels",
    "stages": "minimum, median, difference",
    "histogram": "thresholds",
    "tails": "against noise",
    "cuts": "cuts",
    "places": "where they lie",
    "sources": "whose minimum",
    "runs": "runs and lines",
    "known": "known before",
}


VECTORS = ("histogram", "tails", "cuts", "places", "known")  # as SVG, too


rule figures:
    """Draw every stack."""
    input:
        collect("results/figures/{stack}/flags.png", stack=exposures_of_stack.index),
        "results/figures/shared.png",


rule draw_stack:
    """Draw a stack: what was flagged and why; a region file for DS9."""
    input:
        images=[
            rules.minimum.output[0],
            rules.median.output[0],
            rules.threshold.output[0],
        ],
        exposure=shown_exposure,
        noise=rules.noise.output[0] if by_noise else [],
    output:
        [
            report(
                f"results/figures/{{stack}}/{name}.png",
                caption=f"../report/{name}.rst",
                category="Stacks",
                subcategory="{stack}",
                labels={"figure": label},
            )
            for name, label in FIGURES.items()
        ],
        collect("results/figures/{{stack}}/{name}.svg", name=VECTORS),
        "results/figures/{stack}/flags.reg",
        numbers="results/figures/{stack}/numbers.csv",
    log:
        "logs/draw_stack/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
    params:
        code=code_if_run("figures/draw_stack"),
        folder=subpath(output.numbers, parent=True),
        noise=lambda wildcards, input: f"--noise {input.noise}" if input.noise else "",
    shell:
        "selfcal draw_stack --log {log} {params.noise} {input.images} {input.exposure:q}"
        " {params.folder}"


rule draw_shared:
    """Compare the flags of the stacks of each detector."""
    input:
        collect(rules.threshold.output, stack=exposures_of_stack.index),
    output:
        table="results/figures/shared.csv",
        picture="results/figures/shared.png",
    log:
        "logs/draw_shared.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
    params:
        code=code_if_run("figures/draw_shared"),
    shell:
        "selfcal draw_shared --log {log} {input} --table {output.table}"
        " --picture {output.picture}"


rule blink:
    """Write the page on which the images of a stack are compared, and a thumbnail."""
    input:
        rules.minimum.output,
        rules.median.output,
        rules.threshold.output,
        shown_exposure,
        lambda wildcards: shown.loc[wildcards.stack, "flagged"],
    output:
        page=path_of("blink"),
        thumbnail=path_of("thumbnail"),
    log:
        "logs/blink/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
    params:
        code=code_if_run("figures/blink"),
        templates=folder_hash("figures/templates"),
    shell:
        "selfcal blink --log {log} {input:q} {output}"


rule report:
    """Write the page of the run, with all figures: results/report.html."""
    input:
        collect(rules.associate.output.association, association=association_files),
        collect(rules.blink.output, stack=exposures_of_stack.index),
        collect(rules.draw_stack.output.numbers, stack=exposures_of_stack.index),
        rules.draw_shared.output,
        members=rules.members.output,
        summary=rules.summary.output,
        provenance=rules.provenance.output,
        recall=rules.recall.output if demo_stacks else [],
    output:
        report(
            path_of("report"),
            caption="../report/report.rst",
            category="Page",
            labels={"figure": "all stacks, with their products"},
        ),
    log:
        "logs/report.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code_if_run("figures/report"),
        templates=folder_hash("figures/templates"),
        tuned=suggestions,
        recall=lambda wildcards, input: (
            f"--recall {input.recall}" if input.recall else ""
        ),
    shell:
        "selfcal report --log {log} --provenance {input.provenance} {params.recall}"
        " {input.members} {input.summary} {output}"
