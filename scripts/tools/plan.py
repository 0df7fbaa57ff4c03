"""Say how large the results of a run are, and whether there is room for them."""

import json
import math
import os
import shutil

from badpix_selfcal.associations import COMBINED, list_flagged, read_members_table
from badpix_selfcal.atomic_io import measure_unzipped
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import open_fits, science_of, shape_of
from badpix_selfcal.paths import SKIPPED, find_prefix, path_of
from badpix_selfcal.stages import STAGES, list_stages


def measure_results(members, config):
    """
    Estimate the sizes of the FITS files of a run from those of the exposures.

    Parameters
    ----------
    members : DataFrame
    config : dict

    Returns
    -------
    sizes, temporary : dict of str to int
        Bytes by path: of the results, and of pedestal.fits by the path of the minimum of its stack.
        What follows from exposures that do not exist yet, the demo's, is left out.
    """
    there = members[members["exptype"].isin(COMBINED) & members["path"].map(os.path.exists)]
    flagged, temporary = list_flagged(there, config["save_flagged_bkg"]), {}
    sizes = dict(zip(flagged["flagged"], flagged["path"].map(measure_unzipped), strict=True))
    for stack, paths in there[there["stack"] != SKIPPED].groupby("stack")["path"]:
        with open_fits(paths.iloc[0]) as fits:
            n_pixels = math.prod(shape_of(science_of(paths.iloc[0], fits)[0]))
        for stage in list_stages(config):
            sizes[path_of(stage.name, stack=stack)] = n_pixels * stage.bytes_per_pixel
        plane = n_pixels * STAGES[0].bytes_per_pixel
        temporary[path_of("minimum", stack=stack)] = paths.nunique() * plane
    return sizes, temporary


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv")
    options.add_argument("--config", required=True, type=json.loads, help="the config, JSON")
    options.add_argument("--cores", type=int, default=1, help="of the run")
    return options


def main(arguments):
    """Print products, files and bytes against the free space; fail if there is no room."""
    members, config = read_members_table(arguments.members), arguments.config
    folder = os.path.abspath(os.path.dirname(arguments.members))
    free = shutil.disk_usage(folder).free
    sizes, temporary = measure_results(members, config)
    # What exists is replaced by something of the same size.
    os.chdir(find_prefix(arguments.members, "members") or ".")
    missing = [size for path, size in sizes.items() if not os.path.exists(path)]
    temporary = sorted(size for path, size in temporary.items() if not os.path.exists(path))
    temporary, kept = temporary[-arguments.cores :], sum(missing)
    n_products = len(members[["association", "product"]].drop_duplicates())
    print(f"products:  {n_products}, in {members['association'].nunique()} associations")
    print(f"files:     {len(missing)} of {len(sizes)} FITS files are missing")
    print(f"space:     {kept / 1e6:.0f} MB more for results; at most {sum(temporary) / 1e6:.0f} MB")
    print(f"           for temporary files, of {len(temporary)} stacks at a time;")
    print(f"           {free / 1e6:.0f} MB are free")
    print("--dry-run lists the jobs of a run, and why each is to be done.")
    if (needed := kept + max(temporary, default=0)) > free:
        raise InputError(
            f"{folder}: too little space, {needed / 1e6:.0f} MB are needed; make room or choose "
            "another --directory"
        )
