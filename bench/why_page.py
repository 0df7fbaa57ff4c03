"""The tables and pictures of ``docs/explanation/why.md``, from what `why` leaves."""

import json
import re
from pathlib import Path

import numpy as np
from cubes import aperture
from matplotlib.figure import Figure

DOCS = Path(__file__).parent.parent / "docs"
FLAGS = ("no flags", "jwst's default", "sigma")
BAD = ("constant", "varies by 20 %", "telegraph", "none")
PATHS = ("pixel background", "master background", "no background")


def write_tables(rows):
    """Return the tables of the page as Markdown, of the numbers by setting."""
    ways = [(f, o) for f in FLAGS for o in ("off", "on")]
    names = [f"{f}{', outlier_detection' if o == 'on' else ''}" for f, o in ways]
    lines = ["| background | bad pixels | " + " | ".join(names) + " |", "|---|---|" + "---|" * 6]
    for path in PATHS:
        for kind in BAD:
            cells = [summarize(rows[path, kind, *way], "spaxels") for way in ways]
            lines.append(f"| {path.removesuffix(' background')} | {kind} | {' | '.join(cells)} |")
    lines += ["", "And what it costs, with a master background:", ""]
    lines += ["| | " + " | ".join(names) + " |", "|---|" + "---|" * 6]
    for kind, key, unit, label in (
        ("none", "lost", 100, "no bad pixels: coverage lost [%]"),
        ("none", "rms", 1, "no bad pixels: rms of the spectrum's residual [DN/s]"),
        ("varies by 20 %", "lost", 100, "they vary by 20 %: coverage lost [%]"),
        ("varies by 20 %", "rms", 1, "they vary by 20 %: rms of the spectrum's residual [DN/s]"),
        ("varies by 20 %", "outliers", 1, "pixels that outlier_detection flags"),
        ("varies by 20 %", "bad outliers", 1, "of them unknown bad pixels"),
    ):
        cells = [summarize(rows["master background", kind, *way], key, unit) for way in ways]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    seeds = len(next(iter(rows.values())))
    return "\n".join(lines) + f"\n\nMean and standard deviation of {seeds} seeds.\n"


def summarize(numbers, key, unit=1):
    """Return the mean and the standard deviation of a number over the seeds, as text."""
    values = unit * np.array([found[key] for found in numbers])
    if not values.any():
        return "0"
    digits = max(0, 1 - int(np.floor(np.log10(values.mean())))) if values.mean() < 10 else 0
    return f"{values.mean():,.{digits}f} ± {values.std(ddof=1):,.{digits}f}"


def draw_paths(rows, path):
    """Draw the spoiled spaxels of each way to a cube, without and with flags."""
    figure = Figure(figsize=(10, 4.2), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(PATHS), sharey=True)
    marks = {"no flags": ("o", "#D55E00"), "jwst's default": ("s", "#0072B2"), "sigma": ("^", "k")}
    for axes, way in zip(panels, PATHS, strict=True):
        for shift, (name, (mark, colour)) in zip((-0.15, 0, 0.15), marks.items(), strict=True):
            for outliers, fill in (("off", "none"), ("on", colour)):
                found = [[r["spaxels"] for r in rows[way, kind, name, outliers]] for kind in BAD]
                label = f"{name}{', outlier_detection' if outliers == 'on' else ''}"
                axes.plot(np.arange(len(BAD)) + shift, np.mean(found, axis=1), mark, ms=6,
                          color=colour, mfc=fill, label=label)  # fmt: skip
        axes.set_title(way, fontsize="medium")
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(-1, 3e4)
        axes.set_xticks(range(len(BAD)), [kind.replace(" by ", "\nby ") for kind in BAD])
        axes.set_xlabel("strength of the bad pixels")
        axes.grid(axis="y", lw=0.3)
    panels[0].set_ylabel("spaxels off by more than 5 sigma")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path)


def draw_slice(cubes, wavelengths, path):
    """Draw the same wavelength of the cubes side by side, and what differs from the clean one."""
    clean = cubes["no bad pixels"]
    before = np.abs(np.nan_to_num(cubes["no flags"] - clean))
    plane = int(np.argmax(np.count_nonzero(before > 0.3, axis=(1, 2))))
    stretch = np.nanpercentile(clean[plane], [2, 99.5])
    width = before[plane].max() / 2
    figure = Figure(figsize=(3 * len(cubes), 6.2), dpi=100, layout="constrained")
    panels = figure.subplots(2, len(cubes), squeeze=False)
    for (top, bottom), (name, cube) in zip(panels.T, cubes.items(), strict=True):
        shown = top.imshow(cube[plane], origin="lower", vmin=stretch[0], vmax=stretch[1])
        differ = bottom.imshow(
            cube[plane] - clean[plane], origin="lower", cmap="RdBu_r", vmin=-width, vmax=width
        )
        top.set_title(name, fontsize="medium")
        for axes in (top, bottom):
            axes.set(xticks=[], yticks=[], facecolor="0.8")
    panels[0, 0].set_ylabel(f"cube at {wavelengths[plane]:.4f} µm")
    panels[1, 0].set_ylabel("less that without bad pixels")
    figure.colorbar(shown, ax=panels[0, -1], label="DN/s")
    figure.colorbar(differ, ax=panels[1, -1], label="DN/s")
    figure.savefig(path)


def draw_spectrum(cubes, wavelengths, path):
    """Draw the spectrum of the source, and what differs from that without unknown bad pixels."""
    names = [name for name in cubes if name != "no bad pixels"]
    figure = Figure(figsize=(11, 9), dpi=100, layout="constrained")
    panels = figure.subplots(1 + len(names), 1, sharex=True, height_ratios=[2] + [1] * len(names))
    clean = aperture(cubes["no bad pixels"])
    panels[0].plot(wavelengths, aperture(cubes["no flags"]), lw=0.9, color="#D55E00",
                   label="no flags")  # fmt: skip
    panels[0].plot(wavelengths, clean, lw=0.9, color="black", label="no bad pixels")
    panels[0].set_ylabel("aperture sum [DN/s]")
    panels[0].legend(loc="upper left")
    reach = 1.1 * np.nanmax(np.abs(aperture(cubes["no flags"]) - clean))
    for axes, name in zip(panels[1:], names, strict=True):
        residual = aperture(cubes[name]) - clean
        axes.plot(wavelengths, residual, lw=0.8, color="#0072B2")
        axes.axhline(0, color="0.5", lw=0.6)
        axes.set_ylim(-reach, reach)
        axes.set_ylabel("residual\n[DN/s]")
        axes.set_title(f"{name}: rms {np.nanstd(residual):.3g} DN/s", fontsize="medium", loc="left")
    panels[-1].set_xlabel("wavelength [µm]")
    figure.savefig(path)


def write_page(folder):
    """Write the tables into the page and draw its pictures, from the folder of the last run."""
    rows = json.loads((folder / "numbers.json").read_text())
    rows = {tuple(key.split(" | ")): numbers for key, numbers in rows.items()}
    page = DOCS / "explanation" / "why.md"
    parts = re.split(r"(<!-- bench/why.py -->\n|<!-- end -->\n)", page.read_text())
    page.write_text("".join([*parts[:2], write_tables(rows), *parts[3:]]))
    draw_paths(rows, DOCS / "pictures" / "why_paths.png")
    with np.load(folder / "cubes.npz") as stored:
        cubes = {name: stored[f"varies by 20 %/{name}"] for name in FLAGS}
        cubes["no bad pixels"] = stored["none/no flags"]
        draw_slice(cubes, stored["wavelengths"], DOCS / "pictures" / "why_slice.png")
        draw_spectrum(cubes, stored["wavelengths"], DOCS / "pictures" / "why_spectrum.png")
