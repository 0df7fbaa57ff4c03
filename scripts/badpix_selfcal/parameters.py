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


# allowed: a function that reads it from a text, or the tuple of choices; tuned: whether the table
# of settings for the target tune has it.
Parameter = namedtuple("Parameter", "name stage default allowed card comment tuned help")

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
        "flagfrac_lower", "threshold", 0.001, fraction,
        card="BPXFRLO", comment="flagfrac_lower", tuned=True,
        help="fraction of the valid pixels to flag at the low end",
    ),
    Parameter(
        "flagfrac_upper", "threshold", 0.001, fraction,
        card="BPXFRHI", comment="flagfrac_upper", tuned=True,
        help="fraction of the valid pixels to flag at the high end",
    ),
)  # fmt: skip

# Column of a table of settings: card that has it in a stage's header.
SETTING = {p.name: p.card for p in PARAMETERS if p.tuned}


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


def words(stage, values):
    """Return the part of a stage's command line that sets its parameters; `values` by name."""
    return " ".join(f"{option_of(p.name)} {values[p.name]}" for p in of_stage(stage))


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
    """
    values = {**vars(arguments), **found}
    return [(p.card, values[p.name], p.comment) for p in of_stage(stage)]
