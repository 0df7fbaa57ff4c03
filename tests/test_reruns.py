"""Exactly the right reruns, by dry runs: what changes runs again with what follows, no more."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, Workflow, copy_workflow, write_association, write_exposure

# What runs in the folder of the fixture, whose product "alone" is skipped.
STAGES = {"pedestal": 1, "minimum": 1, "median": 1, "threshold": 1, "write_back": 2}
INPUTS = {"checksums": 1, "provenance": 1}  # what describes the exposures
MEMBERS = {"members": 1, "summary": 1, "provenance": 1}  # what names the members
TABLES = {"associate": 3, **MEMBERS}
AFTER_FLAGS = {"associate": 2, "summary": 1}  # those of "alone" stay as they are
OLD, NEW = 1_000_000_000, None


def from_stage(name):
    """Return the jobs from a stage on."""
    names = list(STAGES)
    return {stage: STAGES[stage] for stage in names[names.index(name) :]} | AFTER_FLAGS


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder where everything is done, of two nods of one stack and one alone."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    names = [f"jw01204001001_02101_0000{i}_nrs1" for i in (1, 2, 3)]
    for i, name in enumerate(names):
        write_exposure(workflow.path("rate", f"{name}_rate.fits"), seed=i)
    files = [f"../rate/{name}_rate.fits" for name in names]
    pairs = [(files[0], "science"), (files[1], "background")]
    write_association(workflow.path("asn/one_asn.json"), ("p1", pairs))
    pairs = [(files[1], "science"), (files[0], "background")]
    write_association(workflow.path("asn/two_asn.json"), ("p2", pairs))
    write_association(workflow.path("asn/alone_asn.json"), ("p3", [(files[2], "science")]))
    workflow.run("--quiet", "all")
    return workflow.folder


@pytest.fixture
def done(finished, tmp_path):
    """Return a copy of that folder, with its modification times."""
    shutil.copytree(finished, tmp_path / "run", symlinks=True)
    for path in (tmp_path / "run").rglob(".snakemake_timestamp"):
        shutil.copystat(finished / path.relative_to(tmp_path / "run"), path)
    return Workflow(tmp_path / "run")


def test_nothing_runs_when_nothing_changed(done):
    assert done.jobs() == {}


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("flagfrac_upper", 0.01, "threshold"),
        ("flagfrac_lower", 0.01, "threshold"),
        ("kernel_size", 5, "median"),
        ("edge_mode", "shrink", "median"),
        ("dispersion_axis", 2, "median"),
    ],
)
def test_a_parameter(done, key, value, first):
    assert done.jobs(config=[f"{key}={value}"]) == {**from_stage(first), "provenance": 1}


def test_force_single_reaches_what_was_skipped(done):
    alone = {**dict.fromkeys(STAGES, 1), "associate": 1, **MEMBERS}
    assert done.jobs(config=["force_single=true"]) == alone


EDITS = {
    "pedestal": from_stage("pedestal"),
    # Its input is gone, as it is temporary, and has to be made again.
    "minimum": from_stage("pedestal"),
    "median": from_stage("median"),
    "threshold": from_stage("threshold"),
    # skip takes the header from write_back.
    "write_back": {"write_back": 2, "skip": 1, "associate": 3, "summary": 1},
    "skip": {"skip": 1, "associate": 1, "summary": 1},
    "members": {"members": 1, "summary": 1},
    "associate": {"associate": 3},
    "summary": {"summary": 1},
    "_cards": {**STAGES, "skip": 1, "associate": 3, "summary": 1},
    "_inspect": from_stage("threshold"),
    "_fits": {**STAGES, "skip": 1, "associate": 3, "summary": 1},
    "_program": {**STAGES, "skip": 1, **TABLES, **INPUTS},
    "_names": {**STAGES, **TABLES, **INPUTS},
    "_tables": {**TABLES, **INPUTS},
    "_checks": {},
    "simulate": {},
    "provenance": {"provenance": 1},
    "checksums": INPUTS,
    **{key: {} for key in ("draw_stack", "overview", "inject", "score", "draw_tune")},
    "_status": {},
    "plan": {},
    "prune": {},
}


@pytest.mark.parametrize("mtime", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize("program", EDITS)
def test_an_edited_program(done, tmp_path, program, mtime):
    """Whatever its modification time, as after an upgrade that keeps the archive's."""
    snakefile = copy_workflow(tmp_path)
    path = tmp_path / "scripts" / f"{program}.py"
    path.write_text(path.read_text() + "\n# edited\n")
    if mtime:
        os.utime(path, (mtime, mtime))
    assert done.jobs(snakefile=snakefile) == EDITS[program]


def test_every_program_is_among_the_edited():
    programs = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert set(EDITS) == programs - {"truth", "recall"}


def test_a_fresh_clone_touched_and_commented(done, tmp_path):
    """New modification times, another place, comments in the Snakefiles: nothing runs."""
    snakefile = copy_workflow(tmp_path)
    for path in (snakefile, *(tmp_path / "workflow" / "rules").glob("*.smk")):
        path.write_text("# a comment\n\n" + path.read_text() + "\n# another\n")
    assert done.jobs(snakefile=snakefile) == {}


def test_another_python(done, tmp_path):
    """A rebuilt or moved environment is another path of Python, not another program."""
    python = tmp_path / "elsewhere" / "bin" / "python3"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "elsewhere"], check=True
    )
    here = next(path for path in sys.path if path.endswith("site-packages"))
    site = next((tmp_path / "elsewhere").glob("lib/*/site-packages"))
    (site / "here.pth").write_text(here)
    listing = subprocess.run(
        [
            *(python, "-m", "snakemake", "--cores", "2", "--dry-run"),
            *("--snakefile", ROOT / "Snakefile", "--config", "associations=asn/*.json"),
        ],
        cwd=done.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert "Nothing to be done" in listing.stdout


def test_an_absolute_glob_of_the_same_associations(done):
    assert done.jobs(associations=f"{done.folder}/asn/*.json") == {}


def test_an_association_more(done):
    pairs = [
        ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science"),
        ("../rate/jw01204001001_02101_00001_nrs1_rate.fits", "selfcal"),
    ]
    write_association(done.path("asn/three_asn.json"), ("p4", pairs))
    own = {**STAGES, "write_back": 1, "associate": 1}
    assert done.jobs() == {**own, **MEMBERS}


def test_an_association_less(done):
    done.path("asn/two_asn.json").unlink()
    assert done.jobs() == MEMBERS


def test_an_association_only_touched(done):
    done.path("asn/one_asn.json").touch()
    assert done.jobs() == {}


def test_a_member_less(done):
    """Product p1 is alone then: it is skipped; product p2 keeps its stack."""
    path = done.path("asn/one_asn.json")
    pairs = [("../rate/jw01204001001_02101_00001_nrs1_rate.fits", "science")]
    write_association(path, ("p1", pairs))
    assert done.jobs() == {"skip": 1, "associate": 1, **MEMBERS}


def test_a_member_that_plays_no_part(done):
    """The association is written again, also in a run that makes its exposures again."""
    path = done.path("asn/one_asn.json")
    pairs = [
        ("../rate/jw01204001001_02101_00001_nrs1_rate.fits", "science"),
        ("../rate/jw01204001001_02101_00002_nrs1_rate.fits", "background"),
        ("leak.fits", "imprint"),
    ]
    write_association(path, ("p1", pairs))
    assert done.jobs() == {"associate": 1, **MEMBERS}
    done.run("--quiet", "all", config=["flagfrac_upper=0.01"])
    assert "leak.fits" in done.path("results/associations/one_asn.json").read_text()
    assert done.jobs(config=["flagfrac_upper=0.01"]) == {}


def test_an_exposure_replaced(done):
    name = "rate/jw01204001001_02101_00002_nrs1_rate.fits"
    write_exposure(done.path(name), seed=9)
    assert done.jobs() == {**from_stage("pedestal"), **INPUTS}


def test_a_result_deleted(done):
    shutil.rmtree(done.path("results/flagged"))
    assert done.jobs() == {"write_back": 2, "skip": 1, "associate": 3, "summary": 1}
    next(done.path("results/stacks").glob("*/median.fits")).unlink()
    assert done.jobs() == {**from_stage("median"), "skip": 1, "associate": 3}


def test_the_rerun_has_the_new_parameter(done):
    done.run("--quiet", "all", config=["kernel_size=5"])
    assert set(done.path("results/summary.csv").read_text().splitlines()[1].split(",")) >= {
        "SKIPPED"
    }
    assert ",5,zero," in done.path("results/summary.csv").read_text()
    assert done.jobs(config=["kernel_size=5"]) == {}
    assert done.jobs() == {**from_stage("median"), "provenance": 1}
