"""Tuning: suggest a setting; draw and write what each setting finds, and its false positives."""

import os
import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import log, parser, warn
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.parameters import SETTING, used_parameters
from badpix_selfcal.save_figure import save_figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
CUTS = {"high": ("nsigma_upper", "flagfrac_upper"), "low": ("nsigma_lower", "flagfrac_lower")}
FALSE_SHARE = 0.1  # of the flags: a setting with more is not suggested
STYLES = {"zero": "-o", "shrink": "--s", "sigma": ":^"}  # of lines, by mode


def average_scores(scores):
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
        pixels in all, and the mean numbers of other flags and of false positives among them.
    """
    scores = scores.assign(recall=scores["found"] / scores["injected"].clip(lower=1))
    return scores.groupby([*SETTING, "kind", "strength"], as_index=False).agg(
        injected=("injected", "sum"),
        recall=("recall", "mean"),
        recall_error=("recall", "sem"),
        others=("others", "mean"),
        false=("false", "mean"),
    )


def combine_errors(errors):
    """Return the standard error of the mean of values with these standard errors."""
    return np.sqrt((errors**2).sum()) / len(errors)


def sum_strengths(table):
    """
    Sum a table over strengths: what a setting finds, and its other flags.

    Parameters
    ----------
    table : DataFrame
        From `average_scores`.

    Returns
    -------
    points : DataFrame
        Per setting and kind: recall over all strengths, its standard error, the strength from
        which half is found (NaN if none is), other flags and false positives among them.
    """
    table = table.assign(half=table["strength"].where(table["recall"] >= 0.5))
    return table.groupby([*SETTING, "kind"], as_index=False).agg(
        recall=("recall", "mean"),
        recall_error=("recall_error", combine_errors),
        half_found_from=("half", "min"),
        others=("others", "sum"),
        false=("false", "sum"),
    )


def suggest(points, n_background=1):
    """
    Choose the setting that finds most at few false positives, and say why.

    Parameters
    ----------
    points : DataFrame
        From `sum_strengths`.
    n_background : int
        Dedicated backgrounds in the stack.

    Returns
    -------
    setting : dict
        The values of SETTING. Of the settings with a share of at most FALSE_SHARE false positives,
        the one that finds most of the injected pixels, high and low; of those within its error
        the one with the fewest false positives. If there is none, the one with the smallest share.
    line : str
        The setting and the reason.
    """
    table = points.groupby(list(SETTING)).agg(
        others=("others", "sum"),
        false=("false", "sum"),
        recall=("recall", "mean"),
        error=("recall_error", combine_errors),
    )
    table["share"] = table["false"] / table["others"].clip(lower=1)
    few, least = table[table["share"] <= FALSE_SHARE], "false"
    why = f"the most with at most {FALSE_SHARE:.0%} false"
    if len(few):
        best = few.loc[few["recall"].idxmax()]
        few = few[few["recall"] >= best["recall"] - best["error"]]
    else:
        few, least = table, "share"
        why = f"no setting has at most {FALSE_SHARE:.0%} false, this one the smallest share"
    row = few.sort_values([least, "recall"], ascending=[True, False]).iloc[0]
    setting = dict(zip(SETTING, row.name, strict=True))
    used = used_parameters(setting).items()
    text = ", ".join(f"{k}: {v}" if isinstance(v, str) else f"{k}: {v:g}" for k, v in used)
    line = (
        f"suggested {text}; it finds {row['recall']:.0%} of the injected pixels, and about "
        f"{row['false']:.0f} of {row['others']:.0f} other flags are false ({row['share']:.0%}); "
        f"{why}"
    )
    if not n_background:
        line += (
            "; but the stack has no dedicated background: where its dithers are smaller than the "
            "source, false flags on it cannot be known"
        )
    return setting, line


def select_kind(table, kind):
    """
    Select the rows of a kind, with columns that tell settings apart.

    Returns
    -------
    table : DataFrame
        With mode, the edge_mode of a fraction or "sigma", and cut, such as
        ``flagfrac_upper 0.001``.
    """
    rows = table[table["kind"] == kind]
    sigma = rows["threshold"] == "sigma"
    names = np.where(sigma, *CUTS[kind])
    cuts = [f"{name} {row[name]:g}" for name, (_, row) in zip(names, rows.iterrows(), strict=True)]
    return rows.assign(mode=rows["edge_mode"].mask(sigma, "sigma"), cut=cuts)


def draw_recall(figure, table, kind):
    """Draw recall, and false positives, against strength: a column of panels for each kernel."""
    table = select_kind(table, kind)
    kernels, cuts = sorted(table["kernel_size"].unique()), list(table["cut"].unique())
    panels = figure.subplots(2, len(kernels), sharex=True, sharey="row", squeeze=False)
    for (recall, false), kernel in zip(panels.T, kernels, strict=True):
        recall.set_title(f"kernel_size {kernel}")
        false.set(xlabel="strength [noise of minimum - median]", xscale="log")
        rows = table[table["kernel_size"] == kernel]
        for (mode, cut), line in rows.groupby(["mode", "cut"], sort=False):
            style = {"ms": 4, "color": COLOURS[cuts.index(cut) % len(COLOURS)]}
            values = line["strength"], line["recall"], line["recall_error"]
            label = cut if mode == "sigma" else f"{cut}, {mode}"
            recall.errorbar(*values, fmt=STYLES[mode], capsize=2, label=label, **style)
            false.plot(line["strength"], line["false"], STYLES[mode], **style)
        recall.grid(alpha=0.3)
        false.grid(alpha=0.3)
    first, below = panels[:, 0]
    strengths = sorted(table["strength"].unique())
    first.set_xticks(strengths, [f"{s:g}" for s in strengths])
    first.minorticks_off()
    first.set_ylabel(f"injected {kind} pixels found")
    set_count_axis(below, "y", table["false"].max())
    below.set_ylabel("false positives, estimated")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def set_count_axis(axes, which, most):
    """Make an axis of counts logarithmic from 1 on, with 0 on it and every power of ten marked."""
    ticks = [0, *(10**power for power in range(int(np.log10(max(1, most))) + 2))]
    getattr(axes, f"set_{which}scale")("symlog", linthresh=1, linscale=0.5)
    axes.set(**{f"{which}lim": (-0.1, 1.5 * max(1, most))})
    axis = getattr(axes, f"{which}axis")
    axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def draw_cost(figure, points, setting):
    """Draw what each setting finds against its false positives; a star at the suggested one."""
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, CUTS, strict=True):
        rows = select_kind(points, kind)
        kernels = sorted(rows["kernel_size"].unique())
        for (kernel, mode), line in rows.groupby(["kernel_size", "mode"]):
            line = line.sort_values("false")
            values = line["false"], line["recall"], line["recall_error"]
            style = {"ms": 5, "color": COLOURS[kernels.index(kernel) % len(COLOURS)]}
            label = f"kernel_size {kernel}, {mode}"
            axes.errorbar(*values, fmt=STYLES[mode], capsize=2, label=label, **style)
        # Each cut is named once: fractions at their lowest point, sigmas at their highest.
        for (cut, mode), line in rows.groupby(["cut", rows["mode"] == "sigma"]):
            row = line.loc[line["recall"].idxmax() if mode else line["recall"].idxmin()]
            text = f"{cut.split()[1]}{' sigma' if mode else ''}"
            style = {"ha": "right" if mode else "left", "fontsize": "small", "color": "0.3"}
            shift = (-4, 9) if mode else (6, -10)
            place = row["false"], row["recall"]
            axes.annotate(text, place, shift, textcoords="offset points", **style)
        chosen = rows[(rows[list(setting)] == pd.Series(setting)).all(axis=1)]
        star = {"ms": 18, "mfc": "none", "mec": "black", "zorder": 5}
        axes.plot(chosen["false"], chosen["recall"], "*", label="suggested", **star)
        set_count_axis(axes, "x", rows["false"].max())
        axes.set(xlabel="false positives, estimated", title=f"{kind} pixels")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("injected pixels found, all strengths")
    legend = panels[0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside lower center", ncols=3)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("folder", help="where to write")
    options.add_argument("flags", help="flags.fits of the stack")
    options.add_argument("scores", nargs="+", help="score.csv of each injection")
    options.add_argument("--title", default="", help="of the figures: the stack")
    return options


def main(arguments):
    """Write ``recall.csv``, ``settings.csv``, ``suggestion.txt`` and the figures."""
    scores = [pd.read_csv(path).assign(injection=i) for i, path in enumerate(arguments.scores)]
    table, title = average_scores(pd.concat(scores)), arguments.title
    points = sum_strengths(table)
    _, header = read_image(arguments.flags)
    setting, line = suggest(points, header["BPXNBKG"])
    warn(f"tune: {title}: {line}")
    for name, text in (
        ("recall.csv", table.to_csv(index=False, float_format="%.5g")),
        ("settings.csv", points.to_csv(index=False, float_format="%.5g")),
        ("suggestion.txt", f"{line}\n"),
    ):
        with atomic_write(os.path.join(arguments.folder, name)) as part, open(part, "w") as file:
            file.write(text)
    wide = max(6, 4 * table["kernel_size"].nunique()), 8
    for name, size, heading, draw, *shown in (
        ("recall_high", wide, title, draw_recall, table, "high"),
        ("recall_low", wide, title, draw_recall, table, "low"),
        ("cost", (12, 5.5), f"{title}\n{textwrap.fill(line, 140)}", draw_cost, points, setting),
    ):
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, *shown)
        figure.suptitle(heading, fontsize="medium")
        save_figure(figure, os.path.join(arguments.folder, f"{name}.png"))
        log(f"drew {name}")
