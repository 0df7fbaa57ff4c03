"""The content hash of programs: what makes a stage run again, and what does not."""

import shutil

import pytest
from conftest import ROOT, add_statement

from badpix_selfcal import parameters
from badpix_selfcal.parameters import PARAMETERS
from selfcal_rules.fingerprint import fingerprint

STAGES = ["pedestal", "minimum", "median", "noise", "threshold", "write_back", "skip"]
JUDGE = ["median", "noise", "threshold"]  # threshold estimates the noise where it has none


@pytest.fixture
def scripts(tmp_path):
    """Return a copy of the programs; to be edited before it is hashed, as files are read once."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path / "scripts"


def changed(scripts, edit):
    """Return the stages whose hash an edit of a copy changes."""
    before = {name: fingerprint(str(ROOT / "scripts"), f"stages/{name}") for name in STAGES}
    edit(scripts)
    after = {name: fingerprint(str(scripts), f"stages/{name}") for name in STAGES}
    return [name for name in STAGES if before[name] != after[name]]


def replaced(path, old, new):
    """Return an edit of a file."""

    def edit(scripts):
        text = (scripts / path).read_text()
        assert old in text
        (scripts / path).write_text(text.replace(old, new))

    return edit


def statement(path, function):
    return lambda scripts: add_statement(scripts / path, function)


@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        (statement("stages/threshold.py", "flag_outliers"), ["threshold"]),
        (statement("stages/median.py", "dispersion_axis"), ["median"]),
        (statement("badpix_selfcal/running_median.py", "network"), JUDGE),
        (statement("badpix_selfcal/running_median.py", "median_of_squares"), JUDGE),
        (statement("badpix_selfcal/noise.py", "slope"), JUDGE[1:]),
        (statement("badpix_selfcal/deviants.py", "chances"), ["threshold"]),
        (statement("badpix_selfcal/doubts.py", "line_like"), ["threshold"]),
        (statement("badpix_selfcal/flags.py", "difference"), JUDGE[1:]),
        (statement("badpix_selfcal/headers.py", "calibrated_cards"), ["write_back", "skip"]),
        (statement("badpix_selfcal/headers.py", "parse_number"), STAGES),
        (statement("badpix_selfcal/images.py", "write_image"), STAGES[1:5]),
        (replaced("badpix_selfcal/running_median.py", "TILE = 16", "TILE = 8"), JUDGE),
        (replaced("badpix_selfcal/flags.py", "0, 1, 2", "0, 2, 1"), ["threshold"]),
        (replaced("stages/pedestal.py", "slice(503, 516)", "slice(503, 517)"), ["pedestal"]),
        (replaced("stages/write_back.py", '"7fc00000"', '"7fc00001"'), ["write_back"]),
    ],
)  # fmt: skip
def test_an_edit_of_what_a_stage_computes_changes_that_stage(scripts, edit, stages):
    assert changed(scripts, edit) == stages


@pytest.mark.parametrize(
    "edit",
    [
        replaced("badpix_selfcal/version.py", 'VERSION = "', 'VERSION = "9.'),
        replaced("badpix_selfcal/parameters.py", "length of the window", "size of the window"),
        replaced("badpix_selfcal/parameters.py", "is not between", "lies not between"),
        replaced("stages/threshold.py", 'log(f"flagged', 'log(f"now flagged'),
        replaced("stages/threshold.py", "def main(", "# a comment\n\n\ndef main("),
        replaced("stages/threshold.py", "The minimum of a stack", "A stack's minimum"),
        replaced("stages/pedestal.py", "no DETECTOR in", "DETECTOR is missing in"),
        replaced("stages/pedestal.py", "help=", "metavar='X', help="),
        statement("badpix_selfcal/program.py", "warn"),
        statement("badpix_selfcal/tables.py", "read_members"),
        replaced("badpix_selfcal/detectors.py", "14.0", "15.0"),
    ],
)
def test_an_edit_of_what_people_read_changes_no_stage(scripts, edit):
    assert changed(scripts, edit) == []


def test_another_card_of_a_parameter_changes_its_stage(monkeypatch):
    before = {name: fingerprint(str(ROOT / "scripts"), f"stages/{name}") for name in STAGES}
    renamed = [p._replace(card="BPXK") if p.stage == "median" else p for p in PARAMETERS]
    monkeypatch.setattr(parameters, "PARAMETERS", renamed)
    after = {name: fingerprint(str(ROOT / "scripts"), f"stages/{name}") for name in STAGES}
    assert [name for name in STAGES if before[name] != after[name]] == ["median"]


def test_what_is_new_and_not_used_changes_no_stage(scripts):
    def edit(copy):
        for path in copy.glob("badpix_selfcal/*.py"):
            path.write_text(path.read_text() + "\n\ndef quite_new():\n    return 1\n")

    assert changed(scripts, edit) == []


PROGRAM = """
{imports}

def main(arguments):
    {inner}
    return {call}()
"""


@pytest.mark.parametrize(
    ("imports", "inner", "call"),
    [
        ("from badpix_selfcal.a import used", "pass", "used"),
        ("from badpix_selfcal.a import used as other", "pass", "other"),
        ("from badpix_selfcal import a", "pass", "a.used"),
        ("from badpix_selfcal import a as other", "pass", "other.used"),
        ("", "from badpix_selfcal.a import used", "used"),
        ("from badpix_selfcal.a import CONSTANT as used", "pass", "used"),
    ],
)
def test_what_is_used_counts_however_it_is_imported(tmp_path, imports, inner, call):
    def digest(folder, module):
        for room in ("stages", "badpix_selfcal"):
            (tmp_path / folder / room).mkdir(parents=True)
        text = PROGRAM.format(imports=imports, inner=inner, call=call)
        (tmp_path / folder / "stages" / "x.py").write_text(text)
        (tmp_path / folder / "badpix_selfcal" / "a.py").write_text(module)
        return fingerprint(str(tmp_path / folder), "stages/x")

    module = "import os\n\nCONSTANT = 1\n\n\ndef used():\n    return CONSTANT + 1\n"
    first = digest("first", module)
    assert digest("same", module + "# a comment\n") == first
    assert digest("constant", module.replace("CONSTANT = 1", "CONSTANT = 2")) != first
    # What runs when the module is imported counts, too.
    assert digest("statement", module + '\nos.environ["A"] = "b"\n') != first
    assert digest("twice", f"CONSTANT = 2\n{module}") != first
    assert digest("call", module + "\nos.nice(1)\n") != first
    if "CONSTANT" not in imports:
        assert digest("function", module.replace("+ 1", "+ 2")) != first
