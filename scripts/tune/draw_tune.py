"""Tuning: suggest a setting; draw and write what each finds and what it costs."""

import os
import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import NullLocator

from badpix_selfcal.files import atomic_write
from badpix_selfcal.parameters import SETTING, effective
from badpix_selfcal.program import log, parser, warn

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
CUTS = {"high": ("flagfrac_upper", "nsigma_upper"), "low": ("flagfrac_lower", "nsigma_lower")}
FALSE_SHARE = 0.1  # of the flags: a setting with more is not suggested
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
        pixels in all, and the mean numbers of other flagged pixels and of those that seem good.
    """
    scores = scores.assign(recall=scores["found"] / scores["injected"].clip(lower=1))
    groups = scores.groupby([*SETTING, "kind", "strength"])
    return pd.DataFrame(
        {
            "injected": groups["injected"].sum(),
            "recall": groups["recall"].mean(),
            "recall_error": groups["recall"].sem(),
            "others": groups["others"].mean(),
            "false": groups["false"].mean(),
        }
    ).reset_index()


def by_setting(table):
    """
    Sum a table by setting and kind: what a setting finds, and what else it flags.

    Returns
    -------
    points : DataFrame
        Per setting and kind: recall over all strengths, its standard error, the strength from
        which half is found (NaN if none is), other flagged pixels and those that seem good.
    """
    rows = []
    for key, group in table.groupby([*SETTING, "kind"]):
        group = group.sort_values("strength")
        half = group.loc[group["recall"] >= 0.5, "strength"]
        error = np.sqrt((group["recall_error"] ** 2).sum()) / len(group)
        cost = group["others"].sum(), group["false"].sum()
        values = (group["recall"].mean(), error, half.min(), *cost)
        rows.append((*key, *values))
    columns = ("recall", "recall_error", "half_found_from", "others", "false")
    return pd.DataFrame(rows, columns=[*SETTING, "kind", *columns])


def suggest(points):
    """
    Choose the setting that finds most at few false flags, and say why.

    Parameters
    ----------
    points : DataFrame
        As of `by_setting`.

    Returns
    -------
    setting : dict
        The values of SETTING. Of the settings of whose other flags at most FALSE_SHARE seem good,
        the one that finds most of the injected pixels, high and low; of those within its error
        the one with the fewest false flags. If there is none, the one with the smallest share.
    line : str
        The setting and the reason.
    """
    groups = points.groupby(list(SETTING))
    table = groups[["others", "false"]].sum()
    table["recall"] = groups["recall"].mean()
    table["error"] = groups["recall_error"].agg(lambda e: np.sqrt((e.fillna(0) ** 2).sum()) / 2)
    table["share"] = table["false"] / table["others"].clip(lower=1)
    few = table[table["share"] <= FALSE_SHARE]
    if len(few):
        best = few.loc[few["recall"].idxmax()]
        near = few[few["recall"] >= best["recall"] - best["error"]]
        key = near.sort_values(["false", "recall"], ascending=[True, False]).index[0]
        why = f"the most with at most {FALSE_SHARE:.0%} false"
    else:
        key = table.sort_values(["share", "recall"], ascending=[True, False]).index[0]
        why = f"no setting has at most {FALSE_SHARE:.0%} false, this one the smallest share"
    row = table.loc[key]
    setting = dict(zip(SETTING, key, strict=True))
    words = ", ".join(
        f"{name}: {value}" if isinstance(value, str) else f"{name}: {value:g}"
        for name, value in effective(setting).items()
    )
    line = (
        f"suggested {words}; it finds {row['recall']:.0%} of the injected pixels, and about "
        f"{row['false']:.0f} of {row['others']:.0f} other flags are false ({row['share']:.0%}); "
        f"{why}"
    )
    return setting, line


def draw_recall(figure, table, kind):
    """Draw recall, and other flags, against strength: a column of panels for each kernel."""
    table = with_cuts(table, kind)
    kernels = sorted(table["kernel_size"].unique())
    cuts = list(table["cut"].unique())
    panels = figure.subplots(2, len(kernels), sharex=True, sharey="row", squeeze=False)
    for (recall, others), kernel in zip(panels.T, kernels, strict=True):
        recall.set_title(f"kernel_size {kernel}")
        others.set_xlabel("strength [noise of minimum - median]")
        others.set_xscale("log")
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
            others.plot(line["strength"], line["false"], **style)
        for axes in (recall, others):
            axes.grid(alpha=0.3)
    strengths = sorted(table["strength"].unique())
    panels[0, 0].set_xticks(strengths, [f"{s:g}" for s in strengths])
    panels[0, 0].minorticks_off()
    panels[0, 0].set_ylabel(f"injected {kind} pixels found")
    count_axis(panels[1, 0], "y", table["false"].max())
    panels[1, 0].set_ylabel("false flags, estimated")
    unique = dict(zip(*panels[0, 0].get_legend_handles_labels()[::-1], strict=True))
    figure.legend(unique.values(), unique, loc="outside lower center", ncols=3)


def count_axis(axes, which, most):
    """Make an axis of counts logarithmic from 1 on, with 0 on it and every power of ten marked."""
    powers = range(int(np.log10(max(1, most))) + 2)
    ticks = [0, *(10**power for power in powers)]
    axes.set(**{f"{which}scale": SymmetricalLogScale(None, linthresh=1, linscale=0.5)})
    axes.set(**{f"{which}lim": (-0.1, 1.5 * max(1, most))})
    axis = getattr(axes, f"{which}axis")
    axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def draw_cost(figure, points, setting):
    """Draw what each setting finds against its false flags; a star where one is suggested."""
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), CUTS, strict=True):
        rows = with_cuts(points, kind)
        kernels = sorted(rows["kernel_size"].unique())
        for (kernel, mode), line in rows.groupby(["kernel_size", "mode"]):
            line = line.sort_values("false")
            ls, marker = MODES[mode]
            axes.errorbar(
                line["false"], line["recall"], line["recall_error"], ls=ls, marker=marker, ms=5,
                capsize=2, color=COLOURS[kernels.index(kernel) % len(COLOURS)],
                label=f"kernel_size {kernel}, {mode}",
            )  # fmt: skip
        # Each cut is named once: fractions at their lowest point, sigmas at their highest.
        for cut, line in rows.groupby("cut"):
            sigma = "nsigma" in cut
            row = line.loc[line["recall"].idxmax() if sigma else line["recall"].idxmin()]
            axes.annotate(
                cut.split()[1] + (" sigma" if sigma else ""), (row["false"], row["recall"]),
                (-4, 9) if sigma else (6, -10), textcoords="offset points", fontsize="small",
                color="0.3", ha="right" if sigma else "left",
            )  # fmt: skip
        chosen = rows[np.logical_and.reduce([rows[k] == v for k, v in setting.items()])]
        axes.plot(
            chosen["false"], chosen["recall"], ls="none", marker="*", ms=18, mfc="none",
            mec="black", label="suggested", zorder=5,
        )  # fmt: skip
        count_axis(axes, "x", rows["false"].max())
        axes.set(xlabel="false flags, estimated", title=f"{kind} pixels")
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
    """Write ``recall.csv``, ``settings.csv``, ``suggestion.txt`` and the figures."""
    scores = [pd.read_csv(path).assign(injection=i) for i, path in enumerate(arguments.scores)]
    table = by_strength(pd.concat(scores))
    points = by_setting(table)
    for name, frame in (("recall", table), ("settings", points)):
        with atomic_write(os.path.join(arguments.folder, f"{name}.csv")) as part:
            frame.to_csv(part, index=False, float_format="%.5g")
    setting, line = suggest(points)
    warn(f"tune: {arguments.title}: {line}")
    path = os.path.join(arguments.folder, "suggestion.txt")
    with atomic_write(path) as part, open(part, "w") as file:
        file.write(f"{line}\n")
    title = arguments.title
    width = max(6, 4 * table["kernel_size"].nunique())
    for kind in CUTS:
        draw = (draw_recall, table, kind)
        save(arguments.folder, f"recall_{kind}", (width, 8), title, *draw)
    save(
        arguments.folder,
        "cost",
        (12, 5.5),
        f"{title}\n{textwrap.fill(line, 140)}",
        draw_cost,
        points,
        setting,
    )
