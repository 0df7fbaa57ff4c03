"""The target check: before any work, from headers alone, whether a run would fail."""

import os

import numpy as np
import pandas as pd
import pytest
from conftest import planes_of, write_association, write_exposure

BAD = "rate/jw01204001001_02101_00002_nrs1_rate.fits"
FAULTS = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3000]),
    "not a readable FITS": lambda path: path.write_text("no FITS"),
    "no SCI": lambda path: write_exposure(
        path, planes={"ERR": np.ones((48, 64), "f4")}, science={"BUNIT": None, "DISPAXIS": None}
    ),
    "3 dimensions": lambda path: write_exposure(path, planes={"SCI": np.ones((2, 48, 64), "f4")}),
    "DETECTOR NRS2 against NRS1": lambda path: write_exposure(path, primary={"DETECTOR": "NRS2"}),
    "shape (48, 60) against (48, 64)": lambda path: write_exposure(
        path, planes=planes_of((48, 60))
    ),
}
WARNINGS = {
    "GRATING PRISM against G395H": {"GRATING": "PRISM"},
    "READPATT NRS against NRSRAPID": {"READPATT": "NRS"},
    "self-calibrated already": {"S_BPXSLF": "COMPLETE"},
}


def check(workflow):
    done = workflow.run("--", "check", check=False)
    table = pd.read_csv(workflow.path("results/check.csv"))
    return done.returncode, table[["file", "kind", "what"]].values.tolist()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_would_fail_is_found_before_any_work(nods, fault):
    FAULTS[fault](nods.path(BAD))
    code, rows = check(nods)
    assert code != 0
    (row,) = (row for row in rows if row[1] == "fault")
    assert row[0] == BAD
    assert fault in row[2]
    assert os.listdir(nods.path("results")) == ["check.csv"]


def test_what_is_doubtful_is_only_warned_of(nods):
    usual = {"GRATING": "G395H", "READPATT": "NRSRAPID"}
    write_exposure(nods.path(BAD.replace("00002", "00001")), primary=usual)
    for warning, cards in WARNINGS.items():
        write_exposure(nods.path(BAD), primary=usual | cards)
        os.utime(nods.path(BAD), (4e9, 4e9))
        code, rows = check(nods)
        assert code == 0
        said = [what for file, kind, what in rows if (file, kind) == (BAD, "warning")]
        assert any(text.startswith(warning) for text in said)
        assert any("in the future" in text for text in said)
        assert ["alone_asn.json", "warning", "product p3 is skipped"] in rows


def test_neither_axis_nor_type(nods):
    write_exposure(nods.path(BAD), primary={"EXP_TYPE": None}, science={"DISPAXIS": None})
    pairs = [(f"../{BAD}", "science"), (f"../{BAD}", "selfcal")]
    write_association(nods.path("asn/one_asn.json"), ("p1", pairs))
    assert [BAD, "warning", "neither DISPAXIS nor EXP_TYPE; set dispersion_axis"] in check(nods)[1]
