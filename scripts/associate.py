#!/usr/bin/env -S python3 -Es
"""Write the flagged association, for calwebb_spec2, and the view of its results."""

import json
import os
import shutil

from _program import parser, run, whole
from _tables import (
    COLUMNS,
    FLAGGED,
    SKIPPED,
    flagged_path,
    member_rows,
    read_association,
)


def flagged_association(association, rows, folder):
    """
    Point an association to flagged exposures.

    Parameters
    ----------
    association : dict
        As read; it stays as it is.
    rows : list of tuple
        Its members table, row by row in the order of its members (`_tables.member_rows`).
    folder : str
        The folder it is to be in; all paths below the working directory become relative to it.

    Returns
    -------
    association : dict
        All as before, but: science and background members are the flagged ones, selfcal members
        are gone, other members are found from `folder`, and products name their ``stack``.
    """
    rows = iter(rows)
    products = []
    for product in association["products"]:
        members = []
        for member in product["members"]:
            _, _, exposure, exptype, path, stack = next(rows)
            if exptype in FLAGGED:
                path = flagged_path(stack, exposure)
            if exptype != "selfcal":
                expname = path if os.path.isabs(path) else os.path.relpath(path, folder)
                members.append({**member, "expname": expname})
        products.append({**product, "stack": stack, "members": members})
    return {**association, "products": products}


def write_view(folder, rows):
    """Fill `folder` with a folder per product, of relative links to all that belongs to it."""
    for row in rows:
        member = dict(zip(COLUMNS, row, strict=True))
        targets = []
        if member["exptype"] in FLAGGED:
            targets = [flagged_path(member["stack"], member["exposure"])]
        if member["exptype"] == "science" and member["stack"] != SKIPPED:
            stage_files = ("minimum", "median", "flags")
            targets += [f"results/stacks/{member['stack']}/{name}.fits" for name in stage_files]
        place = os.path.join(folder, member["product"])
        os.makedirs(place, exist_ok=True)
        for target in targets:
            link = os.path.join(place, os.path.basename(target))
            if not os.path.lexists(link):  # an exposure may have two roles
                os.symlink(os.path.relpath(target, place), link)


def main(arguments):
    """Write ``associations/{name}.json`` and ``by_association/{name}``."""
    path = arguments.association
    rows = member_rows(path, arguments.force_single)
    association = read_association(path)
    shutil.rmtree(arguments.view, ignore_errors=True)
    write_view(arguments.view, rows)
    flagged = flagged_association(association, rows, os.path.dirname(arguments.output))
    with whole(arguments.output) as part, open(part, "w") as file:
        json.dump(flagged, file, indent=4)
        file.write("\n")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("association", help="the association file")
    options.add_argument("output", help="the flagged association")
    options.add_argument("view", help="folder for the links")
    options.add_argument("--force-single", action="store_true", help="never skip a product")
    run(main, options)
