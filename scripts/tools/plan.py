"""Say what a run would make, and whether there is room for it."""

import json
import math
import os
import shutil
from collections import Counter
from glob import glob

from badpix_selfcal.associations import COMBINED, list_flagged, read_members_table
from badpix_selfcal.atomic_io import measure_unzipped
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import open_fits, read_primary, science_of, shape_of
from badpix_selfcal.parameters import stage_parameters, used_parameters
from badpix_selfcal.paths import SKIPPED, find_prefix, path_of
from badpix_selfcal.stages import list_stages


def list_stale(stack, config):
    """
    List the stages of a stack from the first whose file is missing or has other parameters.

    Parameters
    ----------
    stack : str
    config : dict

    Returns
    -------
    stages : list of str
        Empty if all are current.
    """
    used = used_parameters(config)
    stages = [stage.name for stage in list_stages(config)]
    for i, stage in enumerate(stages):
        path, parameters = path_of(stage, stack=stack), stage_parameters(stage)
        stale = not os.path.exists(path)
        if parameters and not stale:
            cards = read_primary(path)
            # An axis that was found is not known from the config.
            stale = any(used.get(p.name) not in ("auto", cards.get(p.card)) for p in parameters)
        if stale:
            return stages[i:] if i else ["pedestal", *stages]
    return []


def list_pending(members, config):
    """
    List what a run would make, by the files that exist and the parameters in their headers.

    Parameters
    ----------
    members : DataFrame
    config : dict

    Returns
    -------
    pending : dict of str to str
        The rule of each file.
    """
    flagged, pending = list_flagged(members, config["save_flagged_bkg"]), {}
    for stack, files in flagged.groupby("stack")["flagged"]:
        existing = set(glob(path_of("flagged", stack=stack, exposure="*")))
        if stack == SKIPPED:
            pending |= dict.fromkeys(set(files) - existing, "mark_skipped")
            continue
        stages = list_stale(stack, config)
        pending |= {path_of(stage, stack=stack): stage for stage in stages}
        if stages or set(files) != existing:
            pending |= dict.fromkeys(files, "write_back")
    for association, files in flagged.groupby("association")["flagged"]:
        path = path_of("associate", association=association)
        if not os.path.exists(path) or not pending.keys().isdisjoint(files):
            pending[path] = "associate"
    for table in ("members", "checksums", "summary", "provenance"):
        follows = pending and table in ("summary", "provenance")
        if follows or not os.path.exists(path_of(table)):
            pending[path_of(table)] = table
    return pending


def measure_results(members, config):
    """
    Estimate the sizes of results from those of the exposures.

    Parameters
    ----------
    members : DataFrame
    config : dict

    Returns
    -------
    sizes : dict of str to int
        Bytes by path; pedestal.fits, which is temporary, is among them. What follows from exposures
        that do not exist yet, the demo's, is left out.
    """
    there = members[members["exptype"].isin(COMBINED) & members["path"].map(os.path.exists)]
    flagged = list_flagged(there, config["save_flagged_bkg"])
    sizes = dict(zip(flagged["flagged"], flagged["path"].map(measure_unzipped), strict=True))
    for stack, paths in there[there["stack"] != SKIPPED].groupby("stack")["path"]:
        with open_fits(paths.iloc[0]) as fits:
            n_pixels = math.prod(shape_of(science_of(paths.iloc[0], fits)[0]))
        for stage in list_stages(config, kept=False):
            n_planes = paths.nunique() if stage.name == "pedestal" else 1
            sizes[path_of(stage.name, stack=stack)] = n_planes * n_pixels * stage.bytes_per_pixel
    return sizes


def measure_backgrounds(members):
    """Return the sizes of the exposures that are background and never science, by path."""
    paths = {role: set(rows["path"]) for role, rows in members.groupby("exptype")}
    backgrounds = paths.get("background", set()) - paths.get("science", set())
    return {path: measure_unzipped(path) for path in backgrounds if os.path.exists(path)}


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv")
    options.add_argument("--config", required=True, type=json.loads, help="the config, JSON")
    options.add_argument("--cores", type=int, default=1, help="of the run")
    return options


def main(arguments):
    """Print products, jobs, files and bytes against the free space; fail if there is no room."""
    members, config = read_members_table(arguments.members), arguments.config
    sizes, backgrounds = measure_results(members, config), measure_backgrounds(members)
    folder = os.path.abspath(os.path.dirname(arguments.members))
    free = shutil.disk_usage(folder).free
    os.chdir(find_prefix(arguments.members, "members") or ".")
    pending = list_pending(members, config)
    # One job writes the flagged exposures of a stack.
    jobs = {(r, os.path.dirname(p) if r == "write_back" else p): r for p, r in pending.items()}
    kinds = ", ".join(f"{n} {rule}" for rule, n in Counter(jobs.values()).items())
    made = [path for path, rule in pending.items() if rule != "pedestal"]
    # What exists is replaced by something of the same size.
    kept = sum(sizes.get(path, 0) for path in made if not os.path.exists(path))
    temporary = sorted(sizes.get(p, 0) for p, rule in pending.items() if rule == "pedestal")
    temporary = temporary[-arguments.cores :]
    n_products = len(members[["association", "product"]].drop_duplicates())
    print(f"products:  {n_products}, in {members['association'].nunique()} associations")
    print(f"jobs:      {len(jobs)}" + (f" ({kinds})" if kinds else ""))
    print(f"files:     {len(made)} to make")
    print(f"space:     {kept / 1e6:.0f} MB more for results; at most {sum(temporary) / 1e6:.0f} MB")
    print(f"           for temporary files, of {len(temporary)} stacks at a time;")
    print(f"           {free / 1e6:.0f} MB are free")
    if backgrounds and config["save_flagged_bkg"]:
        size = f"{sum(backgrounds.values()) / 1e6:.0f} MB"
        print(f"           {len(backgrounds)} flagged backgrounds of {size} are among the results;")
        print("           save_flagged_bkg=false spares them")
    print("Exposures and programs that changed are not compared here; --dry-run lists all jobs.")
    if (needed := kept + max(temporary, default=0)) > free:
        raise InputError(
            f"{folder}: too little space, {needed / 1e6:.0f} MB are needed; make room or choose "
            "another --directory"
        )
