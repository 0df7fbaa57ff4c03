#!/usr/bin/env -S python3 -Es
"""Say what a run would make, and whether there is room for it."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from collections import Counter

from _cards import read_hdus
from _names import flagged_path
from _program import Fault, parser, run
from _tables import COMBINED, FLAGGED, SKIPPED, read_members


def pending(snakefile, config):
    """
    Ask snakemake what it would make.

    Parameters
    ----------
    snakefile : str
    config : dict
        The config of the run.

    Returns
    -------
    rules : dict of str to str
        The rule of each file that would be made.
    jobs : collections.Counter
        How many jobs of each rule would run.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        command = ["snakemake", "--snakefile", snakefile, "--summary"]
        command += ["--configfile", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Fault(done.stderr.strip())
    lines = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    rules = {line[0]: line[2] for line in lines if line[-1] == "update pending"}
    # A job of associate makes a file and a folder, every other job one file.
    folders = "results/by_association/"
    return rules, Counter(rule for path, rule in rules.items() if not path.startswith(folders))


def sizes(rows):
    """
    Estimate the sizes of results from those of the exposures.

    Parameters
    ----------
    rows : list of tuple
        The members table, of the columns in `_tables.COLUMNS`.

    Returns
    -------
    sizes : dict of str to int
        Bytes by path; a stack's pedestal.fits, which is temporary, is among them. What comes from
        exposures that are yet to be made, the demo's, is left out.
    """
    stacks, found = {}, {}
    for _, _, exposure, exptype, path, stack in rows:
        if exptype in COMBINED and os.path.exists(path):
            stacks.setdefault(stack, set()).add(path)
            if exptype in FLAGGED:
                found[flagged_path(stack, exposure)] = os.path.getsize(path)
    for stack in stacks.keys() - {SKIPPED}:
        shapes = [hdu.shape for hdu in read_hdus(min(stacks[stack])) if hdu.name == "SCI"]
        n_pixels = math.prod(shapes[0]) if shapes else 0
        folder = f"results/stacks/{stack}"
        found[f"{folder}/pedestal.fits"] = 4 * n_pixels * len(stacks[stack])
        found[f"{folder}/minimum.fits"] = 6 * n_pixels
        found[f"{folder}/median.fits"] = 4 * n_pixels
        found[f"{folder}/flags.fits"] = n_pixels
    return found


def main(arguments):
    """Print jobs, products, files and bytes against the free space."""
    config = json.loads(arguments.config)
    _, rows, faults = read_members(config["associations"], config["force_single"])
    if faults:
        raise Fault("\n".join(faults))
    rules, jobs = pending(arguments.snakefile, config)
    bytes_of = sizes(rows)
    temporary = sorted(bytes_of.get(p, 0) for p in rules if p.endswith("/pedestal.fits"))
    made = [path for path in rules if not path.endswith("/pedestal.fits")]
    # What is there already is replaced, by something of the same size.
    grows = sum(bytes_of.get(path, 0) for path in made if not os.path.exists(path))
    # At most two stacks are begun at a time on a laptop; on a cluster it may be all of them.
    needed = grows + sum(temporary[-2:])
    free = shutil.disk_usage(".").free
    n_products = len({row[:2] for row in rows})
    print(f"products:  {n_products}, in {len({row[0] for row in rows})} associations")
    print(f"jobs:      {sum(jobs.values())} ({', '.join(f'{n} {r}' for r, n in jobs.items())})")
    print(f"files:     {len(made)} to make")
    print(f"space:     {needed / 1e6:.0f} MB more, {sum(temporary[-2:]) / 1e6:.0f} MB of it for")
    print(f"           temporary files; {free / 1e6:.0f} MB are free")
    if needed > free:
        raise Fault(f"{os.getcwd()}: too little space; make room or choose another --directory")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--snakefile", required=True, help="the workflow's Snakefile")
    options.add_argument("--config", required=True, help="the config of the run, as JSON")
    run(main, options)
