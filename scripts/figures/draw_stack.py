"""Draw the flags of a stack and why they were set; write the numbers, and regions for DS9."""

import os
import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.figure_table import FIGURES
from badpix_selfcal.flag_diagnostics import LONG
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_settings, format_title
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.save_figure import save_figure

from . import stack_maps, stack_plots
from .stack import Stack, add_inputs

DRAW = {**vars(stack_maps), **vars(stack_plots)}  # the function of each figure, draw_{name}
COUNTS = {  # by card
    "BPXNDHI": "outliers high, about",
    "BPXNLO": "flagged low",
    "BPXNHI": "flagged high",
    "BPXNEDGE": "of them at the edge",
    "BPXNRUN": f"of them in runs of {LONG} or more",
    "BPXNLINE": "of them maybe of an emission line",
    "BPXNFALS": "high ones on source structure, about",
}
TAGS = {HIGH: "color=orange tag={high}", LOW: "color=cyan tag={low}"}


def list_numbers(stack):
    """List the numbers of a stack for the captions: name and value, as reStructuredText."""
    header = stack.header
    unit = re.sub(r"[\\*_`|]", r"\\\g<0>", stack.unit)  # a header may hold what is markup there
    return [
        ("exposures", header["BPXNEXP"]),
        *((p.name, header[p.card]) for p in PARAMETERS if p.card in header),
        (f"noise [{unit}]", f"{stack.sigma:.5g}"),
        (f"low threshold [{unit}]", f"{header.get('BPXTHLO', np.nan):.5g}"),
        (f"high threshold [{unit}]", f"{header.get('BPXTHHI', np.nan):.5g}"),
        *((label, header[card]) for card, label in COUNTS.items() if card in header),
    ]


def format_regions(flags, wavelengths):
    """
    Format the flagged pixels as regions for DS9.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    wavelengths : ndarray of float32, [ny, nx]
        In micron, NaN where unknown.

    Returns
    -------
    text : str
        A box around each pixel, in image coordinates, which begin with 1.
    """
    lines = ["# Region file format: DS9 version 4.1", "image"]
    for y, x in np.argwhere(flags):
        wavelength = wavelengths[y, x]
        more = f" tag={{{wavelength:.4f} um}}" if wavelength > 0 else ""
        lines.append(f"box({x + 1},{y + 1},1,1,0) # {TAGS[int(flags[y, x])]}{more}")
    return "\n".join(lines) + "\n"


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    add_inputs(options)
    options.add_argument("folder", help="where to write the figures")
    options.add_argument("--noise", nargs="?", help="noise.fits, where threshold is sigma")
    return options


def main(arguments):
    """Write the figures, as PNG and some as SVG, ``numbers.csv`` and ``flags.reg``."""
    stack = Stack(arguments)
    n, stamp = stack.header["BPXNEXP"], {"ha": "right", "va": "top", "fontsize": 7, "color": "0.4"}
    heading = f"{format_title(stack.header)}: {n} exposure{'s' if n > 1 else ''}; {stack.target}"
    for name, size, *_, vector in FIGURES:
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        DRAW[f"draw_{name}"](figure, stack)
        figure.suptitle(f"{heading}\n{format_settings(stack.header)}", fontsize="medium")
        figure.text(0.995, 0.99, stack.header["BPXSTACK"], **stamp)
        for suffix in ("png", "svg") if vector else ("png",):
            save_figure(figure, os.path.join(arguments.folder, f"{name}.{suffix}"))
            figure.set_layout_engine("none")  # the layout is done, and takes as long as drawing
    numbers = pd.DataFrame(list_numbers(stack)).to_csv(index=False, header=False)
    write_text(os.path.join(arguments.folder, "numbers.csv"), numbers)
    regions = format_regions(stack.flags, stack.wavelengths)
    write_text(os.path.join(arguments.folder, "flags.reg"), regions)
