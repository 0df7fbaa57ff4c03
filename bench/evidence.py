"""
Measure what each way to flag finds, and what it flags in vain; see ``make evidence``.

Stacks are simulated with the demo's scenes and pixels of every kind that is known to be bad. Writes
``docs/evidence.csv``, a row per stack and way, the tables in ``docs/evidence.md``, and the figures
beside it. ``--quick`` takes one seed and few setups, and writes nothing.
"""

import argparse
import functools
import itertools
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import running_median, subtract_median
from badpix_selfcal.noise import ACROSS, measure_noise
from badpix_selfcal.robust_stats import SIGMA
from badpix_selfcal.threshold import flag_beyond_noise, flag_outliers
from demo.detectors import DETECTORS
from demo.simulate import EXPOSURE_TIME, GAIN, READ_NOISE, cosmic_rays, scene

DOCS = Path(__file__).parent.parent / "docs"
KERNEL = 15
STRENGTHS = (2, 3, 4, 5, 7, 10, 20, 50, 1000)  # in units of the noise
WEAKEST, STRONGEST = 0.03, 10.0  # DN/s
BLOTCH = 3  # pixels: side of a clump of bad pixels
DEMO = 0.2  # DN/s: the weakest of the demo's bad pixels
DITHERS = (-0.45, 0.45, -0.15, 0.15)  # as of `scene`
DUTY = 0.5  # how often a telegraph pixel is bad
# How to flag: what it is, and its colour.
WAYS = {
    "fraction": ("default: edge_mode zero, flagfrac 0.001", "#000000"),
    "shrink": ("edge_mode shrink, flagfrac 0.001", "#0072B2"),
    "0.005": ("edge_mode zero, flagfrac 0.005", "#CC79A7"),
    "sigma": ("threshold sigma, nsigma_lower 7, nsigma_upper 5", "#D55E00"),
}
# source, width: peak of its continuum in DN/s, as of `scene`; bad: fraction of the pixels that are
# warm, half as many are low; missing: fraction that is NaN; rays: those left in an exposure.
Setup = namedtuple("Setup", "group name detector science background source width bad missing rays")
POINT, EXTENDED = (0.25, 0.3), (1.5, 2.0)
SHORT, LONG = "MIRIFUSHORT", "MIRIFULONG"
LIT, BARE = "extended, background", "point, no background"
SETUPS = [
    Setup("short", "4 dithers, 2 backgrounds", SHORT, 4, 2, 5, POINT, 0.001, 0.015, 150),
    Setup("short", "4 and 4, bright", SHORT, 4, 4, 50, POINT, 0.0002, 0.02, 150),
    Setup("short", "24 and 12", SHORT, 24, 12, 5, POINT, 0.01, 0.03, 300),
    Setup("long", "2 dithers, 1 background", LONG, 2, 1, 20, POINT, 0.0002, 0.01, 80),
    Setup("long", "4 and 4, bright", LONG, 4, 4, 50, POINT, 0.005, 0.02, 150),
    Setup("long", "8 and 4", LONG, 8, 4, 5, POINT, 0.01, 0.03, 300),
    Setup("NIRSpec", "2 nods", "NRS1", 2, 0, 2, POINT, 0.001, 0.015, 150),
    Setup("NIRSpec", "4 and 4", "NRS1", 4, 4, 5, POINT, 0.005, 0.01, 150),
    Setup("extended", "short, 4 dithers", SHORT, 4, 0, 5, EXTENDED, 0.001, 0.015, 150),
    Setup("extended", "long, 8 dithers", LONG, 8, 0, 3, EXTENDED, 0.002, 0.02, 150),
    Setup(LIT, "short, 4 and 4", SHORT, 4, 4, 5, EXTENDED, 0.001, 0.015, 150),
    Setup(LIT, "long, 4 and 2", LONG, 4, 2, 20, EXTENDED, 0.005, 0.03, 150),
    Setup(BARE, "short, 4 dithers", SHORT, 4, 0, 5, POINT, 0.001, 0.015, 150),
    Setup(BARE, "short, 2 dithers", SHORT, 2, 0, 5, POINT, 0.002, 0.01, 80),
    Setup(BARE, "long, 4 dithers", LONG, 4, 0, 5, POINT, 0.001, 0.015, 150),
    Setup(BARE, "NIRSpec, 4 dithers, bright", "NRS1", 4, 0, 20, POINT, 0.0002, 0.02, 300),
]  # fmt: skip
Stack = namedtuple("Stack", "minimum axis sigma light unusable steady low telegraph blotch")


# ---- simulation ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def rate_of(name, source, offset, width):
    """Return what light puts on a detector, [ny, nx] in DN/s; arguments as of `scene`."""
    rate = scene(DETECTORS[name], source, offset, width)
    return rate if DETECTORS[name].dispersion_axis == 2 else np.ascontiguousarray(rate.T)


def bad_pixels(shape, share, rng):
    """
    Invent bad pixels whose strengths are graded evenly in the logarithm.

    Returns
    -------
    steady, low, telegraph, blotch : ndarray of float32, [ny, nx]
        What each kind adds to the rate in DN/s, 0 elsewhere.
    """
    kinds = [np.zeros(shape, np.float32) for _ in range(4)]
    n = round(share * shape[0] * shape[1])
    numbers = (n, n // 2, max(40, n // 10), max(20, n // 50))
    pixels = rng.choice(shape[0] * shape[1], sum(numbers), replace=False)
    strengths = np.exp(rng.uniform(np.log(WEAKEST), np.log(STRONGEST), pixels.size))
    ends = np.cumsum(numbers)
    for kind, end, number, sign in zip(kinds, ends, numbers, (1, -1, 1, 1), strict=True):
        kind.flat[pixels[end - number : end]] = sign * strengths[end - number : end]
    steady, low, telegraph, centres = kinds
    blotch = np.zeros(shape, np.float32)
    for y, x in np.argwhere(centres):
        part = slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)
        blotch[part] = centres[y, x]
    for kind in (steady, low, telegraph):
        kind[blotch > 0] = 0
    return steady, low, telegraph, blotch


def simulate(setup, seed):
    """
    Simulate a stack's minimum, and what is true of it.

    Returns
    -------
    stack : Stack
        Of images [ny, nx]: the minimum, what it would be of light alone, the true noise sigma,
        pixels of no use, and the kinds of bad pixels as of `bad_pixels`.
    """
    detector = DETECTORS[setup.detector]
    rng = np.random.default_rng([12, detector.seed, seed, SETUPS.index(setup)])
    shape, axis = detector.shape, detector.dispersion_axis
    kinds = bad_pixels(shape, setup.bad, rng)
    steady, low, telegraph, blotch = kinds
    missing = rng.random(shape, np.float32) < setup.missing
    edge = np.zeros(shape, bool)  # reference pixels, which are 0
    edge[:, :4] = edge[:, -4:] = True
    if axis == 1:
        edge[:4] = edge[-4:] = True
    minimum, light, clean = (np.full(shape, np.inf, np.float32) for _ in range(3))
    for i in range(setup.science + setup.background):
        source = setup.source if i < setup.science else 0.0
        offset = DITHERS[i % len(DITHERS)] if source else 0.0
        rate = rate_of(setup.detector, source, offset, setup.width)
        sky = rate + rng.standard_normal(shape, np.float32) * np.sqrt(
            rate / np.float32(EXPOSURE_TIME * GAIN) + np.float32(READ_NOISE**2)
        )
        np.minimum(light, rate, out=light)
        np.minimum(clean, sky, out=clean)
        sky += steady + low + blotch + cosmic_rays(shape, rng, setup.rays)
        sky += np.where(rng.random(shape, np.float32) < DUTY, telegraph, 0)
        np.minimum(minimum, sky, out=minimum)
    minimum[missing] = np.nan
    minimum[edge] = 0
    # The scatter about what light alone would give, free of lines and slopes.
    clean -= light
    clean[missing | edge] = np.nan
    scatter = np.abs(clean - running_median(clean, 31, axis, "shrink"))
    sigma = SIGMA * running_median(
        running_median(scatter, 31, axis, "shrink"), ACROSS, 3 - axis, "shrink"
    )
    return Stack(minimum, axis, sigma, light, edge, *kinds)


# ---- scores --------------------------------------------------------------------------------------


def flags_of(stack, way):
    """Return the flags of a stack by one of WAYS, [ny, nx]."""
    if way in ("fraction", "0.005"):
        share = 0.001 if way == "fraction" else 0.005
        median = running_median(stack.minimum, KERNEL, stack.axis)
        return flag_outliers(stack.minimum, median, share, share)[0]
    usable = np.where(stack.unusable, np.float32(np.nan), stack.minimum)
    median = running_median(usable, KERNEL, stack.axis, "shrink")
    if way == "shrink":
        return flag_outliers(usable, median)[0]
    level = measure_noise(usable, median, KERNEL, stack.axis)
    return flag_beyond_noise(usable, median, level)


def score(stack, flags):
    """
    Count what flags found and what they flagged in vain.

    Returns
    -------
    row : dict of str to int
        Bad pixels and those of them that were found, of several kinds and strengths; the flags that
        are of none, and which of these lie on spectral lines or at the ends of the detector.
    """
    high, low = flags == HIGH, flags == LOW
    valid = ~np.isnan(stack.minimum) & ~stack.unusable
    row = {"n_high": high.sum(), "n_low": low.sum()}

    def count(name, strength, found, weakest, strongest=np.inf):
        there = valid & (strength > weakest * stack.sigma) & (strength <= strongest * stack.sigma)
        row[name], row[f"{name} found"] = there.sum(), (there & found).sum()

    for kind, strength, found in (
        ("steady", stack.steady, high),
        ("low", -stack.low, low),
        ("telegraph", stack.telegraph, high),
        ("blotch", stack.blotch, high),
    ):
        count(kind, strength, found, 5)
    count("as in the demo", np.where(stack.steady >= DEMO, stack.steady, 0), high, 5)
    for first, last in itertools.pairwise(STRENGTHS):
        count(f"steady {first} to {last}", stack.steady, high, first, last)
        count(f"low {first} to {last}", -stack.low, low, first, last)
    false_high = high & ~((stack.steady > 0) | (stack.telegraph > 0) | (stack.blotch > 0))
    false_low = low & (stack.low == 0)
    bump = subtract_median(stack.light, running_median(stack.light, KERNEL, stack.axis, "shrink"))
    half = KERNEL // 2
    ends = np.ones(flags.shape, bool)
    ends[(slice(half, -half), slice(None))[:: 1 if stack.axis == 2 else -1]] = False
    row |= {"false high": false_high.sum(), "false low": false_low.sum()}
    row["line"] = (false_high & (bump > 3 * stack.sigma)).sum()
    row["edge"] = ((false_high | false_low) & ends).sum()
    return {name: int(value) for name, value in row.items()}


def rows_of(setup, seed):
    """Return a row for each of WAYS of a setup and seed."""
    stack = simulate(setup, seed)
    said = {"group": setup.group, "setup": setup.name, "seed": seed}
    return [{**said, "way": way, **score(stack, flags_of(stack, way))} for way in WAYS]


# ---- tables and figures --------------------------------------------------------------------------


def recall(rows, kind):
    """Return the share of the pixels of a kind that was found, of all rows together."""
    return rows[f"{kind} found"].sum() / max(1, rows[kind].sum())


def cell(rows, kind):
    """Return the mean over seeds of a recall or a count, and its standard deviation, as text."""
    if f"{kind} found" in rows:
        values = rows.groupby("seed").apply(recall, kind)
        return f"{values.mean():.3f} ± {values.std():.3f}"
    values = rows.groupby("seed")[kind].mean()  # a stack
    return f"{values.mean():.0f} ± {values.std():.0f}"


KINDS = {
    "as in the demo": "warm, as in the demo",
    "steady": "warm",
    "low": "low",
    "telegraph": "telegraph",
    "blotch": "blotches",
    "false high": "false high",
    "line": "of them lines",
    "false low": "false low",
    "edge": "false at the ends",
}


def table(rows, keys):
    """Write a table in Markdown: a row for each value of `keys`, in order."""
    lines = [
        "| " + " | ".join([*keys, *KINDS.values()]) + " |",
        "|" + "---|" * (len(keys) + len(KINDS)),
    ]
    for names, part in rows.groupby(keys, sort=False):
        lines.append("| " + " | ".join([*names, *(cell(part, kind) for kind in KINDS)]) + " |")
    return "\n".join(lines)


def draw_recall(rows, path):
    """Draw recall by strength, a panel for each group, with 95 % intervals of all seeds."""
    groups = rows["group"].unique()
    figure = Figure(figsize=(13, 7), dpi=100, layout="constrained")
    panels = figure.subplots(2, -(-len(groups) // 2), sharex=True, sharey=True).ravel()
    places = np.sqrt(np.array(STRENGTHS[:-1]) * np.minimum(STRENGTHS[1:], 200))
    for axes, group in zip(panels, groups, strict=False):
        for way, (label, colour) in WAYS.items():
            part = rows[(rows["group"] == group) & (rows["way"] == way)]
            points = []
            for first, last in itertools.pairwise(STRENGTHS):
                kind = f"steady {first} to {last}"
                n, k = int(part[kind].sum()), int(part[f"{kind} found"].sum())
                low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
                points.append((k / n, max(0, k / n - low), max(0, high - k / n)))
            share, below, above = np.transpose(points)
            axes.errorbar(places, share, (below, above), marker="o", ms=4, color=colour, capsize=2,
                          label=label)  # fmt: skip
        axes.set(xscale="log", title=group, xlabel="strength [noise]", ylabel="warm pixels found")
        axes.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path)


def draw_cost(rows, path):
    """Draw recall against false high flags, a point for each setup."""
    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
    axes = figure.subplots()
    groups = list(rows["group"].unique())
    for (way, group, _), part in rows.groupby(["way", "group", "setup"], sort=False):
        axes.plot(part["false high"].mean(), recall(part, "steady"), "osD^vP"[groups.index(group)],
                  color=WAYS[way][1], alpha=0.8)  # fmt: skip
    for label, colour in WAYS.values():
        axes.plot([], [], "o", color=colour, label=label)
    for group, marker in zip(groups, "osD^vP", strict=True):
        axes.plot([], [], marker, color="0.5", label=group)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="false high flags a stack", ylabel="warm pixels above 5 sigma found")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path)


def main():
    """Simulate, score, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--seeds", type=int, default=4)
    options.add_argument("--processes", type=int, default=2)
    arguments = options.parse_args()
    seeds = range(1, 2 if arguments.quick else arguments.seeds + 1)
    setups = SETUPS[::5] if arguments.quick else SETUPS
    jobs = [(setup, seed) for setup in setups for seed in seeds]
    with ProcessPoolExecutor(arguments.processes) as pool:
        found = list(pool.map(rows_of, *zip(*jobs, strict=True)))
    rows = pd.DataFrame([row for each in found for row in each])
    if arguments.quick:
        print(table(rows, ["group", "way"]))
        return
    rows.to_csv(DOCS / "evidence.csv", index=False)
    tables = table(rows, ["group", "way"]), table(rows[rows["way"] == "sigma"], ["group", "setup"])
    page = DOCS / "evidence.md"
    before, rest = page.read_text().split("<!-- make evidence -->\n")
    _, after = rest.split("<!-- end -->\n")
    text = "\n\n".join(tables)
    page.write_text(f"{before}<!-- make evidence -->\n{text}\n<!-- end -->\n{after}")
    draw_recall(rows, DOCS / "evidence_recall.png")
    draw_cost(rows, DOCS / "evidence_cost.png")


if __name__ == "__main__":
    main()
