"""
Measure the workflow against what a user would run instead; see ``make bench``.

Both run on the same files, alternating, in one run; whole commands of ours, cold start included.
Writes ``bench/results.md``, the same table into ``docs/development/measurements.md``, and
``docs/pictures/growth.png``.
``--quick`` does a little of everything, and writes ``bench/results-quick.md`` alone.
"""

import argparse
import csv
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import stage_times
from astropy.io import fits
from data import (
    archive_pattern,
    link_exposures,
    many_exposures,
    many_tables,
    notebook_pattern,
    write_association,
    write_exposures,
)

from badpix_selfcal.version import VERSION

HERE = Path(__file__).parent
DATA = HERE / "data"
FLAG = 1 << 30
CHANGES = ("flagfrac_upper=0.002", "kernel_size=17")


def workflow(folder, pattern, *config, targets=(), fresh=True):
    """Run the whole command; return seconds and the largest peak memory of its processes, MB."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
    command += ["--snakefile", str(HERE.parent / "Snakefile"), "--directory", str(folder)]
    command += ["--config", f"associations={pattern}", *config]
    watched = [sys.executable, HERE / "watch.py", *command, *targets]
    done = subprocess.run(watched, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak)


def reference(folder, associations, processes, save="true"):
    """Run the loop over jwst's step; return its seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, HERE / "reference.py", str(processes), save, folder]
    command += associations
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split("seconds ")[1].split()[0])


def strun(folder, association):
    """Run the step on one association by jwst's command; return its seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    program = Path(sys.executable).with_name("strun")
    command = [program, "badpix_selfcal", association, "--skip=false", f"--output_dir={folder}"]
    quiet = {"CRDS_SERVER_URL": "", "CRDS_PATH": "crds", "STPIPE_DISABLE_CRDS_STEPPARS": "true"}
    start = time.perf_counter()
    subprocess.run(command, env={**os.environ, **quiet}, check=True, capture_output=True)
    return time.perf_counter() - start


def check_same_flags(ours, theirs):
    """Stop unless every product of the reference has its flags in ours."""
    suffix = "_asn_badpixselfcalstep.fits"
    products = sorted(theirs.glob(f"*{suffix}"))
    if not products:
        raise SystemExit(f"{theirs}: the reference saved no product")
    for product in products:
        name = product.name.removesuffix(suffix)
        with fits.open(product) as hdus:
            expected = hdus["DQ"].data & FLAG
        (mine,) = ours.glob(f"results/by_association/{name}_asn/{name}/flags.fits")
        if not np.array_equal(expected > 0, fits.getdata(mine) > 0):
            raise SystemExit(f"{product}: the flags differ")
    return len(products)


def median_of(values):
    """Return the median of some seconds."""
    return statistics.median(values)


class Report:
    """The table, printed as it grows and written at the end; a row per version in its history."""

    def __init__(self):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
        self.lines = [
            f"{os.cpu_count()} cores ({cpu}), Python {platform.python_version()}, files in the "
            f"page cache; medians, in seconds, but jwst's loop and strun once.",
            "",
            "| case | here | instead | | ratio |",
            "|---|---|---|---|---|",
        ]
        self.rows = []
        print("\n".join(self.lines), flush=True)

    def say(self, *columns):
        """Add a row."""
        self.rows.append(columns)
        line = "| " + " | ".join([*columns, *[""] * (5 - len(columns))]) + " |"
        self.lines.append(line)
        print(line, flush=True)

    def add(self, case, ours, instead, theirs, digits=1):
        """Add a row of two times; `theirs` over `ours` is the ratio."""
        times = f"{ours:.{digits}f}", instead, f"{theirs:.{digits}f}"
        self.say(case, *times, f"{theirs / ours:.2f}")

    def write(self, quick):
        """Write the table to its file and, unless it is the quick one, into docs."""
        text = "\n".join(self.lines) + "\n"
        if quick:
            (HERE / "results-quick.md").write_text(text)
        else:
            (HERE / "results.md").write_text(text + history(self.rows))
            page = HERE.parent / "docs" / "development" / "measurements.md"
            before, rest = page.read_text().split("<!-- make bench -->\n")
            _, after = rest.split("<!-- end -->\n")
            page.write_text(f"{before}<!-- make bench -->\n{text}<!-- end -->\n{after}")


# What is kept of each version: the case, and what it is compared with.
KEPT = {
    "notebook pattern": ("24 science + 12 background, each association listing all", "pool"),
    "archive pattern": ("24 associations of 1 science + 4 backgrounds", "pool"),
    "archive, save_flagged_bkg false": (
        "24 associations of 1 science + 4 backgrounds, save_flagged_bkg false",
        "pool",
    ),
    "NIRSpec": ("NIRSpec, 8 exposures in one stack", "pool"),
    "96 exposures": ("96 exposures in one stack", ""),
    "600 exposures": ("MRS, 600 exposures in one stack", ""),
    "planning, notebook, --quiet": ("planning, notebook pattern, 10000", ""),
    "planning, archive, --quiet": ("planning, archive pattern, 10000", ""),
}


def history(rows, path=HERE / "history.csv"):
    """
    Keep the figures of this version, and return the table of all versions.

    Parameters
    ----------
    rows : list of tuple
        Of the report: case, seconds, what it is compared with, its seconds, their ratio.
    path : Path
        version, then for each of KEPT the seconds and, after a blank, the ratio.
    """
    with open(path, newline="") as file:
        kept = {row["version"]: row for row in csv.DictReader(file)}
    new = dict.fromkeys(KEPT, "")
    for column, (case, instead) in KEPT.items():
        for row in rows:
            if row[0] == case and instead in (row[2] if len(row) > 3 else ""):
                new[column] = f"{row[1]} ({row[4]})" if len(row) > 4 else row[1]
    kept[VERSION] = {"version": VERSION, **new}
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, ["version", *KEPT], lineterminator="\n")
        table.writeheader()
        table.writerows(kept.values())
    lines = [
        list(kept[VERSION]),
        ["---"] * (1 + len(KEPT)),
        *(row.values() for row in kept.values()),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        "\nBy version, in seconds; in brackets how many times as fast as jwst's warm pool of two:"
        f"\n\n{table}\n"
    )


def alternate(name, folder, associations, repeats, report, with_strun, save="true"):
    """
    Measure a case: ours, its proof and the pool, one after the other, `repeats` times.

    The loop and strun, many times slower, are measured once.
    """
    ours, loop, pool, cold, peaks, proofs = [], [], [], [], [], []
    pattern = str(Path(associations[0]).parent / "*.json")
    for i in range(repeats):
        config = f"save_flagged_bkg={save}"
        seconds, peak = workflow(folder / "ours", pattern, config)
        ours.append(seconds)
        peaks.append(peak)
        seconds, _ = workflow(
            folder / "ours", pattern, config, targets=["--", "verify"], fresh=False
        )
        proofs.append(seconds)
        if i == 0:
            loop.append(reference(folder / "loop", associations, 1, save))
            n = check_same_flags(folder / "ours", folder / "loop")
            print(f"{name}: the flags of {n} products are the same", flush=True)
            shutil.rmtree(folder / "loop")
            if with_strun:
                cold.append(strun(folder / "strun", associations[i]) * len(associations))
        pool.append(reference(folder / "pool", associations, 2, save))
        shutil.rmtree(folder / "pool")
    full = median_of(ours)
    report.add(name, full, "jwst, loop in one warm process", median_of(loop))
    report.add(name, full, "jwst, warm pool of two", median_of(pool))
    report.add(f"{name}, verify", median_of(proofs), "the run", full)
    if cold:
        report.add(name, full, f"strun, {len(associations)} x one of them", median_of(cold))
    return pattern


def variants(name, folder, pattern, changes, repeats, report):
    """Measure what sigma costs, and a rerun after each of some changes, against a full run."""
    full, sigma, changed = [], [], {change: [] for change in changes}
    for _ in range(repeats):
        sigma.append(workflow(folder, pattern, "threshold=sigma")[0])
        full.append(workflow(folder, pattern)[0])
        for change, seconds in changed.items():
            # Upon the change before it: the same jobs run as upon the defaults.
            seconds.append(workflow(folder, pattern, change, fresh=False)[0])
    whole = median_of(full)
    report.add(f"{name}, threshold sigma", median_of(sigma), "by default", whole, 2)
    for change, seconds in changed.items():
        key = change.partition("=")[0]
        report.add(f"{name}, after a change of {key}", median_of(seconds), "all", whole)


def stage_peak(folder, paths):
    """Return the largest peak memory of the stages' programs for one stack, in MB."""
    files = {n: folder / f"{n}.fits" for n in ("pedestal", "minimum", "median", "flags")}
    steps = [
        ["pedestal", *paths, "--output", files["pedestal"]],
        ["minimum", files["pedestal"], files["minimum"]],
        ["median", files["minimum"], files["median"]],
        ["threshold", files["minimum"], files["median"], files["flags"]],
        ["write_back", files["flags"], folder / "flagged", *paths[:8]],
    ]
    peaks = []
    for name, *words in steps:
        program = [sys.executable, "-Es", HERE.parent / "scripts" / "selfcal", name, *words]
        watched = [sys.executable, HERE / "watch.py", *program]
        done = subprocess.run(watched, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[-1]))
    shutil.rmtree(folder)
    return max(peaks)


def growth(paths, counts, repeats, report):
    """Measure how time and memory grow with the exposures of one stack; draw it."""
    rows = []
    for n in counts:
        folder = HERE / "runs" / "asn_growth" / str(n)
        notebook_pattern(folder, paths[:n], 2 * n // 3)
        runs = [workflow(HERE / "runs" / "growth", f"{folder}/*.json") for _ in range(repeats)]
        peak = stage_peak(HERE / "runs" / "growth" / "results", paths[:n])
        rows.append((n, median_of([r[0] for r in runs]), peak))
        memory = f"{peak:.0f} MB in a job, {max(r[1] for r in runs):.0f} MB in Snakemake"
        report.say(f"{n} exposures in one stack", f"{rows[-1][1]:.1f}", memory)
    if len(counts) > 2:
        draw_growth(rows, HERE.parent / "docs" / "pictures" / "growth.png")


def draw_growth(rows, path):
    """Draw seconds and memory against the number of exposures."""
    from matplotlib.figure import Figure

    n, seconds, peaks = zip(*rows, strict=True)
    figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(n, seconds, "o-", color="#0072B2")
    left.set(xlabel="exposures in the stack", ylabel="whole command [s]")
    right.plot(n, peaks, "s-", color="#D55E00")
    right.set(xlabel="exposures in the stack", ylabel="largest job [MB]")
    for axes in (left, right):
        axes.set(xlim=(0, 1.08 * max(n)), ylim=(0, 1.12 * axes.get_ylim()[1]))
        axes.grid(alpha=0.3)
    figure.savefig(path)


def deep(cases, report):
    """Measure stacks of hundreds of exposures, all of them links to one file."""
    for name, path, n in cases:
        folder = HERE / "runs" / "deep"
        shutil.rmtree(folder, ignore_errors=True)
        links = link_exposures(folder, path, n)
        members = [(link.name, "selfcal" if i else "science") for i, link in enumerate(links)]
        write_association(folder, "p", members)
        peak = stage_peak(folder / "stages", links)
        seconds, main = workflow(folder / "run", f"{folder.resolve()}/*.json")
        memory = f"{peak:.0f} MB in a job, {main:.0f} MB in Snakemake"
        report.say(f"{name}, {n} exposures in one stack", f"{seconds:.1f}", memory)
        shutil.rmtree(folder)


def planning(counts, report):
    """Measure dry runs on tables alone."""
    for pattern in (notebook_pattern, archive_pattern):
        for n in counts:
            folder = HERE / "runs" / "planning" / f"{pattern.__name__}{n}"
            shutil.rmtree(folder, ignore_errors=True)
            glob = many_tables(folder.resolve(), n, pattern)
            seconds, peak = workflow(folder / "run", glob, targets=["--dry-run"])
            name = pattern.__name__.replace("_", " ")
            report.say(f"planning, {name}, {n}", f"{seconds:.1f}", f"{peak:.0f} MB")
            shutil.rmtree(folder)


def generating(counts, report):
    """Measure the target generate, and the memory of its program alone."""
    for n in counts:
        folder = (HERE / "runs" / f"generate{n}").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        many_exposures(folder / "exposures", n)
        run, exposures = folder / "run", folder / "exposures"
        words = [f"exposures={exposures}"]
        seconds, peak = workflow(run, "none", *words, targets=["--", "generate"])
        report.say(f"generate, {n} exposures", f"{seconds:.1f}", f"{peak:.0f} MB")
        shutil.rmtree(folder)


def main():
    """Run all cases."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    quick = options.parse_args().quick
    repeats = 1 if quick else 3
    n_stack, n_science, n_growth = (9, 6, (6, 12)) if quick else (36, 24, (12, 24, 48, 96))
    paths = write_exposures(DATA, "MIRIFULONG", max(n_stack, *n_growth))
    nirspec = write_exposures(DATA, "NRS1", 3 if quick else 8)
    report = Report()
    runs = HERE / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    archive = [*paths[:n_science], *paths[-4:]]
    cases = {
        f"{n_science} science + {n_stack - n_science} background, each association listing all": (
            notebook_pattern, paths[:n_stack], n_science
        ),
        f"{n_science} associations of 1 science + 4 backgrounds": (
            archive_pattern, archive, n_science
        ),
        f"{n_science} associations of 1 science + 4 backgrounds, save_flagged_bkg false": (
            archive_pattern, archive, n_science
        ),
        f"NIRSpec, {len(nirspec)} exposures in one stack": (
            notebook_pattern, nirspec, len(nirspec)
        ),
    }  # fmt: skip
    for i, (name, (pattern, exposures, n)) in enumerate(cases.items()):
        folder = runs / f"asn{i}"
        pattern(folder, exposures, n)
        associations = sorted(str(path.resolve()) for path in folder.glob("*.json"))
        save = "false" if "false" in name else "true"
        glob = alternate(name, runs / f"case{i}", associations, repeats, report, i < 2, save)
        if save == "true":
            changes = CHANGES if pattern is archive_pattern else ()
            variants(name, runs / f"case{i}" / "ours", glob, changes, repeats, report)
    growth(paths, n_growth, repeats, report)
    sizes = ((12,), (4,)) if quick else ((150, 600), (16, 64))
    cases = zip(("MRS", "NIRSpec"), (paths[0], nirspec[0]), sizes, strict=True)
    deep([(name, path, n) for name, path, counts in cases for n in counts], report)
    for row in stage_times.rows((5, 15) if quick else (5, 15, 51, 151)):
        name, instead, theirs, ours = row
        report.add(name, ours, instead, theirs, digits=3)
    planning((100,) if quick else (100, 1000, 10000), report)
    generating((600,) if quick else (600, 10000), report)
    report.write(quick)
    shutil.rmtree(runs)


if __name__ == "__main__":
    main()
