"""Flagged associations, for calwebb_spec2, and the views of results by association."""

import os
import re

from badpix_selfcal.associations import FLAGGED, exposure_name
from badpix_selfcal.file_state import hash_text
from badpix_selfcal.paths import SKIPPED, path_of, workdir_path


def make_flagged_association(association, stacks, folder, target, *, prefix, others, saved):
    """
    Point an association to flagged exposures.

    calwebb_spec2 looks for a member that is named without a folder beside the association, and for
    any other from the working directory. So members below ours are named after links beside it,
    which move with the results.

    Parameters
    ----------
    association : dict
        As read; it stays as it is.
    stacks : list of str
        The stack of each of its products.
    folder : str
        Where it lies; the paths of members are relative to it.
    target : str
        Where the new one will lie.
    prefix : str
        The folder below which the results lie, "" or one that ends with a slash.
    others : list of str
        Paths of members that are not flagged, which may lie elsewhere than the association says.
    saved : sequence of str
        The roles whose flagged exposures are written.

    Returns
    -------
    association : dict
        The same, except: members with these roles are the flagged ones, selfcal members are
        dropped, members below the working directory have the names of links, products name their
        ``stack``.
    links : dict of str to str
        What each link points to, relative to `target`, by its name.
    """
    found = {os.path.basename(path).removesuffix(".gz"): path for path in others}
    products, links = [], {}
    for product, stack in zip(association["products"], stacks, strict=True):
        members = []
        for member in product["members"]:
            if member["exptype"].lower() == "selfcal":
                continue
            path = workdir_path(os.path.join(os.path.realpath(folder), member["expname"]))
            if not os.path.exists(path):
                path = found.get(os.path.basename(path).removesuffix(".gz"), path)
            tag = hash_text(os.path.dirname(path))  # as files of two folders may share a name
            if member["exptype"].lower() in saved:
                path = prefix + path_of("flagged", stack=stack, exposure=exposure_name(path))
                tag = stack.rpartition("-")[2]
            name = path
            if not os.path.isabs(path):
                name = re.sub(r"((\.\w+)?(\.gz)?)$", rf"_{tag}\1", os.path.basename(path), count=1)
                links[name] = relative_to(target, path)
            members.append({**member, "expname": name})
        products.append({**product, "stack": stack, "members": members})
    return {**association, "products": products}, links


def relative_to(folder, path):
    """Return a path below the working directory as it is found from a folder."""
    # By their real places, as `results` may be a link to another disk.
    real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return os.path.relpath(real, os.path.realpath(folder))


def list_links(association, stacks, view, *, prefix, stages, saved=FLAGGED):
    """
    List the links of a view: for each product, the files of its stack and its flagged exposures.

    Parameters
    ----------
    association, stacks, prefix, saved
        As of `make_flagged_association`.
    view : str
        The folder of the view.
    stages : list of str
        The stages whose files are kept.

    Returns
    -------
    links : dict of str to str
        What each link points to, relative to it, by its path.
    """
    links = {}
    for product, stack in zip(association["products"], stacks, strict=True):
        files = [] if stack == SKIPPED else [path_of(stage, stack=stack) for stage in stages]
        files += [
            path_of("flagged", stack=stack, exposure=exposure_name(member["expname"]))
            for member in product["members"]
            if member["exptype"].lower() in saved
        ]
        folder = os.path.join(view, product["name"])
        for file in files:
            link = os.path.join(folder, os.path.basename(file))
            links[link] = os.path.relpath(prefix + file, folder)
    return links
