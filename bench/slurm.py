"""
Measure what a group of four associations costs a node, by both executors, one after the other.

Starts a Slurm of one node on this machine, as root. Four associations of the archive pattern (1
science, 4 backgrounds, full-size MRS) are one job of 36 rules; what counts is Slurm's own time of
that job, which docs/howto/cluster.md quotes. ``python bench/slurm.py [REPEATS]``.
"""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data import archive_pattern, write_exposures
from one_node import one_node

HERE = Path(__file__).parent
ROOT = HERE.parent
CORES = "2"
EXECUTORS = {
    "cluster-generic": (),
    "slurm": (
        *("--executor", "slurm", "--default-resources", "slurm_partition=debug", "mem_mb=1000"),
        *("runtime=10", "--slurm-status-command", "squeue"),
        *("--slurm-init-seconds-before-status-checks", "1"),
    ),
}


def job_seconds():
    """Return Slurm's time of each job that it remembers, by number: start to end."""
    done = subprocess.run(["scontrol", "show", "job"], capture_output=True, text=True, check=True)
    found = {}
    for number, text in re.findall(r"JobId=(\d+)(.*?)(?=JobId=|\Z)", done.stdout, re.S):
        hours, minutes, seconds = re.search(r"RunTime=(\d+):(\d+):(\d+)", text).groups()
        found[number] = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return found


def measure(executor, folder, pattern):
    """Run the associations on Slurm; return the seconds of its jobs, the longest first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = job_seconds()
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--directory", str(folder), "--workflow-profile", str(ROOT / "profiles/slurm")),
        *("--cores", CORES, "--seconds-between-status-checks", "1", "--quiet", "all"),
        *("--config", f"associations={pattern}"),
        *EXECUTORS[executor],
    ]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds = time.monotonic() - began
    jobs = [s for number, s in job_seconds().items() if number not in before]
    return sorted(jobs, reverse=True), seconds


def main(repeats):
    """Print Slurm's time of the group, and the seconds of the whole command."""
    exposures = write_exposures(HERE / "data", "MIRIFULONG", 36)
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        archive_pattern(place / "asn", [*exposures[:4], *exposures[-4:]], 4)
        (place / "slurm").mkdir()
        with one_node(place / "slurm"):
            for executor in EXECUTORS:
                found = [
                    measure(executor, place / "run", f"{place}/asn/*.json") for _ in range(repeats)
                ]
                group = statistics.median(jobs[0] for jobs, _ in found)
                whole = statistics.median(seconds for _, seconds in found)
                print(
                    f"{executor}: {group} s of a node for four associations, "
                    f"{whole:.0f} s the whole command; jobs: {[jobs for jobs, _ in found]}"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
