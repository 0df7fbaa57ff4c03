"""Draw what was flagged in a stack and why, and write the numbers and a region file beside it."""

import math
import os
import re

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from badpix_selfcal.deviants import chances
from badpix_selfcal.doubts import LONG, line_like, run_lengths
from badpix_selfcal.dq import DO_NOT_USE, NAMES
from badpix_selfcal.files import atomic_write
from badpix_selfcal.flags import HIGH, LOW, difference
from badpix_selfcal.images import read_exposure, read_image
from badpix_selfcal.labels import settings, title
from badpix_selfcal.parameters import of_stage
from badpix_selfcal.pictures import save
from badpix_selfcal.program import log, parser
from badpix_selfcal.running_median import box_sum
from badpix_selfcal.spread import limits, local_scatter, scatter
from badpix_selfcal.tables import write_table
from badpix_selfcal.wavelengths import wavelengths_at

# Okabe and Ito's colours, which the colour-blind tell apart; both stand out on grey.
STYLES = {HIGH: ("high", "#D55E00", "s"), LOW: ("low", "#0072B2", "o")}
ON_IMAGE = {HIGH: "#FF7F2A", LOW: "#56B4E9"}  # brighter, as images are dark
GREEN, PURPLE, BLACK = "#009E73", "#CC79A7", "#000000"
BASE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"]
NO_DATA = "#CFC3E0"
ZOOM = 64  # pixels
LEVELS = 64  # colours of a map, so that a picture keeps them all
CUTS = 4  # rows or columns of which a piece is drawn
HALF_CUT = 40  # pixels to either side
CLIP = 5  # of the difference's display, in units of its noise
COUNTS = "{x:,.0f}"  # of pixels, beside an axis
TILE = 16  # pixels: side of the squares in which sources are counted


class Stack:
    """
    The files of a stack: minimum, median, flags [ny, nx], whose minimum it is, the header.

    What was compared with the limits is the excess: the difference, or in units of the noise.
    """

    def __init__(self, minimum, median, flags, exposure, noise=None):
        self.minimum, _ = read_image(minimum)
        self.source, _ = read_image(minimum, "SOURCE")
        self.median, _ = read_image(median)
        self.flags, self.header = read_image(flags)
        self.difference = difference(self.minimum, self.median)
        self.sigma = scatter(self.difference)
        self.name = self.header["BPXSTACK"]
        self.unit = self.header.get("BUNIT", "unknown unit")
        self.axis = self.header.get("BPXAXIS") or None
        cards, scale = "BPXTH", 1
        self.excess, self.excess_name = self.difference, f"minimum - median [{self.unit}]"
        self.excess_unit = self.unit
        if noise:
            cards, (scale, _) = "BPXNS", read_image(noise)
            self.excess, self.excess_name = self.difference / scale, "(minimum - median) / noise"
            self.excess_unit = "times the noise"
        low, high = (self.header.get(f"{cards}{end}", np.nan) for end in ("LO", "HI"))
        self.low, self.high = (-low if noise else low), high
        self.band = [np.broadcast_to(n * scale, self.flags.shape) for n in (self.low, self.high)]
        self.exposure = os.path.basename(exposure)
        _, self.dq = read_exposure(exposure, self.flags.shape)
        self.wavelengths = np.full(self.flags.shape, np.nan, np.float32)
        places = np.nonzero(self.flags)
        self.wavelengths[places] = wavelengths_at(exposure, *places)

    @property
    def along(self):
        """The images [along, across] the dispersion: minimum, median, excess, flags, the band."""
        images = self.minimum, self.median, self.excess, self.flags, *self.band
        return images if self.axis == 2 else tuple(image.T for image in images)

    @property
    def deviants(self):
        """Say how many pixels deviate, and how many are flagged."""
        parts = [
            f"about {self.header[f'BPXND{end}']:,} {name} deviants, "
            f"{self.header[f'BPXN{end}']:,} flagged"
            for end, name in (("HI", "high"), ("LO", "low"))
            if f"BPXND{end}" in self.header
        ]
        return "; ".join(parts) or "how many pixels deviate is unknown, as is the dispersion axis"

    def exposures(self):
        """List the exposures: name, pedestal, share of the minimum, warning."""
        rows = []
        for i in range(1, self.header["BPXNEXP"] + 1):
            cards = (f"BPX{letter}{i:04}" for letter in "EPFW")
            rows.append([self.header.get(card) for card in cards])
        return rows


def show(axes, image, ends, cmap="gray"):
    """Show an image [ny, nx] by its pixels; where it is NaN, NO_DATA shines through."""
    axes.set_facecolor(NO_DATA)
    axes.set(xlabel="x [pixel]", ylabel="y [pixel]")
    cmap = colormaps[cmap].resampled(LEVELS)
    return axes.imshow(
        image, cmap=cmap, vmin=ends[0], vmax=ends[1], origin="lower", interpolation="nearest"
    )


def frame(axes, x, y, size):
    """Frame a square of the image, seen on bright and on dark."""
    for colour, width in (("black", 3), ("white", 1)):
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), size, size, fill=False, ec=colour, lw=width))


def look_at(axes, x, y, size):
    """Zoom into a square of the image."""
    axes.set(xlim=(x - 0.5, x + size - 0.5), ylim=(y - 0.5, y + size - 0.5))


def places_to_look_at(flags, size):
    """
    Find the place with the most flagged pixels, and one that has as many as most places.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        Not 0 where flagged.
    size : int
        Side of the place in pixels; the image must hold it.

    Returns
    -------
    densest, typical : tuple of int
        Its first row and column.
    """
    counts = box_sum(flags > 0, (size, size))
    densest = np.unravel_index(counts.argmax(), counts.shape)
    # Of those like most, the one that is nearest to the middle.
    y, x = np.nonzero(counts == np.percentile(counts, 50, method="nearest"))
    nearest = np.argmin((y - counts.shape[0] / 2) ** 2 + (x - counts.shape[1] / 2) ** 2)
    return tuple(map(int, densest)), (int(y[nearest]), int(x[nearest]))


def draw_flags(figure, stack):
    """Draw the flags on the minimum: the whole detector, its densest place, and a typical one."""
    size = min(ZOOM, *stack.minimum.shape)
    densest, typical = places_to_look_at(stack.flags, size)
    grid = figure.add_gridspec(2, 2, width_ratios=(2.05, 1))
    detector = figure.add_subplot(grid[:, 0])
    zooms = [figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])]
    ends = limits(stack.minimum)
    for axes in (detector, *zooms):
        image = show(axes, stack.minimum, ends)
    n = max(1, np.count_nonzero(stack.flags))
    # All marks together cover a fiftieth of the panel, so that the image is seen.
    mark = float(np.clip(500 * math.sqrt(0.02 / n), 0.7, 3))
    for value, (name, _, marker) in STYLES.items():
        ys, xs = np.nonzero(stack.flags == value)
        label, colour = f"{name}: {len(xs)} pixels", ON_IMAGE[value]
        detector.plot(xs, ys, marker, ms=mark, mew=0, color=colour)
        for axes in zooms:
            axes.plot(xs, ys, marker, ms=4.5, mew=1.1, mfc="none", color=colour, label=label)
    ny, nx = stack.minimum.shape
    detector.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5), title="flags on the minimum")
    for axes, (y, x), name in zip(zooms, (densest, typical), ("densest", "typical"), strict=True):
        look_at(axes, x, y, size)
        frame(detector, x, y, size)
        axes.set_title(f"{name} {size} x {size} pixels", fontsize="medium")
        top = y + size < 0.93 * ny  # above the frame, if there is room
        detector.annotate(name, (x + size / 2, y + size if top else y), (0, 4 if top else -11),
                          textcoords="offset points", ha="center", color="white",
                          fontsize="small",
                          bbox={"fc": "black", "ec": "none", "pad": 1.5})  # fmt: skip
    handles = [*zooms[0].get_legend_handles_labels()[0], Patch(color=NO_DATA, label="no value")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.colorbar(image, ax=detector, label=f"minimum [{stack.unit}]", extend="both", shrink=0.8)


def draw_stages(figure, stack):
    """Draw minimum and median in one stretch, and their difference; below, a piece of each."""
    panels = figure.subplots(2, 3)
    size = min(ZOOM, *stack.minimum.shape)
    (y, x), _ = places_to_look_at(stack.flags, size)
    most = CLIP * stack.sigma or 1e-30
    ends = limits(stack.minimum)
    drawn = (
        ("minimum", stack.minimum, ends, "gray"),
        ("median", stack.median, ends, "gray"),
        (f"difference, to ±{CLIP} σ", stack.difference, (-most, most), "PuOr_r"),
    )
    for (top, bottom), (name, image, limit, colours) in zip(panels.T, drawn, strict=True):
        for axes in (top, bottom):
            shown = show(axes, image, limit, colours)
            if image is stack.median:
                left = shown
        top.set_title(name)
        frame(top, x, y, size)
        look_at(bottom, x, y, size)
    panels[1, 0].set_title(f"the framed {size} x {size} pixels", fontsize="medium")
    figure.colorbar(left, ax=panels[:, :2], label=f"[{stack.unit}]", extend="both", shrink=0.6)
    label = f"minimum - median [{stack.unit}], σ = {stack.sigma:.3g}"
    figure.colorbar(shown, ax=panels[:, 2], label=label, extend="both", shrink=0.6)


def draw_histogram(figure, stack):
    """Draw the histogram of the excess, with both thresholds and the flagged tails."""
    near, far = figure.subplots(1, 2)
    valid = stack.excess[np.isfinite(stack.excess)]
    close = 3 * np.nanmax(np.abs([stack.low, stack.high, 1e-30]))
    for axes, reach in ((near, close), (far, max(close, *np.abs(limits(valid, 0.02, 99.98))))):
        bins = np.linspace(-reach, reach, 161)
        counts, _ = np.histogram(np.clip(valid, -reach, reach), bins)
        axes.stairs(counts, bins, fill=True, color="0.6", label="all valid pixels")
        for value, (name, colour, _) in STYLES.items():
            tail = np.clip(stack.excess[stack.flags == value], -reach, reach)
            threshold = stack.low if value == LOW else stack.high
            label = f"flagged {name}: {tail.size} pixels"
            axes.stairs(np.histogram(tail, bins)[0], bins, fill=True, color=colour, label=label)
            label = f"{name} threshold {threshold:.4g} {stack.excess_unit}"
            axes.axvline(threshold, color=colour, ls="--", label=label)
        axes.set(xlabel=stack.excess_name, ylabel="pixels per bin")
        axes.set_yscale("symlog", linthresh=1)  # a bin may be empty, as may be all
        axes.yaxis.set_major_formatter(COUNTS)
        axes.set_ylim(0, 2 * max(1, counts.max()))
    near.set_title("near the thresholds; the outermost bins hold what lies beyond")
    far.set_title("all")
    figure.legend(*near.get_legend_handles_labels(), loc="outside lower center", ncols=5)


def beyond(values, thresholds):
    """Count the values above each threshold."""
    return values.size - np.searchsorted(np.sort(values), thresholds, "right")


def expected_beyond(noise, thresholds, n_exposures):
    """
    Count the pixels that noise alone would put beyond thresholds.

    Parameters
    ----------
    noise : ndarray of float, [ny, nx]
        Of each pixel; NaN where none is to be judged.
    thresholds : ndarray of float, [t]
        Positive, in the units of the noise.
    n_exposures : int
        Of which the minimum was taken.

    Returns
    -------
    low, high : ndarray of float, [t]
        So far below and so far above the median, or farther.
    """
    valid = noise[noise > 0]
    if not valid.size:
        return np.zeros((2, len(thresholds)))
    # Pixels of one noise, nearly, are taken together, and chances from a table: both are slow.
    edges = np.geomspace(valid.min() * 0.999, valid.max() * 1.001, 201)
    weight, _ = np.histogram(valid, edges)
    cuts = np.linspace(0, 40, 401)
    table = np.array([chances(cut, n_exposures) for cut in cuts]).T
    away = thresholds[:, None] / np.sqrt(edges[1:] * edges[:-1])
    return np.array([(np.interp(away, cuts, side) * weight).sum(axis=1) for side in table])


def draw_tails(figure, stack):
    """Draw how many pixels lie beyond a threshold, and how many of them noise would give."""
    tails, cost = figure.subplots(1, 2)
    valid = stack.excess[np.isfinite(stack.excess)]
    unit = scatter(stack.excess)
    if not unit:
        figure.text(0.5, 0.5, "no noise to compare with", ha="center")
        return
    reach = max(20 * unit, float(np.percentile(np.abs(valid), 99.998)))
    thresholds = np.geomspace(unit, reach, 120)
    by_noise = stack.excess is not stack.difference
    if by_noise or not stack.axis:
        noise = np.where(np.isfinite(stack.excess), 1 if by_noise else unit, np.nan)
    else:
        noise = local_scatter(stack.difference, stack.axis)
    n_exposures = stack.header["BPXNEXP"]
    expected = dict(zip((LOW, HIGH), expected_beyond(noise, thresholds, n_exposures), strict=True))
    for value, (name, colour, _) in STYLES.items():
        counts = beyond(valid if value == HIGH else -valid, thresholds)
        some, noisy = counts > 0, expected[value]
        style = {"color": colour, "ls": "-" if value == HIGH else "--"}
        tails.plot(thresholds[some], counts[some], **style, label=f"found, {name} side")
        tails.plot(thresholds, noisy, **{**style, "lw": 5, "alpha": 0.3},
                   label=f"expected of noise, {name} side")  # fmt: skip
        chosen = abs(stack.high if value == HIGH else stack.low)
        tails.axvline(chosen, lw=1, **style,
                      label=f"{name} threshold: {np.count_nonzero(stack.flags == value)} flagged, "
                      f"{np.interp(chosen, thresholds, noisy):,.0f} by noise")  # fmt: skip
        share = 100 * np.clip(noisy[some] / counts[some], 0, 1)
        if by_noise:
            cost.plot(thresholds[some], share, **style, label=f"{name} side")
            cost.axvline(chosen, lw=1, **style, label=f"nsigma, {name}: {chosen:g}")
        else:
            cost.plot(counts[some] / valid.size, share, **style, label=f"{name} side")
            fraction = stack.header["BPXFRHI" if value == HIGH else "BPXFRLO"]
            if fraction:
                cost.axvline(fraction, lw=1, **style, label=f"flagfrac, {name}: {fraction:g}")
    tails.set(xscale="log", yscale="log", ylabel="pixels beyond the threshold",
              ylim=(0.5, 2 * valid.size), xlabel=f"threshold, |{stack.excess_name}|")  # fmt: skip
    if not by_noise:
        top = tails.secondary_xaxis("top", functions=(lambda v: v / unit, lambda v: v * unit))
        top.set_xlabel(f"in units of the scatter, σ = {unit:.3g} {stack.unit}")
        top.xaxis.set_major_formatter("{x:g}")
    cost.set(ylim=(-2, 102), ylabel="of these, noise would give [%]")
    if by_noise:
        cost.set(xlim=(2, 12), xlabel="nsigma")
    else:
        cost.set(xscale="log", xlim=(1e-5, 0.1), xlabel="flagfrac (of the valid pixels)")
    cost.set_title(f"what it costs, at least: good pixels among the flagged\n{stack.deviants}",
                   fontsize="medium")  # fmt: skip
    tails.yaxis.set_major_formatter(COUNTS)
    for axes in (tails, cost):
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")


def draw_cuts(figure, stack):
    """Draw cuts along the dispersion axis through strong and weak flagged pixels."""
    minimum, median, excess, flags, low, high = stack.along
    wavelengths = stack.wavelengths if stack.axis == 2 else stack.wavelengths.T
    name, other = ("y", "x") if stack.axis == 2 else ("x", "y")
    panels = figure.subplots(CUTS // 2, 2, squeeze=False).ravel()
    strongest, weakest = [], []
    for value in (HIGH, LOW):
        places = np.argwhere(flags == value)
        order = np.argsort(np.abs(excess[flags == value]))
        if len(order):
            strongest.append((value, *places[order[int(0.9 * len(order))]]))
            weakest.append((value, *places[order[0]]))
    for axes in panels[len(strongest) + len(weakest) :]:
        axes.set_axis_off()
    for axes, (value, along, across) in zip(panels, [*strongest, *weakest], strict=False):
        part = slice(max(0, along - HALF_CUT), along + HALF_CUT + 1)
        places = np.arange(len(flags))[part]
        middle = median[part, across]
        band = middle + low[part, across], middle + high[part, across]
        axes.fill_between(places, *band, color="0.85", label="not flagged")
        axes.plot(places, minimum[part, across], ".-", color="0.3", lw=0.7, label="minimum")
        axes.plot(places, middle, color=GREEN, label="median")
        for flag, (style, colour, marker) in STYLES.items():
            here = flags[part, across] == flag
            label = f"flagged {style}"
            axes.plot(places[here], minimum[part, across][here], marker, ms=8, mew=1.5,
                      mfc="none", color=colour, label=label)  # fmt: skip
        axes.set(xlabel=f"{name} [pixel]", ylabel=f"[{stack.unit}]")
        kind = "strong" if (value, along, across) in strongest else "the weakest"
        words = f"{kind} {STYLES[value][0]} flag at {name} = {along}, {other} = {across}"
        wavelength = wavelengths[along, across]
        axes.set_title(words + (f", {wavelength:.3f} µm" if wavelength > 0 else ""))
    if not strongest:
        figure.text(0.5, 0.5, "nothing is flagged", ha="center")
    else:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)


def draw_places(figure, stack):
    """Draw where the flags lie: along and across the dispersion, and by how bright it is there."""
    rows, columns, light = figure.subplots(1, 3, width_ratios=(2, 2, 1.6))
    for value, (name, colour, _) in STYLES.items():
        for axes, axis in ((rows, 1), (columns, 0)):
            counts = np.count_nonzero(stack.flags == value, axis=axis)
            smooth = np.add.reduceat(counts, np.arange(0, len(counts), 16))
            axes.stairs(smooth, np.append(np.arange(0, len(counts), 16), len(counts)),
                        color=colour, label=name, lw=1.3)  # fmt: skip
    half = stack.header["BPXKERN"] // 2
    for axes, name, n, dispersion in ((rows, "y", stack.flags.shape[0], 2),
                                      (columns, "x", stack.flags.shape[1], 1)):  # fmt: skip
        axes.set(xlabel=f"{name} [pixel]", ylabel="flagged per 16 pixels", xlim=(0, n))
        axes.set_ylim(bottom=0)
        if stack.axis == dispersion:
            for edge in ((0, half), (n - half, n)):
                axes.axvspan(*edge, color=PURPLE, alpha=0.5, lw=0)
            title = f"{stack.header['BPXNEDGE']} within half a kernel of the ends (shaded)"
        else:
            title = "across the dispersion"
        axes.set_title(title)
        axes.legend()
    # Bad pixels know nothing of the light: equal shares of the detector hold equally many.
    valid = np.isfinite(stack.difference) & np.isfinite(stack.median)
    if not valid.any():
        return
    tenths = np.percentile(stack.median[valid], np.arange(10, 100, 10))
    for i, (value, (name, colour, _)) in enumerate(STYLES.items()):
        here = np.searchsorted(tenths, stack.median[(stack.flags == value) & valid])
        counts = np.bincount(here, minlength=10)
        light.bar(np.arange(1, 11) + 0.4 * i - 0.2, counts, 0.4, color=colour, label=name)
        light.axhline(counts.sum() / 10, color=colour, ls=":", lw=1.3)
    light.set(xlabel="brightness of the median, in tenths of the pixels\nfaintest to brightest",
              ylabel="flagged pixels", xticks=[1, 5, 10],
              title="dotted: if spread evenly")  # fmt: skip
    light.legend()


def dominance(source, n, tile=TILE):
    """
    Measure how much of the minimum one exposure sets, place by place.

    Parameters
    ----------
    source : ndarray of int, [ny, nx]
        The number of the exposure that set the minimum, from 1; 0 where none did.
    n : int
        How many exposures there are.
    tile : int
        Side of a place in pixels.

    Returns
    -------
    share : ndarray of float, [ny / tile, nx / tile]
        Of the exposure that sets most of the place; NaN where none has a value.
    number : ndarray of int
        Which one it is.
    """
    ny, nx = (max(1, size // tile) for size in source.shape)
    part = source[: ny * tile, : nx * tile]
    place = (np.arange(part.shape[0]) // tile * nx)[:, None] + np.arange(part.shape[1]) // tile
    counts = np.bincount((place * (n + 1) + part).ravel(), minlength=ny * nx * (n + 1))
    counts = counts.reshape(ny, nx, n + 1)[..., 1:]
    total = counts.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        share = counts.max(axis=-1) / np.where(total, total, np.nan)
    return share, counts.argmax(axis=-1) + 1


def draw_sources(figure, stack):
    """Draw which exposure set the minimum, its share, and its pedestal."""
    rows = stack.exposures()
    n = len(rows)
    image, share, pedestal = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    most, number = dominance(stack.source, n)
    ny, nx = stack.source.shape
    image.set_facecolor(NO_DATA)
    image.set(xlabel="x [pixel]", ylabel="y [pixel]")
    box = {
        "origin": "lower",
        "extent": (-0.5, nx - 0.5, -0.5, ny - 0.5),
        "interpolation": "nearest",
    }
    side = f"in squares of {TILE} x {TILE} pixels"
    if n <= len(BASE):
        shown = image.imshow(np.where(np.isnan(most), np.nan, number), ListedColormap(BASE[:n]),
                             BoundaryNorm(np.arange(0.5, n + 1), n), **box)  # fmt: skip
        image.set_title(f"the exposure that sets most of the minimum,\n{side}")
        bar = figure.colorbar(shown, ax=image, label="number of the exposure", shrink=0.8,
                              ticks=np.arange(1, n + 1))  # fmt: skip
        bar.minorticks_off()
    else:
        shown = image.imshow(most, "viridis", vmin=0, vmax=1, **box)
        image.set_title(f"the largest share of the minimum of one exposure,\n{side}")
        figure.colorbar(shown, ax=image, label="share (1: one exposure sets all)", shrink=0.8)
    places = np.arange(1, n + 1)
    bars = [row[2] or 0 for row in rows]
    plain = BASE[:n] if n <= len(BASE) else ["0.5"] * n
    share.barh(places, bars, color=plain, ec=["k" if row[3] else "none" for row in rows],
               hatch=["///" if row[3] else "" for row in rows])  # fmt: skip
    share.axvline(1 / n, color=BLACK, ls="--", lw=1, label=f"an equal part, 1/{n}")
    share.set(xlabel="share of the minimum", ylabel="exposure")
    share.set_title("hatched: with a warning" if any(row[3] for row in rows) else "")
    share.legend(loc="best", fontsize="small")
    levels = [np.nan if row[1] is None else row[1] for row in rows]
    pedestal.plot(levels, places, "o", color=BLACK)
    pedestal.set(xlabel=f"pedestal [{stack.unit}]", ylabel="exposure", title="subtracted level")
    if not any(levels):
        pedestal.set_title("no pedestal is subtracted\nfrom this detector")
        pedestal.set_xlim(-1, 1)
    for axes in (share, pedestal):
        axes.set_ylim(n + 0.7, 0.3)
        axes.yaxis.get_major_locator().set_params(integer=True)
    if n <= 24:
        names = [f"{i} {row[0]}" for i, row in enumerate(rows, start=1)]
        share.set_yticks(places, names, fontsize="x-small")
        share.set_ylabel("")
        pedestal.set_yticks(places)


def long_runs(flagged, axis):
    """Find the flagged pixels [ny, nx] that lie in runs of LONG or more along the dispersion."""
    lines = flagged if axis == 1 else flagged.T
    padded = np.pad(lines, ((0, 0), (1, 1)))
    change = np.diff(padded.astype(np.int8), axis=1)
    first, last = np.argwhere(change == 1), np.argwhere(change == -1)
    found = np.zeros(lines.shape, bool)
    for (row, start), (_, end) in zip(first, last, strict=True):
        if end - start >= LONG:
            found[row, start:end] = True
    return found if axis == 1 else found.T


def draw_runs(figure, stack):
    """Draw the lengths of runs along the dispersion, and flags that may be of spectral lines."""
    if stack.axis is None:
        figure.text(0.5, 0.5, "the dispersion axis is unknown: no runs, no lines", ha="center")
        return
    lengths, places = figure.subplots(1, 2, width_ratios=(1, 1.3))
    found = run_lengths(stack.flags > 0, stack.axis)
    values, counts = np.unique(found, return_counts=True)
    colours = ["#D55E00" if value >= LONG else "0.5" for value in values]
    lengths.bar(values, counts, color=colours)
    lengths.set(xlabel="adjacent flagged pixels along the dispersion", ylabel="runs")
    lengths.set_yscale("symlog", linthresh=1)  # there may be one, or none
    lengths.yaxis.set_major_formatter(COUNTS)
    lengths.set_ylim(0, 2 * max([1, *counts]))
    lengths.set_xlim(0.4, max(5, *values, 0) + 0.6)
    lengths.xaxis.get_major_locator().set_params(integer=True)
    for value, count in zip(values, counts, strict=True):
        lengths.annotate(f"{count}", (value, count), (0, 2), textcoords="offset points",
                         ha="center", fontsize="small")  # fmt: skip
    n = found[found >= LONG].sum()
    lengths.set_title(f"{n} pixels in runs of {LONG} or more (orange)")
    show(places, stack.minimum, limits(stack.minimum))
    ys, xs = np.nonzero(long_runs(stack.flags > 0, stack.axis))
    places.plot(xs, ys, "o", ms=4, mew=0.9, mfc="none", color="#E69F00",
                label=f"in a run of {LONG} or more: {len(xs)}")  # fmt: skip
    y, x = line_like(stack.flags == HIGH, stack.difference, stack.band[1], stack.axis)
    places.plot(x, y, "s", ms=4, mew=0.8, mfc="none", color="#56B4E9",
                label=f"maybe of a spectral line: {len(x)}")  # fmt: skip
    ny, nx = stack.minimum.shape
    places.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    words = "flags that repeat at one wavelength on bright structure"
    places.set_title(words if len(x) else "no flags look like a spectral line")
    figure.legend(*places.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def neighbours(mask):
    """Tell which pixels [ny, nx] touch one of a mask, by a side or a corner, or are of it."""
    padded = np.pad(mask, 1)
    return box_sum(padded, (3, 3)) > 0


def known_rows(flags, dq):
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
        Name of a bit, flagged pixels that had it, and how many of them had it by chance: the
        bit's share of all pixels; bits that no pixel has are left out. Last, the pixels beside
        a DO_NOT_USE one.
    """
    flagged = flags > 0
    n = np.count_nonzero(flagged)
    kinds = [(name, (dq >> np.uint32(bit)) & 1 > 0) for bit, name in enumerate(NAMES)]
    bad = dq & DO_NOT_USE > 0
    kinds.append(("beside a\nDO_NOT_USE pixel", neighbours(bad) & ~bad))
    return [
        (name, int(np.count_nonzero(has & flagged)), n * np.count_nonzero(has) / has.size)
        for name, has in kinds
        if has.any()
    ]


def draw_known(figure, stack):
    """Draw how many of the flagged pixels had which bit of DQ in an exposure before."""
    axes = figure.subplots()
    rows = known_rows(stack.flags, stack.dq)
    n = np.count_nonzero(stack.flags)
    new = np.count_nonzero((stack.flags > 0) & (stack.dq & DO_NOT_USE == 0))
    names = [row[0] for row in rows]
    places = np.arange(len(rows))
    axes.barh(places, [row[1] for row in rows], 0.6, color="#0072B2", label="flagged pixels")
    axes.plot([row[2] for row in rows], places, "D", color="#E69F00", mec="k", mew=0.5,
              label="as many by chance")  # fmt: skip
    for place, (_, count, chance) in zip(places, rows, strict=True):
        axes.annotate(f"{count}", (max(count, chance), place), (9, 0), va="center",
                      textcoords="offset points", fontsize="small")  # fmt: skip
    axes.set_yticks(places, names)
    axes.set_xscale("symlog", linthresh=10)
    axes.xaxis.set_major_formatter(COUNTS)
    axes.set_xlim(0, 3 * max([10, *(max(row[1:]) for row in rows)]))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(xlabel="flagged pixels that had the bit")
    axes.set_title(
        f"{new} of {n} flagged pixels are new: not DO_NOT_USE before in\n{stack.exposure}"
    )
    figure.legend(loc="outside lower center", ncols=2)
    axes.grid(alpha=0.3, axis="x")


FIGURES = {
    "flags": (draw_flags, (13.5, 8)),
    "stages": (draw_stages, (14, 8.2)),
    "histogram": (draw_histogram, (14, 5)),
    "tails": (draw_tails, (14, 5.5)),
    "cuts": (draw_cuts, (12, 7)),
    "places": (draw_places, (15, 4.8)),
    "sources": (draw_sources, (15, 5)),
    "runs": (draw_runs, (13, 6)),
    "known": (draw_known, (9, 5)),
}


VECTORS = ("histogram", "tails", "cuts", "places", "known")  # as SVG, too: lines, and no image


PLAYING = {p.name: p.card for p in of_stage("threshold")}


def numbers(stack):
    """List what the captions say: name and value, as reStructuredText."""
    header = stack.header
    unit = re.sub(r"[\\*_`|]", r"\\\g<0>", stack.unit)  # a header may hold what is markup there
    return [
        ("exposures", header["BPXNEXP"]),
        ("kernel_size", header["BPXKERN"]),
        ("edge_mode", header["BPXEDGE"]),
        ("dispersion axis", stack.axis or "both"),
        *((name, header[card]) for name, card in PLAYING.items() if card in header),
        (f"noise [{unit}]", f"{stack.sigma:.5g}"),
        (f"low threshold [{unit}]", f"{header.get('BPXTHLO', np.nan):.5g}"),
        (f"high threshold [{unit}]", f"{header.get('BPXTHHI', np.nan):.5g}"),
        ("deviants low, about", header.get("BPXNDLO", "unknown")),
        ("deviants high, about", header.get("BPXNDHI", "unknown")),
        ("flagged low", header["BPXNLO"]),
        ("flagged high", header["BPXNHI"]),
        ("of them at the edge", header["BPXNEDGE"]),
        (f"of them in runs of {LONG} or more", header.get("BPXNRUN", "unknown")),
        ("of them maybe of a spectral line", header.get("BPXNLINE", "unknown")),
    ]


def regions(flags, wavelengths):
    """
    List the flagged pixels as regions that DS9 reads.

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
    for y, x in np.argwhere(flags):
        name, _, _ = STYLES[flags[y, x]]
        colour = "orange" if flags[y, x] == HIGH else "cyan"
        wavelength = wavelengths[y, x]
        more = f" tag={{{wavelength:.4f} um}}" if wavelength > 0 else ""
        lines.append(f"box({x + 1},{y + 1},1,1,0) # color={colour} tag={{{name}}}{more}")
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
    heading = f"{title(stack.header)}: {n} exposure{'s' if n > 1 else ''}"
    for name, (draw, size) in FIGURES.items():
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, stack)
        figure.suptitle(f"{heading}\n{settings(stack.header)}", fontsize="medium")
        figure.text(0.995, 0.99, stack.name, ha="right", va="top", fontsize=6, color="0.5")
        for form in ("png", "svg") if name in VECTORS else ("png",):
            save(figure, os.path.join(arguments.folder, f"{name}.{form}"))
            figure.set_layout_engine("none")  # the layout stays as it is, and takes no more time
        log(f"drew {name}")
    write_table(os.path.join(arguments.folder, "numbers.csv"), numbers(stack))
    with atomic_write(os.path.join(arguments.folder, "flags.reg")) as part, open(part, "w") as file:
        file.write("\n".join([*regions(stack.flags, stack.wavelengths), ""]))
