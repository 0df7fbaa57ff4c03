"""The table of the figures of a stack."""

from collections import namedtuple

# size: in inches; label: in Snakemake's report, with the text in workflow/report/{name}.rst;
# caption: on the page; vector: also written as SVG, as it has lines and no image.
StackFigure = namedtuple("StackFigure", "name size label caption vector", defaults=(False,))

FIGURES = (
    StackFigure("flags", (13.5, 8), "which pixels", "Flagged pixels on the minimum; two close-ups"),
    StackFigure("stages", (14, 8.2), "minimum, median, residual", "Minimum, median and residual"),
    StackFigure(
        "histogram", (14, 5), "thresholds",
        "The residual, its thresholds, and the residual in units of the noise", True,
    ),
    StackFigure("cuts", (12, 7), "cuts", "Cuts along the dispersion through flagged pixels", True),
    StackFigure("places", (15, 4.8), "where they lie", "Where the flags lie on the detector", True),
    StackFigure("sources", (15, 5), "source of the minimum", "Which exposure sets the minimum"),
    StackFigure(
        "runs", (13, 6), "runs and lines",
        "Runs of adjacent flags, and flags that may follow an emission line",
    ),
)  # fmt: skip
