"""That the environments are in step, and that versions are the same everywhere."""

import re
import sys

import pytest
import yaml
from conftest import ROOT

from badpix_selfcal.version import VERSION


def pins(name):
    text = (ROOT / "envs" / name).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "-r"))]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "all are pinned"
    return dict(line.lower().split("==") for line in lines)


def test_conda_has_the_versions_of_pip():
    conda = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    found = dict(line.split("=") for line in conda["dependencies"])
    assert found.pop("python") == "3.11"
    pip = pins("requirements.txt")
    assert found == {name: pip[name] for name in found}


def test_conda_has_all_that_programs_import():
    imported = set()
    for path in (ROOT / "scripts").glob("*/*.py"):
        imported |= set(re.findall(r"^ *(?:from|import) (\w+)", path.read_text(), re.M))
    needed = {name for name in imported if name not in sys.stdlib_module_names}
    needed = {{"PIL": "pillow"}.get(name, name) for name in needed}
    conda = (ROOT / "envs" / "environment.yaml").read_text()
    assert needed - {"badpix_selfcal"} <= set(re.findall(r"^  - (\w+)=", conda, re.M))


def test_pins_do_not_contradict():
    files = ("requirements.txt", "requirements-slurm.txt", "requirements-test.txt")
    names = [name for file in files for name in pins(file)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["CITATION.cff", "CHANGELOG.md", "README.md"])
def test_the_version_is_said_everywhere(name):
    assert VERSION in (ROOT / name).read_text()
