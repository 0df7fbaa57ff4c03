"""The files of a stack, as its figures and its page show them."""

import os

import numpy as np

from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_dq, read_image, read_science
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_target
from badpix_selfcal.median import subtract_median
from badpix_selfcal.robust_stats import measure_scatter
from badpix_selfcal.wavelengths import read_wavelengths


class Stack:
    """
    Images of a stack [ny, nx], the header of its flags, and one of its exposures.

    `scaled` was compared with `thresholds`: the residual, or with threshold sigma the residual over
    the noise. `band` has the thresholds of each pixel, in the units of the residual.
    """

    def __init__(self, files):
        self.minimum, _ = read_image(files.minimum)
        self.source, _ = read_image(files.minimum, "SOURCE")
        self.median, _ = read_image(files.median)
        self.flags, self.header = read_image(files.flags)
        self.before, cards = read_science(files.exposure)
        self.dq, self.exposure = read_dq(files.exposure), os.path.basename(files.exposure)
        shape = self.flags.shape
        if self.before.shape != shape:
            raise InputError(f"{files.exposure}: not of shape {shape}; give another exposure")
        target = cards.get("TARGPROP") or cards.get("TARGNAME")
        self.target = format_target(cards.get("PROGRAM"), target)
        self.residual = subtract_median(self.minimum, self.median)
        self.sigma, self.axis = measure_scatter(self.residual), self.header["BPXAXIS"]
        self.unit = self.header.get("BUNIT", "unknown unit")
        self.by_noise, noise = bool(getattr(files, "noise", None)), 1
        self.scaled_name, prefix, sign = f"residual [{self.unit}]", "BPXTH", 1
        if self.by_noise:
            noise, _ = read_image(files.noise)
            self.scaled_name, prefix, sign = "residual / noise", "BPXNS", -1
        low, high = (self.header.get(f"{prefix}{end}", np.nan) for end in ("LO", "HI"))
        self.scaled, self.thresholds = self.residual / noise, {LOW: sign * low, HIGH: high}
        self.band = {k: np.broadcast_to(t * noise, shape) for k, t in self.thresholds.items()}
        self.wavelengths, places = np.full(shape, np.nan, np.float32), np.nonzero(self.flags)
        self.wavelengths[places] = read_wavelengths(files.exposure, *places)


def add_inputs(options):
    """Add the files of a stack to an argument parser."""
    for stage in ("minimum", "median", "flags"):
        options.add_argument(stage, help=f"{stage}.fits")
    options.add_argument("exposure", help="one of the exposures, as it was before")
