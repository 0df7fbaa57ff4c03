"""Say what a run would make, and whether there is room for it."""

import json
import math
import os
import shutil
from collections import Counter

from badpix_selfcal import parameters
from badpix_selfcal.headers import find, read_hdus, read_primary
from badpix_selfcal.paths import SKIPPED, path_of
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import COMBINED, FLAGGED, SAVED, read_planned

# Bytes a pixel in the files of a stack: float32 and SOURCE in int16; uint8; float32 twice; uint8.
BYTES = {"minimum": 6, "unusable": 1, "median": 4, "noise": 4, "threshold": 1}


def stages_of(config):
    """List the stages of a stack that leave a file, in their order."""
    shrink = parameters.effective(config)["edge_mode"] == "shrink"
    left_out = {"unusable": not shrink, "noise": config["threshold"] != "sigma"}
    return [stage for stage in BYTES if not left_out.get(stage)]


def first_stale_stage(stack, config):
    """
    Return the first stage whose file is missing or has other parameters, None if all are current.

    Parameters
    ----------
    stack : str
        Its name.
    config : dict
        The parameters of the run.
    """
    used = parameters.effective(config)
    for stage in stages_of(config):
        path = path_of(stage, stack=stack)
        if not os.path.exists(path):
            return stage
        cards = read_primary(path).values
        for p in parameters.of_stage(stage):
            # An axis that was found by itself is not known from the config.
            if used.get(p.name) != "auto" and cards.get(p.card) != used.get(p.name):
                return stage
    return None


def pending(rows, config):
    """
    List the files that a run would make, by what exists and by the parameters in its headers.

    Parameters
    ----------
    rows : list
        The members table, of the columns in `tables.COLUMNS`.
    config : dict
        The parameters of the run.

    Returns
    -------
    files : dict of str to str
        The rule of each file.
    """
    files, stale = {}, set()
    for stack in sorted({row[5] for row in rows} - {SKIPPED}):
        first = first_stale_stage(stack, config)
        if first:
            stale.add(stack)
            if first == "minimum":
                files[path_of("pedestal", stack=stack)] = "pedestal"
            stages = stages_of(config)
            for stage in stages[stages.index(first) :]:
                files[path_of(stage, stack=stack)] = stage
    for association, _, exposure, exptype, _, stack in rows:
        if exptype in SAVED[config["save_flagged_bkg"]]:
            path = path_of("write_back", stack=stack, exposure=exposure)
            result = path_of("associate", association=association)
            if stack in stale or not os.path.exists(path):
                files[path] = "skip" if stack == SKIPPED else "write_back"
                files[result] = "associate"
            elif not os.path.exists(result):
                files[result] = "associate"
    changed = bool(files)
    for table in ("members", "checksums", "summary", "provenance"):
        follows = changed and table in ("summary", "provenance")
        if follows or not os.path.exists(path_of(table)):
            files[path_of(table)] = table
    return files


def backgrounds(rows):
    """Return the flagged exposures that are backgrounds and no product's science, as a set."""
    paths = {role: set() for role in FLAGGED}
    for _, _, exposure, exptype, _, stack in rows:
        if exptype in FLAGGED:
            paths[exptype].add(path_of("write_back", stack=stack, exposure=exposure))
    return paths["background"] - paths["science"]


def sizes(rows):
    """
    Estimate the sizes of results from those of the exposures.

    Parameters
    ----------
    rows : list
        The members table, of the columns in `tables.COLUMNS`.

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
                flagged = path_of("write_back", stack=stack, exposure=exposure)
                found[flagged] = os.path.getsize(path)
    for stack in stacks.keys() - {SKIPPED}:
        science = find(read_hdus(min(stacks[stack])), "SCI")
        n_pixels = math.prod(science.shape) if science else 0
        for stage, n_bytes in {"pedestal": 4 * len(stacks[stack]), **BYTES}.items():
            found[path_of(stage, stack=stack)] = n_bytes * n_pixels
    return found


def held(temporary, cores, limit):
    """
    Return the sizes of the temporary files that a run may hold at a time, at worst.

    Parameters
    ----------
    temporary : list of int
        Bytes of each, rising.
    cores : int
        Of the run: a stack is finished before the next begins.
    limit : float
        Of the run's resource disk_mb, in bytes, 0 for none; a larger file comes alone.
    """
    largest = temporary[-cores:][::-1]
    kept = largest[:1]
    for size in largest[1:]:
        if limit and sum(kept) + size > limit:
            break
        kept.append(size)
    return kept


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the members as the run was planned, JSON")
    options.add_argument("--config", required=True, help="the config of the run, as JSON")
    options.add_argument("--prefix", default="", help="folder below which the results lie")
    options.add_argument("--disk-mb", type=float, default=0, help="of the run; 0: no limit")
    options.add_argument("--cores", type=int, default=1, help="of the run")
    return options


def main(arguments):
    """Print jobs, products, files and bytes against the free space."""
    rows, config = read_planned(arguments.planned), json.loads(arguments.config)
    bytes_of = sizes(rows)  # of the exposures, which lie where they lie
    os.chdir(arguments.prefix if os.path.isdir(arguments.prefix) else ".")
    files = pending(rows, config)
    jobs = Counter(files.values())
    made = [path for path, rule in files.items() if rule != "pedestal"]
    # What is there already is replaced, by something of the same size.
    grows = sum(bytes_of.get(path, 0) for path in made if not os.path.exists(path))
    temporary = sorted(bytes_of.get(p, 0) for p, rule in files.items() if rule == "pedestal")
    at_a_time = held(temporary, arguments.cores, arguments.disk_mb * 1e6)
    needed = grows + sum(at_a_time)
    spared = backgrounds(rows)
    n_spared = len(spared)
    spared = sum(bytes_of.get(path, 0) for path in spared) / 1e6
    free = shutil.disk_usage(".").free
    n_products = len({tuple(row[:2]) for row in rows})
    print(f"products:  {n_products}, in {len({row[0] for row in rows})} associations")
    kinds = ", ".join(f"{n} {rule}" for rule, n in jobs.items())
    print(f"jobs:      {sum(jobs.values())}" + (f" ({kinds})" if kinds else ""))
    print(f"files:     {len(made)} to make")
    print(f"space:     {needed / 1e6:.0f} MB more, {sum(at_a_time) / 1e6:.0f} MB of it for the")
    print(f"           temporary files of {len(at_a_time)} stacks at a time (cores, disk_mb);")
    print(f"           {free / 1e6:.0f} MB are free")
    if n_spared:
        flagged = f"{n_spared} flagged backgrounds of {spared:.0f} MB"
        if config["save_flagged_bkg"]:
            print(f"           {flagged} among the results; save_flagged_bkg=false spares them")
        else:
            print(f"           save_flagged_bkg=true would write {flagged}, too")
    print("Exposures and programs that changed are not compared here; --dry-run lists all jobs.")
    if needed > free:
        raise Fault(f"{os.getcwd()}: too little space; make room or choose another --directory")
