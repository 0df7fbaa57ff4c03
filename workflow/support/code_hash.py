"""The hash of a program: SHA-256 of its file and of the files of ours that it imports."""

import functools
import os
import re
from pathlib import Path

from badpix_selfcal.file_state import hash_text

IMPORT = re.compile(r"^ *from (badpix_selfcal|\.)(?:\.?(\w+))? import ([^(\n]+|\([^)]*)", re.M)
UNHASHED = "version.py"  # a new version reruns nothing


@functools.cache
def hash_code(scripts, program):
    """
    Hash a program.

    As a parameter it reruns an edited program's stage, and only that: Snakemake's own trigger
    misses edited modules and edits behind a temporary file, and takes a touch for an edit.

    Parameters
    ----------
    scripts : str
        The folder of the command groups and of the package.
    program : str
        Its group and name, such as ``stages/median``.

    Returns
    -------
    digest : str
        12 hexadecimal digits.
    """
    found, pending = {}, {f"{program}.py"}
    while pending:
        name = pending.pop()
        found[name] = Path(scripts, name).read_text(encoding="utf-8")
        pending |= find_imports(scripts, name, found[name]) - found.keys()
    return hash_text(repr(sorted(found.items())))


def find_imports(scripts, name, text):
    """Return the files of ours that a file imports, by their paths below `scripts`."""
    found = set()
    for package, module, names in IMPORT.findall(text):
        folder = os.path.dirname(name) if package == "." else package
        modules = [module] if module else re.findall(r"\w+", names)
        found |= {f"{folder}/{module}.py" for module in modules}
    return {
        path
        for path in found
        if os.path.basename(path) != UNHASHED and os.path.exists(os.path.join(scripts, path))
    }


def hash_folder(folder):
    """Return the hash of the files of a folder, for what is no program."""
    return hash_text(
        repr(sorted((path.name, path.read_bytes()) for path in Path(folder).iterdir()))
    )
