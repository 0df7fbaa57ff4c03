"""Compare the flags of the stacks of each detector: a bad pixel is bad in all of them."""

import itertools

import numpy as np
from matplotlib.figure import Figure

from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.images import read_image
from badpix_selfcal.labels import title
from badpix_selfcal.pictures import save
from badpix_selfcal.program import parser
from badpix_selfcal.tables import write_table

COLUMNS = ("detector", "kind", "stack", "other", "flagged", "flagged_other", "both", "by_chance")
KINDS = {HIGH: "high", LOW: "low"}
EACH = 0.3  # inches that a stack takes in a matrix


def by_detector(paths):
    """Read flags, and gather them by detector and shape: lists of (header, flags [ny, nx])."""
    found = {}
    for path in paths:
        flags, header = read_image(path)
        key = header.get("DETECTOR", "unknown"), flags.shape
        found.setdefault(key, []).append((header, flags))
    return found


def shared_rows(detector, stacks):
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
        Of COLUMNS; `by_chance` is what both would have if they flagged pixels at random.
    """
    rows = []
    for kind, word in KINDS.items():
        for a, b in itertools.permutations(stacks, 2):
            first, second = a[1] == kind, b[1] == kind
            n, m = int(first.sum()), int(second.sum())
            both = int((first & second).sum())
            names = a[0]["BPXSTACK"], b[0]["BPXSTACK"]
            rows.append((detector, word, *names, n, m, both, round(n * m / first.size, 2)))
    return rows


def draw_matrices(figure, detector, stacks, rows):
    """Draw, for either kind, which share of a stack's flags each other stack has, too."""
    names = [header["BPXSTACK"] for header, _ in stacks]
    labels = [
        f"{i}  {title(header)}, {header['BPXNEXP']} exp.\n{header['BPXSTACK']}"
        for i, (header, _) in enumerate(stacks, start=1)
    ]
    panels = figure.subplots(1, 2, sharey=True)
    for axes, word in zip(panels, KINDS.values(), strict=True):
        share = np.full((len(names), len(names)), np.nan)
        for _, kind, stack, other, n, _, both, _ in rows:
            if kind == word and n:
                share[names.index(stack), names.index(other)] = 100 * both / n
        shown = axes.imshow(share, "cividis", vmin=0, vmax=100)
        axes.set_facecolor("0.9")
        if len(names) <= 12:
            for (y, x), value in np.ndenumerate(share):
                if value == value:
                    colour = "black" if value > 55 else "white"
                    axes.text(x, y, f"{value:.0f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), range(1, len(names) + 1))
        axes.set_yticks(range(len(names)), labels, fontsize="x-small")
        axes.set(xlabel="that stack ... flags, too", title=f"{word} flags of a stack")
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
    found = by_detector(arguments.flags)
    several = {key: stacks for key, stacks in found.items() if len(stacks) > 1}
    rows = [row for (name, _), stacks in several.items() for row in shared_rows(name, stacks)]
    write_table(arguments.table, [COLUMNS, *rows])
    heights = [2.6 + EACH * len(stacks) for stacks in several.values()] or [1.2]
    figure = Figure(figsize=(12, sum(heights)), dpi=100, layout="constrained")
    if not several:
        words = "No detector has more than one stack: there are no flags to compare."
        figure.text(0.5, 0.5, words, ha="center", va="center")
    parts = np.ravel(figure.subfigures(max(1, len(several)), height_ratios=heights))
    for part, ((detector, _), stacks) in zip(parts, several.items(), strict=False):
        draw_matrices(part, detector, stacks, [row for row in rows if row[0] == detector])
    save(figure, arguments.picture)
