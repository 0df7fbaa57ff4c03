"""The whole method in one call, on arrays or on files: for notebooks and other programs."""

import warnings
from collections import ChainMap
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from badpix_selfcal.errors import InputError
from badpix_selfcal.excluded import find_excluded, read_dq_planes
from badpix_selfcal.flags import GOOD, HIGH
from badpix_selfcal.median import BEYOND, exclude, find_dispersion_axis, running_median
from badpix_selfcal.minimum import take_minimum
from badpix_selfcal.noise import measure_noise
from badpix_selfcal.pedestal import read_planes, subtract_pedestal
from badpix_selfcal.repeats import find_refusal, find_repeats
from badpix_selfcal.threshold import flag_beyond_noise, flag_outliers


@dataclass(frozen=True)
class Selfcal:
    """
    What self-calibration found.

    Attributes
    ----------
    minimum : ndarray of float32, [ny, nx]
        Of the exposures, pedestals subtracted, in their units.
    source : ndarray of int16, [ny, nx]
        The number, from 1, of the exposure that sets the minimum; 0 where all are NaN.
    median : ndarray of float32, [ny, nx]
        The running median of the minimum along the dispersion axis.
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    low, high : float or ndarray of float32, [ny, nx]
        The thresholds of ``minimum - median``: numbers with threshold "fraction", a value for each
        pixel with "sigma".
    """

    minimum: np.ndarray
    source: np.ndarray
    median: np.ndarray
    flags: np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray

    @property
    def bad(self) -> np.ndarray:
        """Whether each pixel is flagged, bool [ny, nx]; what `apply_flags` takes."""
        return self.flags > 0


def flag_planes(
    planes: Iterable[np.ndarray],
    detector: str,
    dispersion_axis: int,
    *,
    excluded: np.ndarray | None = None,
    kernel_size: int = 15,
    edge_mode: str = "zero",
    threshold: str = "fraction",
    flagfrac_lower: float = 0.001,
    flagfrac_upper: float = 0.001,
    nsigma_lower: float = 7.0,
    nsigma_upper: float = 5.0,
    repeat_fraction: float = 0.0,
) -> Selfcal:
    """
    Flag the bad pixels that exposures share, from their SCI planes.

    Parameters
    ----------
    planes : iterable of ndarray of float32, [ny, nx]
        SCI of science, background and selfcal exposures in any order, NaN where a pixel is invalid.
        They are not changed.
    detector : str
        DETECTOR of the exposures, which tells where MRS receives no light.
    dispersion_axis : {1, 2}
        As DISPAXIS: 1 along x (NIRSpec), 2 along y (MRS).
    excluded : ndarray of bool, [ny, nx], optional
        Pixels that take no part, such as those of `find_excluded`. The workflow excludes pixels
        with edge_mode "shrink" and with threshold "sigma".
    kernel_size, edge_mode, threshold, flagfrac_lower, flagfrac_upper, nsigma_lower, nsigma_upper, \
    repeat_fraction
        As in ``config.yaml``. With threshold "sigma", edge_mode is "shrink".

    Returns
    -------
    found : Selfcal

    Raises
    ------
    ValueError
        If a parameter is out of range, the shapes differ, or there is no plane.

    Notes
    -----
    With the defaults, the flags are those of ``jwst.badpix_selfcal`` of jwst 3.0.0.
    """
    planes = [subtract_pedestal(np.asarray(p, np.float32), detector)[0] for p in planes]
    if not planes:
        raise ValueError("no plane")
    repeats = None
    if repeat_fraction:
        repeats = find_repeats(planes, kernel_size, dispersion_axis, repeat_fraction, excluded)
    cuts = {"fraction": (flagfrac_lower, flagfrac_upper), "sigma": (nsigma_lower, nsigma_upper)}
    images = *take_minimum(planes), excluded, repeats
    return flag_minimum(*images, dispersion_axis, kernel_size, edge_mode, threshold, cuts)


def flag_exposures(
    paths: Iterable[str],
    *,
    dispersion_axis: str | int = "auto",
    kernel_size: int = 15,
    edge_mode: str = "zero",
    threshold: str = "fraction",
    flagfrac_lower: float = 0.001,
    flagfrac_upper: float = 0.001,
    nsigma_lower: float = 7.0,
    nsigma_upper: float = 5.0,
    repeat_fraction: float = 0.0,
) -> Selfcal:
    """
    Flag the bad pixels that exposures share, from their files; the files are not changed.

    Parameters
    ----------
    paths : iterable of str
        Rate or assign_wcs exposures: science, background and selfcal, in any order.
    dispersion_axis : {"auto", 1, 2}
        By DISPAXIS, else EXP_TYPE, of the headers; or as in `flag_planes`.
    kernel_size, edge_mode, threshold, flagfrac_lower, flagfrac_upper, nsigma_lower, nsigma_upper, \
    repeat_fraction
        As in ``config.yaml``. With threshold "sigma", edge_mode is "shrink".

    Returns
    -------
    found : Selfcal

    Raises
    ------
    InputError
        If an exposure is damaged, calibrated already, or does not belong to the others; with
        repeat_fraction, if no dedicated background or other band tells source light.
    ValueError
        If a parameter is out of range, the dispersion axis is unknown, or there is no exposure.
    """
    paths, headers = [str(path) for path in paths], []
    if not paths:
        raise ValueError("no exposure")

    def read():
        for name, plane, header in read_planes(paths):
            if "BPXWARN" in header:
                warnings.warn(f"{name}: {header['BPXWARN']}", stacklevel=2)
            headers.append({card["name"]: card["value"] for card in header.records()})
            yield plane

    minimum, source = take_minimum(read())
    # A header without DISPAXIS agrees with any.
    axis = find_dispersion_axis(dict(ChainMap(*headers)), str(dispersion_axis))
    excluded = None
    if edge_mode == "shrink" or threshold == "sigma":
        excluded = find_excluded(read_dq_planes(paths, {}, minimum.shape))
    repeats = None
    if repeat_fraction:
        if reason := find_refusal(headers):
            raise InputError(reason)
        planes = (plane for _, plane, _ in read_planes(paths))
        repeats = find_repeats(planes, kernel_size, axis, repeat_fraction, excluded)
    cuts = {"fraction": (flagfrac_lower, flagfrac_upper), "sigma": (nsigma_lower, nsigma_upper)}
    images = minimum, source, excluded, repeats
    return flag_minimum(*images, axis, kernel_size, edge_mode, threshold, cuts)


def flag_minimum(minimum, source, excluded, repeats, axis, kernel_size, edge_mode, threshold, cuts):
    """
    Flag the outliers of a minimum; parameters and result as of `flag_planes`.

    `cuts` has the lower and the upper parameter of either threshold, by its name.
    """
    if threshold not in cuts:
        raise ValueError(f"threshold {threshold} is neither fraction nor sigma")
    if repeats is not None and threshold != "sigma":
        raise ValueError("repeat_fraction needs threshold sigma")
    if edge_mode not in BEYOND:
        raise ValueError(f"edge_mode {edge_mode} is neither zero nor shrink")
    edge_mode = "shrink" if threshold == "sigma" else edge_mode
    median = running_median(exclude(minimum, excluded), kernel_size, axis, edge_mode)
    median, (lower, upper) = exclude(median, excluded), cuts[threshold]
    if threshold == "fraction":
        flags, low, high = flag_outliers(minimum, median, lower, upper)
    else:
        noise = measure_noise(minimum, kernel_size, axis, excluded)
        flags = flag_beyond_noise(minimum, median, noise, lower, upper)
        if repeats is not None:
            flags[repeats & (flags == GOOD)] = HIGH
        low, high = (np.float32(n) * noise for n in (-lower, upper))
    return Selfcal(minimum, source, median, flags, low, high)
