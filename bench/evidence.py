"""
Measure what each way to flag finds, and what it flags in vain; see ``make evidence``.

Stacks are simulated with the demo's scenes and pixels of every kind that is known to be bad. Writes
``docs/explanation/evidence.csv``, a row per stack and way, the tables in ``evidence.md`` beside it,
and figures. ``--quick`` takes one seed and few setups, and writes nothing.
"""

import argparse
import functools
import itertools
import re
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from badpix_selfcal.flag_diagnostics import count_diagnostics, find_warnings
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import running_median, subtract_median
from badpix_selfcal.noise import ACROSS
from badpix_selfcal.outlier_counts import count_outliers, measure_significance
from badpix_selfcal.repeats import find_repeats
from badpix_selfcal.robust_stats import SIGMA
from badpix_selfcal.selfcal import flag_minimum
from demo.detectors import DETECTORS
from demo.simulate import EXPOSURE_TIME, GAIN, READ_NOISE, paint_scene, simulate_cosmic_rays
from demo.simulate_bad_pixels import count_defects, place_defects

DOCS = Path(__file__).parent.parent / "docs"
KERNEL = 15
STRENGTHS = (2, 3, 4, 5, 7, 10, 20, 50, 1000)  # in units of the noise
WEAKEST, STRONGEST = 0.03, 10.0  # DN/s
BLOTCH = 3  # pixels: side of a clump of bad pixels
DEMO = 0.2  # DN/s: the weakest of the demo's bad pixels
DITHERS = (-0.45, 0.45, -0.15, 0.15)  # as of `paint_scene`
DUTY = 0.5  # how often a telegraph pixel is bad
# How to flag: what it is, and its colour.
WAYS = {
    "fraction": ("default: edge_mode zero, flagfrac 0.001", "#000000"),
    "shrink": ("edge_mode shrink, flagfrac 0.001", "#0072B2"),
    "upper": ("edge_mode zero, flagfrac_upper 0.005, flagfrac_lower 0.001", "#CC79A7"),
    "sigma": ("threshold sigma, nsigma_lower 7, nsigma_upper 5", "#D55E00"),
    "repeat": ("the same, repeat_fraction 0.5, where there are backgrounds", "#009E73"),
}
# edge_mode, threshold, its lower and upper parameter.
SETTINGS = {
    "fraction": ("zero", "fraction", 0.001, 0.001),
    "shrink": ("shrink", "fraction", 0.001, 0.001),
    "upper": ("zero", "fraction", 0.001, 0.005),
    "sigma": ("shrink", "sigma", 7, 5),
    "repeat": ("shrink", "sigma", 7, 5),
}
# source, width: peak of its continuum in DN/s, as of `paint_scene`; bad: fraction of the pixels
# that are warm, half as many are low; missing: fraction that is NaN; rays: those left in an
# exposure; artefact: of `fixed_pattern`, `bands`, `fringed`; dithers: as of `paint_scene`.
FIELDS = "group name detector science background source width bad missing rays artefact dithers"
Setup = namedtuple("Setup", FIELDS, defaults=("", DITHERS))
POINT, EXTENDED, FILLED = (0.25, 0.3), (1.5, 2.0), (50.0, 50.0)
SHORT, LONG = "MIRIFUSHORT", "MIRIFULONG"
BELOW_PIXEL = (0.0, 0.01, 0.02, 0.03)
OTHER = "artefacts"
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
    Setup(OTHER, "NIRSpec, 1/f bands", "NRS1", 4, 4, 5, POINT, 0.001, 0.015, 150, "bands"),
    Setup(OTHER, "short, stripes", SHORT, 4, 4, 5, POINT, 0.001, 0.015, 150, "stripes"),
    Setup(OTHER, "short, fringes on a point source", SHORT, 4, 2, 50, POINT, 0.001, 0.015, 150,
          "fringes"),
    Setup(OTHER, "short, fringes on an extended source", SHORT, 4, 2, 20, EXTENDED, 0.001, 0.015,
          150, "fringes"),
    Setup(OTHER, "short, lines in all slices, background", SHORT, 4, 4, 2, FILLED, 0.001, 0.015,
          150),
    Setup(OTHER, "short, lines in all slices, no background", SHORT, 4, 0, 2, FILLED, 0.001, 0.015,
          150),
    Setup(OTHER, "short, dithers below a pixel", SHORT, 4, 0, 5, POINT, 0.001, 0.015, 150, "",
          BELOW_PIXEL),
    Setup(OTHER, "NIRSpec, bad columns", "NRS1", 4, 4, 5, POINT, 0.001, 0.015, 150, "columns"),
]  # fmt: skip
Stack = namedtuple(
    "Stack", "minimum axis sigma light excluded repeats steady low telegraph blotch column"
)
COLUMNS, COLUMN = 4, 0.3  # bad columns of NIRSpec, and their rate in DN/s


# ---- simulation ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def rate_of(name, source, offset, width):
    """Return what light puts on a detector, [ny, nx] in DN/s; arguments as of `paint_scene`."""
    rate = paint_scene(DETECTORS[name], source, offset, width)
    return rate if DETECTORS[name].dispersion_axis == 2 else np.ascontiguousarray(rate.T)


def bad_pixels(detector, share, rng):
    """
    Invent bad pixels whose strengths are graded evenly in the logarithm.

    Returns
    -------
    steady, low, telegraph, blotch : ndarray of float32, [ny, nx]
        What each kind adds to the rate in DN/s, 0 elsewhere.
    """
    shape = detector.shape
    n = count_defects(share * shape[0] * shape[1], detector.defects)
    numbers = (n, n // 2, max(40, n // 10), max(20, n // 50))
    defect = place_defects(shape, sum(numbers), rng, detector.defects)
    strengths = np.exp(rng.uniform(np.log(WEAKEST), np.log(STRONGEST), sum(numbers)))
    kinds = []
    for end, number, sign in zip(np.cumsum(numbers), numbers, (1, -1, 1, 1), strict=True):
        rates = np.zeros(sum(numbers) + 1, np.float32)
        rates[end - number + 1 : end + 1] = sign * strengths[end - number : end]
        kinds.append(rates[defect])
    steady, low, telegraph, centres = kinds
    blotch = np.zeros(shape, np.float32)
    for y, x in np.argwhere(centres):
        part = slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)
        blotch[part] = centres[y, x]
    for kind in (steady, low, telegraph):
        kind[blotch > 0] = 0
    return steady, low, telegraph, blotch


def fixed_pattern(setup, rng):
    """Return what the detector adds to every exposure of a setup, [ny, nx] in DN/s."""
    ny, nx = DETECTORS[setup.detector].shape
    pattern = np.zeros((ny, nx), np.float32)
    if setup.artefact == "stripes":  # of rows, as of an odd-even effect and its drift
        pattern += (READ_NOISE * rng.standard_normal(ny))[:, None].astype(np.float32)
    if setup.artefact == "columns":
        pattern[:, rng.choice(np.arange(20, nx - 20), COLUMNS, replace=False)] = COLUMN
    return pattern


def bands(shape, rng):
    """Return 1/f noise of the readout of one exposure, [1, nx] in DN/s: bands along y."""
    frequency = np.fft.rfftfreq(shape[1], 1)
    frequency[0] = np.inf
    spectrum = np.fft.rfft(rng.standard_normal(shape[1])) / np.sqrt(frequency)
    noise = np.fft.irfft(spectrum, shape[1])
    return (READ_NOISE * noise / noise.std()).astype(np.float32)[None, :]


def fringed(rate, axis):
    """Return a source with fringes of a tenth, of 12 to 16 pixels, along the dispersion."""
    along = 2 - axis
    place = np.expand_dims(np.arange(rate.shape[along]), 1 - along)
    across = np.expand_dims(np.arange(rate.shape[1 - along]), along)
    phase = 2 * np.pi * (place / (12 + 4 * place / place.max()) + across / 40)
    return (rate * (1 + 0.1 * np.sin(phase))).astype(np.float32)


def simulate(setup, seed):
    """
    Simulate a stack's minimum, and what is true of it.

    Returns
    -------
    stack : Stack
        Of images [ny, nx]: the minimum, what it would be of light alone, the true noise sigma,
        excluded pixels, those that come and go, the kinds of bad pixels as of `bad_pixels`, and
        bad columns.
    """
    detector = DETECTORS[setup.detector]
    rng = np.random.default_rng([12, detector.seed, seed, SETUPS.index(setup)])
    shape, axis = detector.shape, detector.dispersion_axis
    kinds = bad_pixels(detector, setup.bad, rng)
    steady, low, telegraph, blotch = kinds
    missing = rng.random(shape, np.float32) < setup.missing
    edge = np.zeros(shape, bool)  # reference pixels, which are 0
    edge[:, :4] = edge[:, -4:] = True
    if axis == 1:
        edge[:4] = edge[-4:] = True
    pattern = fixed_pattern(setup, rng)
    planes = []
    minimum, light, clean = (np.full(shape, np.inf, np.float32) for _ in range(3))
    for i in range(setup.science + setup.background):
        source = setup.source if i < setup.science else 0.0
        offset = setup.dithers[i % len(setup.dithers)] if source else 0.0
        rate = rate_of(setup.detector, source, offset, setup.width)
        rate = fringed(rate, axis) if source and setup.artefact == "fringes" else rate
        sky = rate + rng.standard_normal(shape, np.float32) * np.sqrt(
            rate / np.float32(EXPOSURE_TIME * GAIN) + np.float32(READ_NOISE**2)
        )
        np.minimum(light, rate, out=light)
        sky += bands(shape, rng) if setup.artefact == "bands" else 0
        sky += pattern if setup.artefact == "stripes" else 0
        np.minimum(clean, sky, out=clean)
        sky += pattern if setup.artefact == "columns" else 0
        sky += steady + low + blotch + simulate_cosmic_rays(shape, rng, setup.rays)
        sky += np.where(rng.random(shape, np.float32) < DUTY, telegraph, 0)
        sky[missing] = np.nan
        sky[edge] = 0
        planes.append(sky)
        np.fmin(minimum, sky, out=minimum)
    minimum[missing] = np.nan
    minimum[edge] = 0
    # The scatter about what light alone would give, free of lines and slopes.
    clean -= light
    clean[missing | edge] = np.nan
    scatter = np.abs(clean - running_median(clean, 31, axis, "shrink"))
    sigma = SIGMA * running_median(
        running_median(scatter, 31, axis, "shrink"), ACROSS, 3 - axis, "shrink"
    )
    column = pattern if setup.artefact == "columns" else np.zeros(shape, np.float32)
    repeats = np.zeros(shape, bool)
    if setup.background:
        repeats = find_repeats(planes, KERNEL, axis, 0.5, edge)
    return Stack(minimum, axis, sigma, light, edge, repeats, *kinds, column)


# ---- scores --------------------------------------------------------------------------------------


def flag(stack, way):
    """Flag a stack by one of WAYS, with the function that the package offers; return a Selfcal."""
    edge_mode, threshold, *cuts = SETTINGS[way]
    excluded = stack.excluded if edge_mode == "shrink" else None
    repeats = stack.repeats if way == "repeat" else None
    images = stack.minimum, None, excluded, repeats
    return flag_minimum(*images, stack.axis, KERNEL, edge_mode, threshold, {threshold: cuts})


def judge(found, axis):
    """Return the estimate of false high flags, and whether the stack is warned of them."""
    cards = count_diagnostics(found.flags, found.minimum, found.median, found.high, axis, KERNEL)
    header = {keyword: value for keyword, value, _ in cards}
    header["BPXNHI"] = np.count_nonzero(found.flags == HIGH)
    warned = any("follow source structure" in text for text in find_warnings(header))
    return {"estimate": header["BPXNFALS"], "warned": int(warned)}


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
    valid = ~np.isnan(stack.minimum) & ~stack.excluded
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
    count("column", stack.column, high, 5)
    bad = (stack.steady > 0) | (stack.telegraph > 0) | (stack.blotch > 0) | (stack.column > 0)
    false_high = high & ~bad
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
    significance = measure_significance(stack.minimum, stack.axis)
    said = {
        "group": setup.group,
        "setup": setup.name,
        "seed": seed,
        "backgrounds": setup.background,
        "outliers": round(count_outliers(significance, setup.science + setup.background)),
    }
    rows = []
    for way in WAYS:
        found = flag(stack, way)
        rows.append({**said, "way": way, **score(stack, found.flags), **judge(found, stack.axis)})
    return rows


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
    "column": "columns",
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


def warnings_table(rows):
    """Write a table in Markdown: how often stacks with many and with few false flags are warned."""
    lines = [
        "| threshold | f of 10 % or more: warned of | f below 5 %: warned of | "
        "estimate over truth, f of 10 % or more |",
        "|---|---|---|---|",
    ]
    for way in ("sigma", "fraction"):
        part = rows[(rows["way"] == way) & (rows["n_high"] > 0)]
        share = part["false high"] / part["n_high"]
        many, few = part[share >= 0.1], part[share < 0.05]
        ratio = many["estimate"] / many["false high"]
        shares = [f"{stacks['warned'].sum()} of {len(stacks)}" for stacks in (many, few)]
        lines.append("| " + " | ".join([way, *shares, describe(ratio)]) + " |")
    return "\n".join(lines)


def outliers_table(rows):
    """Write a table in Markdown: how well the number of high outliers is counted (BPXNDHI)."""
    rows = rows[rows["way"] == "fraction"]
    ratio = rows["outliers"] / rows[["steady", "telegraph", "blotch", "column"]].sum(axis=1)
    lines = ["| dedicated backgrounds | BPXNDHI over the true number |", "|---|---|"]
    for name, part in ratio.groupby(rows["backgrounds"] > 0):
        lines.append(f"| {'yes' if name else 'no'} | {describe(part)} |")
    return "\n".join(lines)


def describe(ratio):
    """Return the range of ratios and their median as text."""
    return f"{ratio.min():.2f} to {ratio.max():.2f}, median {ratio.median():.2f}"


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
        marker = "osD^vPX*"[groups.index(group)]
        place = part["false high"].mean(), recall(part, "steady")
        axes.plot(*place, marker, color=WAYS[way][1], alpha=0.8)
    for label, colour in WAYS.values():
        axes.plot([], [], "o", color=colour, label=label)
    for group, marker in zip(groups, "osD^vPX*", strict=False):
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
    options.add_argument("--first", type=int, default=1, help="seed; others than 1 write nothing")
    options.add_argument("--processes", type=int, default=2)
    arguments = options.parse_args()
    first = arguments.first
    seeds = range(first, first + (1 if arguments.quick else arguments.seeds))
    setups = SETUPS[::5] if arguments.quick else SETUPS
    jobs = [(setup, seed) for setup in setups for seed in seeds]
    with ProcessPoolExecutor(arguments.processes) as pool:
        found = list(pool.map(rows_of, *zip(*jobs, strict=True)))
    rows = pd.DataFrame([row for each in found for row in each])
    if arguments.quick or first != 1:
        tables = table(rows, ["group", "way"]), warnings_table(rows), outliers_table(rows)
        print(*tables, sep="\n\n")
        return
    rows.to_csv(DOCS / "explanation" / "evidence.csv", index=False)
    sigma = rows[rows["way"] == "sigma"]
    tables = table(rows, ["group", "way"]), table(sigma, ["group", "setup"])
    page = DOCS / "explanation" / "evidence.md"
    text = page.read_text()
    for mark, part in (
        ("", "\n\n".join(tables)),
        (": warnings", warnings_table(rows)),
        (": outliers", outliers_table(rows)),
    ):
        mark = f"<!-- make evidence{mark} -->"
        text = re.sub(f"{mark}.*?<!-- end -->", f"{mark}\n{part}\n<!-- end -->", text, flags=re.S)
    page.write_text(text)
    draw_recall(rows, DOCS / "pictures" / "evidence_recall.png")
    draw_cost(rows, DOCS / "pictures" / "evidence_cost.png")


if __name__ == "__main__":
    main()
