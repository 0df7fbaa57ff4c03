"""A folder tree as a download has it, taken to flagged exposures by the README's two commands."""

import json
import os
import re
import shlex
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, SHAPES, Workflow, planes_of, write_association
from download import download, pool, roles

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from jwst.badpix_selfcal import BadpixSelfcalStep

MRS = "jw01523{}001_02101_0000{}_mirifulong"
IFU = "jw02729005001_02101_0000{}_nrs1"
DITHERS = [MRS.format("003", k) for k in (1, 2, 3)]
BACKGROUNDS = [MRS.format("004", k) for k in (1, 2)]
OTHER_BAND = MRS.format("003", 9)
NODS = [IFU.format(k) for k in (1, 2)]
IMPRINT = "jw02729005001_03101_00001_nrs1"
OTHER_TARGET = "jw02729008001_02101_00001_nrs1"
TACQ = "jw01523003001_01101_00001_mirimage"


def write_tree(folder):
    """Write two programs, and what a download has beside: acquisition, imprint, another target."""
    exposures = {
        **{name: {} for name in DITHERS},
        **{name: {"BKGDTARG": True} for name in BACKGROUNDS},
        OTHER_BAND: {"BAND": "LONG"},
        TACQ: {"EXP_TYPE": "MIR_TACQ", "BAND": None, "CHANNEL": None},
        **{name: {"PATTTYPE": "2-POINT-NOD"} for name in NODS},
        IMPRINT: {"PATTTYPE": "2-POINT-NOD", "IS_IMPRT": True},
        OTHER_TARGET: {"TARGPROP": "30-DOR", "GRATING": "G140H", "FILTER": "F100LP"},
    }
    for seed, (name, cards) in enumerate(exposures.items()):
        shape = SHAPES.get(name.rpartition("_")[2].upper(), (16, 16))
        download(folder, name, cards, planes=planes_of(shape, seed))


def readme_commands(folder):
    """Return the first commands of the README for one's own data, for a folder."""
    text = (ROOT / "README.md").read_text().partition("## Your own data")[2]
    lines = re.search(r"^```bash\n(.*?)^```", text, re.S | re.M)[1].splitlines()
    commands = [shlex.split(line.replace("/data/jw01204", str(folder))) for line in lines[:2]]
    assert commands[0][-2:] == ["--", "generate"]
    return commands


@pytest.fixture(scope="module")
def flagged(tmp_path_factory):
    """The tree, after the two commands; what they said."""
    folder = tmp_path_factory.mktemp("download")
    write_tree(folder / "mastDownload")
    (folder / "config.yaml").write_text("exposures: mastDownload\nsave_flagged_bkg: true\n")
    before, said = sorted(folder.rglob("*")), []
    for program, *words in readme_commands(folder):
        assert program == ".venv/bin/snakemake"
        command = [sys.executable, "-m", "snakemake", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
    assert set(before) <= set(folder.rglob("*"))
    return Workflow(folder), said


def test_the_two_commands(flagged):
    """The catalog says the stacks of the run; to give both again does nothing."""
    workflow, said = flagged
    status = pd.read_csv(workflow.path("results/status.csv"), index_col="association")
    assert len(status) == len(os.listdir(workflow.path("associations"))) - 2 == 9
    assert status["status"].to_dict() == {
        f"{name}_spec2_asn": "skipped" if name == OTHER_TARGET else "done"
        for name in (*DITHERS, *BACKGROUNDS, OTHER_BAND, *NODS, OTHER_TARGET)
    }
    assert f"1 exposure alone, nothing would be flagged (skipped): {OTHER_TARGET}" in said[0]
    assert "1 of 9 products were not flagged: no background or selfcal exposure" in said[1]
    assert "associations: 8 done, 1 skipped; see results/status.csv" in said[1]
    assert "in no association" not in said[1]
    assert {"associations", "config.yaml", "mastDownload", "results", "logs", ".snakemake"} == set(
        os.listdir(workflow.folder)
    )
    members = pd.read_csv(workflow.path("results/members.csv"))
    science = members[members["exptype"] == "science"].set_index("exposure")["stack"]
    rows = pool(workflow.folder)
    assert {name: row["stack"] for name, row in rows.items() if "science" in row["roles"]} == (
        science.to_dict()
    )
    assert rows[TACQ]["reason"] == "target acquisition (MIR_TACQ)"
    assert rows[IMPRINT]["roles"] == "imprint selfcal"
    config = ["exposures=mastDownload"]
    out = workflow.run("--", "generate", associations=None, config=config).stdout
    assert "associations: 0 written, 9 unchanged" in out
    assert workflow.jobs(associations="associations/*_asn.json") == {}


# What one types by hand, following the notebooks, which list the science exposure as selfcal, too.
RECIPES = {
    DITHERS[1]: (BACKGROUNDS, [*DITHERS, OTHER_BAND, *BACKGROUNDS]),
    BACKGROUNDS[0]: ([], [*DITHERS, OTHER_BAND, *BACKGROUNDS]),
    OTHER_BAND: ([], [*DITHERS, OTHER_BAND, *BACKGROUNDS]),
    NODS[0]: ([NODS[1]], [*NODS, IMPRINT]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("science", RECIPES)
def test_the_notebooks_recipe_through_the_step_of_jwst(flagged, science):
    """The same arrays, to the bit."""
    workflow, _ = flagged

    def path(name):
        return str(workflow.path("mastDownload", name, f"{name}_rate.fits"))

    backgrounds, selfcal = ([path(name) for name in names] for names in RECIPES[science])
    step = BadpixSelfcalStep()
    step.skip = False
    models = step.run(path(science), selfcal, backgrounds or None)
    view = workflow.path("results/by_association", f"{science}_spec2_asn", science)
    names = [science, *RECIPES[science][0]]
    for name, model in zip(names, [models[0], *models[1]], strict=True):
        with fits.open(view / f"{name}_badpix_selfcal.fits") as hdus:
            assert np.array_equal(hdus["DQ"].data, model.dq)
            assert np.array_equal(hdus["SCI"].data, model.data, equal_nan=True)
            assert np.count_nonzero(model.dq & 1 << 30) > 0


@pytest.fixture
def tree(workflow):
    write_tree(workflow.path("mast"))
    return workflow


def archive(tree, *science):
    """Write associations as the archive has them, without their exposures beside them."""
    for name in science:
        pairs = [(f"{name}_rate.fits", "science")]
        if name in DITHERS:
            pairs += [(f"{background}_rate.fits", "background") for background in BACKGROUNDS]
        if name in NODS:
            pairs += [(f"{IMPRINT}_rate.fits", "imprint")]
        write_association(tree.path("asn", f"{name}_asn.json"), (name, pairs))


def test_generate_mends_what_stops_every_other_target(tree):
    """It has all keys of the config; what other targets beside it need must be right."""
    archive(tree, DITHERS[0])
    tree.path("asn/broken_asn.json").write_text("{")
    for targets in (["all"], ["generate", "all"]):
        done = tree.run("--", *targets, check=False)
        assert done.returncode != 0
        assert "broken_asn.json: not JSON" in done.stdout
        assert f"asn/{DITHERS[0]}_rate.fits: no such file" in done.stdout
    config = ["exposures=mast", f"backgrounds={DITHERS[2]}*", "selfcal_match=[BAND,DETECTOR]"]
    config += ["selfcal_max_exposures=2", "selfcal_max_days=0.5", "selfcal_programs=any"]
    out = tree.run("--", "generate", config=config).stdout
    assert "9 written" in out
    assert "not JSON" not in out
    assert roles(DITHERS[0], tree.folder) == {
        "science": DITHERS[:1],
        "background": [DITHERS[2], *BACKGROUNDS][:1],
        "selfcal": DITHERS[1:],
    }


def test_associations_of_the_archive_as_they_are(tree):
    """
    Members are found in the tree by name, of other roles, too; what lies beside comes first.

    One that misses a member is left out; what is not flagged, or doubtful, is said in a line.
    """
    archive(tree, *DITHERS, *NODS, OTHER_BAND)
    lost = [(f"{DITHERS[0]}_rate.fits", "science"), ("lost_rate.fits", "background")]
    write_association(tree.path("asn/lost_asn.json"), ("p", lost))
    beside = tree.path("asn", f"{NODS[1]}_rate.fits")
    os.link(tree.path("mast", NODS[1], beside.name), beside)
    low = planes_of(SHAPES["MIRIFULONG"], 7)
    low["SCI"][:, :474] -= 3  # so that the pedestal, between channels, does not make up for it
    low["SCI"][:, 507:] -= 3
    download(tree.path("mast"), DITHERS[1], planes=low)
    done = tree.run(config=["exposures=mast"], check=False)
    assert done.returncode != 0
    assert "asn/lost_rate.fits: no such file, a member of lost_asn.json" in done.stdout
    out = tree.run(config=["exposures=mast", "missing_members=skip"]).stdout
    assert "left out: lost_asn.json: asn/lost_rate.fits: no such file" in out
    assert "associations: 3 done, 3 skipped, 1 left out; see results/status.csv" in out
    said = [line for line in out.splitlines() if "no background or selfcal" in line]
    assert said == [
        "3 of 6 products were not flagged: no background or selfcal exposure; "
        "the target generate adds them"
    ]
    status = pd.read_csv(tree.path("results/status.csv"), index_col="association")
    assert status.loc["lost_asn", "status"] == "left out"
    assert status.loc["lost_asn", "message"].startswith("asn/lost_rate.fits: no such file")
    members = pd.read_csv(tree.path("results/members.csv"))
    assert "lost_asn" not in set(members["association"])
    paths = dict(zip(members["exposure"], members["path"], strict=True))
    assert paths[DITHERS[0]] == f"mast/{DITHERS[0]}/{DITHERS[0]}_rate.fits"
    assert paths[IMPRINT] == f"mast/{IMPRINT}/{IMPRINT}_rate.fits"
    assert paths[NODS[1]] == f"asn/{NODS[1]}_rate.fits"
    for name in (DITHERS[0], *NODS):
        path = tree.path("results/associations", f"{name}_asn.json")
        (product,) = json.loads(path.read_text())["products"]
        exptypes = {
            m["exptype"] for m in product["members"] if (path.parent / m["expname"]).exists()
        }
        assert exptypes == {"science", "background" if name in DITHERS else "imprint"}
    told = pd.read_csv(tree.path("results/summary.csv"))["warnings"]
    n_warned = told.str.contains("of the minimum").sum()
    assert n_warned
    assert f"{n_warned} with an exposure that sets most of a minimum" in out


def test_tables_of_what_exists_after_a_failure(tree):
    """
    With --keep-going, summary and page are of what was flagged.

    The page says what failed and why; all of it once mended.
    """
    archive(tree, DITHERS[0], *NODS, OTHER_TARGET)
    pairs = [(f"{NODS[0]}_rate.fits", "science"), (f"{NODS[1]}_rate.fits", "background")]
    write_association(tree.path("asn", f"{NODS[0]}_asn.json"), (NODS[0], pairs))
    broken = tree.path("mast", NODS[1], f"{NODS[1]}_rate.fits")
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    config = ["exposures=mast"]
    done = tree.run("--keep-going", "--", "report", config=config, check=False)
    assert done.returncode != 0
    summary = pd.read_csv(tree.path("results/summary.csv"))
    assert set(summary["science"]) == {DITHERS[0], OTHER_TARGET}
    page = tree.path("results/report.html").read_text()
    assert "<strong>2 failed</strong>" in page
    assert f"{NODS[1]}_rate.fits: not a readable FITS file" in page.replace("<wbr>", "")
    assert "This stack has no flags" in page
    assert page.count("data:image/png") == 1
    assert len(list(tree.path("results/figures").glob("*/flags.png"))) == 1
    broken.write_bytes(whole)
    tree.run("--", "report", config=config)
    assert len(pd.read_csv(tree.path("results/summary.csv"))) == 4
    page = tree.path("results/report.html").read_text()
    assert "4 products" in page
    assert "failed" not in page
    assert page.count("data:image/png") == 2
    assert tree.jobs("--", "report", config=config) == {}
