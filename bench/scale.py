"""
Plan, group and submit thousands of associations to a Slurm that only counts.

``python bench/scale.py`` prints, for each pattern and number of associations: the Slurm jobs, the
seconds until the first and the last is submitted, Snakemake's memory, and the seconds and memory of
Snakemake in a job until it knows what to do. No exposure is read, nothing runs: ``sbatch`` is a
script that counts. The environment that runs it must hold requirements-slurm.txt.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
from data import archive_pattern, many_tables, notebook_pattern

HERE = Path(__file__).parent
ROOT = HERE.parent
SBATCH = """#!/bin/sh
echo "$*" >> {log}
test -e {log}.job || cat > {log}.job
wc -l < {log}
"""


def counting_slurm(folder):
    """Write the commands of a Slurm that takes every job and never runs one; return its log."""
    folder.mkdir(parents=True)
    log = folder / "submitted"
    log.touch()
    # It does not answer, so that jobs go on, for all that is known.
    commands = dict.fromkeys(("squeue", "sacct", "scancel"), "#!/bin/sh\nexit 1\n")
    commands["sbatch"] = SBATCH.format(log=log)
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return log


def submit(folder, pattern, quiet=20):
    """Submit until nothing more comes for a while; return jobs, seconds to first and last, MB."""
    log = counting_slurm(folder / "bin")
    run = folder / "run"
    run.mkdir()
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--workflow-profile", ROOT / "profiles/slurm", "--quiet", "all"]
    command += ["--jobs", "100000", "--max-jobs-per-timespan", "1000/1s"]
    command += ["--config", f"associations={pattern}"]
    start = time.perf_counter()
    with open(folder / "snakemake.log", "w") as output:
        process = subprocess.Popen(command, cwd=run, env=env, stdout=output, stderr=output)
    number, first, last, memory = 0, 0.0, start, 0
    while process.poll() is None and (not number or time.perf_counter() - last < quiet):
        time.sleep(0.2)
        found = len(log.read_text().splitlines())
        memory = max(memory, psutil.Process(process.pid).memory_info().rss)
        if found > number:
            number, last = found, time.perf_counter()
            first = first or last - start
    if process.poll() is not None:
        raise SystemExit((folder / "snakemake.log").read_text())
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()
    return number, first, last - start, memory / 1e6


def start_of_job(folder):
    """Return the seconds that Snakemake in a job takes until it knows what to do, and its MB."""
    job = (folder / "bin" / "submitted.job").read_text()
    script = folder / "job.sh"
    script.write_text(job.replace(" --mode ", " --dry-run --quiet --mode "))
    command = [sys.executable, HERE / "watch.py", "sh", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-2:]]


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("numbers", nargs="*", type=int, default=[1000, 10000])
    print("| associations | Slurm jobs | first [s] | last [s] | [MB] | a job's start [s] | [MB] |")
    print("|---|---|---|---|---|---|---|")
    for make in (notebook_pattern, archive_pattern):
        for number in options.parse_args().numbers:
            folder = (HERE / "runs" / "scale").resolve()
            shutil.rmtree(folder, ignore_errors=True)
            pattern = many_tables(folder / "tables", number, make)
            jobs, first, last, memory = submit(folder, pattern)
            seconds, peak = start_of_job(folder)
            print(
                f"| {number} of the {make.__name__.replace('_', ' ')} | {jobs} | {first:.0f} "
                f"| {last:.0f} | {memory:.0f} | {seconds:.1f} | {peak:.0f} |",
                flush=True,
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
