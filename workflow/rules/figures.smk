# Pictures of what was flagged and the report's first page, made when asked for: snakemake figures


localrules:
    overview,


FIGURES = {
    "flags": "which pixels",
    "stages": "minimum, median, difference",
    "histogram": "thresholds",
    "cuts": "cuts",
    "places": "where they lie",
    "fractions": "other fractions",
    "sources": "whose minimum",
    "runs": "runs and lines",
}


VECTORS = ("histogram", "cuts", "places", "fractions")  # as SVG, too


rule figures:
    """Draw every stack."""
    input:
        collect("results/figures/{stack}/flags.png", stack=exposures_of_stack.index),
        "results/report/overview.rst",


rule draw_stack:
    """The figures of a stack."""
    input:
        images=[
            rules.minimum.output[0],
            rules.median.output[0],
            rules.threshold.output[0],
        ],
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
        numbers="results/figures/{stack}/numbers.csv",
    log:
        "logs/draw_stack/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code("figures/draw_stack"),
        folder=subpath(output.numbers, parent=True),
        noise=lambda wildcards, input: f"--noise {input.noise}" if input.noise else "",
    shell:
        "selfcal draw_stack --log {log} {params.noise} {input.images} {params.folder}"


# The first page of the report.
rule overview:
    """The first page of the report."""
    input:
        members=rules.members.output,
        summary=rules.summary.output,
        recall=rules.recall.output if demo_stacks else [],
    output:
        page="results/report/overview.rst",
        products="results/report/products.csv",
        warnings="results/report/warnings.csv",
    log:
        "logs/overview.log",
    conda:
        "../../envs/environment.yaml"
    params:
        code=code("figures/overview"),
        recall=lambda wildcards, input: (
            f"--recall {input.recall}" if input.recall else ""
        ),
    shell:
        "selfcal overview --log {log} {params.recall} {input.members} {input.summary}"
        " {output.page}"
