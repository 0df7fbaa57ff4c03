"""The figures of a stack with lines and bars: histogram, tails, cuts, places, known."""

import numpy as np
from scipy import ndimage

from badpix_selfcal.dq import DO_NOT_USE, NAMES
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.outlier_counts import tail_probabilities
from badpix_selfcal.robust_stats import find_limits, measure_local_scatter, measure_scatter

from .stack import ENDS

# Okabe and Ito's colours, which the colour-blind tell apart; both stand out on grey.
STYLES = {HIGH: ("high", "#D55E00", "s"), LOW: ("low", "#0072B2", "o")}
GREEN, BLUE, ORANGE, PURPLE = "#009E73", "#0072B2", "#E69F00", "#CC79A7"
HALF_CUT = 40  # pixels to either side
BIN = 16  # rows or columns in which flags are counted
COUNTS = "{x:,.0f}"  # of pixels, next to an axis


def draw_histogram(figure, stack):
    """Draw the histogram of the residual, with both thresholds and the flagged tails."""
    near, far = figure.subplots(1, 2)
    valid = stack.scaled[np.isfinite(stack.scaled)]
    close = 3 * np.nanmax(np.abs([*stack.thresholds.values(), 1e-30]))
    whole = max(close, *np.abs(find_limits(valid, 0.02, 99.98)))
    unit = "times the noise" if stack.by_noise else stack.unit
    style = {"bins": 160, "histtype": "stepfilled"}
    for axes, reach in ((near, close), (far, whole)):
        style["range"] = -reach, reach
        label = "all valid pixels"
        counts, *_ = axes.hist(valid.clip(-reach, reach), color="0.6", label=label, **style)
        for value, (name, colour, _) in STYLES.items():
            tail, threshold = stack.scaled[stack.flags == value], stack.thresholds[value]
            label = f"flagged {name}: {tail.size} pixels"
            axes.hist(tail.clip(-reach, reach), color=colour, label=label, **style)
            label = f"{name} threshold {threshold:.4g} {unit}"
            axes.axvline(threshold, color=colour, ls="--", label=label)
        axes.set(xlabel=stack.scaled_name, ylabel="pixels per bin")
        axes.set_yscale("symlog", linthresh=1)  # a bin may be empty, as may be all
        axes.yaxis.set_major_formatter(COUNTS)
        axes.set_ylim(0, 2 * max(1, counts.max()))
    near.set_title("near the thresholds; the outermost bins include all pixels beyond")
    far.set_title("all")
    figure.legend(*near.get_legend_handles_labels(), loc="outside lower center", ncols=5)


def count_expected(noise, thresholds, n_exposures):
    """
    Count the pixels that noise alone would put beyond thresholds.

    Parameters
    ----------
    noise : ndarray of float, [ny, nx]
        Of each pixel; NaN where it is not judged.
    thresholds : ndarray of float, [t]
        Positive, in the units of the noise.
    n_exposures : int
        Of which the minimum is taken.

    Returns
    -------
    low, high : ndarray of float, [t]
        Pixels at least that far below and above the median.
    """
    valid = noise[noise > 0]
    if not valid.size:
        return np.zeros((2, len(thresholds)))
    # By a histogram of the noise and a table of probabilities: a million of them take minutes.
    edges = np.geomspace(valid.min() * 0.999, valid.max() * 1.001, 201)
    weight, _ = np.histogram(valid, edges)
    cuts = np.linspace(0, 40, 401)
    table = np.array([tail_probabilities(cut, n_exposures) for cut in cuts]).T
    scaled = thresholds[:, None] / np.sqrt(edges[1:] * edges[:-1])
    return np.array([(np.interp(scaled, cuts, side) * weight).sum(axis=1) for side in table])


def draw_tails(figure, stack):
    """Draw how many pixels lie beyond a threshold, and how many would by noise alone."""
    tails, cost = figure.subplots(1, 2)
    valid, unit = stack.scaled[np.isfinite(stack.scaled)], measure_scatter(stack.scaled)
    if not unit:
        figure.text(0.5, 0.5, "no noise to compare with", ha="center")
        return
    reach = max(20 * unit, float(np.percentile(np.abs(valid), 99.998)))
    thresholds, outliers = np.geomspace(unit, reach, 120), []
    noise = measure_local_scatter(stack.residual, stack.axis)
    noise = np.ones(valid.size) if stack.by_noise else noise
    expected = count_expected(noise, thresholds, stack.header["BPXNEXP"])
    for value, (name, colour, _) in STYLES.items():
        high, end = value == HIGH, ENDS[value]
        by_noise, chosen = expected[int(high)], abs(stack.thresholds[value])
        style = {"color": colour, "ls": "-" if high else "--"}
        values = np.sort(valid if high else -valid)
        counts = values.size - np.searchsorted(values, thresholds, "right")
        some, n = counts > 0, stack.header[f"BPXN{end}"]
        tails.plot(thresholds[some], counts[some], **style, label=f"found, {name} side")
        label = f"expected from noise, {name} side"
        tails.plot(thresholds, by_noise, **style, lw=5, alpha=0.3, label=label)
        n_noise = np.interp(chosen, thresholds, by_noise)
        label = f"{name} threshold: {n} flagged, {n_noise:,.0f} by noise"
        tails.axvline(chosen, lw=1, **style, label=label)
        settings = thresholds if stack.by_noise else counts / valid.size
        share = 100 * np.clip(by_noise[some] / counts[some], 0, 1)
        cost.plot(settings[some], share, **style, label=f"{name} side")
        if setting := stack.settings[value]:
            label = f"{stack.setting}, {name}: {setting:g}"
            cost.axvline(setting, lw=1, **style, label=label)
        if f"BPXND{end}" in stack.header:
            n_outliers = stack.header[f"BPXND{end}"]
            outliers.append(f"about {n_outliers:,} {name} outliers, {n:,} flagged")
    tails.set(xscale="log", yscale="log", ylim=(0.5, 2 * valid.size))
    tails.set(xlabel=f"threshold, |{stack.scaled_name}|", ylabel="pixels beyond the threshold")
    cost.set(ylim=(-2, 102), ylabel="share expected from noise alone [%]")
    if stack.by_noise:
        cost.set(xlim=(2, 12), xlabel="nsigma")
    else:
        cost.set(xscale="log", xlim=(1e-5, 0.1), xlabel="flagfrac (of the valid pixels)")
        top = tails.secondary_xaxis("top", functions=(lambda v: v / unit, lambda v: v * unit))
        top.set_xlabel(f"in units of the scatter, σ = {unit:.3g} {stack.unit}")
        top.xaxis.set_major_formatter("{x:g}")
    title = f"false positives among the flags, at least\n{'; '.join(outliers)}"
    cost.set_title(title, fontsize="medium")
    tails.yaxis.set_major_formatter(COUNTS)
    for axes in (tails, cost):
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")


def find_cuts(flags, scaled):
    """Yield strong flagged pixels, then the weakest: which, HIGH or LOW, its place in the array."""
    for which, rank in (("strong", 0.9), ("the weakest", 0)):
        for value in STYLES:
            places = np.argwhere(flags == value)
            if len(places):
                order = np.argsort(np.abs(scaled[flags == value]))
                yield which, value, *places[order[int(rank * len(order))]]


def draw_cuts(figure, stack):
    """Draw cuts along the dispersion axis through strong and weak flagged pixels."""
    images = stack.minimum, stack.median, stack.flags, stack.scaled, stack.wavelengths
    images += stack.band[LOW], stack.band[HIGH]
    if stack.axis == 1:
        images = [image.T for image in images]  # along the dispersion first
    minimum, median, flags, scaled, wavelengths, low, high = images
    name, other = ("y", "x") if stack.axis == 2 else ("x", "y")
    panels, cuts = figure.subplots(2, 2).ravel(), list(find_cuts(flags, scaled))
    for axes in panels[len(cuts) :]:
        axes.set_axis_off()
    for axes, (which, value, along, across) in zip(panels, cuts, strict=False):
        part = slice(max(0, along - HALF_CUT), along + HALF_CUT + 1), across
        places, middle = np.arange(len(flags))[part[0]], median[part]
        band = middle + low[part], middle + high[part]
        axes.fill_between(places, *band, color="0.85", label="not flagged")
        axes.plot(places, minimum[part], ".-", color="0.3", lw=0.7, label="minimum")
        axes.plot(places, middle, color=GREEN, label="median")
        for flag, (style, colour, marker) in STYLES.items():
            values = np.where(flags[part] == flag, minimum[part], np.nan)
            mark = {"ms": 8, "mew": 1.5, "mfc": "none", "color": colour}
            axes.plot(places, values, marker, **mark, label=f"flagged {style}")
        axes.set(xlabel=f"{name} [pixel]", ylabel=f"[{stack.unit}]")
        title = f"{which} {STYLES[value][0]} flag at {name} = {along}, {other} = {across}"
        wavelength = wavelengths[along, across]
        axes.set_title(title + (f", {wavelength:.3f} µm" if wavelength > 0 else ""))
    if not cuts:
        figure.text(0.5, 0.5, "nothing is flagged", ha="center")
        return
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)


def draw_places(figure, stack):
    """Draw where the flags lie: along and across the dispersion, and by brightness there."""
    *sides, light = figure.subplots(1, 3, width_ratios=(2, 2, 1.6))
    half = stack.header["BPXKERN"] // 2
    for i, (axes, n) in enumerate(zip(sides, stack.flags.shape, strict=True)):
        bins = [*range(0, n, BIN), n]
        for value, (kind, colour, _) in STYLES.items():
            counts, _ = np.histogram(np.nonzero(stack.flags == value)[i], bins)
            axes.stairs(counts, bins, color=colour, label=kind, lw=1.3)
        axes.set(xlabel=f"{'yx'[i]} [pixel]", ylabel=f"flagged per {BIN} pixels", xlim=(0, n))
        axes.set(ylim=(0, None), title="across the dispersion")
        if stack.axis == 2 - i:
            axes.axvspan(0, half, color=PURPLE, alpha=0.5, lw=0)
            axes.axvspan(n - half, n, color=PURPLE, alpha=0.5, lw=0)
            title = f"{stack.header['BPXNEDGE']} within half a kernel of the ends (shaded)"
            axes.set_title(title)
        axes.legend()
    # Bad pixels know nothing of the light: equal shares of the detector have equally many.
    valid = np.isfinite(stack.residual)
    if not valid.any():
        return
    tenths = np.percentile(stack.median[valid], np.arange(10, 100, 10))
    for i, (value, (name, colour, _)) in enumerate(STYLES.items()):
        here = np.searchsorted(tenths, stack.median[(stack.flags == value) & valid])
        counts = np.bincount(here, minlength=10)
        light.bar(np.arange(1, 11) + 0.4 * i - 0.2, counts, 0.4, color=colour, label=name)
        light.axhline(counts.sum() / 10, color=colour, ls=":", lw=1.3)
    label = "brightness of the median, in tenths of the pixels\nfaintest to brightest"
    light.set(xlabel=label, ylabel="flagged pixels", xticks=[1, 5, 10])
    light.set_title("dotted: if spread evenly")
    light.legend()


def count_known(flags, dq):
    """
    Compare flags with the DQ that an exposure had.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    dq : ndarray of uint32, [ny, nx]
        Before anything was flagged.

    Returns
    -------
    rows : list of (str, int, float)
        Name of a bit, number of flagged pixels that had it, and the number expected by chance, from
        the bit's share of all pixels; bits that no pixel has are omitted. Last, the neighbours
        of DO_NOT_USE pixels, by a side or a corner.
    """
    flagged, bad = flags > 0, dq & DO_NOT_USE > 0
    kinds = {name: (dq >> np.uint32(bit)) & 1 > 0 for bit, name in enumerate(NAMES)}
    kinds["next to a\nDO_NOT_USE pixel"] = ndimage.binary_dilation(bad, np.ones((3, 3))) & ~bad
    return [
        (name, int(np.count_nonzero(has & flagged)), np.count_nonzero(flagged) * has.mean())
        for name, has in kinds.items()
        if has.any()
    ]


def draw_known(figure, stack):
    """Draw how many of the flagged pixels had which bit of DQ in an exposure before."""
    axes, rows = figure.subplots(), count_known(stack.flags, stack.dq)
    names, counts, chances = zip(*rows, strict=True) if rows else ((), (), ())
    places, ends = range(len(rows)), np.maximum(counts, chances)
    axes.barh(places, counts, 0.6, color=BLUE, label="flagged pixels")
    axes.plot(chances, places, "D", color=ORANGE, mec="k", mew=0.5, label="expected by chance")
    style = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
    for place, count, end in zip(places, counts, ends, strict=True):
        axes.annotate(f"{count}", (end, place), (9, 0), **style)
    axes.set_yticks(places, names)
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(COUNTS)
    axes.set(xlim=(0, 3 * max([10, *ends])), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("flagged pixels that had the bit")
    n, new = (np.count_nonzero(stack.flags[part]) for part in (..., stack.dq & DO_NOT_USE == 0))
    title = f"{new} of {n} flagged pixels are new: not DO_NOT_USE before in\n{stack.exposure}"
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=2)
    axes.grid(alpha=0.3, axis="x")
