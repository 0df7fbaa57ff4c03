"""Write the members table: one row per member of a product, with its stack."""

import json

from badpix_selfcal.associations import read_members
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.file_state import hash_text


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("--config", required=True, help="keys of the config that matter, JSON")
    options.add_argument("--made", nargs="*", default=[], help="exposures that need not exist yet")
    options.add_argument("--expected", help="hash of the table when the run was planned")
    options.add_argument("--output", required=True, help="members.csv")
    return options


def main(arguments):
    """Write ``members.csv``."""
    members, *_, errors = read_members(json.loads(arguments.config), arguments.made)
    if errors:
        raise InputError("\n".join(errors))
    text = members.to_csv(index=False)
    if arguments.expected not in (None, hash_text(text)):
        raise InputError(
            f"{arguments.output}: the associations have changed since the run began; run again"
        )
    write_text(arguments.output, text)
