"""Write the flagged association, for calwebb_spec2, and the view of its results."""

import json
import os

from badpix_selfcal.files import atomic_write
from badpix_selfcal.names import exposure_name, workdir_path
from badpix_selfcal.paths import SKIPPED, path_of, prefix_of
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import FLAGGED, read_association

STAGES = ("minimum", "median", "threshold", "noise")  # whose files are linked; noise is not in all


def flagged_association(association, stacks, folder, target, prefix="", others=(), roles=FLAGGED):
    """
    Point an association to flagged exposures.

    Parameters
    ----------
    association : dict
        As read; it stays as it is.
    stacks : list of str
        The stack of each of its products.
    folder : str
        Where it lies; members' paths are relative to it.
    target : str
        Where the new one is to lie; what is below the working directory becomes relative to it.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.
    others : list of str
        The paths of members that play no part, which may lie elsewhere than the association says.
    roles : sequence of str
        The exptypes whose flagged exposures were written.

    Returns
    -------
    association : dict
        All as before, but: members of these roles are the flagged ones, selfcal members are gone,
        other members are found from `target`, and products name their ``stack``.
    """
    found = {os.path.basename(path): path for path in others}
    products = []
    for product, stack in zip(association["products"], stacks, strict=True):
        members = []
        for member in product["members"]:
            path = workdir_path(os.path.join(os.path.realpath(folder), member["expname"]))
            path = path if os.path.exists(path) else found.get(os.path.basename(path), path)
            if is_flagged(member, roles):
                path = prefix + path_of("write_back", stack=stack, exposure=exposure_name(path))
            if member["exptype"].lower() != "selfcal":
                members.append({**member, "expname": seen_from(target, path)})
        products.append({**product, "stack": stack, "members": members})
    return {**association, "products": products}


def seen_from(folder, path):
    """Return a path as it is found from a folder: relative if below the working directory."""
    if os.path.isabs(path):
        return path
    # By their real places, as `results` may be a link to another disk.
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return os.path.relpath(real, os.path.realpath(folder))


def view(product, stack, stages, roles=FLAGGED):
    """List the files that belong to a product: its stack's of `stages`, its flagged exposures."""
    files = [] if stack == SKIPPED else [path_of(stage, stack=stack) for stage in stages]
    names = {exposure_name(m["expname"]) for m in product["members"] if is_flagged(m, roles)}
    return [*files, *sorted(path_of("write_back", stack=stack, exposure=n) for n in names)]


def clear_view(folder):
    """
    Remove an earlier view: links, the folders of products that hold them, and nothing else.

    Raises
    ------
    Fault
        If there is anything else in it; nothing is removed then.
    """
    if os.path.islink(folder):
        raise Fault(f"{folder}: a link; remove it, or name another folder for the view")
    links, folders = [], []
    for place, _, names in os.walk(folder, topdown=False):
        folders.append(place)
        for path in (os.path.join(place, name) for name in (*names, *os.listdir(place))):
            if os.path.islink(path) or os.path.basename(path) == ".snakemake_timestamp":
                links.append(path)
            elif not os.path.isdir(path):
                raise Fault(f"{path}: no link of a view; name another folder for the view")
    for path in dict.fromkeys(links):
        os.remove(path)
    for place in folders:
        os.rmdir(place)


def is_flagged(member, roles):
    """Tell whether a member's flagged exposure was written."""
    return member["exptype"].lower() in roles


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("association", help="the association file")
    options.add_argument("output", help="the flagged association")
    options.add_argument("view", help="folder for the links")
    options.add_argument(
        "--stacks", nargs="+", required=True, help="the stack of each product, or skipped"
    )
    options.add_argument("--noise", action="store_true", help="the stacks have a noise.fits")
    options.add_argument("--others", nargs="*", default=[], help="members that play no part")
    options.add_argument(
        "--saved", nargs="+", default=FLAGGED, help="roles whose flagged exposures were written"
    )
    options.add_argument("--prefix", help="of the results; that of the output, if it is one")
    return options


def main(arguments):
    """Write ``associations/{name}.json`` and the links ``by_association/{name}``."""
    path, output, stacks = arguments.association, arguments.output, arguments.stacks
    association = read_association(path)
    prefix = arguments.prefix
    if prefix is None:
        prefix = prefix_of(output, "associate")
    clear_view(arguments.view)
    for product, stack in zip(association["products"], stacks, strict=True):
        folder = os.path.join(arguments.view, product["name"])
        os.makedirs(folder, exist_ok=True)
        stages = STAGES if arguments.noise else STAGES[:3]
        for file in view(product, stack, stages, arguments.saved):
            link = os.path.join(folder, os.path.basename(file))
            os.symlink(os.path.relpath(prefix + file, folder), link)
    flagged = flagged_association(
        association,
        stacks,
        os.path.dirname(path),
        os.path.dirname(output),
        prefix,
        arguments.others,
        arguments.saved,
    )
    with atomic_write(output) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(flagged, file, indent=4)
        file.write("\n")
