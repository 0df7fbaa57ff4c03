"""Compare the flags of the stacks of each detector: a bad pixel is bad in all of them."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import parser
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_title
from badpix_selfcal.save_figure import save_figure

COLUMNS = ("detector", "kind", "stack", "other", "flagged", "flagged_other", "both", "by_chance")
KINDS = {HIGH: "high", LOW: "low"}
ROW = 0.3  # inches that a stack takes in a matrix


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
    for value, kind in KINDS.items():
        for (header, flags), (other, others) in itertools.permutations(stacks, 2):
            first, second = flags == value, others == value
            n, m, both = (int(np.count_nonzero(f)) for f in (first, second, first & second))
            names = header["BPXSTACK"], other["BPXSTACK"]
            rows.append((detector, kind, *names, n, m, both, round(n * m / flags.size, 2)))
    return rows


def draw_matrices(figure, detector, headers, table):
    """Draw, for either kind, the share of a stack's flags that each other stack has, too."""
    names = [header["BPXSTACK"] for header in headers]
    labels = [
        f"{i}  {format_title(header)}, {header['BPXNEXP']} exp.\n{header['BPXSTACK']}"
        for i, header in enumerate(headers, start=1)
    ]
    table = table.assign(share=100 * table["both"] / table["flagged"])
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, KINDS.values(), strict=True):
        shares = table[table["kind"] == kind].pivot(index="stack", columns="other", values="share")
        shares = shares.reindex(index=names, columns=names).to_numpy()
        shown = axes.imshow(shares, "cividis", vmin=0, vmax=100)
        axes.set(
            facecolor="0.9", xlabel="that stack ... flags, too", title=f"{kind} flags of a stack"
        )
        for (y, x), share in np.ndenumerate(shares if len(names) <= 12 else []):
            if np.isfinite(share):
                colour = "black" if share > 55 else "white"
                axes.text(x, y, f"{share:.0f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names)), range(1, len(names) + 1))
        axes.set_yticks(range(len(names)), labels, fontsize="x-small")
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
    stacks = {}  # by detector and shape
    for path in arguments.flags:
        flags, header = read_image(path)
        key = header.get("DETECTOR", "unknown"), flags.shape
        stacks.setdefault(key, []).append((header, flags))
    stacks = {key: found for key, found in stacks.items() if len(found) > 1}
    tables = [
        pd.DataFrame(count_shared(detector, found), columns=COLUMNS)
        for (detector, _), found in stacks.items()
    ]
    with atomic_write(arguments.table) as part:
        pd.concat(tables or [pd.DataFrame(columns=COLUMNS)]).to_csv(part, index=False)
    heights = [2.6 + ROW * len(found) for found in stacks.values()] or [1.2]
    figure = Figure(figsize=(12, sum(heights)), dpi=100, layout="constrained")
    if not stacks:
        text = "No detector has more than one stack: there are no flags to compare."
        figure.text(0.5, 0.5, text, ha="center", va="center")
    parts = np.ravel(figure.subfigures(max(1, len(stacks)), height_ratios=heights))
    for part, ((detector, _), found), table in zip(parts, stacks.items(), tables, strict=False):
        draw_matrices(part, detector, [header for header, _ in found], table)
    save_figure(figure, arguments.picture)
