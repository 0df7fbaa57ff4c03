"""Demo: simulate a realistic IFU exposure with the bad pixels of the truth."""

import os

import numpy as np

from badpix_selfcal.cli import parser
from badpix_selfcal.dq import DO_NOT_USE, REFERENCE_PIXEL
from badpix_selfcal.fits_io import read_image, save_model

from .detectors import DETECTORS

JUMP_DET, DEAD, HOT = 1 << 2, 1 << 10, 1 << 11  # bits of DQ
EXPOSURE_TIME = 300.0  # s
GAIN = 5.5  # electrons per DN
READ_NOISE = 0.03  # DN/s, of the whole exposure


def find_slices(detector):
    """
    Find the position of each pixel in its slice, and of the slice in the field.

    Parameters
    ----------
    detector : Detector

    Returns
    -------
    position : ndarray of float32, [along, across]
        From -1 to 1 over a slice; NaN in the gaps between them.
    height : ndarray of float32, [along, across]
        The slice's place in the field, -1 to 1.
    """
    ny, nx = detector.shape
    length, width = (ny, nx) if detector.dispersion_axis == 2 else (nx, ny)
    along = np.linspace(-1, 1, length, dtype=np.float32)[:, None]
    straight = np.arange(width, dtype=np.float32) + detector.bend * (along**2 - 0.5)
    position = np.full((length, width), np.nan, np.float32)
    height = np.zeros((length, width), np.float32)
    for first, last, n_slices in detector.halves:
        pitch = (last - first) / n_slices
        number, place = np.divmod((straight - first) / pitch, 1)
        lit = (number >= 0) & (number < n_slices) & (abs(place - 0.5) < 0.42)
        position[lit] = (place[lit] - 0.5) / 0.42
        # Neighbours on the sky are not neighbours on the detector: even slices, then odd ones.
        half = (n_slices + 1) // 2
        sky = np.where(number < half, 2 * number, 2 * (number - half) + 1)
        height[lit] = 2 * sky[lit] / (n_slices - 1) - 1
    return position, height


def paint_scene(detector, source, offset, width=(0.25, 0.3)):
    """
    Paint the light of the sky and the telescope on a detector.

    Parameters
    ----------
    detector : Detector
    source : float
        Peak of the source's continuum at the blue end, in DN/s; 0 for a background exposure.
    offset : float
        Position of the source in the slices, -1 to 1: the dither.
    width : (float, float)
        Of the source along and across the slices, in half the length of a slice and half the
        field.

    Returns
    -------
    rate : ndarray of float32, [along, across]
        In DN/s.
    """
    position, height = find_slices(detector)
    length = position.shape[0]
    along = np.linspace(0, 1, length)
    blue, red = detector.thermal
    thermal = blue * (red / blue) ** along
    continuum = 1 + 3 * along**2
    lines = np.zeros(length)
    for place, peak in ((0.12, 6), (0.31, 2.5), (0.34, 4), (0.58, 9), (0.77, 3), (0.93, 5)):
        lines += peak * np.exp(-0.5 * ((along - place) * length / 1.6) ** 2)
    # Lines are a little tilted across the detector, as the wavelength varies along a slice.
    tilt = np.round(3 * np.nan_to_num(position)).astype(int)
    rows = np.clip(np.arange(length)[:, None] + tilt, 0, length - 1)
    spectrum = (continuum + lines)[rows]
    profile = np.exp(
        -0.5 * (((position - offset) / width[0]) ** 2 + ((height - offset / 2) / width[1]) ** 2)
    )
    rate = source * spectrum * profile + thermal[:, None]
    return np.where(np.isnan(position), 0, rate).astype(np.float32)


def simulate_cosmic_rays(shape, rng, number=150):
    """Return cosmic rays that escaped the jump detection, short tracks [ny, nx] in DN/s."""
    rate = np.zeros(shape, np.float32)
    for _ in range(number):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        angle, steps = rng.uniform(0, np.pi), np.arange(rng.integers(1, 9))
        ys = np.clip(np.round(y + steps * np.sin(angle)), 0, shape[0] - 1).astype(int)
        xs = np.clip(np.round(x + steps * np.cos(angle)), 0, shape[1] - 1).astype(int)
        rate[ys, xs] += rng.exponential(2.0)
    return rate


def simulate_dq(detector):
    """Return the DQ [ny, nx] from the reference files: dead, hot and reference pixels."""
    rng = np.random.default_rng([7, detector.seed])
    dq = np.zeros(detector.shape, np.uint32)
    for bit, share in ((DEAD, 0.008), (HOT, 0.007)):
        dq[rng.random(dq.shape) < share] |= DO_NOT_USE | bit
    dq[:, :4] = dq[:, -4:] = DO_NOT_USE | REFERENCE_PIXEL
    if detector.dispersion_axis == 1:
        dq[:4] = dq[-4:] = DO_NOT_USE | REFERENCE_PIXEL
    return dq


def simulate_exposure(detector, truth, source, offset, pedestal, rng):
    """
    Simulate the planes of an exposure.

    Parameters
    ----------
    detector : Detector
    truth : ndarray of float32, [ny, nx]
        Rate of the unknown bad pixels, in DN/s.
    source, offset : float
        See `paint_scene`.
    pedestal : float
        Residual of the dark current, in DN/s.
    rng : numpy.random.Generator

    Returns
    -------
    planes : dict of ndarray, [ny, nx]
        data, err, dq, var_poisson, var_rnoise of an ``IFUImageModel``.
    """
    rate = paint_scene(detector, source, offset)
    rate = rate if detector.dispersion_axis == 2 else np.ascontiguousarray(rate.T)
    var_poisson = rate / (EXPOSURE_TIME * GAIN)
    var_rnoise = np.full(rate.shape, READ_NOISE**2, np.float32)
    err = np.sqrt(var_poisson + var_rnoise)
    noise = rng.standard_normal(rate.shape, np.float32) * err
    rays = simulate_cosmic_rays(rate.shape, rng)
    data = rate + noise + rays + truth + np.float32(pedestal)
    dq = simulate_dq(detector)
    dq[rays > 0] |= JUMP_DET
    planes = {"data": data, "err": err, "var_poisson": var_poisson, "var_rnoise": var_rnoise}
    for plane in planes.values():
        plane[(dq & (DEAD | HOT)) > 0] = np.nan
        plane[(dq & REFERENCE_PIXEL) > 0] = 0
    return {**planes, "dq": dq}


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("truth", help="truth_{detector}.fits")
    options.add_argument("output", help="{exposure}_rate.fits")
    options.add_argument("--detector", required=True, choices=[n.lower() for n in DETECTORS])
    options.add_argument("--source", type=float, default=0.0, help="peak continuum, DN/s")
    options.add_argument("--offset", type=float, default=0.0, help="dither, -1 to 1 of a slice")
    options.add_argument("--pedestal", type=float, default=0.0, help="residual dark, DN/s")
    options.add_argument("--seed", type=int, default=0, help="of the noise")
    return options


def main(arguments):
    """Write ``{exposure}_rate.fits`` by way of stdatamodels."""
    from stdatamodels.jwst.datamodels import IFUImageModel  # 0.9 s

    name, (truth, _) = arguments.detector.upper(), read_image(arguments.truth)
    detector, scene = DETECTORS[name], (arguments.source, arguments.offset, arguments.pedestal)
    rng = np.random.default_rng([1, detector.seed, arguments.seed])
    planes = simulate_exposure(detector, truth, *scene, rng)
    if detector.dispersion_axis == 1:  # keeps the demo under 400 MB
        del planes["var_poisson"], planes["var_rnoise"]
    with IFUImageModel(**planes) as model:
        target = "DEMO" if arguments.source else "DEMO-BACKGROUND"
        meta = detector.meta | {"instrument.detector": name, "target.catalog_name": target}
        meta["observation.program_number"] = os.path.basename(arguments.output)[2:7]
        meta["observation.bkgdtarg"] = not arguments.source
        meta |= {f"cal_step.{step}": "COMPLETE" for step in ("dq_init", "jump", "ramp_fit")}
        meta |= {"observation.date": "2026-10-01", "observation.time": "12:00:00"}
        meta |= {"bunit_data": "DN/s", "bunit_err": "DN/s"}
        for key, value in meta.items():
            model[f"meta.{key}"] = value
        model.meta.exposure.exposure_time = EXPOSURE_TIME
        save_model(model, arguments.output)
