"""
Measure where flagging pays: cubes and spectra of real MRS geometry, with and without flags.

Simulates sub-band 12A (channels 1 and 2, SHORT) on the flight distortion and wavelength solution:
a point source with lines on thermal background, four dithers, two dedicated backgrounds. Unknown
bad pixels are constant, vary from exposure to exposure, or are telegraph pixels. The exposures
take three ways to a cube of channel 1 (`cubes`): backgrounds subtracted pixel by pixel, a master
background, no subtraction; each without and with flags, without and with outlier_detection.

Usage: PYTHONPATH=tests:scripts python bench/why.py GEOMETRY, with the folder that `crds_cache`
describes. `why_page` writes the tables and pictures of ``docs/explanation/why.md`` from the
numbers.
"""

# jwst reads its environment when it is imported.
# ruff: noqa: E402

import argparse
import json
import logging
import os
import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import crds_cache

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "bench" / "runs" / "why"
warnings.simplefilter("ignore")
os.environ.update(crds_cache.environment(FOLDER / "crds"))

import numpy as np
from cubes import Drizzle, aperture, build_cube, divide
from jwst.assign_wcs import AssignWcsStep
from jwst.datamodels import ModelContainer
from jwst.outlier_detection.ifu import detect_outliers
from scipy.stats import sigmaclip
from stdatamodels.jwst.datamodels import IFUImageModel
from why_page import write_page

from badpix_selfcal import find_excluded, flag_planes
from demo.detectors import DETECTORS
from demo.simulate import (
    DEAD,
    EXPOSURE_TIME,
    GAIN,
    HOT,
    JUMP_DET,
    READ_NOISE,
    REFERENCE_PIXEL,
    simulate_cosmic_rays,
    simulate_dq,
)
from demo.simulate_bad_pixels import simulate_bad_pixels

SHAPE = crds_cache.SHAPE
DETECTOR = DETECTORS["MIRIFUSHORT"]
DITHERS = ((0.45, 0.35), (-0.45, -0.35), (0.4, -0.45), (-0.4, 0.45))  # arcsec
BACKGROUNDS = ((120.0, 0.0), (120.3, 0.2))
SKY = (10.0, 0.0)  # RA and Dec of the source, degrees
# Peaks of lines over the continuum, by wavelength in micron.
LINES = {4.98: 3, 5.05: 1.2, 5.13: 5, 5.28: 2, 5.34: 8, 5.51: 2.5, 5.61: 4, 5.69: 1.5, 8.03: 5}
FLAGS = {
    "no flags": None,
    "jwst's default": {},
    "sigma": {"threshold": "sigma"},
}
# Spread of a bad pixel's strength from exposure to exposure, or its level in the low state.
BAD = {
    "constant": {"spread": 0.0},
    "varies by 20 %": {"spread": 0.2},
    "telegraph": {"low": 1 / 3},
    "none": None,
}
PATHS = ("pixel background", "master background", "no background")
OUTLIERS = {"off": None, "on": 99.8}  # threshold_percent of outlier_detection


def point(offset, number, background):
    """Return an exposure without light, with its WCS, that points beside the source."""
    model = IFUImageModel(SHAPE)
    meta = crds_cache.make_meta(f"e{number}_rate.fits", number, offset, background)
    for key, value in meta.items():
        model[f"meta.{key}"] = value
    return AssignWcsStep.call(model)


def spectrum(wavelength):
    """Return the source's peak by wavelength in micron, in DN/s."""
    rate = 2.0 + 0.5 * (wavelength - 5)
    for centre, peak in LINES.items():
        rate = rate + peak * np.exp(-0.5 * ((wavelength - centre) / 0.0009) ** 2)
    return rate


def paint(model):
    """Return the light on each pixel, [ny, nx] in DN/s, and its wavelength in micron."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ra, dec, wavelength = model.meta.wcs(x, y)
    width = 0.033 * wavelength + 0.05  # arcsec, sigma of the point spread
    away = np.hypot((ra - SKY[0]) * np.cos(np.radians(dec)), dec - SKY[1]) * 3600
    source = spectrum(wavelength) * np.exp(-0.5 * (away / width) ** 2)
    thermal = 0.15 * np.exp((wavelength - 5) / 3.5)
    return np.nan_to_num(source + thermal).astype(np.float32), wavelength


def expose(light, rng):
    """Return an exposure [ny, nx] of good pixels in DN/s, noise and cosmic rays on it, and DQ."""
    variance = light / (EXPOSURE_TIME * GAIN) + READ_NOISE**2
    rays, dq = simulate_cosmic_rays(SHAPE, rng), simulate_dq(DETECTOR)
    plane = light + rng.standard_normal(SHAPE, np.float32) * np.sqrt(variance) + rays
    dq[rays > 0] |= JUMP_DET
    return mask_known(plane, dq), dq


def mask_known(plane, dq):
    """Set the pixels that the reference files know to NaN, reference pixels to 0."""
    plane = np.where((dq & (DEAD | HOT)) > 0, np.float32(np.nan), plane)
    plane[(dq & REFERENCE_PIXEL) > 0] = 0
    return plane


def simulate_strength(truth, rng, spread=0.0, low=None):
    """
    Simulate what bad pixels add to one exposure, shot noise of warm ones included.

    Parameters
    ----------
    truth : ndarray of float32, [ny, nx]
        Their strengths in DN/s, 0 at good pixels.
    rng : numpy.random.Generator
    spread : float
        Standard deviation of the strength from exposure to exposure, relative.
    low : float, optional
        Of telegraph pixels: the low state, relative; each state has an equal chance.

    Returns
    -------
    added : ndarray of float32, [ny, nx]
    """
    added = truth * (1 + spread * rng.standard_normal(SHAPE, np.float32))
    if low is not None:
        added = np.where(rng.random(SHAPE) < 0.5, truth, low * truth)
    shot = np.sqrt(np.maximum(added, 0) / (EXPOSURE_TIME * GAIN))
    return (added + shot * rng.standard_normal(SHAPE, np.float32)).astype(np.float32)


def measure_background(planes, wavelengths, bins):
    """
    Measure a master background: a clipped mean of the exposures' pixels of each wavelength.

    Parameters
    ----------
    planes, wavelengths : list of ndarray, [ny, nx]
        Of the background exposures, in DN/s and micron.
    bins : ndarray
        Wavelengths of the cube's planes, in micron.

    Returns
    -------
    background : ndarray
        By `bins`, in DN/s.
    """
    rate, wavelength = (
        np.concatenate([p.ravel() for p in group]) for group in (planes, wavelengths)
    )
    valid = np.isfinite(rate) & np.isfinite(wavelength)
    step = bins[1] - bins[0]
    number = np.round((wavelength[valid] - bins[0]) / step).astype(int)
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange(len(bins) + 1))
    values = rate[valid][order]
    return np.array([
        sigmaclip(values[a:b], 3, 3).clipped.mean() for a, b in pairwise(edges)
    ])  # fmt: skip


def find_outliers(planes, threshold):
    """Return the exposures [ny, nx] after outlier_detection of jwst; NaN where it flags."""
    models = []
    for plane in planes:
        model = IFUImageModel(data=plane.copy())
        model.meta.instrument.name, model.meta.exposure.type = "MIRI", "MIR_MRS"
        model.meta.instrument.detector = "MIRIFUSHORT"
        model.dq[np.isnan(plane)] = 1
        models.append(model)
    detect_outliers(ModelContainer(models), False, "7 7", False, threshold, None)
    return [model.data for model in models]


def subtract(path, science, backgrounds, wavelengths, bins):
    """Return the science exposures [ny, nx] as they enter the cube on one of the paths."""
    if path == "no background":
        return science
    if path == "pixel background":
        mean = np.nanmean(backgrounds, axis=0)  # as bkg_subtract, which clips nothing of two
        mean[np.isnan(backgrounds).all(axis=0)] = 0
        return [plane - mean for plane in science]
    n = len(science)
    master = measure_background(backgrounds, wavelengths[n:], bins)
    return [
        plane - np.interp(np.nan_to_num(wavelength), bins, master).astype(np.float32)
        for plane, wavelength in zip(science, wavelengths, strict=False)
    ]


class Seed:
    """The exposures of a seed and what becomes of them."""

    def __init__(self, seed, lights, wavelengths, drizzle, levels):
        self.rng = np.random.default_rng([11, seed])
        self.wavelengths, self.drizzle, self.levels = wavelengths, drizzle, levels
        self.truth = simulate_bad_pixels(SHAPE, self.rng)
        exposures = [expose(light, self.rng) for light in lights]
        self.clean = [plane for plane, _ in exposures]
        self.excluded = find_excluded(dq for _, dq in exposures)
        self.base = {}

    def add_bad_pixels(self, kind):
        """Return the exposures with bad pixels of a kind."""
        if BAD[kind] is None:
            return self.clean
        return [
            plane + simulate_strength(self.truth, self.rng, **BAD[kind]) for plane in self.clean
        ]

    def flag(self, planes, parameters):
        """Return the exposures with flagged pixels set to NaN."""
        if parameters is None:
            return planes
        excluded = self.excluded if parameters else None
        found = flag_planes(planes, "MIRIFUSHORT", 2, excluded=excluded, **parameters)
        return [np.where(found.bad, np.float32(np.nan), plane) for plane in planes]

    def make_cube(self, path, planes, threshold):
        """Return the cube, its coverage, and the pixels that outlier_detection flags."""
        n, bins = len(DITHERS), self.drizzle.wavelengths
        science = subtract(path, planes[:n], planes[n:], self.wavelengths, bins)
        found = science if threshold is None else find_outliers(science, threshold)
        outliers = np.isnan(found[0]) & ~np.isnan(science[0])
        # A master background is subtracted from the cube, so that few pixels differ.
        pixel = path == "pixel background"
        used = found if pixel else planes[:n]
        used = [
            np.where(np.isnan(f), np.float32(np.nan), u) for f, u in zip(found, used, strict=True)
        ]
        if pixel not in self.base:
            clean = subtract(path, self.clean[:n], self.clean[n:], self.wavelengths, bins)
            start = clean if pixel else self.clean[:n]
            self.base[pixel] = start, self.drizzle.add_up(start)
        start, total = self.base[pixel]
        sums, full = self.drizzle.change(total, start, used), total[1]
        cube = divide(sums, full)
        if path == "master background":
            master = measure_background(planes[n:], self.wavelengths[n:], bins)
            cube -= master[:, None, None]
        return cube, sums[1] / np.where(full > 0, full, np.nan), outliers

    def run(self):
        """Yield the setting, its numbers and its cube, the yardstick of each setting first."""
        yardsticks = {}
        for kind in reversed(BAD):
            planes = self.add_bad_pixels(kind)
            for name, parameters in FLAGS.items():
                flagged = self.flag(planes, parameters)
                for path in PATHS:
                    for outliers, threshold in OUTLIERS.items():
                        cube, coverage, found = self.make_cube(path, flagged, threshold)
                        clean = yardsticks.setdefault((path, outliers), cube)
                        numbers = measure(cube, clean, coverage, self.levels[path])
                        numbers["outliers"] = int(np.count_nonzero(found))
                        numbers["bad outliers"] = int(np.count_nonzero(self.truth[found]))
                        yield (path, kind, name, outliers), numbers, cube


def measure(cube, clean, coverage, noise):
    """
    Compare a cube with that of the same exposures without unknown bad pixels.

    Parameters
    ----------
    cube, clean, coverage : ndarray, [n_wavelengths, ny, nx]
        The coverage is the overlap that is left, relative.
    noise : float
        Of a spaxel, in DN/s.

    Returns
    -------
    numbers : dict
        Spaxels (of one wavelength each) that differ from `clean` by more than 5 times the noise,
        the rms of the difference of the spectra, the part of the coverage that is lost, the part of
        the spaxels that nothing covers.
    """
    residual = aperture(cube) - aperture(clean)
    return {
        "spaxels": int(np.count_nonzero(np.abs(cube - clean) > 5 * noise)),
        "rms": float(np.nanstd(residual)),
        "lost": float(1 - np.nanmean(coverage)),
        "empty": float(np.mean(np.isnan(cube[np.isfinite(coverage)]))),
    }


def main():
    """Simulate, flag, build cubes, measure; write the numbers, then the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("geometry", type=Path, help="folder of the template and the flt9 files")
    options.add_argument("--seeds", type=int, default=4)
    arguments = options.parse_args()
    logging.disable(logging.CRITICAL)
    shutil.rmtree(FOLDER, ignore_errors=True)
    crds_cache.write_cache(arguments.geometry.resolve(), FOLDER / "crds")
    pointings = [(offset, False) for offset in DITHERS] + [(offset, True) for offset in BACKGROUNDS]
    models = [point(offset, i + 1, bg) for i, (offset, bg) in enumerate(pointings)]
    lights, wavelengths = zip(*(paint(model) for model in models), strict=True)
    science = models[: len(DITHERS)]
    drizzle = Drizzle(science)
    rows, levels = {}, {}
    for number in range(arguments.seeds):
        seed = Seed(number, lights, wavelengths, drizzle, levels)
        if not number:
            check_drizzle(drizzle, science, seed.clean)
            levels.update(measure_noise_levels(seed, lights))
            print(levels, flush=True)
        cubes = {}
        for key, numbers, cube in seed.run():
            rows.setdefault(" | ".join(key), []).append(numbers)
            print(number, *key, numbers, flush=True)
            if key[0] == "master background" and key[3] == "on":
                cubes[key[1:3]] = cube
        if not number:
            np.savez(FOLDER / "cubes.npz", wavelengths=drizzle.wavelengths,
                     **{"/".join(key): cube for key, cube in cubes.items()})  # fmt: skip
        (FOLDER / "numbers.json").write_text(json.dumps(rows, indent=1))
    write_page(FOLDER)


def check_drizzle(drizzle, models, planes):
    """Check that `Drizzle` gives the cube of jwst's own step, which the exposures then take."""
    for model, plane in zip(models, planes, strict=False):
        model.data = plane.copy()
        model.dq[:] = np.isnan(plane)
    cube = build_cube(models)
    flux, weight = drizzle.add_up(planes[: len(models)])
    used = cube.weightmap > 0
    with np.errstate(invalid="ignore"):
        difference = np.nanmax(np.abs(flux / weight - cube.data)[used])
    print(f"largest difference from cube_build: {difference:.2g} DN/s", flush=True)
    assert difference < 1e-4


def measure_noise_levels(seed, lights):
    """Measure the noise of a spaxel on each path, in DN/s, from what noise does to a cube."""
    nan, levels = np.float32(np.nan), {}
    quiet = [np.where(np.isnan(c), nan, q) for c, q in zip(seed.clean, lights, strict=True)]
    for path in PATHS:
        cube, *_ = seed.make_cube(path, seed.clean, None)
        still, *_ = seed.make_cube(path, quiet, None)
        difference = (cube - still).ravel()
        difference -= np.nanmedian(difference)
        levels[path] = float(1.4826 * np.nanmedian(np.abs(difference)))
    return levels


if __name__ == "__main__":
    main()
