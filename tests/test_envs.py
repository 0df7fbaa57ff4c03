"""That the environments are in step, and the versions."""

import ast
import re
import sys
import tomllib

import yaml
from conftest import ROOT

from badpix_selfcal.version import VERSION

OTHER_NAMES = {"PIL": "pillow", "yaml": "pyyaml"}


def pins(name):
    text = (ROOT / "envs" / name).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "-r"))]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "all are pinned"
    return dict(line.lower().split("==") for line in lines)


def test_pip_conda_and_pyproject_agree():
    conda = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    found = dict(line.split("=") for line in conda["dependencies"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={found.pop('python')}"
    pip = pins("requirements.txt")
    assert found == {name: pip[name] for name in found}
    package, workflow = set(project["dependencies"]), project["optional-dependencies"]["workflow"]
    workflow = {name.partition(">")[0] for name in workflow}
    assert package | workflow <= set(pip)
    # What figures need is imported where they are drawn.
    assert find_imported("badpix_selfcal") <= package | {"jinja2", "matplotlib", "pillow"}
    # Jobs need neither Snakemake nor what its logger plugin imports.
    logger = find_imported("snakemake_logger_plugin_selfcal")
    workflow -= {"snakemake", *logger}
    assert find_imported("*") - logger <= set(found) == package | workflow


def find_imported(folder):
    """Return the packages that the programs of a folder import, by their names on PyPI."""
    names = set()
    for path in (ROOT / "scripts").glob(f"{folder}/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    names -= {*sys.stdlib_module_names, "badpix_selfcal"}
    return {OTHER_NAMES.get(name, name) for name in names}


def test_pins_do_not_contradict():
    names = [name for path in (ROOT / "envs").glob("*.txt") for name in pins(path.name)]
    assert len(names) == len(set(names))


def test_versions():
    """A released version is that of CITATION.cff, the changelog and the page on modules."""
    released = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert f"## {released}" in (ROOT / "CHANGELOG.md").read_text()
    assert released == VERSION or ".dev" in VERSION
    assert f"--branch v{released} " in (ROOT / "docs/howto/module.md").read_text()
