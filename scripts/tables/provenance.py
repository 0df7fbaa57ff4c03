"""Write the provenance of a run: versions, config, git commit, inputs with size and checksum."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess

import pandas as pd

from badpix_selfcal.associations import find_associations, read_members_table
from badpix_selfcal.atomic_io import write_text
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
    options = parser(
        __doc__, members="members.csv", checksums="checksums.csv", output="provenance.json"
    )
    options.add_argument("--config", required=True, type=json.loads, help="the config, JSON")
    return options


def main(arguments):
    """Write ``provenance.json``."""
    config = arguments.config
    paths = find_associations(config["associations"])[0]
    taking_part = read_members_table(arguments.members)["association"].unique()
    digests = [read_digest(paths[name]) for name in taking_part]
    exposures = pd.read_csv(arguments.checksums).to_dict("records")
    for exposure in exposures:
        header = read_primary(exposure["path"])
        exposure.update(cal_ver=header.get("CAL_VER"), crds_ctx=header.get("CRDS_CTX"))
    record = {
        "workflow": {"version": VERSION, "git_commit": read_commit(os.path.dirname(__file__))},
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": list_packages(),
        "config": {**config, "associations": workdir_patterns(config["associations"])},
        "associations": [dict(zip(DIGEST_COLUMNS, row, strict=True)) for row in digests],
        "exposures": exposures,
    }
    write_text(arguments.output, json.dumps(record, indent=1) + "\n")
