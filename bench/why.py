"""
Show what flagging does to a cube and a spectrum: real MRS geometry, jwst's own cube_build.

Simulates sub-band 12A (channels 1 and 2, SHORT) on the flight distortion and wavelength solution:
a point source with lines on thermal background, four dithers and two background exposures, warm
and low pixels from the population of the demo. The workflow flags them with several settings;
cube_build makes the cube of channel 1 from the exposures as they were and as they came out.

The folder GEOMETRY holds ``template_12A.fits.gz`` of the public repository STScI-MIRI/miri3d
(``data/lvl2btemplate``) and the three ``jwst_miri_mrs*_flt9.asdf`` of STScI-MIRI/miricoord
(``miricoord/data/crds/flt9``). Writes the pictures and the table of ``docs/why.md``.
"""

# jwst reads its environment when it is imported.
# ruff: noqa: E402

import argparse
import copy
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
os.environ.update(CRDS_SERVER_URL="", CRDS_PATH="crds", STPIPE_DISABLE_CRDS_STEPPARS="true")

import asdf
import numpy as np
import stpipe.crds_client
from astropy.io import fits
from jwst.assign_wcs.assign_wcs import load_wcs
from jwst.cube_build import CubeBuildStep
from jwst.datamodels import ModelContainer
from matplotlib.figure import Figure
from stdatamodels.jwst import datamodels

from demo.detectors import DETECTORS
from demo.simulate import (
    DEAD,
    EXPOSURE_TIME,
    GAIN,
    HOT,
    JUMP_DET,
    READ_NOISE,
    REFERENCE_PIXEL,
    cosmic_rays,
    known_bad_pixels,
)  # fmt: skip
from demo.simulate_bad_pixels import unknown_bad_pixels

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SHAPE = (1024, 1032)
DETECTOR = DETECTORS["MIRIFUSHORT"]
SKY = (10.0, 0.0)  # RA and Dec of the source, degrees
DITHERS = ((0.45, 0.35), (-0.45, -0.35), (0.4, -0.45), (-0.4, 0.45))  # arcsec
BACKGROUNDS = ((120.0, 0.0), (120.3, 0.2))
# Peaks of lines over the continuum, by wavelength in micron.
LINES = {4.98: 3, 5.05: 1.2, 5.13: 5, 5.28: 2, 5.34: 8, 5.51: 2.5, 5.61: 4, 5.69: 1.5, 8.03: 5}
SETTINGS = {
    "jwst's default": [],
    "edge_mode shrink": ["edge_mode=shrink"],
    "threshold sigma": ["threshold=sigma"],
}


def label_map(folder):
    """Read which slice each pixel belongs to, [ny, nx], 0 between slices, from the template."""
    asdf.get_config().warn_on_failed_conversion = True
    with gzip.open(folder / "template_12A.fits.gz") as file, fits.open(file) as hdus:
        tree = asdf.open(io.BytesIO(hdus["ASDF"].data["ASDF_METADATA"][0].tobytes()))
        return np.asarray(tree["meta"]["wcs"]["steps"][0].transform.label_mapper.mapper)


def write_references(folder, labels, target):
    """Write the reference files that are made by hand, and return all of them by type."""
    regions = datamodels.RegionsModel()
    regions.regions = np.repeat(labels[None].astype(np.int16), 9, axis=0)
    meta = {"description": "slices", "author": "bench", "pedigree": "GROUND"}
    for key, value in {**meta, "useafter": "2020-01-01T00:00:00", "reftype": "regions"}.items():
        setattr(regions.meta, key, value)
    for key, value in DETECTOR.meta.items():
        regions[f"meta.{key}"] = value
    regions.meta.instrument.detector = "MIRIFUSHORT"
    regions.save(str(target / "regions.asdf"))
    cube = datamodels.MiriIFUCubeParsModel()
    table = np.zeros(2, cube.get_dtype("ifucubepars_table"))
    table[:] = [("1", "SHORT", 0.13, 0.0008, 4.90, 5.74), ("2", "SHORT", 0.17, 0.0013, 7.51, 8.77)]
    cube.ifucubepars_table = table
    waves = np.zeros(2, cube.get_dtype("ifucubepars_multichannel_driz_wavetable"))
    waves["wavelength"] = (4.9, 8.8)
    cube.ifucubepars_multichannel_driz_wavetable = waves
    cube.save(str(target / "cubepars.fits"))
    return {
        "distortion": str(folder / "jwst_miri_mrs12A_distortion_flt9.asdf"),
        "specwcs": str(folder / "jwst_miri_mrs12A_specwcs_flt9.asdf"),
        "wavelengthrange": str(folder / "jwst_miri_mrs_wavelengthrange_flt9.asdf"),
        "regions": str(target / "regions.asdf"),
    }


def pointed(references, offset):
    """Return an exposure without light that points beside the source by an offset in arcsec."""
    model = datamodels.IFUImageModel(SHAPE)
    meta = {
        **DETECTOR.meta,
        "instrument.detector": "MIRIFUSHORT",
        "observation.date": "2026-10-01",
        "observation.time": "12:00:00",
        "exposure.exposure_time": EXPOSURE_TIME,
        "telescope": "JWST",
        "bunit_data": "MJy/sr",
        "velocity_aberration.scale_factor": 1.0,
        "wcsinfo.v2_ref": -503.6544721447135,
        "wcsinfo.v3_ref": -318.742450697324,
        "wcsinfo.ra_ref": SKY[0] + offset[0] / 3600,
        "wcsinfo.dec_ref": SKY[1] + offset[1] / 3600,
        "wcsinfo.roll_ref": 0.0,
        "wcsinfo.vparity": -1,
        "wcsinfo.v3yangle": 0.0,
        "wcsinfo.velosys": 0.0,
    }
    for key, value in meta.items():
        model[f"meta.{key}"] = value
    return load_wcs(model, references)


def spectrum(wavelength):
    """Return the source's peak by wavelength in micron, in DN/s."""
    rate = 2.0 + 0.5 * (wavelength - 5)
    for centre, peak in LINES.items():
        rate = rate + peak * np.exp(-0.5 * ((wavelength - centre) / 0.0009) ** 2)
    return rate


def light(model):
    """Return what the sky puts on each pixel, [ny, nx] in DN/s: source and thermal background."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ra, dec, wavelength = model.meta.wcs(x, y)
    width = 0.033 * wavelength + 0.05  # arcsec, sigma of the point spread
    away = np.hypot((ra - SKY[0]) * np.cos(np.radians(dec)), dec - SKY[1]) * 3600
    source = spectrum(wavelength) * np.exp(-0.5 * (away / width) ** 2)
    thermal = 0.15 * np.exp((wavelength - 5) / 3.5)
    return np.nan_to_num(source + thermal).astype(np.float32)


def planes(rate, truth, rng):
    """Simulate the noise of an exposure: SCI with and without the unknown bad pixels, ERR, DQ."""
    variance = rate / (EXPOSURE_TIME * GAIN) + READ_NOISE**2
    rays = cosmic_rays(SHAPE, rng)
    clean = rate + rng.standard_normal(SHAPE, np.float32) * np.sqrt(variance) + rays
    dq = known_bad_pixels(DETECTOR)
    dq[rays > 0] |= JUMP_DET
    known = (dq & (DEAD | HOT)) > 0
    out = {"clean": clean, "bad": clean + truth, "quiet": rate.copy(), "err": np.sqrt(variance)}
    for plane in out.values():
        plane[known] = np.nan
        plane[(dq & REFERENCE_PIXEL) > 0] = 0
    return out, dq


def saved(model, data, err, dq, path):
    """Save an exposure."""
    new = copy.copy(model)
    new.data, new.err, new.dq = data.astype("f4"), err.astype("f4"), dq
    new.save(str(path))
    return path


def cube_of(paths, parameters):
    """Return the cube of channel 1 by cube_build, [n_wavelengths, ny, nx], and its wavelengths."""
    models = ModelContainer([datamodels.open(str(path)) for path in paths])
    for model in models:
        model.dq[~np.isfinite(model.data)] |= 1
    (cube,) = CubeBuildStep.call(
        models, override_cubepar=str(parameters), output_type="band", channel="1",
        weighting="drizzle", save_results=False,
    )  # fmt: skip
    data = np.where(cube.weightmap > 0, cube.data, np.nan)
    scale = cube.meta.wcsinfo
    return data, scale.crval3 + scale.cdelt3 * np.arange(data.shape[0])


def flag(folder, name, config):
    """Run the workflow on the exposures of a folder; return the flagged science exposures."""
    target = folder / re.sub(r"\W+", "_", name)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", target]
    command += ["--config", f"associations={folder}/*_asn.json", *config]
    target.mkdir(exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return [
        next(target.glob(f"results/flagged/*/{science_name(i)}_badpix_selfcal.fits"))
        for i in range(len(DITHERS))
    ]


def science_name(number):
    """Return the name of a science exposure."""
    return f"jw09003001001_02101_{number + 1:05}_mirifushort"


def simulate(folder, models, seed):
    """Write the exposures of a seed and their associations; return the paths by kind."""
    rng = np.random.default_rng([11, seed])
    truth = unknown_bad_pixels(SHAPE, rng)
    folder.mkdir(parents=True)
    paths = {"clean": [], "bad": [], "quiet": []}
    names = [science_name(i) for i in range(len(DITHERS))]
    names += [f"jw09003002001_02101_{i + 1:05}_mirifushort" for i in range(len(BACKGROUNDS))]
    for i, (name, (model, rate)) in enumerate(zip(names, models, strict=True)):
        found, dq = planes(rate, truth, rng)
        for kind in paths if i < len(DITHERS) else ("bad",):
            place = folder if kind == "bad" else folder / kind
            place.mkdir(exist_ok=True)
            path = place / f"{name}_assign_wcs.fits"
            paths[kind].append(saved(model, found[kind], found["err"], dq, path))
    for name in names[: len(DITHERS)]:
        members = [(name, "science"), *((n, "background") for n in names[len(DITHERS) :])]
        members += [(n, "selfcal") for n in names if n != name]
        listed = [{"expname": f"{n}_assign_wcs.fits", "exptype": t} for n, t in members]
        association = {"asn_type": "spec2", "products": [{"name": name, "members": listed}]}
        (folder / f"{name}_asn.json").write_text(json.dumps(association))
    paths["bad"] = paths["bad"][: len(DITHERS)]
    return paths


def measure(cube, clean, quiet):
    """
    Compare a cube with that of the same exposures without unknown bad pixels.

    Parameters
    ----------
    cube, clean, quiet : ndarray, [n_wavelengths, ny, nx]
        The cube, that without the bad pixels, that without noise either.

    Returns
    -------
    numbers : dict
        Spaxels (of one wavelength each) that differ from `clean` by more than 5 times the noise,
        the rms of the difference of the spectra, and its largest value.
    """
    noise = 1.4826 * np.nanmedian(np.abs(clean - quiet - np.nanmedian(clean - quiet)))
    off = np.abs(cube - clean) > 5 * noise
    residual = aperture(cube) - aperture(clean)
    return {
        "spaxels beyond 5 sigma": int(np.count_nonzero(off)),
        "rms of the spectrum's residual [DN/s]": float(np.nanstd(residual)),
        "largest residual [DN/s]": float(np.nanmax(np.abs(residual))),
    }


def aperture(cube):
    """Sum a cube over an aperture of 5 spaxels radius around its brightest place: a spectrum."""
    image = np.nanmedian(cube, axis=0)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    y0, x0 = (n // 2 for n in image.shape)
    near = np.hypot(y - y0, x - x0) <= 5
    return np.nansum(cube[:, near], axis=1)


def draw_slice(cubes, wavelengths, path):
    """Draw the same wavelength of the cubes side by side, and what differs from the clean one."""
    clean = cubes["no unknown bad pixels"]
    before = np.abs(cubes["not flagged"] - clean)
    plane = int(np.argmax(np.count_nonzero(before > 1, axis=(1, 2))))
    stretch = np.nanpercentile(clean[plane], [2, 99])
    figure = Figure(figsize=(3 * len(cubes), 6.2), dpi=100, layout="constrained")
    panels = figure.subplots(2, len(cubes), squeeze=False)
    width = np.nanmax(before[plane]) / 2
    for (top, bottom), (name, cube) in zip(panels.T, cubes.items(), strict=True):
        shown = top.imshow(cube[plane], origin="lower", vmin=stretch[0], vmax=stretch[1])
        differ = bottom.imshow(
            cube[plane] - clean[plane], origin="lower", cmap="RdBu_r", vmin=-width, vmax=width
        )
        top.set_title(name, fontsize="medium")
        for axes in (top, bottom):
            axes.set(xticks=[], yticks=[])
    panels[0, 0].set_ylabel(f"cube at {wavelengths[plane]:.4f} µm")
    panels[1, 0].set_ylabel("less that without bad pixels")
    figure.colorbar(shown, ax=panels[0, -1], label="DN/s")
    figure.colorbar(differ, ax=panels[1, -1], label="DN/s")
    figure.savefig(path)


def draw_spectrum(cubes, wavelengths, path):
    """Draw the spectrum of the source, and what differs from that without unknown bad pixels."""
    figure = Figure(figsize=(11, 10), dpi=100, layout="constrained")
    names = [name for name in cubes if name != "no unknown bad pixels"]
    panels = figure.subplots(1 + len(names), 1, sharex=True, height_ratios=[2] + [1] * len(names))
    clean = aperture(cubes["no unknown bad pixels"])
    panels[0].plot(wavelengths, aperture(cubes["not flagged"]), lw=0.9, color="#D55E00",
                   label="not flagged")  # fmt: skip
    panels[0].plot(wavelengths, clean, lw=0.9, color="black", label="no unknown bad pixels")
    panels[0].set_ylabel("aperture sum [DN/s]")
    panels[0].legend(loc="upper left")
    reach = np.nanmax(np.abs(aperture(cubes["not flagged"]) - clean))
    for axes, name in zip(panels[1:], names, strict=True):
        residual = aperture(cubes[name]) - clean
        axes.plot(wavelengths, residual, lw=0.8, color="#0072B2")
        axes.axhline(0, color="0.5", lw=0.6)
        axes.set_ylim(-reach, reach)
        axes.set_ylabel("residual\n[DN/s]")
        axes.set_title(f"{name}: rms {np.nanstd(residual):.3g} DN/s", fontsize="medium", loc="left")
    panels[-1].set_xlabel("wavelength [µm]")
    figure.savefig(path)


def table(rows, seeds):
    """Return the numbers as Markdown, mean and standard deviation over the seeds."""
    names = list(next(iter(rows.values()))[0])
    lines = [
        f"| exposures | {' | '.join(names)} |",
        "|---|" + "---|" * len(names),
    ]
    for setting, found in rows.items():
        cells = []
        for name in names:
            values = np.array([numbers[name] for numbers in found])
            digits = 0 if values.mean() > 20 else 3
            cells.append(f"{values.mean():,.{digits}f} ± {values.std(ddof=1):,.{digits}f}")
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nMean and standard deviation of {seeds} seeds.\n"


def main():
    """Simulate, flag, build cubes, measure, draw."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("geometry", type=Path, help="folder of the template and the flt9 files")
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--folder", type=Path, default=ROOT / "bench" / "runs" / "why")
    arguments = options.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    stpipe.crds_client.get_context_used = lambda *_, **__: "none"  # no reference service here
    folder = arguments.folder.resolve()
    references = write_references(
        arguments.geometry.resolve(), label_map(arguments.geometry), folder
    )
    models = [pointed(references, offset) for offset in (*DITHERS, *BACKGROUNDS)]
    models = [(model, light(model)) for model in models]
    rows = {}
    for seed in range(arguments.seeds):
        place = folder / f"seed{seed}"
        paths = simulate(place, models, seed)
        parameters = folder / "cubepars.fits"
        quiet, _ = cube_of(paths["quiet"], parameters)
        clean, wavelengths = cube_of(paths["clean"], parameters)
        cubes = {"not flagged": cube_of(paths["bad"], parameters)[0]}
        for name, config in SETTINGS.items():
            cubes[name] = cube_of(flag(place, name, config), parameters)[0]
        for name, cube in {**cubes, "no unknown bad pixels": clean}.items():
            rows.setdefault(name, []).append(measure(cube, clean, quiet))
            print(seed, name, rows[name][-1], flush=True)
        if seed == 0:
            shown = {**cubes, "no unknown bad pixels": clean}
            draw_slice(shown, wavelengths, DOCS / "why_slice.png")
            draw_spectrum(shown, wavelengths, DOCS / "why_spectrum.png")
        shutil.rmtree(place)
    page = DOCS / "why.md"
    text = table(rows, arguments.seeds)
    if page.exists():
        parts = re.split(r"(<!-- bench/why.py -->\n|<!-- end -->\n)", page.read_text())
        page.write_text("".join([*parts[:2], text, *parts[3:]]))
    print(text)


if __name__ == "__main__":
    main()
