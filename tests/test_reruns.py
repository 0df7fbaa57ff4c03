"""Exactly the right reruns: what changes runs again with what follows, and no more."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from astropy.io import fits
from conftest import Workflow, copy_workflow, write_association, write_exposure

# What runs in the folder of the fixtures, whose product "alone" is skipped.
STAGES = ("pedestal", "minimum", "median", "threshold", "write_back")
INPUTS = {"checksums": 1, "provenance": 1}  # what describes the exposures
MEMBERS = {"members": 1, "summary": 1, **INPUTS}  # what names the members, too
FIRST, SECOND, THIRD = (f"rate/jw01204001001_02101_0000{i}_nrs1_rate.fits" for i in (1, 2, 3))
OLD = 1_000_000_000


def from_stage(name, **more):
    """Return the jobs from a stage on; those of "alone" stay as they are."""
    stages = STAGES[STAGES.index(name) :]
    return {**dict.fromkeys(stages, 1), "associate": 2, "summary": 1, **more}


@pytest.fixture
def finished_run(finished):
    """The run where everything is done, for dry runs."""
    return Workflow(finished)


# ---- config --------------------------------------------------------------------------------------

CONFIGS = {
    "flagfrac_upper=0.01": from_stage("threshold", provenance=1),
    "kernel_size=5": from_stage("median", provenance=1),
    "dispersion_axis=2": from_stage("median", provenance=1),
    "edge_mode=shrink": from_stage("median", excluded=1, provenance=1, associate=3),
    "nsigma_upper=4": {"provenance": 1},  # of the other threshold
    "threshold=sigma": from_stage("median", excluded=1, noise=1, provenance=1, associate=3),
    "force_single=true": {**dict.fromkeys((*STAGES, "associate"), 1), **MEMBERS},
    # Both exposures of the stack are the science of a product.
    "save_flagged_bkg=true": {"associate": 3, "provenance": 1},
    "mask_min_fraction=0.6": {"provenance": 1},
}


@pytest.mark.parametrize("entry", CONFIGS)
def test_config(finished_run, entry):
    assert finished_run.jobs(config=[entry]) == CONFIGS[entry]


def test_threshold_sigma_and_what_matters_to_it(done):
    sigma = "threshold=sigma"
    done.run("--quiet", "all", config=[sigma, "kernel_size=5"])
    summary = pd.read_csv(done.path("results/summary.csv")).set_index("product")
    assert list(summary["kernel_size"].dropna()) == [5, 5]
    assert summary.loc["p1", "threshold"] == "sigma"
    # What fraction uses does not matter, nor edge_mode, which is shrink.
    other = ["flagfrac_upper=0.01", "edge_mode=shrink"]
    assert done.jobs(config=[sigma, "kernel_size=5", *other]) == {"provenance": 1}
    jobs = done.jobs(config=[sigma, "kernel_size=5", "nsigma_upper=4"])
    assert jobs == from_stage("threshold", provenance=1)
    next(done.path("results/stacks").glob("*/noise.fits")).unlink()
    assert done.jobs(config=[sigma, "kernel_size=5"]) == from_stage(
        "threshold", noise=1, associate=2
    )
    # Back to the default, without a noise.fits.
    assert done.jobs() == from_stage("median", provenance=1, associate=3)


# ---- programs ------------------------------------------------------------------------------------

EDITS = {
    # Its output is gone, as it is temporary.
    "stages/pedestal": from_stage("pedestal"),
    "stages/minimum": from_stage("pedestal"),
    "stages/median": from_stage("median"),
    # Of the others, none makes what another makes but for what follows.
    "stages/write_back stages/mark_skipped": from_stage("write_back", mark_skipped=1, associate=3),
    "tables/members tables/checksums": MEMBERS,
    "tables/associate tables/summary": {"associate": 3, "summary": 1},
    "badpix_selfcal/threshold": from_stage("threshold"),
    "badpix_selfcal/grouping badpix_selfcal/version stages/excluded stages/noise": {},
}


@pytest.mark.parametrize("programs", EDITS)
def test_an_edited_program(finished_run, tmp_path, programs):
    """That stage and what follows, whatever the file's date; in another clone."""
    snakefile = copy_workflow(tmp_path)
    for name in programs.split():
        path = tmp_path / "scripts" / f"{name}.py"
        path.write_text(f"{path.read_text()}# an edit\n")
        os.utime(path, (OLD, OLD))
    assert finished_run.jobs(snakefile=snakefile) == EDITS[programs]


def test_what_reruns_nothing(finished_run, tmp_path):
    """A clone with other dates, comments in its Snakefiles, another Python."""
    snakefile = copy_workflow(tmp_path)
    for path in (snakefile, *(tmp_path / "workflow" / "rules").glob("*.smk")):
        path.write_text("# a comment\n\n" + path.read_text() + "\n# another\n")
    elsewhere = tmp_path / "elsewhere"
    command = [sys.executable, "-m", "venv", "--without-pip", elsewhere]
    subprocess.run(command, check=True)
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (next(elsewhere.glob("lib/*/site-packages")) / "here.pth").write_text(here)
    words = finished_run.command("--dry-run", snakefile=snakefile)
    words[0] = elsewhere / "bin" / "python3"
    done = subprocess.run(words, cwd=finished_run.folder, capture_output=True, text=True)
    assert "Nothing to be done" in done.stdout + done.stderr


# ---- inputs --------------------------------------------------------------------------------------


def write_roles(workflow, name, *roles, product="p1"):
    """Write an association of the first exposures with these roles."""
    pairs = [(f"../{path}", role) for path, role in zip((FIRST, SECOND), roles, strict=False)]
    if len(roles) > 2:
        pairs.append(("leak.fits", roles[2]))
    return write_association(workflow.path(f"asn/{name}_asn.json"), (product, pairs))


def replace_exposure(workflow, path, **kw):
    """Put another exposure in the place of one, as `mv` does, with an old date."""
    other = write_exposure(workflow.path("other.fits"), seed=9, **kw)
    os.utime(other, (OLD, OLD))
    os.replace(other, workflow.path(path))


def keep_date(path, change):
    """Change a file and leave it the date that it had."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def retarget(workflow):
    """Let the folder of the exposures, a link, lead to another delivery of the archive."""
    shutil.copytree(workflow.path("rate"), workflow.path("second"))
    os.rename(workflow.path("rate"), workflow.path("first"))
    workflow.path("rate").symlink_to("first")
    assert workflow.jobs() == {}
    replace_exposure(workflow, SECOND.replace("rate/", "second/"))
    workflow.path("rate").unlink()
    workflow.path("rate").symlink_to("second")


def alter(text):
    return text.replace("MRS", "mrs")  # what no table names


EXPOSURE = from_stage("pedestal", **INPUTS)
INPUT_CHANGES = {
    "a newer exposure": (lambda w: write_exposure(w.path(SECOND), seed=9), EXPOSURE),
    "an older exposure": (lambda w: replace_exposure(w, SECOND), EXPOSURE),
    "longer, of the same date": (
        lambda w: keep_date(
            w.path(SECOND), lambda p: write_exposure(p, primary={"A": "x" * 4000})
        ),
        EXPOSURE,
    ),
    "an older skipped exposure": (
        lambda w: replace_exposure(w, THIRD),
        {"mark_skipped": 1, "associate": 1, "summary": 1, **INPUTS},
    ),
    "another folder behind a link": (retarget, EXPOSURE),
    "an association more": (
        lambda w: write_association(
            w.path("asn/three_asn.json"),
            ("p4", [(f"../{THIRD}", "science"), (f"../{FIRST}", "selfcal")]),
        ),
        {**dict.fromkeys((*STAGES, "associate"), 1), **MEMBERS},
    ),
    # Its science is to be flagged no more, so that the folder of the stack is written again.
    "an association less": (
        lambda w: w.path("asn/two_asn.json").unlink(),
        {"write_back": 1, "associate": 1, **MEMBERS},
    ),
    "an association touched": (lambda w: w.path("asn/one_asn.json").touch(), {}),
    "an association that no table tells from before": (
        lambda w: keep_date(
            w.path("asn/one_asn.json"), lambda p: p.write_text(alter(p.read_text()))
        ),
        {"associate": 1, "provenance": 1},
    ),
    # Its product is skipped then; the other one keeps the stack, whose folder is written again.
    "a member less": (
        lambda w: write_roles(w, "one", "science"),
        {"mark_skipped": 1, "write_back": 1, "associate": 2, **MEMBERS},
    ),
    "a member of another role more": (
        lambda w: write_roles(w, "one", "science", "background", "imprint"),
        {"associate": 1, **MEMBERS},
    ),
    # It is the science of the other product, and flagged for that.
    "another role": (
        lambda w: write_roles(w, "one", "science", "selfcal"),
        {"associate": 1, **MEMBERS},
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", INPUT_CHANGES)
def test_inputs(done, change):
    make_it, expected = INPUT_CHANGES[change]
    make_it(done)
    assert done.jobs() == expected


def test_an_association_of_an_older_date_in_a_run_that_changes_its_exposures(done):
    """Another product name, another imprint: all is written, and then there is nothing to do."""
    path = write_roles(done, "one", "science", "background", "imprint", product="renamed")
    os.utime(path, (OLD, OLD))
    config = ["flagfrac_upper=0.01"]
    done.run("--quiet", "all", config=config)
    assert "leak_" in done.path("results/associations/one_asn.json").read_text()
    assert done.path("results/by_association/one_asn/renamed").is_dir()
    for name in ("members", "summary"):
        assert "renamed" in done.path(f"results/{name}.csv").read_text()
    assert done.jobs(config=config) == {}


def test_dates_in_the_future(done):
    """They run as others do, though no result can be newer; and they are followed as others are."""
    for path in (SECOND, THIRD, "asn/one_asn.json"):
        os.utime(done.path(path), (4e9, 4e9))
    expected = from_stage("pedestal", mark_skipped=1, associate=3, **INPUTS)
    assert done.jobs() == expected
    done.run("--quiet", "all")
    assert done.jobs() == {}
    os.utime(done.path(SECOND), (4e9 + 1, 4e9 + 1))
    assert done.jobs() == EXPOSURE


def test_a_failed_pedestal_is_made_again(done):
    """Snakemake records its new params when it fails, and its old output is gone anyway."""
    replace_exposure(done, SECOND)
    (stack,) = done.path("results/stacks").iterdir()
    (stack / "pedestal.fits").mkdir()  # in its way
    (stack / "pedestal.fits" / "x").touch()
    run = done.run(check=False)
    assert "pedestal: error:" in run.stdout
    shutil.rmtree(stack / "pedestal.fits")
    done.run("--quiet", "all")
    assert fits.getheader(stack / "flags.fits")["BPXT0002"] == OLD * 10**9
    assert done.jobs() == {}


# ---- results -------------------------------------------------------------------------------------

DELETED = {
    "stacks/*/minimum.fits": from_stage("pedestal"),
    "stacks/*/flags.fits": from_stage("threshold"),
    "stacks": from_stage("pedestal"),
    "flagged/jw*": from_stage("write_back"),
    "flagged": from_stage("write_back", mark_skipped=1, associate=3),
    "by_association/one_asn": {"associate": 1},
    "associations/one_asn.json": {"associate": 1},
    "members.csv": MEMBERS,
    "checksums.csv": {**INPUTS, "summary": 1},
}


@pytest.mark.parametrize("name", DELETED)
def test_deleted_results(done, name):
    (path,) = done.path("results").glob(name)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert done.jobs() == DELETED[name]


def test_a_file_deleted_in_a_folder_is_named(done):
    """A plain run cannot make it again; with the folder deleted, it does."""
    (folder,) = done.path("results/flagged").glob("jw*")
    path = next(folder.glob("*_00001_*"))
    before = path.read_bytes()
    path.unlink()
    place = folder.relative_to(done.folder)
    missing = f"{path.relative_to(done.folder)}: missing; "
    remedy = f"delete the folder {place} and run again"
    out = done.run().stdout
    assert "Nothing to be done" in out
    assert f"{missing}unless this run writes it, {remedy}\n" in out
    done.path("results/associations/alone_asn.json").unlink()
    assert f"\n{missing}{remedy}\n" in done.run().stdout
    shutil.rmtree(folder)
    assert "missing;" not in done.run().stdout
    assert path.read_bytes() == before
    assert done.jobs() == {}
