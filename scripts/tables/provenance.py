"""Write what a run was made of: versions, config, git commit, inputs with size and checksum."""

import csv
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess

from badpix_selfcal.files import atomic_write
from badpix_selfcal.program import parser
from badpix_selfcal.tables import DIGEST_COLUMNS, digest_row, read_planned
from badpix_selfcal.version import VERSION


def git_commit(folder):
    """Return the commit of the git repository that a folder is in, with + if changed; or None."""
    if not shutil.which("git"):
        return None
    answers = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        command = ["git", "-c", "safe.directory=*", "-C", folder, *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None
        answers.append(done.stdout.strip())
    return answers[0] + ("+" if answers[1] else "")


def packages():
    """Return the version of each package of the environment, by name."""
    found = {}
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        head = text.partition("\n\n")[0]  # by `metadata`, all of it takes ten times as long
        cards = dict(re.findall(r"^(Name|Version): *(.*?) *$", head, re.M))
        if len(cards) == 2:
            found[cards["Name"]] = cards["Version"]
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("checksums", help="checksums.csv")
    options.add_argument("planned", help="the associations as the run was planned, JSON")
    options.add_argument("--config", default="{}", help="the config as used, in JSON")
    options.add_argument("--output", required=True, help="provenance.json")
    return options


def main(arguments):
    """Write ``provenance.json``."""
    with open(arguments.checksums, newline="") as file:
        exposures = [
            {**row, "size": int(row["size"]), "modified": int(row["modified"])}
            for row in csv.DictReader(file)
        ]
    associations = [digest_row(path) for path in read_planned(arguments.planned)]
    record = {
        "workflow": {"version": VERSION, "git_commit": git_commit(os.path.dirname(__file__))},
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": packages(),
        "config": json.loads(arguments.config),
        "associations": [dict(zip(DIGEST_COLUMNS, row, strict=True)) for row in associations],
        "exposures": exposures,
    }
    with atomic_write(arguments.output) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
