"""Write the provenance of a run: versions, config, git commit, inputs with size and checksum."""

import csv
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess

from badpix_selfcal.associations import find_associations
from badpix_selfcal.atomic_io import atomic_write
from badpix_selfcal.cli import parser
from badpix_selfcal.file_state import DIGEST_COLUMNS, read_digest
from badpix_selfcal.fits_io import read_primary
from badpix_selfcal.paths import workdir_patterns
from badpix_selfcal.version import VERSION


def read_commit(folder):
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


def list_packages():
    """Return the version of each package of the environment, by name."""
    found = {d.name: d.version for d in importlib.metadata.distributions()}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("members", help="members.csv")
    options.add_argument("checksums", help="checksums.csv")
    options.add_argument("output", help="provenance.json")
    options.add_argument("--config", required=True, help="the config, JSON")
    return options


def main(arguments):
    """Write ``provenance.json``."""
    config, rows = json.loads(arguments.config), {}
    for name in ("members", "checksums"):
        with open(getattr(arguments, name), newline="", encoding="utf-8") as file:
            rows[name] = list(csv.DictReader(file))
    taking_part = {row["association"] for row in rows["members"]}
    paths = find_associations(config["associations"])[0].items()
    digests = [read_digest(path) for name, path in paths if name in taking_part]
    for row in rows["checksums"]:
        header = read_primary(row["path"])
        row.update(size=int(row["size"]), modified=int(row["modified"]))
        row.update(cal_ver=header.get("CAL_VER"), crds_ctx=header.get("CRDS_CTX"))
    record = {
        "workflow": {"version": VERSION, "git_commit": read_commit(os.path.dirname(__file__))},
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": list_packages(),
        "config": {**config, "associations": workdir_patterns(config["associations"])},
        "associations": [dict(zip(DIGEST_COLUMNS, row, strict=True)) for row in digests],
        "exposures": rows["checksums"],
    }
    with atomic_write(arguments.output) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
