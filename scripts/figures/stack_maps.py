"""The figures of a stack with images: flags, stages, sources, runs."""

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from badpix_selfcal.flag_diagnostics import LONG, find_line_like, label_runs
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import list_exposures
from badpix_selfcal.robust_stats import find_limits

from .stack_plots import COUNTS, STYLES

ON_IMAGE = {HIGH: "#FF7F2A", LOW: "#56B4E9"}  # brighter, as images are dark
NO_DATA = "#7A6896"
ZOOM = 64  # pixels: side of a close-up
LEVELS = 64  # colours of a map, so that all of them fit in the palette of a PNG
CLIP = 5  # of the residual's display, in units of its noise
TILE = 16  # pixels: side of the squares in which sources are counted
FEW = 24  # exposures of which names fit next to an axis


def show(axes, image, ends=None, cmap="gray", **style):
    """Show an image [ny, nx]; where it is NaN, NO_DATA shines through."""
    axes.set(facecolor=NO_DATA, xlabel="x [pixel]", ylabel="y [pixel]")
    style["vmin"], style["vmax"] = ends or find_limits(image)
    cmap = colormaps[cmap].resampled(LEVELS)
    shown = axes.imshow(image, cmap, origin="lower", interpolation="nearest", **style)
    axes.autoscale(False)  # marks do not widen the axes
    return shown


def zoom_in(axes, whole, y, x, size):
    """Show a square of the image alone, and frame it in the whole image."""
    axes.set(xlim=(x - 0.5, x + size - 0.5), ylim=(y - 0.5, y + size - 0.5))
    frame = Rectangle((x - 0.5, y - 0.5), size, size, fill=False, ec="white", lw=1)
    frame.set_path_effects([patheffects.withStroke(linewidth=3, foreground="black")])
    whole.add_patch(frame)


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
    places : dict of str to tuple of int
        First row and column of "densest" and "typical", which is the nearest to the middle.
    """
    flagged = (flags > 0).astype(float)
    counts = np.rint(ndimage.uniform_filter(flagged, size, mode="constant") * size**2)
    ny, nx = (n - size + 1 for n in flags.shape)
    counts = counts[size // 2 :, size // 2 :][:ny, :nx]  # by the square's first pixel
    densest = np.unravel_index(counts.argmax(), counts.shape)
    median = np.argwhere(counts == np.percentile(counts, 50, method="nearest"))
    typical = median[np.hypot(*(median - [ny / 2, nx / 2]).T).argmin()]
    return {"densest": tuple(map(int, densest)), "typical": tuple(map(int, typical))}


def draw_flags(figure, stack):
    """Draw the flags on the minimum: the whole detector, the densest square, a typical one."""
    mosaic = [["detector", "densest"], ["detector", "typical"]]
    panels = figure.subplot_mosaic(mosaic, width_ratios=(2.05, 1))
    detector, densest, typical = panels.values()
    for axes in panels.values():
        image = show(axes, stack.minimum)
    # All marks together cover a fiftieth of the panel, so that the image stays visible.
    mark = np.clip(500 * np.sqrt(0.02 / max(1, np.count_nonzero(stack.flags))), 0.7, 3)
    for value, (name, _) in STYLES.items():
        ys, xs = np.nonzero(stack.flags == value)
        style = {"color": ON_IMAGE[value], "label": f"{name}: {len(xs):,} pixels"}
        detector.plot(xs, ys, "s", ms=mark, mew=0, color=ON_IMAGE[value])
        for axes in (densest, typical):
            axes.plot(xs, ys, "s", ms=4.5, mew=1.1, mfc="none", **style)
    detector.set_title("flags on the minimum")
    size = min(ZOOM, *stack.flags.shape)
    for name, (y, x) in find_places(stack.flags, size).items():
        axes = panels[name]
        zoom_in(axes, detector, y, x, size)
        axes.set_title(f"{name} {size} x {size} pixels", fontsize="medium")
        top = y + size < 0.93 * len(stack.flags)  # above the frame, if there is room
        detector.annotate(
            name, (x + size / 2, y + size if top else y), (0, 4 if top else -11),
            textcoords="offset points", ha="center", color="white", fontsize="small",
            bbox={"fc": "black", "ec": "none", "pad": 1.5},
        )  # fmt: skip
    handles = [*densest.get_legend_handles_labels()[0], Patch(color=NO_DATA, label="no value")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    label = f"minimum [{stack.unit}]"
    figure.colorbar(image, ax=detector, label=label, extend="both", shrink=0.8)


def draw_stages(figure, stack):
    """Draw minimum and median in one stretch, and the residual; below, a close-up of each."""
    panels = figure.subplots(2, 3)
    size = min(ZOOM, *stack.flags.shape)
    place = find_places(stack.flags, size)["densest"]
    ends, most = find_limits(stack.minimum), CLIP * stack.sigma or 1e-30
    residual = f"residual, to ±{CLIP} σ; σ = {stack.sigma:.3g} {stack.unit}"
    for i, (title, *drawn) in enumerate((
        ("minimum", stack.minimum, ends),
        ("median", stack.median, ends),
        (residual, stack.residual, (-most, most), "PuOr_r"),
    )):  # fmt: skip
        show(panels[0, i], *drawn).axes.set_title(title)
        show(panels[1, i], *drawn)
        zoom_in(panels[1, i], panels[0, i], *place, size)
    panels[1, 0].set_title(f"the framed {size} x {size} pixels", fontsize="medium")
    bar = {"extend": "both", "shrink": 0.6}
    for i, name in ((1, "minimum, median"), (2, "residual")):
        ax = panels[:, 2] if i == 2 else panels[:, :2]
        figure.colorbar(panels[0, i].images[0], ax=ax, label=f"{name} [{stack.unit}]", **bar)


def find_dominant(source, n, tile=TILE):
    """
    Find the exposure that sets most of the minimum, square by square.

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
    number : ndarray of float, [ny / tile, nx / tile]
        Of that exposure; NaN where there is no minimum.
    """
    ny, nx = (size // tile for size in source.shape)
    tiles = source[: ny * tile, : nx * tile].reshape(ny, tile, nx, tile).swapaxes(1, 2)
    tiles = tiles.reshape(ny, nx, tile**2)
    counts = np.apply_along_axis(np.bincount, 2, tiles, minlength=n + 1)[..., 1:]
    return np.where(counts.any(axis=2), counts.argmax(axis=2) + 1, np.nan)


def draw_sources(figure, stack):
    """Draw which exposure sets the minimum, the share of each, and its pedestal if any has one."""
    names, levels, shares, _ = zip(*list_exposures(stack.header), strict=True)
    n, (ny, nx) = len(names), stack.flags.shape
    places, colours = np.arange(1, n + 1), colormaps["viridis"](np.linspace(0, 1, n))
    image, share, *others = figure.subplots(1, 2 + any(levels))
    number, extent = find_dominant(stack.source, n), (-0.5, nx - 0.5, -0.5, ny - 0.5)
    show(image, number, (1, n), "viridis", extent=extent)
    squares = f"in squares of {TILE} x {TILE} pixels"
    image.set_title(f"the exposure that sets most of the minimum,\n{squares}")
    share.barh(places, [value or 0 for value in shares], color=colours)
    share.axvline(1 / n, color="k", ls="--", lw=1, label=f"an equal part, 1/{n}")
    share.legend(loc="best", fontsize="small")
    share.set(xlabel="share of the minimum", ylim=(n + 0.7, 0.3))
    if n <= FEW:
        share.set_yticks(places, names, fontsize="x-small")
    for axes in others:
        axes.barh(places, np.array(levels, float), color=colours)
        axes.set(xlabel=f"pedestal [{stack.unit}]", ylim=(n + 0.7, 0.3), yticks=[])


def draw_runs(figure, stack):
    """Draw the lengths of runs along the dispersion, and line-like flags."""
    bars, image = figure.subplots(1, 2, width_ratios=(1, 1.3))
    runs, lengths = label_runs(stack.flags > 0, stack.axis)
    values, counts = np.unique(lengths[1:], return_counts=True)
    colours = ["#D55E00" if value >= LONG else "0.5" for value in values]
    bars.bar_label(bars.bar(values, counts, color=colours), fontsize="small", padding=2)
    bars.set_yscale("symlog", linthresh=1)  # there may be one, or none
    bars.yaxis.set_major_formatter(COUNTS)
    bars.set(xlabel="adjacent flagged pixels along the dispersion", ylabel="runs")
    bars.set(xlim=(0.4, max([5, *values]) + 0.6), ylim=(0, 2 * max([1, *counts])))
    ys, xs = np.nonzero(lengths[runs] >= LONG)
    bars.set_title(f"{len(xs)} pixels in runs of {LONG} or more (orange)")
    show(image, stack.minimum)
    y, x = find_line_like(stack.flags == HIGH, stack.residual, stack.band[HIGH], stack.axis)
    image.plot(xs, ys, "s", ms=2.5, mew=0, color="#E69F00")
    image.plot(x, y, "s", ms=6, mew=0.8, mfc="none", color="#56B4E9")
    text = "flags that repeat at one wavelength on bright structure"
    image.set_title(text if len(x) else "no flags look like an emission line")
    labels = f"in a run of {LONG} or more: {len(xs)}", f"maybe of an emission line: {len(x)}"
    figure.legend(image.lines, labels, loc="outside lower center", ncols=2)
