# Pictures of what was flagged, made when asked for: snakemake figures

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


def figure_of_stack(name):
    """Return the path of a stack's figure, with its place in the report."""
    return report(
        f"results/figures/{{stack}}/{name}.png",
        caption=f"../report/{name}.rst",
        category="Stacks",
        subcategory="{stack}",
        labels={"figure": FIGURES[name]},
    )


rule figures:
    input:
        collect("results/figures/{stack}/flags.png", stack=exposures_of_stack.index),


rule draw_stack:
    input:
        rules.minimum.output,
        rules.median.output,
        rules.threshold.output,
    output:
        [figure_of_stack(name) for name in FIGURES],
        numbers="results/figures/{stack}/numbers.csv",
    log:
        "logs/draw_stack/{stack}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
    params:
        code=code("draw_stack"),
        folder="results/figures/{stack}",
    shell:
        "draw_stack.py --log {log} {input} {params.folder}"
