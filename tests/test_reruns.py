"""Exactly the right reruns, by dry runs: what changes runs again with what follows, no more."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from astropy.io import fits
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
        ("dispersion_axis", 2, "median"),
    ],
)
def test_a_parameter(done, key, value, first):
    assert done.jobs(config=[f"{key}={value}"]) == {**from_stage(first), "provenance": 1}


def test_another_edge_of_the_median_leaves_the_minimum_as_it_is(done):
    jobs = done.jobs(config=["edge_mode=shrink"])
    assert jobs == {**from_stage("median"), "unusable": 1, "provenance": 1}


def test_a_parameter_of_the_other_threshold(done):
    assert done.jobs(config=["nsigma_upper=4"]) == {"provenance": 1}


def test_threshold_sigma_and_what_matters_to_it(done):
    sigma = "threshold=sigma"
    # All associations, as their links have a noise.fits more.
    new = {"unusable": 1, "noise": 1, "associate": 3, "provenance": 1}
    everything = {**from_stage("median"), **new}
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
    assert back["threshold"] == back["median"] == 1
    assert "pedestal" not in back


def test_force_single_reaches_what_was_skipped(done):
    alone = {**dict.fromkeys(STAGES, 1), "associate": 1, **MEMBERS}
    assert done.jobs(config=["force_single=true"]) == alone


def test_save_flagged_bkg(done):
    """The associations are written again; flagged exposures that are there stay."""
    off = ["save_flagged_bkg=false"]
    assert done.jobs(config=off) == {"associate": 3, "provenance": 1}
    done.run("--quiet", "all", config=off)
    assert done.jobs(config=off) == {}
    assert done.jobs() == {"associate": 3, "provenance": 1}


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


FIRST, SECOND = (f"jw01204001001_02101_0000{i}_nrs1_rate.fits" for i in (1, 2))


def same_date(path, change):
    """Change a file and leave it the date that it had."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def in_its_place(workflow, path, **kw):
    """Put another exposure in the place of one, as `mv` does, with the date of a year ago."""
    other = write_exposure(workflow.path("other.fits"), seed=9, **kw)
    os.utime(other, (OLD, OLD))
    os.replace(other, workflow.path(path))


REPLACED = {
    "older": lambda w: in_its_place(w, f"rate/{SECOND}"),
    "older and longer": lambda w: in_its_place(w, f"rate/{SECOND}", primary={"A": "x" * 4000}),
    "by a nanosecond": lambda w: os.utime(
        w.path("rate", SECOND), ns=(0, w.path("rate", SECOND).stat().st_mtime_ns + 1)
    ),
    "longer, of the same date": lambda w: same_date(
        w.path("rate", SECOND), lambda path: write_exposure(path, primary={"A": "x" * 4000})
    ),
}


@pytest.mark.parametrize("how", REPLACED)
def test_an_exposure_replaced_by_one_of_an_older_date(done, how):
    REPLACED[how](done)
    assert done.jobs() == {**from_stage("pedestal"), **INPUTS}


def test_a_folder_link_retargeted(done):
    """As between two deliveries of the archive; all of its files are older than the results."""
    shutil.copytree(done.path("rate"), done.path("second"))
    os.rename(done.path("rate"), done.path("first"))
    done.path("rate").symlink_to("first")
    assert done.jobs() == {}
    in_its_place(done, f"second/{SECOND}")
    for name in os.listdir(done.path("second")):
        if name != SECOND:
            shutil.copystat(done.path("first", name), done.path("second", name))
    done.path("rate").unlink()
    done.path("rate").symlink_to("second")
    assert done.jobs() == {**from_stage("pedestal"), **INPUTS}


def test_a_skipped_exposure_replaced_by_one_of_an_older_date(done):
    in_its_place(done, "rate/jw01204001001_02101_00003_nrs1_rate.fits")
    assert done.jobs() == {"skip": 1, "associate": 1, "summary": 1, **INPUTS}


def test_an_association_replaced_by_one_of_an_older_date(done):
    """Another product name, another imprint: its own files, and the tables; no stage."""
    path = done.path("asn/one_asn.json")
    pairs = [(f"../rate/{FIRST}", "science"), (f"../rate/{SECOND}", "background")]
    write_association(path, ("renamed", [*pairs, ("leak.fits", "imprint")]))
    os.utime(path, (OLD, OLD))
    assert done.jobs() == {"associate": 1, **MEMBERS}
    done.run("--quiet", "all")
    assert "leak.fits" in done.path("results/associations/one_asn.json").read_text()
    assert done.path("results/by_association/one_asn/renamed").is_dir()
    assert "renamed" in done.path("results/members.csv").read_text()
    assert "renamed" in done.path("results/summary.csv").read_text()
    assert done.jobs() == {}


def test_what_no_table_names_of_an_association_of_an_older_date(done):
    """It is handed on to the flagged association all the same."""
    path = done.path("asn/one_asn.json")
    same_date(path, lambda path: path.write_text(path.read_text().replace("MRS", "mrs")))
    assert done.jobs() == {"associate": 1, "provenance": 1}


def test_an_exposure_and_an_association_dated_in_the_future(done):
    """They run as others do, though no result can be newer; and they are followed as others are."""
    for path in (done.path("rate", SECOND), done.path("asn/one_asn.json")):
        os.utime(path, (4e9, 4e9))
    assert done.jobs() == {**from_stage("pedestal"), **INPUTS}
    done.run("--quiet", "all")
    assert done.jobs() == {}
    os.utime(done.path("rate", SECOND), (4e9 + 1, 4e9 + 1))
    assert done.jobs() == {**from_stage("pedestal"), **INPUTS}


@pytest.mark.parametrize(
    ("role", "program", "line"),
    [
        ("background", "stages/minimum", "after the stage pedestal read it; run again"),
        ("selfcal", "stages/minimum", "replaced or changed after it was read for"),
        ("selfcal", "tables/checksums", "replaced or changed while it was read; run again"),
    ],
)
def test_an_exposure_replaced_in_the_middle_of_a_run(workflow, tmp_path, role, program, line):
    """The run says so in one line and fails; the next one makes all of it from the new file."""
    write_exposure(workflow.path("rate", FIRST))
    write_exposure(workflow.path("rate", SECOND), seed=1)
    write_exposure(workflow.path("other.fits"), seed=9)
    os.utime(workflow.path("other.fits"), (OLD, OLD))
    pairs = [(f"../rate/{FIRST}", "science"), (f"../rate/{SECOND}", role)]
    write_association(workflow.path("asn/one_asn.json"), ("p1", pairs))
    copy = tmp_path / "copy"
    copy.mkdir()
    snakefile = copy_workflow(copy)
    path = copy / "scripts" / f"{program}.py"
    replaces = f"""import os
import hashlib
real = hashlib.file_digest
def swap():
    if os.path.exists("other.fits"):
        os.replace("other.fits", "rate/{SECOND}")
def digest(file, name):
    if file.name.endswith("{SECOND}"):
        swap()
    return real(file, name)
"""
    if program == "tables/checksums":
        replaces += "hashlib.file_digest = digest\n"
    else:
        replaces += "swap()\n"
    path.write_text(path.read_text() + replaces)
    # One job at a time, and the exposures' checksums last.
    done = workflow.run("--cores", "1", snakefile=snakefile, check=False)
    assert done.returncode != 0
    (found,) = set(re.findall(r"^ *([a-z_]+: error: .*)", done.stdout, re.M))
    assert f"rate/{SECOND}: " in found
    assert line in found
    workflow.run("--quiet", "all")
    flags = fits.getheader(next(workflow.path("results/stacks").glob("*/flags.fits")))
    assert flags["BPXT0002"] == OLD * 10**9
    digest = hashlib.sha256(workflow.path("rate", SECOND).read_bytes()).hexdigest()
    assert digest in workflow.path("results/checksums.csv").read_text()


def test_a_result_deleted(done):
    shutil.rmtree(done.path("results/flagged"))
    assert done.jobs() == {"write_back": 2, "skip": 1, "associate": 3, "summary": 1}
    next(done.path("results/stacks").glob("*/median.fits")).unlink()
    assert done.jobs() == {**from_stage("median"), "skip": 1, "associate": 3}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stacks/*/minimum.fits", from_stage("pedestal")),
        ("stacks/*/flags.fits", from_stage("threshold")),
        ("by_association/one_asn", {"associate": 1}),
        ("associations/one_asn.json", {"associate": 1}),
        ("members.csv", {"members": 1, "summary": 1}),
    ],
)
def test_each_kind_of_result_deleted(done, name, expected):
    (path,) = done.path("results").glob(name)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert done.jobs() == expected


def test_all_results_of_a_stack_deleted(done):
    shutil.rmtree(done.path("results/stacks"))
    assert done.jobs() == from_stage("pedestal")


def test_the_rerun_has_the_new_parameter(done):
    done.run("--quiet", "all", config=["kernel_size=5"])
    summary = pd.read_csv(done.path("results/summary.csv")).set_index("product")
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "COMPLETE"]
    assert list(summary["kernel_size"].dropna()) == [5, 5]
    assert done.jobs(config=["kernel_size=5"]) == {}
    assert done.jobs() == {**from_stage("median"), "provenance": 1}
