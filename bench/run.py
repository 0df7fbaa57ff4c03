"""
Measure the workflow against what a user would run instead; see ``make bench``.

Both run on the same files, alternating, in one run; whole commands of ours, cold start included.
Writes ``bench/results.md`` and ``docs/growth.png``. ``--quick`` does a little of everything.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from data import archive_pattern, many_tables, notebook_pattern, write_exposures

HERE = Path(__file__).parent
DATA = HERE / "data"
FLAG = 1 << 30


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


def reference(folder, associations, processes):
    """Run the loop over jwst's step; return its seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, HERE / "reference.py", str(processes), folder, *associations]
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
    """The table, printed as it grows and written at the end."""

    def __init__(self):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
        self.lines = [
            f"{os.cpu_count()} cores ({cpu}), Python {platform.python_version()}, "
            f"files in the page cache; medians, seconds.",
            "",
            "| case | this workflow | instead | seconds | ratio |",
            "|---|---|---|---|---|",
        ]
        print("\n".join(self.lines), flush=True)

    def add(self, case, ours, instead, theirs):
        """Add a row; `theirs` over `ours` is the ratio."""
        line = f"| {case} | {ours:.2f} | {instead} | {theirs:.2f} | {theirs / ours:.2f} |"
        self.lines.append(line)
        print(line, flush=True)

    def say(self, text):
        """Add lines of text."""
        self.lines.append(text)
        print(text, flush=True)


def alternate(name, pattern, associations, repeats, report, with_strun):
    """Measure a case: ours, the loop, the pool and strun, one after the other, `repeats` times."""
    ours, loop, pool, cold, peaks = [], [], [], [], []
    folder = HERE / "runs" / name
    for i in range(repeats):
        seconds, peak = workflow(folder / "ours", pattern)
        ours.append(seconds)
        peaks.append(peak)
        loop.append(reference(folder / "loop", associations, 1))
        if i == 0:
            n = check_same_flags(folder / "ours", folder / "loop")
            print(f"{name}: the flags of {n} products are the same", flush=True)
        pool.append(reference(folder / "pool", associations, 2))
        if with_strun:
            cold.append(strun(folder / "strun", associations[i]) * len(associations))
        shutil.rmtree(folder / "loop")
        shutil.rmtree(folder / "pool")
    report.add(name, median_of(ours), "jwst, warm loop", median_of(loop))
    report.add(name, median_of(ours), "jwst, warm pool of two", median_of(pool))
    if cold:
        what = f"strun for each, {len(associations)} x one of them"
        report.add(name, median_of(ours), what, median_of(cold))
    report.say(f"| {name} | peak memory {max(peaks):.0f} MB | | | |")
    return median_of(ours)


def reruns(name, pattern, full, repeats, report):
    """Measure what a change of a parameter costs, against the full run."""
    for key, values in (("flagfrac_upper", (0.002, 0.003)), ("kernel_size", (21, 17))):
        seconds = []
        for i in range(repeats):
            # From the state of the first of two values to the other, and back.
            config = f"{key}={values[i % 2]}"
            seconds.append(workflow(HERE / "runs" / name / "ours", pattern, config, fresh=False)[0])
        report.add(f"{name}, rerun after {key}", median_of(seconds), "the full run", full)
        workflow(HERE / "runs" / name / "ours", pattern, fresh=False)


def growth(paths, counts, repeats, report):
    """Measure how time and memory grow with the exposures of one stack; draw it."""
    rows = []
    for n in counts:
        folder = HERE / "runs" / "asn_growth" / str(n)
        shutil.rmtree(folder, ignore_errors=True)
        notebook_pattern(folder, paths[:n], 2 * n // 3)
        runs = [workflow(HERE / "runs" / "growth", f"{folder}/*.json") for _ in range(repeats)]
        rows.append((n, median_of([r[0] for r in runs]), max(r[1] for r in runs)))
        report.say(f"| growth, {n} exposures | {rows[-1][1]:.2f} | peak {rows[-1][2]:.0f} MB | | |")
    times = {n: seconds for n, seconds, _ in rows}
    if {24, 96} <= set(times):
        report.add("growth, 24 exposures against 96", times[24], "96 exposures", times[96])
    draw_growth(rows, HERE.parent / "docs" / "growth.png")


def draw_growth(rows, path):
    """Draw seconds and memory against the number of exposures."""
    from matplotlib.figure import Figure

    n, seconds, peaks = zip(*rows, strict=True)
    figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(n, seconds, "o-", color="#0072B2")
    left.set(xlabel="exposures in the stack", ylabel="whole command [s]")
    right.plot(n, peaks, "s-", color="#D55E00")
    right.set(xlabel="exposures in the stack", ylabel="largest process [MB]")
    for axes in (left, right):
        axes.set(xlim=(0, 1.08 * max(n)), ylim=(0, 1.12 * axes.get_ylim()[1]))
        axes.grid(alpha=0.3)
    figure.savefig(path)


def planning(counts, report):
    """Measure dry runs on tables alone."""
    for pattern in (notebook_pattern, archive_pattern):
        for n in counts:
            folder = HERE / "runs" / "planning" / f"{pattern.__name__}{n}"
            shutil.rmtree(folder, ignore_errors=True)
            glob = many_tables(folder.resolve(), n, pattern)
            seconds, peak = workflow(folder / "run", glob, targets=["--dry-run"])
            name = pattern.__name__.replace("_", " ")
            report.say(f"| planning, {name}, {n} | {seconds:.1f} | peak {peak:.0f} MB | | |")
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
    asn = HERE / "runs" / "asn"
    shutil.rmtree(asn, ignore_errors=True)
    notebook_pattern(asn / "notebook", paths[:n_stack], n_science)
    archive_pattern(
        asn / "archive", paths[: n_science + 4 - (n_science + 4 > len(paths))], n_science
    )
    notebook_pattern(asn / "nirspec", nirspec, len(nirspec))
    for name in ("notebook", "archive", "nirspec"):
        associations = sorted(str(p.resolve()) for p in (asn / name).glob("*.json"))
        pattern = str((asn / name).resolve() / "*.json")
        full = alternate(name, pattern, associations, repeats, report, name != "nirspec")
        if name == "archive" or (quick and name == "notebook"):
            reruns(name, pattern, full, repeats, report)
    growth(paths, n_growth, repeats, report)
    planning((100,) if quick else (100, 1000, 10000), report)
    name = "results-quick.md" if quick else "results.md"
    (HERE / name).write_text("\n".join(report.lines) + "\n")


if __name__ == "__main__":
    main()
