"""The hash of a program: which edits make its rule run again."""

import ast
import os
import shutil

import pytest
from conftest import ROOT

from code_hash import find_imports, hash_code, hash_folder

STAGES = [path.stem for path in sorted((ROOT / "scripts" / "stages").glob("*.py"))]


@pytest.fixture
def scripts(tmp_path):
    """Return a copy of the programs; to be edited before it is hashed, as hashes are kept."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path / "scripts"


def find_changed(scripts, path):
    """Return the stages whose hash changes when a line is added to a file of a copy."""
    with open(scripts / path, "a") as file:
        file.write("# a line\n")
    return {
        name
        for name in STAGES
        if hash_code(str(ROOT / "scripts"), f"stages/{name}")
        != hash_code(str(scripts), f"stages/{name}")
    }


@pytest.mark.parametrize("name", STAGES)
def test_an_edited_program_changes_its_own_hash_alone(scripts, name):
    assert find_changed(scripts, f"stages/{name}.py") == {name}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("pedestal.py", {"pedestal"}),
        ("threshold.py", {"threshold"}),
        ("write_back.py", {"write_back", "mark_skipped"}),
        ("fits_io.py", set(STAGES)),
        ("cli.py", set(STAGES)),
        *(("catalog.py", set()), ("grouping.py", set()), ("save_figure.py", set())),
        ("version.py", set()),  # a new version reruns nothing
    ],
)
def test_an_edited_module_changes_the_programs_that_import_it(scripts, name, stages):
    assert find_changed(scripts, f"badpix_selfcal/{name}") == stages


def test_no_import_of_ours_is_missed():
    """Of all programs and modules, as Python reads them, however they are written."""
    scripts = str(ROOT / "scripts")
    for path in sorted((ROOT / "scripts").glob("*/*.py")):
        nodes, expected = ast.walk(ast.parse(path.read_text())), set()
        for node in nodes:
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("badpix_selfcal") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and (node.level or "badpix_" in node.module):
                assert node.level < 2
                folder = path.parent.name if node.level else "badpix_selfcal"
                module = (node.module or "").removeprefix("badpix_selfcal").lstrip(".")
                names = [module] if module else [alias.name for alias in node.names]
                expected |= {f"{folder}/{name}.py" for name in names}
        expected.discard("badpix_selfcal/version.py")
        name = os.path.relpath(path, scripts)
        assert find_imports(scripts, name, path.read_text()) == expected


def test_the_hash_of_a_folder_is_that_of_names_and_contents(tmp_path):
    found = set()
    for i, (name, text) in enumerate((("a", "x"), ("b", "x"), ("a", "y"))):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / name).write_text(text)
        found.add(hash_folder(tmp_path / str(i)))
    assert len(found) == 3
