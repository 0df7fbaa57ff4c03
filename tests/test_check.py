"""The target check: from headers alone, before any work, what would fail and what is doubtful."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from conftest import call, planes_of, write_exposure

from badpix_selfcal.associations import COLUMNS
from badpix_selfcal.errors import InputError

STACK = "s-0123456789ab"
BAD = "rate/e2_rate.fits"
ERRORS = {
    "truncated": lambda path: os.truncate(path, os.path.getsize(path) - 3000),
    "not a readable FITS": lambda path: os.truncate(path, 100),
    "no SCI": lambda path: write_exposure(
        path, planes={"ERR": np.ones((48, 64), "f4")}, science={"BUNIT": None, "DISPAXIS": None}
    ),
    "3 dimensions": lambda path: write_exposure(path, planes={"SCI": np.ones((2, 48, 64), "f4")}),
    "no DETECTOR": lambda path: write_exposure(path, primary={"DETECTOR": None}),
    "already self-calibrated": lambda path: write_exposure(path, primary={"S_BPXSLF": "COMPLETE"}),
    "calibrated already": lambda path: write_exposure(path, primary={"S_PHOTOM": "COMPLETE"}),
    "DETECTOR NRS2 against NRS1": lambda path: write_exposure(path, primary={"DETECTOR": "NRS2"}),
    "shape (48, 60) against (48, 64)": lambda path: write_exposure(
        path, planes=planes_of((48, 60))
    ),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A stack of three exposures of which one is selfcal, and one exposure that is skipped."""
    monkeypatch.chdir(tmp_path)
    rows = [("x_asn", "p1", f"e{i}", role, f"rate/e{i}_rate.fits", STACK)
            for i, role in enumerate(("science", "background", "selfcal"), start=1)]  # fmt: skip
    rows.append(("alone_asn", "p3", "e4", "science", "rate/e4_rate.fits", "skipped"))
    for row in rows:
        write_exposure(row[4], primary={"GRATING": "G395H"})
    os.mkdir("results")
    pd.DataFrame(rows, columns=COLUMNS).to_csv("results/members.csv", index=False)


def check(**config):
    """Return what fails, and the rows of check.csv."""
    defaults = {"dispersion_axis": "auto", "save_flagged_bkg": True, "associations": [],
                "exposures": "", "force_single": False, "missing_members": "error"}  # fmt: skip
    failed = ""
    try:
        call("check", "results/members.csv", "--config", json.dumps(defaults | config))
    except InputError as error:
        failed = str(error)
    return failed, pd.read_csv("results/check.csv").values.tolist()


@pytest.mark.parametrize("error", ERRORS)
def test_what_would_fail_is_found_before_any_work(here, error):
    ERRORS[error](BAD)
    failed, rows = check()
    assert failed.startswith(f"{BAD}: ")
    assert error in failed
    ((file, what),) = ((file, what) for file, kind, what in rows if kind == "error")
    assert f"{file}: {what}" == failed
    assert sorted(os.listdir("results")) == ["check.csv", "members.csv"]


def test_what_is_doubtful_is_a_warning(here, capsys):
    write_exposure(BAD, primary={"GRATING": "PRISM"})
    folder = f"results/flagged/{STACK}"
    os.makedirs(folder)
    write_exposure(f"{folder}/e1_badpix_selfcal.fits")
    failed, rows = check()
    assert not failed
    assert rows == [
        [BAD, "warning", f"GRATING PRISM against G395H in the stack {STACK}"],
        [f"{folder}/e2_badpix_selfcal.fits", "warning", f"missing; delete the folder {folder} and "
         "run again"],
        ["alone_asn.json", "warning", "product p3 is skipped"],
    ]  # fmt: skip
    assert "0 errors, 3 warnings; see results/check.csv" in capsys.readouterr().out
    assert len(check(save_flagged_bkg=False)[1]) == 2


def test_an_unknown_dispersion_axis_is_an_error_unless_it_is_set(here):
    unknown = {"primary": {"EXP_TYPE": None}, "science": {"DISPAXIS": None}}
    for i in (1, 2, 3):
        write_exposure(f"rate/e{i}_rate.fits", **unknown)
    assert "tells the dispersion axis; set dispersion_axis to 1 or 2" in check()[0]
    assert check(dispersion_axis=1)[0] == ""
    write_exposure(BAD, primary={"EXP_TYPE": None})  # which agrees with the others
    assert check()[0] == ""


def test_a_target_of_the_workflow(nods):
    """An exposure of two stacks is named once for each, a skipped one need only be readable."""
    for i in (2, 3):
        path = nods.path(f"rate/jw01204001001_02101_0000{i}_nrs1_rate.fits")
        write_exposure(path, primary={"S_BPXSLF": "COMPLETE"})
    done = nods.run("--", "check", check=False)
    assert done.returncode != 0
    line = "check: error: rate/jw01204001001_02101_00002_nrs1_rate.fits: already self-calibrated"
    assert done.stdout.count(line) == 1
    assert "1 error, 1 warning; see results/check.csv" in done.stdout
    assert sorted(os.listdir(nods.path("results"))) == ["check.csv", "members.csv"]
