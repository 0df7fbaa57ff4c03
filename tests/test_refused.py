"""Associations, names and targets that would be misread: refused at once, by a clear line."""

import os

import pandas as pd
import pytest
from conftest import write_association, write_exposure

SCIENCE = ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science")
PRODUCTS = ("p" * 300, "p\n", "x/..", "-p", "$(touch OWNED)", 1)


def refuse(workflow, *words, **options):
    """Run in vain; return what is said. Nothing of the names reaches a shell."""
    done = workflow.run(*words, check=False, **options)
    assert done.returncode != 0
    assert not list(workflow.folder.rglob("OWNED*"))
    return done.stdout


def test_associations_that_would_be_misread(nods):
    """All of them are listed at once, before any work."""
    os.mkfifo(nods.path("asn/pipe_asn.json"))
    nods.path("asn/folder_asn.json").mkdir()
    nods.path("asn/text_asn.json").write_text("hello")
    write_association(nods.path("asn/x{y}_asn.json"), ("p", [SCIENCE]))
    expected = {
        "pipe_asn": "no regular file; remove it",
        "folder_asn": "no regular file; remove it",
        "text_asn": "not JSON",
        "x{y}_asn": "a brace, which names a wildcard; rename the folder or file",
    }
    for i, name in enumerate(PRODUCTS):
        write_association(nods.path(f"asn/product{i}_asn.json"), (name, [SCIENCE]))
        expected[f"product{i}_asn"] = "product "
    out = refuse(nods)
    for name, error in expected.items():
        assert f"asn/{name}.json: {error}" in out
    assert "Traceback" not in out
    assert not nods.path("results").exists()


@pytest.mark.parametrize("name", ["x_asn\n", "x;touch OWNED;_asn", "--log"])
def test_names_of_associations_that_would_be_misread(nods, name):
    write_association(nods.path(f"asn/{name}.json"), ("p", [SCIENCE]))
    refuse(nods, "--dry-run")


def test_no_target_reaches_the_shell(done):
    """Nor is one made that is in no association."""
    (stack,) = (path.name for path in done.path("results/stacks").iterdir())
    for target in (
        f"results/tune/{stack}/$(touch OWNED)1/score.csv",
        "results/stacks/$(touch OWNED)-0123456789ab/minimum.fits",
        "results/flagged/skipped/$(touch OWNED)_badpix_selfcal.fits",
        "results/associations/$(touch OWNED).json",
    ):
        refuse(done, target)
    out = refuse(done, "--dry-run", "results/stacks/x-0123456789ab/minimum.fits")
    assert "in no association; correct the target" in out


def test_folders_that_look_like_options(workflow):
    for folder in ("--log", "-x"):
        names = [f"{letter}{folder}_rate.fits" for letter in "ab"]
        for seed, name in enumerate(names):
            write_exposure(workflow.path(folder, name), seed=seed)
        pairs = list(zip(names, ("science", "background"), strict=True))
        write_association(workflow.path(folder, f"x{folder}_asn.json"), (f"p{folder}", pairs))
    workflow.run("--quiet", "all", associations="*/*_asn.json")
    assert len(pd.read_csv(workflow.path("results/summary.csv"))) == 2


def test_braces_and_brackets_in_a_parent_folder(workflow, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "{program}"
    write_association(folder / "y_asn.json", ("p", [("a_rate.fits", "science")]))
    out = refuse(workflow, associations=str(folder / "*_asn.json"))
    assert f"{folder}/y_asn.json: a brace, which names a wildcard; rename" in out
    exposure = write_exposure(workflow.path("rate[1]/a_rate.fits"))
    write_association(workflow.path("asn/x_asn.json"), ("p", [(exposure, "science")]))
    assert "rate[1]/a_rate.fits: braces, brackets or $; rename" in refuse(workflow)


def test_one_empty_exposure_is_told_in_few_lines(nods):
    nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits").write_bytes(b"")
    out = refuse(nods)
    assert "Traceback" not in out
    assert 1 <= out.count("not FITS, or gzipped; decompress or fetch it again") <= 3


def test_a_table_of_settings_as_a_spreadsheet_writes_it(nods):
    """A whole number with a decimal point is a whole number."""
    header = "kernel_size,edge_mode,flagfrac_lower,flagfrac_upper\n"
    nods.path("t.csv").write_text(header + "15.0,zero,0.001,0.001\n21.0,zero,0.001,0.001\n")
    out = nods.run("--dry-run", "--printshellcmds", "--", "tune", config=["tune=t.csv"]).stdout
    assert '"kernel_size":21,' in out
    assert "15.0" not in out
