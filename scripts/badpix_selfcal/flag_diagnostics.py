"""Diagnostics of flags: runs that cannot be interpolated, emission lines, edges, warnings."""

import numpy as np

from badpix_selfcal.flags import HIGH

MANY = 0.02  # of the pixels: good ones among them, if a detector is sound
LONG = 3  # pixels: a run of so many looks like absorption later
# Flags may be of a spectral line if, within LINE_REACH pixels of one wavelength, they lie in
# LINE_STRIPS strips across the slices, STRIP pixels wide each (a slice has 20 to 35).
LINE_REACH, LINE_STRIPS, STRIP = 2, 4, 16


def measure_runs(flagged, axis):
    """
    Measure the runs of adjacent flagged pixels along the dispersion axis.

    Parameters
    ----------
    flagged : ndarray of bool, [ny, nx]
    axis : {1, 2}
        The dispersion axis as in DISPAXIS.

    Returns
    -------
    lengths : ndarray of int, [n]
        Of each run in pixels; they add up to the number of flagged pixels.
    """
    lines = flagged if axis == 1 else flagged.T
    y, x = np.nonzero(lines)
    place = y * (lines.shape[1] + 1) + x  # one pixel between lines, so that no run crosses it
    ends = np.flatnonzero(np.diff(place, append=-1) != 1)
    return np.diff(ends, prepend=-1)


def find_line_like(flagged, residual, high, axis):
    """
    Find flagged pixels that may belong to an emission line rather than to the detector.

    A bad pixel stands alone and anywhere. Of a line, neighbours across the dispersion are bright,
    too, and it comes at about one wavelength in many slices.

    Parameters
    ----------
    flagged : ndarray of bool, [ny, nx]
        The pixels flagged above the high threshold.
    residual : ndarray of float32, [ny, nx]
        Minimum less median.
    high : float or ndarray of float32, [ny, nx]
        The high threshold, in the units of `residual`.
    axis : {1, 2}
        The dispersion axis as in DISPAXIS.

    Returns
    -------
    y, x : ndarray of int, [n]
        Flagged pixels whose neighbours both exceed half the threshold, and of which there are
        others within LINE_REACH pixels of the same wavelength in at least LINE_STRIPS strips.
    """
    # Wavelength along the first axis, slices along the second.
    by_wavelength = residual if axis == 2 else residual.T
    w, s = np.nonzero(flagged if axis == 2 else flagged.T)
    n_w, n_s = by_wavelength.shape
    left, right = (
        by_wavelength[w, np.maximum(s - 1, 0)],
        by_wavelength[w, np.minimum(s + 1, n_s - 1)],
    )
    high = np.broadcast_to(high, residual.shape)
    high = (high if axis == 2 else high.T)[w, s]
    bright = np.minimum(left, right) > high / 2  # not where a neighbour is missing
    w, s = w[bright], s[bright]
    strips = np.zeros((n_w + 2 * LINE_REACH, n_s // STRIP + 1), bool)
    for shift in range(2 * LINE_REACH + 1):
        strips[w + shift, s // STRIP] = True
    repeated = strips[w + LINE_REACH].sum(axis=1) >= LINE_STRIPS
    w, s = w[repeated], s[repeated]
    return (w, s) if axis == 2 else (s, w)


def count_at_edge(flagged, axis, kernel_size):
    """
    Count the flagged pixels whose median looked beyond the image.

    Parameters
    ----------
    flagged : ndarray of bool, [ny, nx]
    axis : {1, 2}
        The dispersion axis of the median.
    kernel_size : int
        Its length in pixels.

    Returns
    -------
    n : int
    """
    half = kernel_size // 2
    inner = [slice(half, max(half, n - half)) for n in flagged.shape]
    inner[axis - 1] = slice(None)  # axis 1 is along x, the second of [y, x]
    return int(np.count_nonzero(flagged) - np.count_nonzero(flagged[tuple(inner)]))


def count_diagnostics(flags, residual, high, axis, kernel_size):
    """
    Count the flags of a stack that deserve a look.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    residual, high, axis, kernel_size
        As of `find_line_like` and `count_at_edge`.

    Returns
    -------
    n_edge : int
        Flagged pixels within half a kernel of the image's ends.
    n_run, n_line : int
        Flagged pixels in runs of LONG or more, and line-like ones.
    """
    n_edge = count_at_edge(flags > 0, axis, kernel_size)
    lengths = measure_runs(flags > 0, axis)
    n_line = len(find_line_like(flags == HIGH, residual, high, axis)[0])
    return n_edge, int(lengths[lengths >= LONG].sum()), n_line


def find_warnings(header):
    """
    List the warnings about flags beyond the noise, whose number is not fixed beforehand.

    Parameters
    ----------
    header : mapping
        Cards of a ``flags.fits`` or of a flagged exposure.

    Returns
    -------
    warnings : list of str
    """
    if header.get("BPXTHRES") != "sigma":
        return []
    found = []
    share = (header["BPXNLO"] + header["BPXNHI"]) / max(1, header["BPXNPIX"])
    if share > MANY:
        found.append(f"{share:.1%} of the pixels are flagged; look at them, or raise nsigma")
    if header.get("BPXNEXP") == 1:
        found.append("one exposure alone, spectral lines may be flagged; add other exposures")
    return found
