#!/usr/bin/env -S python3 -Es
"""Write the size and the SHA-256 of each exposure, which takes as long as reading them all."""

import hashlib
import os

from _program import parser, run
from _tables import COLUMNS, COMBINED, read_members, write_table

DESCRIPTION = ("path", "size", "sha256")


def described(path):
    """Return a file's path, size in bytes and SHA-256."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path, os.path.getsize(path), digest


def main(arguments):
    """Write ``checksums.csv``."""
    _, rows, _ = read_members(arguments.associations, force_single=False)
    members = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    paths = sorted({member["path"] for member in members if member["exptype"] in COMBINED})
    write_table(arguments.output, [DESCRIPTION, *map(described, paths)])


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("associations", nargs="+", help="association files or globs")
    options.add_argument("output", help="checksums.csv")
    run(main, options)
