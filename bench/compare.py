"""
Measure two checkouts: ``PYTHONPATH=scripts python bench/compare.py OTHER_CHECKOUT [CASE ...]``.

Each case runs on the same files, whole commands in alternation; printed are medians of wall time,
of the processor time of all processes (user and system), and the largest process.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from data import archive_pattern, link_exposures, many_tables, notebook_pattern, write_exposures

HERE = Path(__file__).parent
ROOT = HERE.parent
WHAT = ("wall [s]", "processor [s]", "memory [MB]")


def make_cases(folder):
    """Return the associations and further words of each case, by its name; made if asked for."""

    def archive():
        paths = write_exposures(HERE / "data", "MIRIFULONG", 36)
        archive_pattern(folder / "archive", [*paths[:24], *paths[-4:]], 24)
        return f"{folder}/archive/*.json", ()

    def notebook():
        notebook_pattern(folder / "notebook", write_exposures(HERE / "data", "MIRIFULONG", 36), 24)
        return f"{folder}/notebook/*.json", ()

    def planning():
        return many_tables(folder / "tables", 1000, archive_pattern), ("--dry-run", "--quiet")

    def deep(detector, number):
        (path,) = write_exposures(HERE / "data", detector, 1)
        links = link_exposures(folder / f"deep{detector}", path, number)
        notebook_pattern(folder / f"asn{detector}", links, 1)
        return f"{folder}/asn{detector}/*.json", ()

    return {
        "archive": archive,
        "notebook": notebook,
        "planning": planning,
        "mrs600": lambda: deep("MIRIFULONG", 600),
        "nirspec64": lambda: deep("NRS1", 64),
    }


def measure(checkout, folder, associations, words):
    """Run a whole command; return seconds, processor seconds, and MB of the largest process."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [
        *(f"{checkout}/.venv/bin/python", "-m", "snakemake", "--cores", "2", "--quiet", "all"),
        *("--snakefile", f"{checkout}/Snakefile", "--directory", str(folder)),
        # Of 0.2.0 the default was to write flagged backgrounds.
        *("--config", f"associations={associations}", "save_flagged_bkg=true", *words),
    ]
    start = time.perf_counter()
    with open(folder / "output", "w") as output:
        # Each by its own environment, and without PYTHONPATH: else one has the other's package.
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=own)
        _, code, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if code:
        raise SystemExit((folder / "output").read_text())
    shutil.rmtree(folder)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    """Print a row for each case."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("other", help="the checkout to compare with, after `make run` in it")
    options.add_argument("cases", nargs="*")
    options.add_argument("--repeats", type=int, default=3)
    arguments = options.parse_args()
    folder = (HERE / "runs" / "compare").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    cases = make_cases(folder)
    print("| case | | here | other | ratio |\n|---|---|---|---|---|")
    for name in arguments.cases or cases:
        associations, words = cases[name]()
        runs = {ROOT: [], Path(arguments.other): []}
        for _ in range(arguments.repeats):
            for checkout, found in runs.items():
                found.append(measure(checkout, folder / "run", associations, words))
        here, other = (list(map(statistics.median, zip(*r, strict=True))) for r in runs.values())
        for what, ours, theirs in zip(WHAT, here, other, strict=True):
            print(
                f"| {name} | {what} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True
            )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
