"""A folder tree as a download has it, taken to flagged exposures by the README's two commands."""

import csv
import json
import os
import re
import shlex
import shutil
import warnings

import forked
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, SHAPES, Workflow, planes_of, write_association
from download import download

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
        detector = name.rpartition("_")[2].upper()
        shape = SHAPES.get(detector, (16, 16))
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
    before = sorted(folder.rglob("*"))
    said = []
    for program, *words in readme_commands(folder):
        assert program == ".venv/bin/snakemake"
        done = forked.run(["--snakefile", str(ROOT / "Snakefile"), *words], folder)
        assert done.returncode == 0, done.stdout
        said.append(done.stdout)
    assert set(before) <= set(folder.rglob("*"))
    return Workflow(folder), said


def test_the_two_commands(flagged):
    workflow, said = flagged
    status = pd.read_csv(workflow.path("results/status.csv"), index_col="association")
    assert len(status) == len(os.listdir(workflow.path("associations"))) - 2 == 9
    assert status["status"].to_dict() == {
        f"{name}_spec2_asn": "skipped" if name == OTHER_TARGET else "done"
        for name in (*DITHERS, *BACKGROUNDS, OTHER_BAND, *NODS, OTHER_TARGET)
    }
    assert f"1 alone, so that nothing would be flagged (skipped): {OTHER_TARGET}" in said[0]
    assert "1 of 9 products were not flagged: no background or selfcal exposure" in said[1]
    assert "associations: 8 done, 1 skipped; see results/status.csv" in said[1]
    assert {"associations", "mastDownload", "results", "logs", ".snakemake"} == set(
        os.listdir(workflow.folder)
    )


def test_the_pool_says_the_stacks_of_the_run(flagged):
    workflow, _ = flagged
    members = pd.read_csv(workflow.path("results/members.csv"))
    science = members[members["exptype"] == "science"].set_index("exposure")["stack"]
    with open(workflow.path("associations/pool.csv"), newline="") as file:
        pool = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: row["stack"] for name, row in pool.items() if "science" in row["roles"]} == (
        science.to_dict()
    )
    assert pool[TACQ]["reason"] == "target acquisition (MIR_TACQ)"
    assert pool[IMPRINT]["roles"] == "imprint selfcal"


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


def test_flagged_associations_keep_the_imprint_where_it_is(flagged):
    workflow, _ = flagged
    folder = workflow.path("results/associations")
    (product,) = json.loads((folder / f"{NODS[0]}_spec2_asn.json").read_text())["products"]
    found = {member["exptype"]: member["expname"] for member in product["members"]}
    assert set(found) == {"science", "background", "imprint"}
    assert all((folder / name).exists() for name in found.values())


def test_generate_again_does_nothing_and_nor_does_the_run(flagged):
    workflow, _ = flagged
    out = workflow.run(
        "--", "generate", associations=None, config=["exposures=mastDownload"]
    ).stdout
    assert "associations: 0 written, 9 unchanged" in out
    assert "no association was asked for" not in out
    assert workflow.jobs(associations="associations/*_asn.json") == {}


# ---- generate where associations are at fault ----------------------------------------------------


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
    """Faults of associations stop all targets but generate."""
    archive(tree, *DITHERS)
    tree.path("asn/broken_asn.json").write_text("{")
    for target in ("all", "plan", "results/checksums.csv"):
        done = tree.run("--", target, check=False)
        assert done.returncode != 0
        assert "broken_asn.json: not JSON" in done.stdout
        assert f"asn/{DITHERS[0]}_rate.fits: no such file" in done.stdout
    both = tree.run("--", "generate", "all", config=["exposures=mast"], check=False)
    assert "not JSON" in both.stdout
    out = tree.run("--", "generate", config=["exposures=mast"]).stdout
    assert "9 written" in out


def test_a_fault_of_the_config_stops_generate_too(tree):
    faults = {
        "selfcal_days=-1": "selfcal_days: -1 is not a number, 0 or more",
        "selfcal_match=band": "selfcal_match: 'band' is not a header keyword or a list of them",
        "selfcal_programs=all": "selfcal_programs: 'all' is not one of same, any",
        "missing=skip": "missing: 'skip' is not one of stop, leave_out",
    }
    done = tree.run("--", "generate", config=["exposures=mast", *faults], check=False)
    assert done.returncode != 0
    for fault in faults.values():
        assert fault in done.stdout
    assert not tree.path("associations").exists()


def test_keys_reach_generate(tree):
    config = ["exposures=mast", f"backgrounds={DITHERS[2]}*", "selfcal_match=[BAND,DETECTOR]"]
    config += ["selfcal_most=2", "selfcal_days=0.5", "selfcal_programs=any"]
    tree.run("--", "generate", associations=None, config=config)
    (product,) = json.loads(tree.path("associations", f"{DITHERS[0]}_spec2_asn.json").read_text())[
        "products"
    ]
    found = {}
    for member in product["members"]:
        name = os.path.basename(member["expname"]).removesuffix("_rate.fits")
        found.setdefault(member["exptype"], []).append(name)
    assert found == {
        "science": DITHERS[:1],
        "background": [DITHERS[2], *BACKGROUNDS],
        "selfcal": DITHERS[1:],
    }


def test_from_associations(tree):
    archive(tree, *DITHERS, *NODS)
    config = ["exposures=mast", "from_associations=asn/*.json"]
    tree.run("--", "generate", associations=None, config=config)
    tree.run("--quiet", "all", associations="associations/*_asn.json")
    status = pd.read_csv(tree.path("results/status.csv"), index_col="association")["status"]
    assert status.to_dict() == {f"{name}_asn": "done" for name in (*DITHERS, *NODS)}
    assert len(list(tree.path("results/stacks").iterdir())) == 2


# ---- members elsewhere, missing ------------------------------------------------------------------


def test_members_are_found_in_the_tree(tree):
    """By name, those that play no part, too; what lies beside an association comes first."""
    archive(tree, DITHERS[0], *NODS)
    beside = tree.path("asn", f"{NODS[1]}_rate.fits")
    os.link(tree.path("mast", NODS[1], beside.name), beside)
    tree.run("--quiet", "all", config=["exposures=mast"])
    members = pd.read_csv(tree.path("results/members.csv"))
    paths = dict(zip(members["exposure"], members["path"], strict=True))
    assert paths[DITHERS[0]] == f"mast/{DITHERS[0]}/{DITHERS[0]}_rate.fits"
    assert paths[IMPRINT] == f"mast/{IMPRINT}/{IMPRINT}_rate.fits"
    assert paths[NODS[1]] == f"asn/{NODS[1]}_rate.fits"
    folder = tree.path("results/associations")
    for name in (DITHERS[0], *NODS):
        (product,) = json.loads((folder / f"{name}_asn.json").read_text())["products"]
        assert all((folder / member["expname"]).exists() for member in product["members"])


def test_two_files_of_one_name_in_the_tree(tree):
    archive(tree, DITHERS[0])
    name = f"{DITHERS[0]}_rate.fits"
    tree.path("again").mkdir()
    shutil.copy(tree.path("mast", DITHERS[0], name), tree.path("again", name))
    done = tree.run(config=["exposures=[mast,again]"], check=False)
    assert done.returncode != 0
    assert f"again/{name} and mast/{DITHERS[0]}/{name} are of its name; keep one" in done.stdout


def test_associations_that_miss_members_are_left_out(tree):
    archive(tree, *DITHERS[:2])
    write_association(
        tree.path("asn/lost_asn.json"),
        ("p", [(f"{DITHERS[0]}_rate.fits", "science"), ("lost_rate.fits", "background")]),
    )
    done = tree.run(config=["exposures=mast"], check=False)
    assert done.returncode != 0
    assert "asn/lost_rate.fits: no such file, a member of lost_asn.json" in done.stdout
    out = tree.run(config=["exposures=mast", "missing=leave_out"]).stdout
    assert "left out: asn/lost_asn.json: asn/lost_rate.fits: no such file" in out
    assert "associations: 2 done, 1 left out; see results/status.csv" in out
    status = pd.read_csv(tree.path("results/status.csv"), index_col="association")
    assert status.loc["lost_asn", "status"] == "left out"
    assert status.loc["lost_asn", "message"].startswith("asn/lost_rate.fits: no such file")
    assert "lost_asn" not in set(pd.read_csv(tree.path("results/members.csv"))["association"])
    all_gone = tree.run(associations="asn/lost*", config=["missing=leave_out"], check=False)
    assert all_gone.returncode != 0
    assert "each of 1 associations misses members" in all_gone.stdout


# ---- honest ends ---------------------------------------------------------------------------------


def test_one_line_instead_of_one_for_each_exposure(tree):
    """The archive's associations of a target without background: nothing is flagged, once said."""
    archive(tree, *NODS, OTHER_BAND)
    out = tree.run(config=["exposures=mast"]).stdout
    said = [line for line in out.splitlines() if "no background or selfcal" in line]
    assert said == [
        "3 of 3 products were not flagged: no background or selfcal exposure beside their science; "
        "the target generate adds them"
    ]
    assert "associations: 3 skipped; see results/status.csv" in out
    assert set(pd.read_csv(tree.path("results/status.csv"))["status"]) == {"skipped"}


def test_warnings_of_the_summary_are_counted(tree):
    planes = planes_of(SHAPES["MIRIFULONG"], 7)
    planes["SCI"] -= 3
    download(tree.path("mast"), DITHERS[1], planes=planes)
    low = planes["SCI"]
    low[50:, 474:507] = np.nan  # so that no pedestal is taken off
    download(tree.path("mast"), DITHERS[1], planes=planes)
    archive(tree, *DITHERS)
    out = tree.run(config=["exposures=mast"]).stdout
    n_warned = pd.read_csv(tree.path("results/summary.csv"))["warnings"].notna().sum()
    assert n_warned
    warned = f"products with warnings: {n_warned} with an exposure that sets most of a minimum"
    assert f"{warned}; see results/summary.csv" in out
    for target in ("plan", "prune"):
        assert "no association" not in tree.run("--", target, config=["exposures=mast"]).stdout


def test_tables_of_what_exists_after_a_failure(tree):
    """
    With --keep-going, summary and page are of what was flagged, and the page says what failed
    and why; all of it once mended.
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
    assert f"{NODS[1]}_rate.fits: truncated after {len(whole) // 2} bytes" in page
    assert "This stack was not made" in page
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
