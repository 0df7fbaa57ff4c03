"""Results that no association asks for any more."""

import contextlib
import json
import os
import re
from glob import glob

from badpix_selfcal.associations import list_flagged
from badpix_selfcal.figure_table import FIGURES
from badpix_selfcal.paths import SKIPPED, path_of
from badpix_selfcal.stages import STAGES

# Every result is in one of these, and stays or goes as a whole.
OF_STACK = ("stack", "write_back", "figures", "blink_page", "thumbnail", "tune")
OF_ASSOCIATION = ("associate", "view")
STACK = re.compile(r".+-[0-9a-f]{12}(\.html|\.png)?")
TIMESTAMP = ".snakemake_timestamp"
# Files in the folders of stacks, of figures and of tuning; others are the user's.
FILES = {
    *(os.path.basename(path_of(stage.name)) for stage in STAGES),
    *(f"{figure.name}.{form}" for figure in FIGURES for form in ("png", "svg")),
    *("numbers.csv", "flags.reg", "added.fits", "score.csv", "recall.csv", "settings.csv"),
    *("suggestion.txt", "cost.png", "recall_high.png", "recall_low.png", TIMESTAMP),
}
FLAGGED = os.path.basename(path_of("flagged", exposure=""))
MEMBER_LINK = re.compile(rf".+_([0-9a-f]{{12}}|{SKIPPED})\.\w+")  # beside flagged associations
PART = re.compile(r"\.[\w-]+\.part")  # left by a program that was killed


def list_results(stacks, associations):
    """Return the paths of all results of stacks and associations."""
    return {
        *(path_of(name, stack=stack) for name in OF_STACK for stack in stacks),
        *(path_of(name, association=a) for name in OF_ASSOCIATION for a in associations),
    }


def list_left_over(members):
    """
    List the results that no association asks for, and what killed programs have left.

    Parameters
    ----------
    members : DataFrame

    Returns
    -------
    files : dict of str to list of str
        The workflow's files of each result, of which a folder may hold others.
    """
    wanted = list_results(members["stack"].unique(), members["association"].unique())
    wanted |= set(list_flagged(members)["flagged"])
    patterns = list_results("*", "*") | {path_of("flagged", stack=SKIPPED, exposure="*")}
    found = {path for pattern in patterns for path in glob(pattern)} - wanted
    folder = os.path.dirname(path_of("associate"))
    found |= set(filter(os.path.islink, glob(f"{folder}/*"))) - list_member_links(wanted)
    for folder, folders, names in os.walk("results"):
        found |= {os.path.join(folder, n) for n in (*folders, *names) if PART.fullmatch(n)}
    return {path: files for path in sorted(found) if (files := list_own_files(path))}


def list_member_links(wanted):
    """Return the paths beside the wanted flagged associations that their members name."""
    return {
        os.path.join(os.path.dirname(path), member.get("expname", ""))
        for path in wanted
        if path.endswith(".json")
        for product in read_flagged_products(path)
        for member in product.get("members", ())
    }


def read_flagged_products(path):
    """Return the products of a flagged association, which name their stacks; [] if it is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path) as file:
        products = json.load(file)["products"]
        stacks = {product["stack"] for product in products}
        if all(stack == SKIPPED or STACK.fullmatch(stack) for stack in stacks):
            return products
    return []


def list_own_files(path):
    """List the workflow's files of a result: by their names, and reached through no link."""
    folder, name = os.path.split(path)
    # `results` itself may be a link to another disk.
    real = os.path.join(os.path.realpath("results"), os.path.relpath(folder, "results"))
    if os.path.realpath(folder) != os.path.normpath(real):
        return []
    if os.path.islink(path):
        return [path] if MEMBER_LINK.fullmatch(name) or PART.fullmatch(name) else []
    if os.path.isfile(path):
        own = is_own_name(name) or STACK.fullmatch(name) or read_flagged_products(path)
        return [path] if own else []
    files = [os.path.join(place, file) for place, _, files in os.walk(path) for file in files]
    if PART.fullmatch(name):
        return files
    if folder == os.path.dirname(path_of("view")):
        return [file for file in files if os.path.islink(file) or file.endswith(TIMESTAMP)]
    if not STACK.fullmatch(name):
        return []
    return [f for f in files if is_own_name(os.path.basename(f)) and not os.path.islink(f)]


def is_own_name(name):
    """Tell whether a file in the folder of a stack is the workflow's, by its name."""
    return name in FILES or name.endswith(FLAGGED) or PART.fullmatch(name) is not None
