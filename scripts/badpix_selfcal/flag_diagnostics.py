"""Diagnostics of flags: runs that cannot be interpolated, emission lines, edges, warnings."""

import numpy as np

from badpix_selfcal.flags import HIGH
from badpix_selfcal.median import running_median, subtract_median
from badpix_selfcal.robust_stats import SIGMA

MANY = 0.02  # of the pixels: good ones among them, if a detector is sound
FALSE = 0.08  # of the high flags: from so many false positives on, a warning
ACROSS = 5  # pixels: of the windows by which source structure is told
MOST = 0.8  # of its length: a row or column that is off
LONG = 3  # pixels: a run of so many looks like absorption later
# Flags may be of a spectral line if, within LINE_REACH pixels of one wavelength, they lie in
# LINE_STRIPS strips across the slices, STRIP pixels wide each (a slice has 20 to 35).
LINE_REACH, LINE_STRIPS, STRIP = 2, 4, 16


def label_runs(flagged, axis):
    """
    Label the runs of adjacent flagged pixels along the dispersion axis.

    Parameters
    ----------
    flagged : ndarray of bool, [ny, nx]
    axis : {1, 2}
        The dispersion axis as in DISPAXIS.

    Returns
    -------
    runs : ndarray of int, [ny, nx]
        Number of a pixel's run, from 1; 0 where it is not flagged.
    lengths : ndarray of int, [n + 1]
        Of each run in pixels, by its number; 0 of what is not flagged.
    """
    if axis == 2:
        runs, lengths = label_runs(flagged.T, 1)
        return runs.T, lengths
    y, x = np.nonzero(flagged)
    place = y * (flagged.shape[1] + 1) + x  # one pixel between lines, so that no run crosses it
    number = np.cumsum(np.diff(place, prepend=-2) != 1)
    runs = np.zeros(flagged.shape, int)
    runs[y, x] = number
    return runs, np.bincount(number, minlength=1)


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
    if axis == 1:  # else wavelength is along the first axis, slices are along the second
        x, y = find_line_like(flagged.T, residual.T, np.transpose(high), 2)
        return y, x
    w, s = np.nonzero(flagged)
    n_w, n_s = residual.shape
    left, right = residual[w, np.maximum(s - 1, 0)], residual[w, np.minimum(s + 1, n_s - 1)]
    high = np.broadcast_to(high, residual.shape)[w, s]
    bright = np.minimum(left, right) > high / 2  # not where a neighbour is missing
    w, s = w[bright], s[bright]
    strips = np.zeros((n_w + 2 * LINE_REACH, n_s // STRIP + 1), bool)
    for shift in range(2 * LINE_REACH + 1):
        strips[w + shift, s // STRIP] = True
    repeated = strips[w + LINE_REACH].sum(axis=1) >= LINE_STRIPS
    return w[repeated], s[repeated]


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


def measure_structure(minimum, median, axis):
    """
    Measure how much structure the light has around each pixel, whatever the pixel itself shows.

    Parameters
    ----------
    minimum, median : ndarray of float32, [ny, nx]
        The minimum of a stack and its running median.
    axis : {1, 2}
        The dispersion axis.

    Returns
    -------
    structure : ndarray of float32, [ny, nx]
        The larger of the gradient of the median across the dispersion, and of the absolute running
        median of the residual over ACROSS pixels across, as far to either side; NaN where unknown.
    """
    across = axis - 1  # axis 1 is along x, the second of [y, x]
    with np.errstate(invalid="ignore"):
        gradient = np.abs(np.gradient(median, axis=across))
    line = np.abs(running_median(subtract_median(minimum, median), ACROSS, 3 - axis, "shrink"))
    sides = np.fmax(np.roll(line, ACROSS, across), np.roll(line, -ACROSS, across))
    return np.where(np.isnan(minimum), np.float32(np.nan), np.fmax(gradient, sides))


def estimate_false_positives(high, structure):
    """
    Estimate the number of high flags that follow source structure, not the detector.

    Bad pixels do not follow the light: as many lie on the half of the pixels with more structure
    as on the other half. The excess is false.

    Parameters
    ----------
    high : ndarray of bool, [ny, nx]
        The pixels flagged above the high threshold.
    structure : ndarray of float32, [ny, nx]
        As of `measure_structure`.

    Returns
    -------
    n : float
    error : float
        Of counting: the square root of the number of flags.
    """
    judged = ~np.isnan(structure)
    if not judged.any():
        return 0.0, 0.0
    rich = structure > np.median(structure[judged])
    n_rich, n_poor = np.count_nonzero(rich), np.count_nonzero(judged & ~rich)
    on_rich, on_poor = np.count_nonzero(high & rich), np.count_nonzero(high & judged & ~rich)
    return max(0.0, on_rich - on_poor * n_rich / n_poor), float(np.sqrt(on_rich + on_poor))


def find_wide_defects(residual, axis):
    """
    Find lines of the detector across the dispersion that are off over most of their length.

    They are wider than what threshold sigma takes for a bad pixel, so it does not flag them.

    Parameters
    ----------
    residual : ndarray of float32, [ny, nx]
        Minimum less median.
    axis : {1, 2}
        The dispersion axis.

    Returns
    -------
    places : ndarray of int, [n]
        Pixels along the dispersion: columns x for axis 1, rows y for axis 2.
    """
    along = residual.T if axis == 1 else residual  # [along the dispersion, across]
    valid = ~np.isnan(along)
    limit = 3 * SIGMA * np.median(np.abs(along[valid])) if valid.any() else 0.0
    n_valid = valid.sum(axis=1)
    with np.errstate(invalid="ignore"):
        off = np.maximum((along > limit).sum(axis=1), (along < -limit).sum(axis=1))
    return np.flatnonzero((n_valid > 0) & (off > MOST * n_valid))


def count_diagnostics(flags, minimum, median, high, axis, kernel_size):
    """
    Count the flags of a stack that deserve a look.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    minimum, median : ndarray of float32, [ny, nx]
    high, axis, kernel_size
        As of `find_line_like` and `count_at_edge`.

    Returns
    -------
    cards : list of (keyword, value, comment)
    """
    residual = subtract_median(minimum, median)
    _, lengths = label_runs(flags > 0, axis)
    n_line = len(find_line_like(flags == HIGH, residual, high, axis)[0])
    wide = find_wide_defects(residual, axis)
    structure = measure_structure(minimum, median, axis)
    structure[(slice(None), wide) if axis == 1 else wide] = np.nan  # has its own warning
    n_false, error = estimate_false_positives(flags == HIGH, structure)
    return [
        ("BPXNEDGE", count_at_edge(flags > 0, axis, kernel_size),
         "flagged within half a kernel of the ends"),
        ("BPXNRUN", int(lengths[lengths >= LONG].sum()),
         f"flagged in runs of {LONG} or more along the axis"),
        ("BPXNLINE", n_line, "flagged that may belong to an emission line"),
        ("BPXNFALS", round(n_false), "high flags on source structure, estimate"),
        ("BPXEFALS", round(error), "error of that estimate, by counting"),
        ("BPXNWIDE", len(wide), "rows or columns off over most of their length"),
    ]  # fmt: skip


def find_warnings(header):
    """
    List the warnings about the flags of a stack.

    Parameters
    ----------
    header : mapping
        Cards of a ``flags.fits`` or of a flagged exposure.

    Returns
    -------
    warnings : list of str
    """
    found = []
    n_high, n_false, error = (header.get(c, 0) for c in ("BPXNHI", "BPXNFALS", "BPXEFALS"))
    if n_false > max(FALSE * n_high, 2 * error):
        found.append(
            f"about {n_false} ± {error} of {n_high} high flags follow source structure and may be "
            "false"
        )
    if header.get("BPXNWIDE"):
        found.append(
            f"{header['BPXNWIDE']} rows or columns are off over most of their length; threshold "
            "sigma does not flag them"
        )
    if header.get("BPXTHRES") != "sigma":
        return found
    share = (header["BPXNLO"] + n_high) / max(1, header["BPXNPIX"])
    if share > MANY:
        found.append(f"{share:.1%} of the pixels are flagged; look at them, or raise nsigma")
    if header.get("BPXNEXP") == 1:
        found.append("one exposure alone, emission lines may be flagged; add other exposures")
    return found
