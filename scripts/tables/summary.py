"""Write the summary: one row per product, from the header of its flagged science exposure."""

import os

import pandas as pd

from badpix_selfcal.associations import read_members_table
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.paths import find_prefix
from badpix_selfcal.summary import find_replaced, summarize


def options():
    """Return the argument parser."""
    options = parser(
        __doc__, members="members.csv", checksums="checksums.csv, if any", output="summary.csv"
    )
    options.add_argument("--existing", action="store_true", help="leave out missing results")
    return options


def main(arguments):
    """Write ``summary.csv``."""
    members = read_members_table(arguments.members)
    prefix = find_prefix(arguments.members, "members")
    summary, read = summarize(members, prefix, arguments.existing)
    if os.path.exists(arguments.checksums):  # not after a run that failed early
        checksums = pd.read_csv(arguments.checksums)
        if errors := find_replaced(read, checksums):
            raise InputError("\n".join(errors))
    write_text(arguments.output, summary.to_csv(index=False))
