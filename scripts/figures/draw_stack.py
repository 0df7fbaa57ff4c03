"""Draw what was flagged in a stack and why, and write the numbers beside the figures."""

import os
import warnings

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from badpix_selfcal.deviants import chances
from badpix_selfcal.doubts import LONG, line_like, run_lengths
from badpix_selfcal.files import atomic_write
from badpix_selfcal.flags import HIGH, LOW, difference
from badpix_selfcal.images import read_image
from badpix_selfcal.parameters import of_stage
from badpix_selfcal.program import log, parser
from badpix_selfcal.running_median import box_sum
from badpix_selfcal.tables import write_table

# Okabe and Ito's colours, which the colour-blind tell apart; both stand out on grey.
STYLES = {HIGH: ("high", "#D55E00", "s"), LOW: ("low", "#0072B2", "o")}
GREEN, PURPLE, BLACK = "#009E73", "#CC79A7", "#000000"
NO_DATA = "#CFC3E0"
ZOOM = 64  # pixels
CUTS = 4  # rows or columns of which a piece is drawn
HALF_CUT = 40  # pixels to either side


class Stack:
    """
    The files of a stack: minimum, median, flags [ny, nx], whose minimum it is, the header.

    What was compared with the limits is the excess: the difference, or in units of the noise.
    """

    def __init__(self, minimum, median, flags, noise=None):
        self.minimum, _ = read_image(minimum)
        self.source, _ = read_image(minimum, "SOURCE")
        self.median, _ = read_image(median)
        self.flags, self.header = read_image(flags)
        self.difference = difference(self.minimum, self.median)
        self.name = self.header["BPXSTACK"]
        self.unit = self.header.get("BUNIT", "unknown unit")
        self.axis = self.header.get("BPXAXIS") or None
        cards, scale = "BPXTH", 1
        self.excess, self.excess_name = self.difference, f"minimum - median [{self.unit}]"
        if noise:
            cards, (scale, _) = "BPXNS", read_image(noise)
            self.excess, self.excess_name = self.difference / scale, "(minimum - median) / noise"
        low, high = (self.header.get(f"{cards}{end}", np.nan) for end in ("LO", "HI"))
        self.low, self.high = (-low if noise else low), high
        self.band = [np.broadcast_to(n * scale, self.flags.shape) for n in (self.low, self.high)]

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


def stretch(image, low=1, high=99):
    """Return the limits of an image's display: percentiles of its valid pixels."""
    valid = image[np.isfinite(image)]
    return np.percentile(valid, [low, high]) if valid.size else (0, 1)


def show(axes, image, limits, cmap="gray"):
    """Show an image [ny, nx] by its pixels; where it is NaN, NO_DATA shines through."""
    axes.set_facecolor(NO_DATA)
    axes.set(xlabel="x [pixel]", ylabel="y [pixel]")
    return axes.imshow(
        image, cmap=cmap, vmin=limits[0], vmax=limits[1], origin="lower", interpolation="nearest"
    )


def densest(flags, size):
    """
    Find the place with the most flagged pixels.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        Not 0 where flagged.
    size : int
        Side of the place in pixels; the image must hold it.

    Returns
    -------
    y, x : int
        Its first row and column.
    """
    counts = box_sum(flags > 0, (size, size))
    y, x = np.unravel_index(counts.argmax(), counts.shape)
    return int(y), int(x)


def draw_flags(figure, stack):
    """Draw the flagged pixels on the minimum: the whole detector, and the densest place of it."""
    size = min(ZOOM, *stack.minimum.shape)
    y, x = densest(stack.flags, size)
    whole_detector, zoom = figure.subplots(1, 2)
    for axes in (whole_detector, zoom):
        image = show(axes, stack.minimum, stretch(stack.minimum))
    for value, (name, colour, marker) in STYLES.items():
        ys, xs = np.nonzero(stack.flags == value)
        label = f"{name}: {len(xs)} pixels"
        whole_detector.plot(xs, ys, marker, ms=2, mew=0, color=colour)
        zoom.plot(xs, ys, marker, ms=6, mew=1.2, mfc="none", color=colour, label=label)
    for colour, width in (("black", 3), ("white", 1)):  # seen on bright and on dark
        frame = Rectangle((x, y), size, size, fill=False, color=colour, lw=width)
        whole_detector.add_patch(frame)
    ny, nx = stack.minimum.shape
    whole_detector.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    zoom.set(xlim=(x - 0.5, x + size - 0.5), ylim=(y - 0.5, y + size - 0.5))
    whole_detector.set_title("flagged pixels on the minimum of the stack")
    zoom.set_title(f"the densest {size} x {size} pixels (framed on the left)")
    handles = [*zoom.get_legend_handles_labels()[0], Patch(color=NO_DATA, label="no valid data")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    label = f"minimum [{stack.unit}]"
    figure.colorbar(image, ax=(whole_detector, zoom), label=label, extend="both")


def draw_stages(figure, stack):
    """Draw minimum and median in one stretch, and their difference."""
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    limits = stretch(stack.minimum)
    for axes, name, image in (
        (panels[0], "minimum", stack.minimum),
        (panels[1], "median", stack.median),
    ):
        left = show(axes, image, limits)
        axes.set_title(name)
    figure.colorbar(left, ax=panels[:2], label=f"[{stack.unit}]", extend="both", shrink=0.8)
    most = np.nanmax(np.abs([stack.low, stack.high, 1e-30]))
    right = show(panels[2], stack.excess, (-most, most), "PuOr_r")
    panels[2].set_title("difference, to the farther threshold")
    figure.colorbar(right, ax=panels[2], label=stack.excess_name, extend="both", shrink=0.8)


def draw_histogram(figure, stack):
    """Draw the histogram of the excess, with both thresholds and the flagged tails."""
    near, far = figure.subplots(1, 2)
    valid = stack.excess[np.isfinite(stack.excess)]
    unit = "times the noise" if "noise" in stack.excess_name else stack.unit
    close = 3 * np.nanmax(np.abs([stack.low, stack.high, 1e-30]))
    for axes, reach in ((near, close), (far, max(close, *np.abs(stretch(valid, 0.02, 99.98))))):
        bins = np.linspace(-reach, reach, 161)
        axes.hist(np.clip(valid, -reach, reach), bins, color="0.6", label="all valid pixels")
        for value, (name, colour, _) in STYLES.items():
            tail = np.clip(stack.excess[stack.flags == value], -reach, reach)
            threshold = stack.low if value == LOW else stack.high
            axes.hist(tail, bins, color=colour, label=f"flagged {name}: {tail.size} pixels")
            label = f"{name} threshold {threshold:.4g} {unit}"
            axes.axvline(threshold, color=colour, ls="--", label=label)
        axes.set(xlabel=stack.excess_name, ylabel="pixels per bin")
        axes.set_yscale("symlog", linthresh=1)  # a bin may be empty, as may be all
    near.set_title("near the thresholds; the outermost bins hold what lies beyond")
    far.set_title("all")
    figure.legend(*near.get_legend_handles_labels(), loc="outside lower center", ncols=5)


def draw_cuts(figure, stack):
    """Draw cuts along the dispersion axis through strong and weak flagged pixels."""
    minimum, median, excess, flags, low, high = stack.along
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
        axes.set_title(f"{kind} {STYLES[value][0]} flag, {other} = {across}")
    if not strongest:
        figure.text(0.5, 0.5, "nothing is flagged", ha="center")
    else:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)


def draw_places(figure, stack):
    """Draw where the flags lie: along and across the dispersion, and in light or in gaps."""
    rows, columns, gaps = figure.subplots(1, 3, width_ratios=(2, 2, 1))
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
        if stack.axis == dispersion:
            for edge in ((0, half), (n - half, n)):
                axes.axvspan(*edge, color=PURPLE, alpha=0.5, lw=0)
            title = f"{stack.header['BPXNEDGE']} within half a kernel of the ends (shaded)"
        else:
            title = "across the dispersion"
        axes.set_title(title)
    rows.legend()
    # The gaps between slices are the fainter half of each line across the dispersion.
    names = ["faint half:\ngaps, sky", "bright half:\nslices, source"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # lines of reference pixels alone
        half = np.nanmedian(stack.median, axis=2 - (stack.axis or 2), keepdims=True)
    faint = stack.median < half
    for i, (value, (name, colour, _)) in enumerate(STYLES.items()):
        here = stack.flags == value
        counts = [np.count_nonzero(here & faint), np.count_nonzero(here & ~faint)]
        gaps.bar(np.arange(2) + 0.4 * i - 0.2, counts, 0.38, color=colour, label=name)
    gaps.set_xticks([0, 1], names)
    gaps.set(ylabel="flagged pixels", title="by the median")


def draw_fractions(figure, stack):
    """Draw how many pixels other fractions, or other numbers of sigma, would flag."""
    if stack.excess is not stack.difference:
        draw_nsigmas(figure, stack)
        return
    count, threshold = figure.subplots(1, 2, sharex=True)
    valid = np.sort(stack.difference[~np.isnan(stack.difference)])
    fractions = np.geomspace(1e-5, 0.02, 60)
    for value, (name, colour, _) in STYLES.items():
        if not valid.size:
            break
        ends = fractions if value == LOW else 1 - fractions
        thresholds = np.percentile(valid, 100 * ends)
        beyond = (
            np.searchsorted(valid, thresholds)
            if value == LOW
            else valid.size - np.searchsorted(valid, thresholds, "right")
        )
        style = {"color": colour, "ls": "-" if value == HIGH else "--"}
        count.plot(fractions, beyond, **style, label=name)
        threshold.plot(fractions, np.abs(thresholds), **style, label=name)
        chosen = stack.header["BPXFRHI" if value == HIGH else "BPXFRLO"]
        for axes in (count, threshold):
            axes.axvline(chosen, lw=1, **style)
    count.set(ylabel="pixels that it flags", title="the vertical lines are what was chosen")
    threshold.set(ylabel=f"|threshold| [{stack.unit}]", title="and where its threshold lies")
    for axes in (count, threshold):
        axes.set(xscale="log", xlabel="flagfrac (of the valid pixels)")
        axes.grid(alpha=0.3)
    count.set_yscale("symlog", linthresh=1)
    if any((line.get_ydata() > 0).any() for line in threshold.lines[::2]):
        threshold.set_yscale("log")
    if valid.size:
        count.legend()
    figure.supxlabel(stack.deviants, fontsize="small")


def draw_nsigmas(figure, stack):
    """Draw how many pixels other numbers of sigma would flag, and what noise alone would."""
    axes = figure.subplots()
    valid = np.sort(stack.excess[~np.isnan(stack.excess)])
    nsigma = np.linspace(3, 15, 61)
    chance = np.array([chances(n, stack.header["BPXNEXP"]) for n in nsigma]) * valid.size
    for value, (name, colour, _) in STYLES.items():
        counts = (
            np.searchsorted(valid, -nsigma)
            if value == LOW
            else valid.size - np.searchsorted(valid, nsigma, "right")
        )
        style = {"color": colour, "ls": "-" if value == HIGH else "--"}
        axes.plot(nsigma, counts, **style, label=f"{name}, from noise alone dotted")
        axes.plot(nsigma, chance[:, 0 if value == LOW else 1], color=colour, ls=":")
        axes.axvline(abs(stack.low if value == LOW else stack.high), lw=1, **style)
    axes.set_yscale("symlog", linthresh=1)
    axes.set(xlabel="nsigma", ylabel="pixels that it flags", ylim=(0, None),
             title=f"the vertical lines are what was chosen; {stack.deviants}")  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend()


def draw_sources(figure, stack):
    """Draw which exposure set the minimum, its share, and its pedestal."""
    rows = stack.exposures()
    image, share, pedestal = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    number = np.where(stack.source > 0, stack.source, np.nan)
    colours = ListedColormap(colours_of(len(rows)))
    shown = show(image, number, (0.5, len(rows) + 0.5), colours)
    image.set_title("the exposure that set the minimum")
    figure.colorbar(shown, ax=image, label="number of the exposure", shrink=0.8)
    places = np.arange(1, len(rows) + 1)
    bars = [row[2] or 0 for row in rows]
    odd = ["#D55E00" if row[3] else "0.5" for row in rows]
    share.barh(places, bars, color=odd)
    share.axvline(1 / len(rows), color=BLACK, ls="--", lw=1, label="an equal part")
    share.set(xlabel="share of the minimum", ylabel="exposure", title="orange: with a warning")
    share.legend(loc="best")
    levels = [np.nan if row[1] is None else row[1] for row in rows]
    pedestal.plot(levels, places, "o", color=BLACK)
    pedestal.set(xlabel=f"pedestal [{stack.unit}]", ylabel="exposure", title="subtracted level")
    for axes in (share, pedestal):
        axes.set_ylim(len(rows) + 0.7, 0.3)
        axes.yaxis.get_major_locator().set_params(integer=True)
    if len(rows) <= 24:
        names = [f"{i} {row[0]}" for i, row in enumerate(rows, start=1)]
        share.set_yticks(places, names, fontsize="x-small")
        share.set_ylabel("")


def colours_of(n):
    """Return n colours that neighbours in number are told apart by."""
    base = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999"]
    return [base[i % len(base)] for i in range(n)]


def draw_runs(figure, stack):
    """Draw the lengths of runs along the dispersion, and flags that may be of spectral lines."""
    lengths, lines = figure.subplots(1, 2, width_ratios=(1, 1.3))
    if stack.axis is None:
        lengths.set_title("the dispersion axis is unknown")
        return
    found = run_lengths(stack.flags > 0, stack.axis)
    values, counts = np.unique(found, return_counts=True)
    colours = ["#D55E00" if value >= LONG else "0.5" for value in values]
    lengths.bar(values, counts, color=colours)
    lengths.set(yscale="log", xlabel="adjacent flagged pixels along the dispersion",
                ylabel="runs")  # fmt: skip
    lengths.xaxis.get_major_locator().set_params(integer=True)
    n = found[found >= LONG].sum()
    lengths.set_title(f"{n} pixels in runs of {LONG} or more (orange)")
    show(lines, stack.minimum, stretch(stack.minimum))
    y, x = line_like(stack.flags == HIGH, stack.difference, stack.band[1], stack.axis)
    lines.plot(x, y, "s", ms=4, mew=0.8, mfc="none", color="#D55E00")
    ny, nx = stack.minimum.shape
    lines.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    lines.set_title(f"{len(x)} flags repeat at one wavelength on bright structure")


FIGURES = {
    "flags": (draw_flags, (13, 6)),
    "stages": (draw_stages, (15, 5)),
    "histogram": (draw_histogram, (14, 5)),
    "cuts": (draw_cuts, (12, 7)),
    "places": (draw_places, (14, 4.5)),
    "fractions": (draw_fractions, (11, 4.5)),
    "sources": (draw_sources, (14, 5)),
    "runs": (draw_runs, (13, 5.5)),
}


VECTORS = ("histogram", "cuts", "places", "fractions")  # as SVG, too: lines, and no image


PLAYING = {p.name: p.card for p in of_stage("threshold")}


def numbers(stack):
    """List what the captions say: name and value."""
    header = stack.header
    return [
        ("exposures", header["BPXNEXP"]),
        ("kernel_size", header["BPXKERN"]),
        ("edge_mode", header["BPXEDGE"]),
        ("dispersion axis", stack.axis or "both"),
        *((name, header[card]) for name, card in PLAYING.items() if card in header),
        (f"low threshold [{stack.unit}]", f"{header.get('BPXTHLO', np.nan):.5g}"),
        (f"high threshold [{stack.unit}]", f"{header.get('BPXTHHI', np.nan):.5g}"),
        ("deviants low, about", header.get("BPXNDLO", "unknown")),
        ("deviants high, about", header.get("BPXNDHI", "unknown")),
        ("flagged low", header["BPXNLO"]),
        ("flagged high", header["BPXNHI"]),
        ("of them at the edge", header["BPXNEDGE"]),
        (f"of them in runs of {LONG} or more", header.get("BPXNRUN", "unknown")),
        ("of them maybe of a spectral line", header.get("BPXNLINE", "unknown")),
    ]


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("median", help="median.fits")
    options.add_argument("flags", help="flags.fits")
    options.add_argument("folder", help="where to write the figures")
    options.add_argument("--noise", metavar="FILE", help="noise.fits, where threshold is sigma")
    return options


def main(arguments):
    """Write the figures, as PNG and some as SVG, and ``numbers.csv``."""
    stack = Stack(arguments.minimum, arguments.median, arguments.flags, arguments.noise)
    for name, (draw, size) in FIGURES.items():
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, stack)
        figure.suptitle(stack.name, fontsize="medium")
        for form in ("png", "svg") if name in VECTORS else ("png",):
            with atomic_write(os.path.join(arguments.folder, f"{name}.{form}")) as part:
                figure.savefig(part, format=form)
        log(f"drew {name}")
    write_table(os.path.join(arguments.folder, "numbers.csv"), numbers(stack))
