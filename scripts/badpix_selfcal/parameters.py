"""
The parameters of the stages, one table of them.

From it come the programs' options, the cards in the headers, the columns of summary.csv and of the
tuning tables, and what the rules pass on. config.yaml and its schema say the same to the user; a
test compares them.
"""

import argparse
from collections import namedtuple


def fraction(text):
    """Read a fraction of pixels: 0 to 0.5 (the range of the reference's ``flagfrac_*``)."""
    value = float(text)
    if not 0 <= value <= 0.5:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 0.5")
    return value


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


# allowed: a function that reads it from a text, or the tuple of choices; tuned: whether the table
# of settings for the target tune has it; of: the threshold that it belongs to, None for both.
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
        help="what the window finds beyond the image: zeros, as in the reference, or nothing",
    ),
    Parameter(
        "dispersion_axis", "median", "auto", ("auto", "1", "2"),
        card="BPXAXIS", comment="dispersion axis of the median, 0: both", tuned=False,
        help="1: along x, 2: along y, auto: by DISPAXIS, else EXP_TYPE",
    ),
    Parameter(
        "threshold", "threshold", "fraction", ("fraction", "sigma"),
        card="BPXTHRES", comment="threshold: a fraction of the pixels, or n sigma", tuned=True,
        help="flag a fraction of the pixels, as the reference, or those beyond n times the noise",
    ),
    Parameter(
        "flagfrac_lower", "threshold", 0.001, fraction,
        card="BPXFRLO", comment="flagfrac_lower", tuned=True,
        help="fraction of the valid pixels to flag at the low end", of="fraction",
    ),
    Parameter(
        "flagfrac_upper", "threshold", 0.001, fraction,
        card="BPXFRHI", comment="flagfrac_upper", tuned=True,
        help="fraction of the valid pixels to flag at the high end", of="fraction",
    ),
    Parameter(
        "nsigma_lower", "threshold", 7.0, positive,
        card="BPXNSLO", comment="nsigma_lower", tuned=True,
        help="with threshold sigma: flag what lies so many times the noise below the median",
        of="sigma",
    ),
    Parameter(
        "nsigma_upper", "threshold", 5.0, positive,
        card="BPXNSHI", comment="nsigma_upper", tuned=True,
        help="with threshold sigma: flag what lies so many times the noise above the median",
        of="sigma",
    ),
)  # fmt: skip

# Column of a table of settings: card that has it in a stage's header.
SETTING = {p.name: p.card for p in PARAMETERS if p.tuned}
SIGMA = ("threshold", *(p.name for p in PARAMETERS if p.of == "sigma"))  # what sigma added to it


def of_stage(stage):
    """List the parameters of a stage."""
    return [p for p in PARAMETERS if p.stage == stage]


def add_options(options, stage):
    """Add the parameters of a stage to its argument parser."""
    for p in of_stage(stage):
        kind = {"choices": p.allowed} if isinstance(p.allowed, tuple) else {"type": p.allowed}
        options.add_argument(option_of(p.name), default=p.default, help=p.help, **kind)


def option_of(name):
    """Return the option of a parameter on a command line."""
    return f"--{name.replace('_', '-')}"


def effective(values):
    """
    Return parameters as they take effect.

    Parameters
    ----------
    values : dict
        All parameters by name.

    Returns
    -------
    values : dict
        Without those that the chosen threshold does not ask for; with threshold sigma, windows
        shrink whatever edge_mode says.
    """
    left_out = {p.name for p in PARAMETERS if p.of and p.of != values["threshold"]}
    edge = {"edge_mode": "shrink"} if values["threshold"] == "sigma" else {}
    return {name: value for name, value in {**values, **edge}.items() if name not in left_out}


def words(stage, values):
    """Return the part of a stage's command line that sets its parameters; `values` by name."""
    return " ".join(
        f"{option_of(p.name)} {values[p.name]}" for p in of_stage(stage) if p.name in values
    )


def cards(stage, arguments, **found):
    """
    Return the header cards that tell a stage's parameters.

    Parameters
    ----------
    stage : str
    arguments : argparse.Namespace
        The parsed command line.
    **found
        What the stage found in place of what it was told, by the parameter's name.

    Returns
    -------
    cards : list of (keyword, value, comment)
        Of the parameters that take effect.
    """
    values = {**vars(arguments), **found}
    return [
        (p.card, values[p.name], p.comment)
        for p in of_stage(stage)
        if not p.of or p.of == values["threshold"]
    ]
