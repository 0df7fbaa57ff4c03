"""The table of the figures of a stack."""

from collections import namedtuple

# label: in Snakemake's report; caption: on the page; vector: also written as SVG, as it has lines
# and no image. The text for Snakemake's report is in workflow/report/{name}.rst.
StackFigure = namedtuple("StackFigure", "name label caption vector", defaults=(False,))

FIGURES = (
    StackFigure("flags", "which pixels", "Flagged pixels on the minimum; two close-ups"),
    StackFigure("stages", "minimum, median, residual", "Minimum, median and residual"),
    StackFigure("histogram", "thresholds", "The residual and its thresholds", True),
    StackFigure(
        "tails", "against noise",
        "Pixels beyond a threshold, against those expected from noise; the cost of flags", True,
    ),
    StackFigure("cuts", "cuts", "Cuts along the dispersion through flagged pixels", True),
    StackFigure("places", "where they lie", "Where the flags lie on the detector", True),
    StackFigure("sources", "source of the minimum", "Which exposure sets the minimum"),
    StackFigure(
        "runs", "runs and lines",
        "Runs of adjacent flags, and flags that may follow an emission line",
    ),
    StackFigure("known", "known before", "Flags against the DQ that the exposure had", True),
)  # fmt: skip
