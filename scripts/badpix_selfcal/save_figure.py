"""Figures as files."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from PIL import Image

from badpix_selfcal.atomic_io import atomic_write


def save_figure(figure, path):
    """
    Save a figure as SVG or PNG, by its name.

    A PNG has a palette of 256 colours, which halves it; in the demo, no level changes by more
    than 6 of 255.
    """
    # By the canvases, as savefig draws twice.
    with atomic_write(path) as part:
        if path.endswith(".svg"):
            FigureCanvasSVG(figure).print_svg(part)
            return
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(part, "png")
