"""Write the flagged association, for calwebb_spec2, its links, and the view of its results."""

import json
import os

from badpix_selfcal.associations import FLAGGED, read_association
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.flagged_association import list_links, make_flagged_association
from badpix_selfcal.paths import find_prefix


def replace_link(target, link):
    """Make a link, in place of an earlier one; associations of a stack share it."""
    if not os.path.islink(link) or os.readlink(link) != target:
        part = os.path.join(os.path.dirname(link), f".{os.getpid()}-link.part")
        os.symlink(target, part)
        os.replace(part, link)


def options():
    """Return the argument parser."""
    options = parser(
        __doc__, association="association file", output="the flagged one", view="folder for links"
    )
    options.add_argument(
        "--stacks", nargs="+", required=True, help="the stack of each product, or skipped"
    )
    options.add_argument("--stages", nargs="+", default=[], help="whose files are linked")
    options.add_argument("others", nargs="*", help="members not flagged")
    options.add_argument("--saved", nargs="+", default=FLAGGED, help="roles of flagged exposures")
    return options


def main(arguments):
    """Write ``associations/{name}.json`` with links beside it, and ``by_association/{name}``."""
    association = read_association(arguments.association)
    prefix = find_prefix(arguments.output, "associate")
    own = {"stacks": arguments.stacks, "prefix": prefix, "saved": arguments.saved}
    if os.path.lexists(arguments.view):  # Snakemake has removed an earlier view
        raise InputError(f"{arguments.view}: exists; remove it, or name another folder")
    links = list_links(association, view=arguments.view, stages=arguments.stages, **own)
    for link, target in links.items():
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    source, folder = map(os.path.dirname, (arguments.association, arguments.output))
    os.makedirs(folder or ".", exist_ok=True)
    flagged, links = make_flagged_association(
        association, folder=source, target=folder, others=arguments.others, **own
    )
    for name, target in links.items():
        replace_link(target, os.path.join(folder, name))
    write_text(arguments.output, json.dumps(flagged, indent=4) + "\n")
