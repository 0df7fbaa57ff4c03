"""Compare the flags of the stacks of each detector: a bad pixel is bad in all of them."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_title
from badpix_selfcal.save_figure import save_figure

COLUMNS = ("detector", "kind", "stack", "other", "flagged", "flagged_other", "both", "by_chance")
KINDS = {"high": HIGH, "low": LOW}


def count_shared(detector, stacks):
    """
    Count the flags that each two stacks share.

    Parameters
    ----------
    detector : str
    stacks : list of (mapping, ndarray of uint8 [ny, nx])
        Header and flags of each.

    Returns
    -------
    rows : list of tuple
        Of COLUMNS; `by_chance` is the number expected if both flagged pixels at random.
    """
    rows = []
    for kind, value in KINDS.items():
        for (header, flags), (other, others) in itertools.permutations(stacks, 2):
            first, second = flags == value, others == value
            n, m, both = (int(np.count_nonzero(f)) for f in (first, second, first & second))
            names = header["BPXSTACK"], other["BPXSTACK"]
            rows.append((detector, kind, *names, n, m, both, round(n * m / flags.size, 2)))
    return rows


def draw_matrices(figure, detector, headers, table):
    """Draw, for either kind, the share of a stack's flags that each other stack has, too."""
    names, numbers = [header["BPXSTACK"] for header in headers], range(1, len(headers) + 1)
    titles = [f"{format_title(header)}, {header['BPXNEXP']} exp." for header in headers]
    labels = [f"{i}  {t}\n{n}" for i, t, n in zip(numbers, titles, names, strict=True)]
    table = table.assign(share=100 * table["both"] / table["flagged"])
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, KINDS, strict=True):
        shares = table[table["kind"] == kind].pivot(index="stack", columns="other", values="share")
        shares = shares.reindex(index=names, columns=names).to_numpy()
        shown = axes.imshow(shares, "cividis", vmin=0, vmax=100)
        for y, x in np.argwhere(np.isfinite(shares)) if len(names) <= 12 else ():
            colour, text = "black" if shares[y, x] > 55 else "white", f"{shares[y, x]:.0f}"
            axes.text(x, y, text, ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), numbers)
        axes.set_yticks(range(len(names)), labels, fontsize="x-small")
        axes.set(facecolor="0.9", xlabel="that stack ... flags, too")
        axes.set_title(f"{kind} flags of a stack")
    figure.colorbar(shown, ax=panels, label="share [%]", shrink=0.7)
    figure.suptitle(f"{detector}: flags that stacks share; real bad pixels are in all of them")


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("flags", nargs="+", metavar="FLAGS", help="flags.fits of each stack")
    options.add_argument("--table", required=True, help="shared.csv")
    options.add_argument("--picture", required=True, help="shared.png")
    return options


def main(arguments):
    """Write ``shared.csv`` and ``shared.png``."""
    found = {}  # by detector and shape
    for path in arguments.flags:
        flags, header = read_image(path)
        key = header.get("DETECTOR", "unknown"), flags.shape
        found.setdefault(key, []).append((header, flags))
    alone = [detector for (detector, _), stacks in found.items() if len(stacks) == 1]
    found = [(detector, stacks) for (detector, _), stacks in found.items() if len(stacks) > 1]
    rows = [row for detector, stacks in found for row in count_shared(detector, stacks)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_text(arguments.table, table.to_csv(index=False))
    heights = [2.6 + 0.3 * len(stacks) for _, stacks in found] + [0.5] * bool(alone)  # inches
    figure = Figure(figsize=(12, sum(heights)), dpi=100, layout="constrained")
    parts = np.ravel(figure.subfigures(len(heights), height_ratios=heights))
    for part, (detector, stacks) in zip(parts, found, strict=False):
        draw_matrices(part, detector, [header for header, _ in stacks], table)
    if alone:
        text = f"{', '.join(alone)}: one stack, nothing to compare"
        parts[-1].text(0.5, 0.5, text, ha="center", va="center", fontsize="large")
    save_figure(figure, arguments.picture)
