"""List, or delete, the results that no association asks for any more."""

import contextlib
import os
from glob import glob

from badpix_selfcal.associations import read_members_table
from badpix_selfcal.cli import parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.paths import find_prefix
from badpix_selfcal.unused_results import list_left_over


def delete(path, files):
    """Delete the workflow's files of a result, and the folders that are empty then."""
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(folder)


def refuse_during_run(own):
    """Raise an `InputError` if a run holds a lock on other files than `own`, our input."""
    for path in glob(".snakemake/locks/*.lock"):
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            if {line.strip() for line in file} - {own, ""}:
                raise InputError(
                    f"{path}: a run is going on; wait for its end (if it was killed, call "
                    "snakemake --unlock), then prune again"
                )


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv")
    options.add_argument("--delete", action="store_true", help="delete what is listed")
    return options


def main(arguments):
    """List what is left over; delete it if told to, and only if no run is going on."""
    members = read_members_table(arguments.members)
    if arguments.delete:
        refuse_during_run(arguments.members)
    os.chdir(find_prefix(arguments.members, "members") or ".")
    left = list_left_over(members)
    total = sum(os.lstat(file).st_size for files in left.values() for file in files) / 1e6
    for path, files in left.items():
        print(path)
        if arguments.delete:
            delete(path, files)
            if os.path.exists(path):
                print(f"  {path} holds files that are not the workflow's; they stay")
    done = "deleted" if arguments.delete else "to delete with the target prune_delete"
    print(f"{len(left)} results, {total:.0f} MB, {done}")
