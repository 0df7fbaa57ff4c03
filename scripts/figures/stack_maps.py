"""The figures of a stack with images: flags, stages, sources, runs."""

import math

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from badpix_selfcal.flag_diagnostics import LONG, find_line_like
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import list_exposures
from badpix_selfcal.robust_stats import find_limits

from .stack_plots import COUNTS, STYLES

ON_IMAGE = {HIGH: "#FF7F2A", LOW: "#56B4E9"}  # brighter, as images are dark
BASE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"]
NO_DATA = "#CFC3E0"
ZOOM = 64  # pixels: side of a close-up
LEVELS = 64  # colours of a map, so that all of them fit in the palette of a PNG
CLIP = 5  # of the residual's display, in units of its noise
TILE = 16  # pixels: side of the squares in which sources are counted
FEW = 24  # exposures of which names fit beside an axis


def show(axes, image, ends, cmap="gray"):
    """Show an image [ny, nx]; where it is NaN, NO_DATA shines through."""
    axes.set(facecolor=NO_DATA, xlabel="x [pixel]", ylabel="y [pixel]")
    cmap = colormaps[cmap].resampled(LEVELS)
    return axes.imshow(
        image, cmap, vmin=ends[0], vmax=ends[1], origin="lower", interpolation="nearest"
    )


def draw_frame(axes, x, y, size):
    """Frame a square of the image, visible on bright and on dark."""
    outline = [patheffects.withStroke(linewidth=3, foreground="black")]
    corner = (x - 0.5, y - 0.5)
    axes.add_patch(
        Rectangle(corner, size, size, fill=False, ec="white", lw=1, path_effects=outline)
    )


def zoom_in(axes, x, y, size):
    """Show a square of the image alone."""
    axes.set(xlim=(x - 0.5, x + size - 0.5), ylim=(y - 0.5, y + size - 0.5))


def find_places(flags, size):
    """
    Find the square with the most flagged pixels, and one with as many as the median square.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        Not 0 where flagged.
    size : int
        Side of the square in pixels, at most that of the image.

    Returns
    -------
    densest, typical : tuple of int
        First row and column; the typical one is the nearest to the middle.
    """
    flagged = (flags > 0).astype(float)
    counts = np.rint(ndimage.uniform_filter(flagged, size, mode="constant") * size**2)
    ny, nx = (n - size + 1 for n in flags.shape)
    counts = counts[size // 2 :, size // 2 :][:ny, :nx]  # by the square's first pixel
    densest = np.unravel_index(counts.argmax(), counts.shape)
    y, x = np.nonzero(counts == np.percentile(counts, 50, method="nearest"))
    nearest = np.argmin((y - ny / 2) ** 2 + (x - nx / 2) ** 2)
    return tuple(map(int, densest)), (int(y[nearest]), int(x[nearest]))


def draw_flags(figure, stack):
    """Draw the flags on the minimum: the whole detector, the densest square, a typical one."""
    size = min(ZOOM, *stack.minimum.shape)
    mosaic = [["detector", "densest"], ["detector", "typical"]]
    panels = figure.subplot_mosaic(mosaic, width_ratios=(2.05, 1))
    detector = panels["detector"]
    ends = find_limits(stack.minimum)
    for axes in panels.values():
        image = show(axes, stack.minimum, ends)
    n = max(1, np.count_nonzero(stack.flags))
    # All marks together cover a fiftieth of the panel, so that the image stays visible.
    mark = float(np.clip(500 * math.sqrt(0.02 / n), 0.7, 3))
    for value, (name, _, marker) in STYLES.items():
        ys, xs = np.nonzero(stack.flags == value)
        style = {"color": ON_IMAGE[value], "label": f"{name}: {len(xs)} pixels"}
        detector.plot(xs, ys, marker, ms=mark, mew=0, color=ON_IMAGE[value])
        for zoomed in ("densest", "typical"):
            panels[zoomed].plot(xs, ys, marker, ms=4.5, mew=1.1, mfc="none", **style)
    ny, nx = stack.minimum.shape
    detector.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5), title="flags on the minimum")
    places = zip(("densest", "typical"), find_places(stack.flags, size), strict=True)
    for name, (y, x) in places:
        zoom_in(panels[name], x, y, size)
        draw_frame(detector, x, y, size)
        panels[name].set_title(f"{name} {size} x {size} pixels", fontsize="medium")
        top = y + size < 0.93 * ny  # above the frame, if there is room
        detector.annotate(
            name, (x + size / 2, y + size if top else y), (0, 4 if top else -11),
            textcoords="offset points", ha="center", color="white", fontsize="small",
            bbox={"fc": "black", "ec": "none", "pad": 1.5},
        )  # fmt: skip
    handles, _ = panels["densest"].get_legend_handles_labels()
    handles.append(Patch(color=NO_DATA, label="no value"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    label = f"minimum [{stack.unit}]"
    figure.colorbar(image, ax=detector, label=label, extend="both", shrink=0.8)


def draw_stages(figure, stack):
    """Draw minimum and median in one stretch, and the residual; below, a close-up of each."""
    panels = figure.subplots(2, 3)
    size = min(ZOOM, *stack.minimum.shape)
    (y, x), _ = find_places(stack.flags, size)
    most = CLIP * stack.sigma or 1e-30
    ends = find_limits(stack.minimum)
    drawn = (
        ("minimum", stack.minimum, ends, "gray"),
        ("median", stack.median, ends, "gray"),
        (f"residual, to ±{CLIP} σ", stack.residual, (-most, most), "PuOr_r"),
    )
    for (top, bottom), (name, image, limits, cmap) in zip(panels.T, drawn, strict=True):
        show(top, image, limits, cmap)
        show(bottom, image, limits, cmap)
        top.set_title(name)
        draw_frame(top, x, y, size)
        zoom_in(bottom, x, y, size)
    panels[1, 0].set_title(f"the framed {size} x {size} pixels", fontsize="medium")
    bar = {"extend": "both", "shrink": 0.6}
    figure.colorbar(panels[0, 1].images[0], ax=panels[:, :2], label=f"[{stack.unit}]", **bar)
    label = f"minimum - median [{stack.unit}], σ = {stack.sigma:.3g}"
    figure.colorbar(panels[0, 2].images[0], ax=panels[:, 2], label=label, **bar)


def measure_dominance(source, n, tile=TILE):
    """
    Measure how much of the minimum one exposure sets, square by square.

    Parameters
    ----------
    source : ndarray of int, [ny, nx]
        The number of the exposure that sets the minimum, from 1; 0 where none does.
    n : int
        Number of exposures.
    tile : int
        Side of a square in pixels.

    Returns
    -------
    share : ndarray of float, [ny / tile, nx / tile]
        Of the exposure that sets most of the square; NaN where there is no minimum.
    number : ndarray of int
        Of that exposure.
    """
    ny, nx = (size // tile for size in source.shape)
    tiles = source[: ny * tile, : nx * tile].reshape(ny, tile, nx, tile).swapaxes(1, 2)
    tiles = tiles.reshape(ny, nx, tile**2)
    counts = np.apply_along_axis(np.bincount, 2, tiles, minlength=n + 1)[..., 1:]
    with np.errstate(invalid="ignore"):
        return counts.max(axis=2) / counts.sum(axis=2), counts.argmax(axis=2) + 1


def draw_sources(figure, stack):
    """Draw which exposure sets the minimum, the share of each, and its pedestal."""
    names, levels, shares, warnings = zip(*list_exposures(stack.header), strict=True)
    n, places = len(names), np.arange(1, len(names) + 1)
    image, share, pedestal = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    most, number = measure_dominance(stack.source, n)
    ny, nx = stack.source.shape
    image.set(facecolor=NO_DATA, xlabel="x [pixel]", ylabel="y [pixel]")
    extent = (-0.5, nx - 0.5, -0.5, ny - 0.5)
    box = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    colours = "0.5"
    if n <= len(BASE):
        colours, norm = BASE[:n], BoundaryNorm(np.arange(0.5, n + 1), n)
        number = np.where(np.isnan(most), np.nan, number)
        shown = image.imshow(number, ListedColormap(colours), norm, **box)
        title, label = "the exposure that sets most of the minimum", "number of the exposure"
    else:
        shown = image.imshow(most, "viridis", vmin=0, vmax=1, **box)
        title = "the largest share of the minimum of one exposure"
        label = "share (1: one exposure sets all)"
    image.set_title(f"{title},\nin squares of {TILE} x {TILE} pixels")
    bar = figure.colorbar(shown, ax=image, label=label, shrink=0.8)
    if n <= len(BASE):
        bar.set_ticks(places)
        bar.minorticks_off()
    share.barh(
        places, [value or 0 for value in shares], color=colours,
        ec=["k" if warning else "none" for warning in warnings],
        hatch=["///" if warning else "" for warning in warnings],
    )  # fmt: skip
    share.axvline(1 / n, color="k", ls="--", lw=1, label=f"an equal part, 1/{n}")
    share.set(xlabel="share of the minimum", ylabel="exposure")
    share.set_title("hatched: with a warning" if any(warnings) else "")
    share.legend(loc="best", fontsize="small")
    pedestal.plot(np.array(levels, float), places, "ok")
    pedestal.set(xlabel=f"pedestal [{stack.unit}]", ylabel="exposure", title="subtracted level")
    if not any(levels):
        pedestal.set(xlim=(-1, 1), title="no pedestal is subtracted\nfrom this detector")
    for axes in (share, pedestal):
        axes.set_ylim(n + 0.7, 0.3)
        axes.yaxis.get_major_locator().set_params(integer=True)
    if n <= FEW:
        texts = [f"{i} {name}" for i, name in enumerate(names, start=1)]
        share.set_yticks(places, texts, fontsize="x-small")
        share.set_ylabel("")
        pedestal.set_yticks(places)


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
    row = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    runs, _ = ndimage.label(flagged, row if axis == 1 else row.T)
    lengths = np.bincount(runs.ravel())
    lengths[0] = 0
    return runs, lengths


def draw_runs(figure, stack):
    """Draw the lengths of runs along the dispersion, and line-like flags."""
    bars, image = figure.subplots(1, 2, width_ratios=(1, 1.3))
    runs, lengths = label_runs(stack.flags > 0, stack.axis)
    values, counts = np.unique(lengths[1:], return_counts=True)
    colours = ["#D55E00" if value >= LONG else "0.5" for value in values]
    drawn = bars.bar(values, counts, color=colours)
    bars.bar_label(drawn, fontsize="small", padding=2)
    bars.set(xlabel="adjacent flagged pixels along the dispersion", ylabel="runs")
    bars.set_yscale("symlog", linthresh=1)  # there may be one, or none
    bars.yaxis.set_major_formatter(COUNTS)
    bars.set(xlim=(0.4, max([5, *values]) + 0.6), ylim=(0, 2 * max([1, *counts])))
    bars.xaxis.get_major_locator().set_params(integer=True)
    ys, xs = np.nonzero(lengths[runs] >= LONG)
    bars.set_title(f"{len(xs)} pixels in runs of {LONG} or more (orange)")
    show(image, stack.minimum, find_limits(stack.minimum))
    y, x = find_line_like(stack.flags == HIGH, stack.residual, stack.band[HIGH], stack.axis)
    mark = {"ls": "none", "ms": 4, "mfc": "none"}
    image.plot(xs, ys, "o", mew=0.9, color="#E69F00", **mark,
               label=f"in a run of {LONG} or more: {len(xs)}")  # fmt: skip
    image.plot(x, y, "s", mew=0.8, color="#56B4E9", **mark,
               label=f"maybe of an emission line: {len(x)}")  # fmt: skip
    ny, nx = stack.minimum.shape
    image.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    text = "flags that repeat at one wavelength on bright structure"
    image.set_title(text if len(x) else "no flags look like an emission line")
    figure.legend(*image.get_legend_handles_labels(), loc="outside lower center", ncols=2)


# By name: how a figure is drawn, and its size in inches.
MAPS = {
    "flags": (draw_flags, (13.5, 8)),
    "stages": (draw_stages, (14, 8.2)),
    "sources": (draw_sources, (15, 5)),
    "runs": (draw_runs, (13, 6)),
}
