"""Exactly the right reruns, by dry runs: what changes runs again with what follows, no more."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, add_statement, copy_workflow, write_association, write_exposure

# What runs in the folder of the fixture, whose product "alone" is skipped.
STAGES = {"pedestal": 1, "minimum": 1, "median": 1, "threshold": 1, "write_back": 2}
INPUTS = {"checksums": 1, "provenance": 1}  # what describes the exposures
MEMBERS = {"members": 1, "summary": 1, "provenance": 1}  # what names the members
TABLES = {"associate": 3, **MEMBERS}
AFTER_FLAGS = {"associate": 2, "summary": 1}  # those of "alone" stay as they are
OLD = 1_000_000_000


def from_stage(name):
    """Return the jobs from a stage on."""
    names = list(STAGES)
    return {stage: STAGES[stage] for stage in names[names.index(name) :]} | AFTER_FLAGS


def test_nothing_runs_when_nothing_changed(done):
    assert done.jobs() == {}


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [
        ("flagfrac_upper", 0.01, "threshold"),
        ("flagfrac_lower", 0.01, "threshold"),
        ("kernel_size", 5, "median"),
        ("edge_mode", "shrink", "pedestal"),  # which pixels are of no use is looked up then
        ("dispersion_axis", 2, "median"),
    ],
)
def test_a_parameter(done, key, value, first):
    assert done.jobs(config=[f"{key}={value}"]) == {**from_stage(first), "provenance": 1}


def test_a_parameter_of_the_other_threshold(done):
    assert done.jobs(config=["nsigma_upper=4"]) == {"provenance": 1}


def test_threshold_sigma_and_what_matters_to_it(done):
    sigma = "threshold=sigma"
    # All associations, as their links have a noise.fits more.
    everything = {**from_stage("pedestal"), "noise": 1, "associate": 3, "provenance": 1}
    assert done.jobs(config=[sigma]) == everything
    done.run("--quiet", "all", config=[sigma])
    assert done.jobs(config=[sigma]) == {}
    for other in ("flagfrac_upper=0.01", "edge_mode=shrink"):
        assert done.jobs(config=[sigma, other]) == {"provenance": 1}
    for own in ("nsigma_upper=4", "nsigma_lower=4"):
        jobs = done.jobs(config=[sigma, own])
        assert jobs == {**from_stage("threshold"), "provenance": 1}
    jobs = done.jobs(config=[sigma, "kernel_size=5"])
    assert jobs == {**from_stage("median"), "noise": 1, "provenance": 1}
    next(done.path("results/stacks").glob("*/noise.fits")).unlink()
    jobs = done.jobs(config=[sigma])
    assert jobs["noise"] == jobs["threshold"] == 1
    # As by default without a noise.fits, although that of before is still there.
    back = done.jobs()
    assert "noise" not in back
    assert back["threshold"] == back["pedestal"] == 1


def test_force_single_reaches_what_was_skipped(done):
    alone = {**dict.fromkeys(STAGES, 1), "associate": 1, **MEMBERS}
    assert done.jobs(config=["force_single=true"]) == alone


EDITS = {
    "stages/pedestal": from_stage("pedestal"),
    # Its input is gone, as it is temporary, and has to be made again.
    "stages/minimum": from_stage("pedestal"),
    "stages/median": from_stage("median"),
    # Of the others, none makes what another makes but for what follows.
    "stages/write_back stages/skip": {"write_back": 2, "skip": 1, "associate": 3, "summary": 1},
    "tables/members tables/checksums": {"members": 1, "summary": 1, **INPUTS},
    "tables/associate": {"associate": 3},
    "tables/summary": {"summary": 1},
}


@pytest.mark.parametrize("programs", EDITS)
def test_an_edited_program(done, tmp_path, programs):
    """That stage and what follows; which edits count is tested with the fingerprint."""
    snakefile = copy_workflow(tmp_path)
    for program in programs.split():
        add_statement(tmp_path / "scripts" / f"{program}.py", "main")
    assert done.jobs(snakefile=snakefile) == EDITS[programs]


def test_an_edited_program_of_an_old_date(done, tmp_path):
    """As after an upgrade that keeps the archive's dates; of a module that a stage imports."""
    snakefile = copy_workflow(tmp_path)
    path = tmp_path / "scripts/badpix_selfcal/doubts.py"
    add_statement(path, "at_edge")
    os.utime(path, (OLD, OLD))
    assert done.jobs(snakefile=snakefile) == from_stage("threshold")


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
    summary = pd.read_csv(done.path("results/summary.csv")).set_index("product")
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "COMPLETE"]
    assert list(summary["kernel_size"].dropna()) == [5, 5]
    assert done.jobs(config=["kernel_size=5"]) == {}
    assert done.jobs() == {**from_stage("median"), "provenance": 1}
