"""The figures of a stack with lines and bars: histogram, cuts, places."""

import numpy as np

from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.outlier_counts import CUT, measure_significance

# Okabe and Ito's colours, which the colour-blind tell apart; both stand out on grey.
STYLES = {HIGH: ("high", "#D55E00"), LOW: ("low", "#0072B2")}
GREEN, PURPLE = "#009E73", "#CC79A7"
HALF_CUT = 40  # pixels to either side
BIN = 16  # rows or columns in which flags are counted
COUNTS = "{x:,.0f}"  # of pixels, next to an axis


def draw_histogram(figure, stack):
    """Draw the histogram of what was compared with the thresholds, and of residual over noise."""
    panels = [(stack.scaled, stack.scaled_name, stack.thresholds, "threshold")]
    if not stack.by_noise:
        scaled = measure_significance(stack.minimum, stack.axis, stack.header["BPXKERN"])
        panels.append((scaled, "residual / noise", {HIGH: CUT, LOW: -CUT}, "outliers beyond"))
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (image, label, limits, name) in zip(row, panels, strict=True):
        reach = 3 * np.nanmax(np.abs([*limits.values(), 1e-30]))
        style = {"bins": 160, "range": (-reach, reach), "histtype": "stepfilled"}
        counts, *_ = axes.hist(image[np.isfinite(image)].clip(-reach, reach), color="0.6", **style)
        for value, (kind, colour) in STYLES.items():
            values = image[stack.flags == value].clip(-reach, reach)
            axes.hist(values, color=colour, label=f"flagged {kind}: {values.size:,}", **style)
            line = f"{name} {limits[value]:.4g}"
            axes.axvline(limits[value], color=colour, ls="--", label=line)
        axes.set(xlabel=label, ylabel="pixels per bin")
        axes.set_yscale("symlog", linthresh=1)  # a bin may be empty, as may be all
        axes.yaxis.set_major_formatter(COUNTS)
        axes.set_ylim(0, 2 * max(1, counts.max()))
        axes.legend(fontsize="small")
    figure.supxlabel("The outermost bins hold all pixels beyond.", fontsize="small")


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
        for flag, (kind, colour) in STYLES.items():
            values = np.where(flags[part] == flag, minimum[part], np.nan)
            mark = {"ms": 8, "mew": 1.5, "mfc": "none", "color": colour}
            axes.plot(places, values, "s", **mark, label=f"flagged {kind}")
        axes.set(xlabel=f"{name} [pixel]", ylabel=f"minimum, median [{stack.unit}]")
        title = f"{which} {STYLES[value][0]} flag at {name} = {along}, {other} = {across}"
        wavelength = wavelengths[along, across]
        axes.set_title(title + (f", {wavelength:.3f} µm" if wavelength > 0 else ""))
    if cuts:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    else:
        figure.text(0.5, 0.5, "nothing is flagged", ha="center")


def draw_places(figure, stack):
    """Draw where the flags lie: along and across the dispersion, and by brightness there."""
    along, across, light = figure.subplots(1, 3, width_ratios=(2, 2, 1.6))
    half, flags = stack.header["BPXKERN"] // 2, stack.flags
    flags = flags.T if stack.axis == 1 else flags  # along the dispersion first
    for i, (axes, n) in enumerate(zip((along, across), flags.shape, strict=True)):
        bins = [*range(0, n, BIN), n]
        for value, (kind, colour) in STYLES.items():
            counts, _ = np.histogram(np.nonzero(flags == value)[i], bins)
            axes.stairs(counts, bins, color=colour, label=kind, lw=1.3)
        name = "xy"[(stack.axis + i + 1) % 2]
        axes.set(xlabel=f"{name} [pixel]", ylabel=f"flagged per {BIN} pixels")
        axes.set(xlim=(0, n), ylim=(0, None))
        axes.legend()
    n = len(flags)
    for ends in ((0, half), (n - half, n)):
        along.axvspan(*ends, color=PURPLE, alpha=0.5, lw=0)
    along.set_title(f"along the dispersion; at the ends (shaded): {stack.header['BPXNEDGE']}")
    across.set_title("across the dispersion")
    # Bad pixels know nothing of the light: equal shares of the detector have equally many.
    valid = np.isfinite(stack.residual)
    if not valid.any():
        return
    tenths = np.percentile(stack.median[valid], np.arange(10, 100, 10))
    for i, (value, (name, colour)) in enumerate(STYLES.items()):
        here = np.searchsorted(tenths, stack.median[(stack.flags == value) & valid])
        counts = np.bincount(here, minlength=10)
        light.bar(np.arange(1, 11) + 0.4 * i - 0.2, counts, 0.4, color=colour, label=name)
        light.axhline(counts.sum() / 10, color=colour, ls=":", lw=1.3)
    label = "brightness of the median, in tenths of the pixels\nfaintest to brightest"
    light.set(xlabel=label, ylabel="flagged pixels", xticks=[1, 5, 10])
    light.set_title("dotted: if spread evenly")
    light.legend()
