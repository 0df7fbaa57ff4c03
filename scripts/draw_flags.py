#!/usr/bin/env -S python3 -Es
"""Draw where a stack's flagged pixels lie, on its minimum, with a zoom on the densest place."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from _fits import read_image
from _program import parser, run, whole
from median import box_sum
from threshold import HIGH, LOW

# Okabe and Ito's colours, which the colour-blind tell apart; both stand out on grey.
STYLES = {HIGH: ("high", "#D55E00", "s"), LOW: ("low", "#0072B2", "o")}
NO_DATA = "#CFC3E0"
ZOOM = 64  # pixels


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


def draw(figure, minimum, flags, header):
    """Draw the whole detector, and the densest place of it, on a figure of matplotlib."""
    size = min(ZOOM, *minimum.shape)
    y, x = densest(flags, size)
    low, high = np.nanpercentile(minimum, [1, 99])
    whole_detector, zoom = figure.subplots(1, 2)
    for axes in (whole_detector, zoom):
        axes.set_facecolor(NO_DATA)  # shines through where the minimum is NaN
        image = axes.imshow(
            minimum, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="nearest"
        )
        axes.set_xlabel("x [pixel]")
        axes.set_ylabel("y [pixel]")
    for value, (name, colour, marker) in STYLES.items():
        ys, xs = np.nonzero(flags == value)
        label = f"{name}: {len(xs)} pixels"
        whole_detector.plot(xs, ys, marker, ms=2, mew=0, color=colour)
        zoom.plot(xs, ys, marker, ms=6, mew=1.2, mfc="none", color=colour, label=label)
    for colour, width in (("black", 3), ("white", 1)):  # seen on bright and on dark
        frame = Rectangle((x, y), size, size, fill=False, color=colour, lw=width)
        whole_detector.add_patch(frame)
    ny, nx = minimum.shape
    whole_detector.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    zoom.set(xlim=(x - 0.5, x + size - 0.5), ylim=(y - 0.5, y + size - 0.5))
    whole_detector.set_title("flagged pixels on the minimum of the stack")
    zoom.set_title(f"the densest {size} x {size} pixels (framed on the left)")
    handles = [*zoom.get_legend_handles_labels()[0], Patch(color=NO_DATA, label="no valid data")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    unit = header.get("BUNIT", "unknown unit")
    figure.colorbar(image, ax=(whole_detector, zoom), label=f"minimum [{unit}]", extend="both")
    figure.suptitle(header.get("BPXSTACK", ""))


def main(arguments):
    """Write ``flags.png``."""
    minimum, _ = read_image(arguments.minimum)
    flags, header = read_image(arguments.flags)
    figure = Figure(figsize=(13, 6), dpi=100, layout="constrained")
    draw(figure, minimum, flags, header)
    with whole(arguments.output) as part:
        figure.savefig(part, format="png")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("flags", help="flags.fits")
    options.add_argument("output", help="flags.png")
    run(main, options)
