"""The house: programs, rules, logs and tables in step, and nothing said twice."""

import ast
import re
import subprocess
import sys
from types import SimpleNamespace

import jsonschema
import pytest
import yaml
from conftest import ROOT, program

import snakemake_compat
from badpix_selfcal import parameters
from badpix_selfcal.cli import GROUPS, add_parameters, list_programs, parser
from badpix_selfcal.parameters import PARAMETERS
from badpix_selfcal.paths import RESULTS, find_prefix, path_of
from badpix_selfcal.stages import STAGES

SCRIPTS, RULES = ROOT / "scripts", ROOT / "workflow" / "rules"
PROGRAMS = {name: group for group, names in list_programs().items() for name in names}
TEXTS = {path.stem: path.read_text() for path in RULES.glob("*.smk")}
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())["properties"]
PRODUCT = [p for p in (*SCRIPTS.rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *RULES.iterdir())
           if "__pycache__" not in p.parts]  # fmt: skip


# ---- programs and rules --------------------------------------------------------------------------


def test_programs_import_the_package_and_never_each_other():
    """Nor do Snakefiles' modules, where a user's own `tools` or `slurm` would come first."""
    for path in (*SCRIPTS.glob("*/*.py"), *(ROOT / "workflow/support").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                # A module beside a program, imported relatively, is no program.
                names = [node.module or ""]
                assert not (node.level and node.module in PROGRAMS), path
            assert not {name.partition(".")[0] for name in names} & {*GROUPS, *PROGRAMS}, path


def test_a_rule_its_program_and_its_log_have_one_name():
    """And lie in the group of their rule file."""
    called = set()
    for file, text in TEXTS.items():
        group = {"selfcal": "stages"}.get(file, file)
        for rule, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", text, re.M | re.S):
            command = re.search(r'"selfcal (\w+)', body)
            if not command:
                continue
            called.add(rule)
            assert command[1] == rule
            assert PROGRAMS[rule] == group, rule
            assert re.search(rf'"logs/{rule}(/|\.log")', body) or f'f"logs/{rule}/' in body, rule
            used = re.findall(r'code\("(\w+/\w+)"\)', body)
            assert set(used) <= {f"{PROGRAMS[rule]}/{rule}", "stages/pedestal"}, rule
    # Those of slurm are called by Snakemake's executor, as profiles/slurm says; compare by hand.
    assert {name for name, group in PROGRAMS.items() if group != "slurm"} - called <= {"compare"}


def test_the_launcher_lists_runs_and_refuses():
    assert set(re.findall(r"\w+", program().stdout)) >= set(PROGRAMS)
    assert "length of the window" in program("median", "--help").stdout
    for name in ("medain", "../stages/median", "queue"):
        done = program(name, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"selfcal: error: {name}: no such program")


def test_what_a_parent_workflow_finds_by_its_own_names_is_its_own(tmp_path):
    """The package alone comes first in sys.path, the launcher alone in PATH."""
    (tmp_path / "Snakefile").write_text(
        f'include: "{ROOT}/Snakefile"\nprint("FOUND", os.environ["PATH"], *sys.path, sep="\\n")\n'
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", tmp_path / "Snakefile", "--lint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    path, *where = done.stdout.partition("FOUND\n")[2].splitlines()
    assert path.startswith(f"{SCRIPTS}:")
    assert [p.name for p in SCRIPTS.iterdir() if p.is_file()] == ["selfcal"]
    assert where[0] == str(SCRIPTS)
    packages = {p.name for p in SCRIPTS.iterdir() if (p / "__init__.py").exists()}
    assert packages == {"badpix_selfcal", "snakemake_logger_plugin_selfcal"}
    assert str(ROOT / "workflow/support") == where[-1]


def count_code(path):
    """Count the lines of a file that hold code: no comments, docstrings or blank lines."""
    text, texts = path.read_text(), set()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                texts |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return sum(1 for i, line in lines if line and line[0] != "#" and i not in texts)


def test_no_file_is_long():
    assert {path.name for path in PRODUCT if count_code(path) > 350} == set()


def test_another_snakemake_falls_back():
    """One without what is not documented: each answer is the safe one."""
    other = SimpleNamespace()
    assert snakemake_compat.is_users_command(other) is True
    assert snakemake_compat.run_outputs(other) == (None, None)


# ---- tables --------------------------------------------------------------------------------------


def test_config_schema_and_table_say_the_same():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert set(config) == set(SCHEMA)
    for key, rule in SCHEMA.items():
        assert rule["default"] == config[key], key
        assert rule["description"], key
    for p in PARAMETERS:
        assert SCHEMA[p.name]["default"] == p.default
        if isinstance(p.allowed, tuple):
            assert tuple(str(value) for value in SCHEMA[p.name]["enum"]) == p.allowed
    assert {p.stage for p in PARAMETERS} <= {stage.name for stage in STAGES}
    assert len({p.card for p in PARAMETERS}) == len(PARAMETERS)
    # Others read these cards in flagged exposures: released versions have them.
    cards = {"kernel_size": "BPXKERN", "edge_mode": "BPXEDGE", "dispersion_axis": "BPXAXIS",
             "flagfrac_lower": "BPXFRLO", "flagfrac_upper": "BPXFRHI"}  # fmt: skip
    assert cards.items() <= {p.name: p.card for p in PARAMETERS}.items()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("kernel_size", (1, 15, 4001), (-1, 0, 2, 16, 10001)),
        *((f"flagfrac_{end}", (0, 0.001, 0.5), (-0.1, 0.51, 1)) for end in ("lower", "upper")),
        *((f"nsigma_{end}", (0.1, 7), (-1, 0)) for end in ("lower", "upper")),
        ("edge_mode", ("zero", "shrink"), ("wrap", "")),
        ("threshold", ("fraction", "sigma"), ("wrap", "")),
        ("dispersion_axis", ("auto", 1, 2), (3, 0)),
    ],
)
def test_programs_and_schema_accept_the_same_values(name, good, bad):
    (p,) = (p for p in PARAMETERS if p.name == name)
    options = parser("")
    options.exit_on_error = False
    add_parameters(options, p.stage)
    for value in (*good, *bad):
        assert jsonschema.Draft202012Validator(SCHEMA[name]).is_valid(value) == (value in good)
        words = [f"{parameters.option_of(name)}={value}"]
        if value in good:
            # Choices stay texts.
            wanted = str(value) if isinstance(p.allowed, tuple) else value
            assert vars(options.parse_args(words))[name] == wanted
        else:
            with pytest.raises(Exception, match=r"invalid|is not"):
                options.parse_args(words)


def test_paths_are_said_once():
    """Each stage's in the table of paths; no rule or program spells one out."""
    assert path_of("median", stack="s") == "results/stacks/s/median.fits"
    assert path_of("flagged", stack="s") == "results/flagged/s/{exposure}_badpix_selfcal.fits"
    assert len(set(RESULTS.values())) == len(RESULTS)
    assert {stage.name for stage in STAGES} <= set(RESULTS)
    for path in PRODUCT:
        if path.name != "paths.py":
            assert not re.search(r"results/(stacks|flagged|associations)/", path.read_text()), path


@pytest.mark.parametrize("prefix", ["", "sub/", "results/", "/data/a/", "a/results/associations/"])
def test_the_prefix_of_a_module_is_found_from_a_result(prefix):
    assert find_prefix(f"{prefix}results/members.csv", "members") == prefix
    assert find_prefix(f"{prefix}results/associations/x_asn.json", "associate") == prefix
    assert find_prefix("elsewhere.csv", "members") == ""


def test_every_stage_has_a_group_on_slurm():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert set(profile["groups"]) == {stage.name for stage in STAGES} | {"write_back"}
    rules = set(re.findall(r"^rule (\w+)", "\n".join(TEXTS.values()), re.M))
    assert set(profile["set-resources"]) <= rules
