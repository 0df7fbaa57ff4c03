"""Figures as files."""

import functools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from badpix_selfcal.files import atomic_write

COLOURS = 256  # of a PNG with a palette


def save(figure, path):
    """
    Save a figure as its name says: as SVG, or as PNG.

    A PNG keeps its most frequent colours alone, which makes it half as large: maps of a hundred
    colours stay exact, and so do lines; what gives way are the softened edges of letters.
    """
    # By the canvases themselves: `savefig` goes through a figure twice.
    with atomic_write(path) as part:
        if path.endswith(".svg"):
            FigureCanvasSVG(figure).print_svg(part)
            return
        from PIL import Image

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        words = np.asarray(canvas.buffer_rgba()).view("<u4")[..., 0] & 0xFFFFFF
        numbers, palette = indexed(words)
        few = Image.frombytes("P", numbers.shape[::-1], numbers.astype(np.uint8).tobytes())
        few.putpalette(bytes(channels(palette).astype(np.uint8)))
        few.save(part, format="png")


def channels(words):
    """Return the red, green and blue [n, 3] of colours that are given as 24 bits, red last."""
    return np.stack([words & 255, words >> 8 & 255, words >> 16], axis=-1).astype(int)


@functools.cache
def of_all_colours():
    """Return two empty tables, of truths and of numbers; kept, as new memory takes its time."""
    return np.zeros(1 << 24, bool), np.zeros(1 << 24, np.int32)


def indexed(words, most=COLOURS):
    """
    Give numbers to the colours of a picture.

    Parameters
    ----------
    words : ndarray of uint32, [ny, nx]
        Its pixels, as 24 bits: blue, green, red.
    most : int
        How many colours to keep.

    Returns
    -------
    numbers : ndarray of int, [ny, nx]
        Of each pixel's colour in the palette, or of the nearest one there.
    palette : ndarray of uint32, [n]
        The most frequent colours.
    """
    # By a table of all colours that there are: to sort the pixels takes ten times as long.
    seen, place = of_all_colours()
    seen[words] = True
    colours = np.flatnonzero(seen).astype(words.dtype)
    seen[colours] = False
    place[colours] = np.arange(len(colours))
    place = place[words]
    counts = np.bincount(place.ravel())
    kept = np.sort(np.argsort(counts)[-most:])
    palette = colours[kept]
    number = np.empty(len(colours), int)
    for part in np.array_split(np.arange(len(colours)), 1 + len(colours) // 4096):
        away = channels(colours[part])[:, None] - channels(palette)
        number[part] = (away**2).sum(axis=-1).argmin(axis=1)
    return number[place].reshape(words.shape), palette
