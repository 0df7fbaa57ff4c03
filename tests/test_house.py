"""The house: rooms, one launcher, one table of parameters, all in step."""

import argparse
import ast
import os
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, program

from badpix_selfcal import parameters
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.paths import RESULTS, path_of, prefix_of
from badpix_selfcal.program import ROOMS

PROGRAMS = {path.stem: path for room in ROOMS for path in (ROOT / "scripts" / room).glob("*.py")}
RULES = {
    name: path
    for path in (ROOT / "workflow" / "rules").glob("*.smk")
    for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
}
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["properties"]


def imports(path):
    """Return the first word of each module that a file imports, within functions, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", list(PROGRAMS.values()), ids=list(PROGRAMS))
def test_programs_import_the_shared_package_and_never_each_other(path):
    assert not {*ROOMS, *PROGRAMS} & set(imports(path))


def test_a_program_lies_in_the_room_of_its_rule_file():
    rooms = {"selfcal": "stages"}  # by the file of the rules
    homes = {name: rooms.get(path.stem, path.stem) for name, path in RULES.items()}
    for name, path in PROGRAMS.items():
        # Those of slurm are called by Snakemake's executor, as profiles/slurm says, by no rule.
        assert homes.get(name, "slurm") == path.parent.name


def test_the_launcher_lists_runs_and_refuses():
    assert set(re.findall(r"\w+", program().stdout)) >= set(PROGRAMS)
    assert "length of the window" in program("median", "--help").stdout
    done = program("medain", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("selfcal: error: medain: no such program")
    assert program("../stages/median", check=False).returncode == 1


def test_nothing_generic_comes_first_in_path_or_sys_path(tmp_path):
    """What a parent workflow finds under its own names is its own."""
    (tmp_path / "Snakefile").write_text(
        f'include: "{ROOT}/Snakefile"\nimport shutil\nprint("PATH", os.environ["PATH"])\n'
        'print("SYS", *sys.path, sep="\\n")\n'
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", tmp_path / "Snakefile", "--lint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    paths = re.search(r"^PATH (.*)$", done.stdout, re.M)[1].split(os.pathsep)
    executables = [f for f in os.listdir(paths[1]) if os.path.isfile(os.path.join(paths[1], f))]
    assert executables == ["selfcal"]
    where = done.stdout.partition("SYS\n")[2].splitlines()
    assert [p for p in where if p.startswith(str(ROOT))][-2:] == where[-2:]


# ---- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("p", PARAMETERS, ids=lambda p: p.name)
def test_config_and_schema_say_what_the_table_says(p):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    rule = SCHEMA[p.name]
    assert rule["default"] == config[p.name] == p.default
    if isinstance(p.allowed, tuple):
        assert tuple(str(value) for value in rule["enum"]) == p.allowed


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        *(("kernel_size", v, v in (1, 15, 4001)) for v in (-1, 0, 1, 2, 15, 16, 4001)),
        *(("flagfrac_lower", v, 0 <= v <= 0.5) for v in (-0.1, 0, 0.001, 0.5, 0.51, 1)),
        *(("flagfrac_upper", v, 0 <= v <= 0.5) for v in (-0.1, 0, 0.001, 0.5, 0.51, 1)),
        *(("edge_mode", v, v in ("zero", "shrink")) for v in ("zero", "shrink", "wrap", "")),
        *(("dispersion_axis", v, v in ("auto", 1, 2)) for v in ("auto", 1, 2, 3, 0)),
    ],
)
def test_programs_and_schema_accept_the_same_values(name, value, good):
    import jsonschema

    assert jsonschema.Draft202012Validator(SCHEMA[name]).is_valid(value) == good
    (p,) = (p for p in PARAMETERS if p.name == name)
    options = argparse.ArgumentParser(exit_on_error=False)
    parameters.add_options(options, p.stage)
    words = [f"{parameters.option_of(name)}={value}"]
    if good:
        assert vars(options.parse_args(words))[name] == p_value(p, value)
    else:
        with pytest.raises(argparse.ArgumentError):
            options.parse_args(words)


def p_value(p, value):
    """Return what a program makes of a value: choices stay texts."""
    return str(value) if isinstance(p.allowed, tuple) else value


def test_every_stage_of_the_table_is_a_program_and_cards_are_its_own():
    assert {p.stage for p in PARAMETERS} <= set(PROGRAMS)
    assert len({p.card for p in PARAMETERS}) == len(PARAMETERS)


def test_the_cards_of_released_versions_keep_their_names():
    """Others read them in flagged exposures."""
    names = {"kernel_size": "BPXKERN", "edge_mode": "BPXEDGE", "dispersion_axis": "BPXAXIS",
             "flagfrac_lower": "BPXFRLO", "flagfrac_upper": "BPXFRHI"}  # fmt: skip
    assert names.items() <= {p.name: p.card for p in PARAMETERS}.items()


# ---- paths ---------------------------------------------------------------------------------------


def test_paths_of_results():
    assert path_of("median") == "results/stacks/{stack}/median.fits"
    flagged = path_of("write_back", stack="s", exposure="e")
    assert flagged == "results/flagged/s/e_badpix_selfcal.fits"
    assert len(set(RESULTS.values())) == len(RESULTS)


@pytest.mark.parametrize("prefix", ["", "sub/", "results/", "/data/a/", "a/results/associations/"])
def test_the_prefix_of_a_module_is_found_from_a_result(prefix):
    assert prefix_of(f"{prefix}results/members.csv", "members") == prefix
    assert prefix_of(f"{prefix}results/associations/x_asn.json", "associate") == prefix
    assert prefix_of("elsewhere.csv", "members") == ""


def test_no_result_path_is_spelt_out_beside_the_table():
    for path in [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]:
        if path.name != "paths.py":
            for text in re.findall(r"results/(?:stacks|flagged|associations)/", path.read_text()):
                raise AssertionError(f"{path}: {text}")
