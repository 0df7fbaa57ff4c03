"""
The table of the parameters of the stages.

The programs' options, the header cards, the columns of summary.csv and of the tuning tables, and
the params of the rules come from it. config.yaml and its schema repeat it for users; a test
compares them.
"""

import argparse
from collections import namedtuple


def up_to(most):
    """Return a function that reads a fraction from 0 to `most`."""

    def fraction(text):
        value = float(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between 0 and {most}")
        return value

    return fraction


def kernel(text):
    """Read a kernel size: an odd number of pixels, 1 to 9999."""
    value = int(text)
    if not 1 <= value <= 9999 or value % 2 == 0:
        raise argparse.ArgumentTypeError(f"{text} is not an odd number of pixels, 1 to 9999")
    return value


def positive(text):
    """Read a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


# allowed: a function that reads it from text, or a tuple of choices; tuned: whether it is a column
# of the table of settings for the target tune; of: the threshold that uses it, None for both.
Parameter = namedtuple(
    "Parameter", "name stage default allowed card comment tuned help of", defaults=(None,)
)

PARAMETERS = (
    Parameter(
        "kernel_size", "median", 15, kernel,
        card="BPXKERN", comment="[pixel] kernel_size of the median", tuned=True,
        help="length of the window in pixels, odd",
    ),
    Parameter(
        "edge_mode", "median", "zero", ("zero", "shrink"),
        card="BPXEDGE", comment="edge_mode of the median", tuned=True,
        help="beyond the image, the window finds zeros, as in the reference, or nothing",
    ),
    Parameter(
        "dispersion_axis", "median", "auto", ("auto", "1", "2"),
        card="BPXAXIS", comment="dispersion axis of the median", tuned=False,
        help="1: along x, 2: along y, auto: by DISPAXIS, else EXP_TYPE",
    ),
    Parameter(
        "threshold", "threshold", "fraction", ("fraction", "sigma"),
        card="BPXTHRES", comment="threshold: a fraction of the pixels, or n sigma", tuned=True,
        help="flag a fraction of the pixels, as the reference, or those beyond n sigma",
    ),
    Parameter(
        "flagfrac_lower", "threshold", 0.001, up_to(0.5),
        card="BPXFRLO", comment="flagfrac_lower", tuned=True,
        help="fraction of the valid pixels to flag at the low end", of="fraction",
    ),
    Parameter(
        "flagfrac_upper", "threshold", 0.001, up_to(0.5),
        card="BPXFRHI", comment="flagfrac_upper", tuned=True,
        help="fraction of the valid pixels to flag at the high end", of="fraction",
    ),
    Parameter(
        "nsigma_lower", "threshold", 7.0, positive,
        card="BPXNSLO", comment="nsigma_lower", tuned=True,
        help="with threshold sigma: multiple of the noise below the median", of="sigma",
    ),
    Parameter(
        "nsigma_upper", "threshold", 5.0, positive,
        card="BPXNSHI", comment="nsigma_upper", tuned=True,
        help="with threshold sigma: multiple of the noise above the median", of="sigma",
    ),
    Parameter(
        "repeat_fraction", "repeats", 0.0, up_to(1),
        card="BPXREPFR", comment="repeat_fraction", tuned=False,
        help="with threshold sigma: flag pixels that are high in this fraction of the exposures",
        of="sigma",
    ),
)  # fmt: skip

# Column of a table of settings: card that has it in a stage's header.
SETTING = {p.name: p.card for p in PARAMETERS if p.tuned}
# Columns that the table may lack.
OPTIONAL = ("threshold", *(p.name for p in PARAMETERS if p.tuned and p.of == "sigma"))


def stage_parameters(stage):
    """List the parameters of a stage."""
    return [p for p in PARAMETERS if p.stage == stage]


def option_of(name):
    """Return the option of a parameter on a command line."""
    return f"--{name.replace('_', '-')}"


def used_parameters(values):
    """
    Return the parameters that are used.

    Parameters
    ----------
    values : dict
        All parameters by name.

    Returns
    -------
    values : dict
        Without those of the other threshold; with threshold sigma, edge_mode is shrink.
    """
    unused = {p.name for p in PARAMETERS if p.of and p.of != values["threshold"]}
    edge = {"edge_mode": "shrink"} if values["threshold"] == "sigma" else {}
    return {name: value for name, value in {**values, **edge}.items() if name not in unused}


def format_options(stage, values):
    """Return the part of a stage's command line that sets its parameters; `values` by name."""
    return " ".join(
        f"{option_of(p.name)} {values[p.name]}" for p in stage_parameters(stage) if p.name in values
    )


def parameter_cards(stage, values, **found):
    """
    Return the header cards of a stage's parameters.

    Parameters
    ----------
    stage : str
    values : dict
        By the parameter's name.
    **found
        Values that the stage found for "auto".

    Returns
    -------
    cards : list of (keyword, value, comment)
        Of the parameters that are used.
    """
    values = {**values, **found}
    return [
        (p.card, values[p.name], p.comment)
        for p in stage_parameters(stage)
        if not p.of or p.of == values.get("threshold")
    ]
