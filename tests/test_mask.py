"""A mask to reuse, from the flags of stacks: its file, applied by jwst; its table."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import Workflow, program, write_association, write_exposure
from jwst.dq_init import DQInitStep
from stdatamodels.jwst.datamodels import MaskModel, RampModel

from tools.mask import changes, often_flagged, write_mask

HEADER = {"INSTRUME": "MIRI", "DETECTOR": "MIRIFULONG"}
SHAPE = (1024, 1032)
BAD = 1 | 1 << 30


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.1, [1, 1, 1, 0]), (0.5, [1, 1, 0, 0]), (0.75, [1, 0, 0, 0]), (1, [0, 0, 0, 0])],
)
def test_flagged_in_enough_stacks(share, expected):
    stacks = np.array([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
    assert often_flagged(stacks, share).tolist() == [[bool(e) for e in expected]]


def test_what_changed_against_dq():
    flagged = np.array([1, 1, 0, 0, 0], bool)
    known = np.array([1, 0, 1, 1, 0], bool)
    judged = np.array([1, 1, 1, 0, 1], bool)
    assert changes(flagged, judged, known) == (2, 3, 1, 1, 1)


def ramp(path):
    with RampModel((1, 2, *SHAPE)) as model:
        meta = {
            "instrument.name": "MIRI", "instrument.detector": "MIRIFULONG",
            "exposure.type": "MIR_MRS", "observation.date": "2026-10-05",
            "observation.time": "12:00:00", "subarray.name": "FULL", "subarray.xstart": 1,
            "subarray.ystart": 1, "subarray.xsize": 1032, "subarray.ysize": 1024,
            "subarray.fastaxis": 1, "subarray.slowaxis": 2,
        }  # fmt: skip
        for key, value in meta.items():
            model[f"meta.{key}"] = value
        model.pixeldq = np.zeros(SHAPE, np.uint32)
        model.pixeldq[9, 9] = 4
        model.groupdq = np.zeros((1, 2, *SHAPE), np.uint8)
        model.save(path)
    return str(path)


def known_mask(path):
    """A MASK with definitions of its own, where bit 1 is DEAD."""
    with MaskModel(SHAPE) as model:
        model.dq = np.zeros(SHAPE, np.uint32)
        model.dq[3, 3] = 1 | 1 << 10
        names = [(0, 1, "DO_NOT_USE", ""), (1, 2, "DEAD", "")]
        model.dq_def = np.array(names, dtype=model.get_dtype("dq_def"))
        model.meta.instrument.name, model.meta.instrument.detector = "MIRI", "MIRIFULONG"
        meta = {"reftype": "MASK", "author": "x", "pedigree": "GROUND", "description": "x",
                "useafter": "2020-01-01T00:00:00"}  # fmt: skip
        for key, value in meta.items():
            model[f"meta.{key}"] = value
        model.save(str(path))
    return str(path)


@pytest.mark.parametrize("merged", [False, True])
def test_the_mask_is_applied_by_jwst(tmp_path, merged):
    flagged = np.zeros(SHAPE, bool)
    flagged[5, 6] = flagged[700, 1000] = True
    path = str(tmp_path / "mask.fits")
    known = known_mask(tmp_path / "known.fits") if merged else None
    write_mask(path, flagged, HEADER, ["2026-10-01", "2026-10-02"], known)
    with MaskModel(path, strict_validation=True) as mask:
        mask.validate()
        assert mask.meta.reftype == "MASK"
        assert {*mask.dq_def["NAME"]} == {"DO_NOT_USE", "OTHER_BAD_PIXEL", *(["DEAD"] * merged)}
    step = DQInitStep(override_mask=path)
    result = step.process(ramp(tmp_path / "ramp.fits"))  # run() would ask CRDS for its context
    assert result.meta.cal_step.dq_init == "COMPLETE"
    expected = np.where(flagged, BAD, 0)
    expected[9, 9] = 4
    expected[3, 3] = (1 | 1 << 10) if merged else 0
    assert np.array_equal(result.pixeldq, expected)
    assert np.array_equal(result.groupdq[0, 1], expected & 1)


def test_the_target_mask_of_two_runs(nods, tmp_path):
    """Of the run and of another folder; the table tells dates."""
    config = ["flagfrac_upper=0.01", "force_single=true"]
    (tmp_path / "other").mkdir()
    other = Workflow(tmp_path / "other")
    for i in range(2):
        path = other.path(f"e{i}_nrs1_rate.fits")
        write_exposure(path, seed=i, primary={"DATE-OBS": "2026-11-01"})
    pair = [("../e0_nrs1_rate.fits", "science"), ("../e1_nrs1_rate.fits", "background")]
    write_association(other.path("asn/x_asn.json"), ("p", pair))
    other.run("--quiet", "all", config=config[:1])
    folders = f"mask_folders=['{other.folder}']"
    nods.run("--quiet", "all", "--", "mask", config=[*config, folders, "mask_share=0.6"])
    stacks = [*nods.path("results/stacks").iterdir(), *other.path("results/stacks").iterdir()]
    flagged = np.array([fits.getdata(stack / "flags.fits") > 0 for stack in stacks])
    assert len(flagged) == 3
    expected = np.sum(flagged, axis=0) >= 2
    with MaskModel(nods.path("results/mask/nrs1.fits")) as mask:
        assert np.array_equal(mask.dq, np.where(expected, BAD, 0))
        assert str(mask.meta.useafter).startswith("2026-10-01")
    table = pd.read_csv(nods.path("results/mask/nrs1.csv")).set_index("date")
    assert table["stacks"].to_dict() == {"2026-10-01": 2, "2026-11-01": 1}
    assert table["exposures"].to_dict() == {"2026-10-01": 3, "2026-11-01": 2}
    row = table.loc["2026-11-01"]
    assert row["flagged"] == np.count_nonzero(flagged[2]) == row["stable"] + row["new"]
    before = nods.path("results/mask/nrs1.fits").read_bytes()
    nods.run("--quiet", "all", "--", "mask", config=[*config, folders, "mask_share=0.6"])
    assert nods.path("results/mask/nrs1.fits").read_bytes() == before


def test_a_mask_of_what_never_ran(tmp_path):
    done = program("mask", tmp_path / "mask", tmp_path, check=False)
    assert done.returncode == 1
    assert "name folders in which the workflow has run" in done.stderr
