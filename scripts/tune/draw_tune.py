"""Tuning: draw which setting finds how much and what it costs, and write the table of it."""

import os

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from badpix_selfcal.files import atomic_write
from badpix_selfcal.parameters import SETTING
from badpix_selfcal.program import log, parser

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
CUTS = {"high": ("flagfrac_upper", "nsigma_upper"), "low": ("flagfrac_lower", "nsigma_lower")}
MODES = {"zero": ("-", "o"), "shrink": ("--", "s"), "sigma": (":", "^")}


def with_cuts(table, kind):
    """
    Return the rows of a kind with what a reader tells settings apart by.

    Returns
    -------
    table : DataFrame
        With mode, the threshold sigma or the edge_mode of a fraction, and cut, such as
        ``flagfrac_upper 0.001``.
    """
    rows = table[table["kind"] == kind]
    sigma = rows["threshold"] == "sigma"
    fraction, nsigma = CUTS[kind]
    cuts = [
        f"{name} {value:g}"
        for name, value in zip(
            np.where(sigma, nsigma, fraction),
            np.where(sigma, rows[nsigma], rows[fraction]),
            strict=True,
        )
    ]
    return rows.assign(mode=rows["edge_mode"].where(~sigma, "sigma"), cut=cuts)


def by_strength(scores):
    """
    Average scores over the injections.

    Parameters
    ----------
    scores : DataFrame
        Of the columns of score.csv, and injection.

    Returns
    -------
    table : DataFrame
        Per setting, kind and strength: recall and its standard error over the injections, injected
        pixels in all, and the mean number of other flagged pixels.
    """
    scores = scores.assign(recall=scores["found"] / scores["injected"].clip(lower=1))
    groups = scores.groupby([*SETTING, "kind", "strength"])
    return pd.DataFrame(
        {
            "injected": groups["injected"].sum(),
            "recall": groups["recall"].mean(),
            "recall_error": groups["recall"].sem(),
            "others": groups["others"].mean(),
        }
    ).reset_index()


def by_setting(table):
    """
    Sum a table by setting and kind: what a setting finds, and what else it flags.

    Returns
    -------
    points : DataFrame
        Per setting and kind: recall over all strengths, its standard error, the strength from
        which half is found (NaN if none is), other flagged pixels in all and those that seem
        weaker than 4 times the noise, which good pixels are, too.
    """
    rows = []
    for key, group in table.groupby([*SETTING, "kind"]):
        group = group.sort_values("strength")
        half = group.loc[group["recall"] >= 0.5, "strength"]
        error = np.sqrt((group["recall_error"] ** 2).sum()) / len(group)
        weak = group.loc[group["strength"] < 4, "others"].sum()
        values = (group["recall"].mean(), error, half.min(), group["others"].sum(), weak)
        rows.append((*key, *values))
    columns = ("recall", "recall_error", "half_found_from", "others", "others_weak")
    return pd.DataFrame(rows, columns=[*SETTING, "kind", *columns])


def draw_recall(figure, table, kind):
    """Draw recall, and other flags, against strength: a column of panels for each kernel."""
    table = with_cuts(table, kind)
    kernels = sorted(table["kernel_size"].unique())
    cuts = list(table["cut"].unique())
    panels = figure.subplots(2, len(kernels), sharex=True, sharey="row", squeeze=False)
    for (recall, others), kernel in zip(panels.T, kernels, strict=True):
        recall.set_title(f"kernel_size {kernel}")
        others.set_xlabel("strength [noise of minimum - median]")
        others.set(xscale="log", yscale="symlog")
        rows = table[table["kernel_size"] == kernel]
        for (mode, cut), line in rows.groupby(["mode", "cut"], sort=False):
            ls, marker = MODES[mode]
            colour = COLOURS[cuts.index(cut) % len(COLOURS)]
            label = cut if mode == "sigma" else f"{cut}, {mode}"
            style = {"ls": ls, "marker": marker, "ms": 4, "color": colour}
            recall.errorbar(
                line["strength"], line["recall"], line["recall_error"], capsize=2, label=label,
                **style,
            )  # fmt: skip
            others.plot(line["strength"], line["others"], **style)
        for axes in (recall, others):
            axes.grid(alpha=0.3)
    strengths = sorted(table["strength"].unique())
    panels[0, 0].set_xticks(strengths, [f"{s:g}" for s in strengths])
    panels[0, 0].minorticks_off()
    panels[0, 0].set_ylabel(f"injected {kind} pixels found")
    panels[1, 0].set_ylabel("other pixels flagged")
    unique = dict(zip(*panels[0, 0].get_legend_handles_labels()[::-1], strict=True))
    figure.legend(unique.values(), unique, loc="outside lower center", ncols=3)


def draw_cost(figure, points):
    """Draw what each setting finds against what else it flags."""
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), CUTS, strict=True):
        rows = with_cuts(points, kind)
        kernels = sorted(rows["kernel_size"].unique())
        for (kernel, mode), line in rows.groupby(["kernel_size", "mode"]):
            line = line.sort_values("others")
            ls, marker = MODES[mode]
            axes.errorbar(
                line["others"], line["recall"], line["recall_error"], ls=ls, marker=marker, ms=5,
                capsize=2, color=COLOURS[kernels.index(kernel) % len(COLOURS)],
                label=f"kernel_size {kernel}, {mode}",
            )  # fmt: skip
        for cut, line in rows.groupby("cut"):
            text = cut.split()[1] + (" sigma" if "nsigma" in cut else "")
            axes.annotate(
                text, (line["others"].max(), line["recall"].min()), (6, -10),
                textcoords="offset points", fontsize="small", color="0.3",
            )  # fmt: skip
        axes.set(xscale="log", xlabel="other pixels flagged", title=f"{kind} pixels")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("injected pixels found, all strengths")
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)


def save(folder, name, size, title, draw, *arguments):
    """Draw a figure and save it as PNG."""
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    draw(figure, *arguments)
    figure.suptitle(title, fontsize="medium")
    with atomic_write(os.path.join(folder, f"{name}.png")) as part:
        figure.savefig(part, format="png")
    log(f"drew {name}")


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("folder", help="where to write")
    options.add_argument("scores", nargs="+", help="score.csv of each injection")
    options.add_argument("--title", default="", help="of the figures: the stack")
    return options


def main(arguments):
    """Write ``recall.csv``, ``settings.csv`` and the figures."""
    scores = [pd.read_csv(path).assign(injection=i) for i, path in enumerate(arguments.scores)]
    table = by_strength(pd.concat(scores))
    points = by_setting(table)
    for name, frame in (("recall", table), ("settings", points)):
        with atomic_write(os.path.join(arguments.folder, f"{name}.csv")) as part:
            frame.to_csv(part, index=False, float_format="%.5g")
    title = arguments.title
    width = max(6, 4 * table["kernel_size"].nunique())
    for kind in CUTS:
        draw = (draw_recall, table, kind)
        save(arguments.folder, f"recall_{kind}", (width, 8), title, *draw)
    save(arguments.folder, "cost", (12, 5.5), title, draw_cost, points)
