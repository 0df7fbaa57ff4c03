"""Tuning: suggest a setting; draw and write what each setting finds, and its false positives."""

import os
import textwrap
from itertools import product

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import log, parser
from badpix_selfcal.fits_io import read_image
from badpix_selfcal.parameters import SETTING, used_parameters
from badpix_selfcal.save_figure import save_figure

CUTS = {"high": ("nsigma_upper", "flagfrac_upper"), "low": ("nsigma_lower", "flagfrac_lower")}
PSF = {"MIRIFUSHORT": 0.5, "MIRIFULONG": 1.0, "NRS1": 0.2, "NRS2": 0.2}  # FWHM, arcsec
FALSE_SHARE = 0.1  # of the flags: a setting with more is not suggested
MODES = {"zero": "#0072B2", "shrink": "#D55E00", "sigma": "#009E73"}  # and their colours


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


def suggest(points, n_background=1, dither=np.nan, psf=0):
    """
    Choose the setting that finds most at few false positives, and say why.

    Parameters
    ----------
    points : DataFrame
        From `sum_strengths`.
    n_background : int
        Dedicated backgrounds in the stack.
    dither, psf : float
        Extent of its pointings, NaN if unknown, and width of the PSF at its red end, in arcsec.

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
    if not n_background and dither <= psf:
        line += (
            f"; but the stack has no dedicated background, and its dithers ({dither:.2f} arcsec) "
            "are smaller than the PSF: false flags on its source cannot be known"
        )
    elif not n_background:
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
    """Draw recall against strength: a row of panels for each mode, a column for each kernel."""
    table = select_kind(table, kind)
    kernels = sorted(table["kernel_size"].unique())
    modes = [mode for mode in MODES if mode in set(table["mode"])]
    style = {"sharex": True, "sharey": True, "squeeze": False}
    panels = figure.subplots(len(modes), len(kernels), **style)
    for (mode, kernel), axes in zip(product(modes, kernels), panels.ravel(), strict=True):
        rows = table[(table["mode"] == mode) & (table["kernel_size"] == kernel)]
        for i, (cut, line) in enumerate(rows.groupby("cut", sort=False)):
            values = line["strength"], line["recall"], line["recall_error"]
            colour = colormaps["viridis"](i / rows["cut"].nunique())
            axes.errorbar(*values, color=colour, capsize=2, label=cut)
        axes.set(title=f"{mode}, kernel_size {kernel}", xscale="log")
        axes.grid(alpha=0.3)
        if kernel == kernels[-1]:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    strengths = sorted(table["strength"].unique())
    axes.set_xticks(strengths, [f"{s:g}" for s in strengths])
    axes.minorticks_off()
    figure.supxlabel("strength [noise of the residual]")
    figure.supylabel(f"injected {kind} pixels found")


def draw_cost(figure, points, setting):
    """Draw what each setting finds against its false positives; a star at the suggested one."""
    kernels, most = sorted(points["kernel_size"].unique()), max(1, points["false"].max())
    panels = figure.subplots(2, len(kernels), sharex=True, sharey=True, squeeze=False)
    ticks = [0, *(10**power for power in range(int(np.log10(most)) + 1))]
    for (kind, kernel), axes in zip(product(CUTS, kernels), panels.ravel(), strict=True):
        rows = select_kind(points[points["kernel_size"] == kernel], kind)
        for mode, line in rows.groupby("mode"):
            line = line.sort_values("false")
            values = line["false"], line["recall"], line["recall_error"]
            axes.errorbar(*values, fmt=".-", color=MODES[mode], capsize=2, label=mode)
            if mode == "zero" and "shrink" in set(rows["mode"]):
                continue  # its cuts are those of shrink, in the same order
            for _, row in line.iterrows():
                text, place = row["cut"].split()[1], (row["false"], row["recall"])
                style = {"color": MODES[mode], "fontsize": "small"}
                shift = (-14, 4) if mode == "sigma" else (5, -9)
                axes.annotate(text, place, shift, textcoords="offset points", **style)
        chosen = rows[(rows[list(setting)] == pd.Series(setting)).all(axis=1)]
        star = {"ms": 18, "mfc": "none", "mec": "black", "zorder": 5}
        axes.plot(chosen["false"], chosen["recall"], "*", label="suggested", **star)
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set(title=f"{kind} pixels, kernel_size {kernel}", xlim=(-0.9, 5 * most))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
    figure.supxlabel("false positives, estimated")
    figure.supylabel("injected pixels found, all strengths")
    panels[0, 0].legend(loc="lower left")


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
    own = header["BPXNBKG"], scores[0]["dither"][0], PSF.get(header["DETECTOR"], 0)
    setting, line = suggest(points, *own)
    log(f"tune: {title}: {line}")
    for name, text in (
        ("recall.csv", table.to_csv(index=False, float_format="%.5g")),
        ("settings.csv", points.to_csv(index=False, float_format="%.5g")),
        ("suggestion.txt", f"{line}\n"),
    ):
        write_text(os.path.join(arguments.folder, name), text)
    wide = 2 + max(6, 4 * table["kernel_size"].nunique()), 8.5
    for name, size, heading, draw, *shown in (
        ("recall_high", wide, title, draw_recall, table, "high"),
        ("recall_low", wide, title, draw_recall, table, "low"),
        ("cost", wide, f"{title}\n{textwrap.fill(line, 140)}", draw_cost, points, setting),
    ):
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, *shown)
        figure.suptitle(heading, fontsize="medium")
        save_figure(figure, os.path.join(arguments.folder, f"{name}.png"))
