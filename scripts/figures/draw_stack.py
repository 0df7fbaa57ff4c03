"""Draw the flags of a stack and why they were set; write the numbers, and regions for DS9."""

import csv
import os
import re

import numpy as np
from matplotlib.figure import Figure

from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.figure_table import FIGURES
from badpix_selfcal.fits_io import read_dq, read_image
from badpix_selfcal.flag_diagnostics import LONG
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_settings, format_title
from badpix_selfcal.median import subtract_median
from badpix_selfcal.parameters import stage_parameters
from badpix_selfcal.robust_stats import measure_scatter
from badpix_selfcal.save_figure import save_figure
from badpix_selfcal.wavelengths import read_wavelengths

from .stack_maps import MAPS
from .stack_plots import PLOTS

DRAW = {**MAPS, **PLOTS}


class Stack:
    """
    What the figures show of a stack: images [ny, nx], the header of its flags, DQ of an exposure.

    `scaled` was compared with `thresholds`: the residual, or with threshold sigma the residual over
    the noise. `band` has the thresholds of each pixel, in the units of the residual.
    """

    def __init__(self, minimum, median, flags, exposure, noise=None):
        self.minimum, _ = read_image(minimum)
        self.source, _ = read_image(minimum, "SOURCE")
        self.median, _ = read_image(median)
        self.flags, self.header = read_image(flags)
        self.exposure, self.dq = os.path.basename(exposure), read_dq(exposure)
        shape = self.flags.shape
        if self.dq.shape != shape:
            raise InputError(f"{exposure}: not of shape {shape}; give an exposure of the stack")
        self.residual = subtract_median(self.minimum, self.median)
        self.sigma = measure_scatter(self.residual)
        self.axis, self.unit = self.header["BPXAXIS"], self.header.get("BUNIT", "unknown unit")
        self.sigma_threshold, scale = bool(noise), 1
        self.scaled, self.scaled_unit = self.residual, self.unit
        self.scaled_name, self.cut_name = f"minimum - median [{self.unit}]", "flagfrac"
        cards, self.thresholds = "BPXFR", self.read_cards("BPXTH")
        if noise:
            scale, _ = read_image(noise)
            self.scaled, self.scaled_unit = self.residual / scale, "times the noise"
            self.scaled_name, self.cut_name = "(minimum - median) / noise", "nsigma"
            cards, nsigma = "BPXNS", self.read_cards("BPXNS")
            self.thresholds = {LOW: -nsigma[LOW], HIGH: nsigma[HIGH]}
        self.settings = self.read_cards(cards)
        self.band = {
            value: np.broadcast_to(threshold * scale, shape)
            for value, threshold in self.thresholds.items()
        }
        self.wavelengths = np.full(shape, np.nan, np.float32)
        places = np.nonzero(self.flags)
        self.wavelengths[places] = read_wavelengths(exposure, *places)

    def read_cards(self, prefix):
        """Return the numbers of two cards by LOW and HIGH; NaN where there is none."""
        ends = ((LOW, "LO"), (HIGH, "HI"))
        return {value: self.header.get(f"{prefix}{end}", np.nan) for value, end in ends}


def list_numbers(stack):
    """List the numbers of a stack for the captions: name and value, as reStructuredText."""
    header = stack.header
    unit = re.sub(r"[\\*_`|]", r"\\\g<0>", stack.unit)  # a header may hold what is markup there
    parameters = [p for p in stage_parameters("threshold") if p.card in header]
    return [
        ("exposures", header["BPXNEXP"]),
        ("kernel_size", header["BPXKERN"]),
        ("edge_mode", header["BPXEDGE"]),
        ("dispersion axis", stack.axis),
        *((p.name, header[p.card]) for p in parameters),
        (f"noise [{unit}]", f"{stack.sigma:.5g}"),
        (f"low threshold [{unit}]", f"{header.get('BPXTHLO', np.nan):.5g}"),
        (f"high threshold [{unit}]", f"{header.get('BPXTHHI', np.nan):.5g}"),
        ("outliers low, about", header["BPXNDLO"]),
        ("outliers high, about", header["BPXNDHI"]),
        ("flagged low", header["BPXNLO"]),
        ("flagged high", header["BPXNHI"]),
        ("of them at the edge", header["BPXNEDGE"]),
        (f"of them in runs of {LONG} or more", header["BPXNRUN"]),
        ("of them maybe of an emission line", header["BPXNLINE"]),
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
    lines : list of str
        A box around each pixel, in image coordinates, which begin with 1.
    """
    lines = ["# Region file format: DS9 version 4.1", "image"]
    tags = {HIGH: "color=orange tag={high}", LOW: "color=cyan tag={low}"}
    for y, x in np.argwhere(flags):
        wavelength = wavelengths[y, x]
        more = f" tag={{{wavelength:.4f} um}}" if wavelength > 0 else ""
        lines.append(f"box({x + 1},{y + 1},1,1,0) # {tags[int(flags[y, x])]}{more}")
    return lines


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("median", help="median.fits")
    options.add_argument("flags", help="flags.fits")
    options.add_argument("exposure", help="one of the exposures, as it was before")
    options.add_argument("folder", help="where to write the figures")
    options.add_argument("--noise", metavar="FILE", help="noise.fits, where threshold is sigma")
    return options


def main(arguments):
    """Write the figures, as PNG and some as SVG, ``numbers.csv`` and ``flags.reg``."""
    stages = arguments.minimum, arguments.median, arguments.flags
    stack = Stack(*stages, arguments.exposure, arguments.noise)
    n = stack.header["BPXNEXP"]
    heading = f"{format_title(stack.header)}: {n} exposure{'s' if n > 1 else ''}"
    heading += f"\n{format_settings(stack.header)}"
    style = {"ha": "right", "va": "top", "fontsize": 6, "color": "0.5"}
    for name, _, _, vector in FIGURES:
        draw, size = DRAW[name]
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, stack)
        figure.suptitle(heading, fontsize="medium")
        figure.text(0.995, 0.99, stack.header["BPXSTACK"], **style)
        for suffix in ("png", "svg") if vector else ("png",):
            save_figure(figure, os.path.join(arguments.folder, f"{name}.{suffix}"))
            figure.set_layout_engine("none")  # the layout is done, and takes as long as drawing
        log(f"drew {name}")
    path = os.path.join(arguments.folder, "numbers.csv")
    with atomic_write(path) as part, open(part, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(list_numbers(stack))
    path = os.path.join(arguments.folder, "flags.reg")
    with atomic_write(path) as part, open(part, "w") as file:
        file.write("\n".join([*format_regions(stack.flags, stack.wavelengths), ""]))
