"""A mask to reuse, from the flags of stacks: its file, applied by jwst; its table."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import call, flag, write_exposure
from jwst.dq_init import DQInitStep
from stdatamodels.jwst.datamodels import MaskModel, RampModel

from badpix_selfcal.associations import COLUMNS
from badpix_selfcal.errors import InputError
from tools.mask import count_changes, find_often_flagged, write_mask

HEADER = {"INSTRUME": "MIRI", "DETECTOR": "MIRIFULONG"}
SHAPE = (1024, 1032)
BAD = 1 | 1 << 30


def test_flagged_in_enough_stacks_and_what_changed_against_dq():
    stacks = np.array([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
    for fraction, n in ((0.1, 3), (0.5, 2), (0.75, 1), (1, 0)):
        often = find_often_flagged(stacks, fraction)
        assert often.tolist() == [[True] * n + [False] * (4 - n)]
    flagged = np.array([1, 1, 0, 0, 0], bool)
    known = np.array([1, 0, 1, 1, 0], bool)
    judged = np.array([1, 1, 1, 0, 1], bool)
    assert count_changes(flagged, judged, known) == (2, 3, 1, 1, 1)


def fill_meta(model, **meta):
    """Fill in the metadata of a full-frame image of MIRIFULONG, and more."""
    detector = {"name": "MIRI", "detector": "MIRIFULONG"}
    axes = {"xstart": 1, "ystart": 1, "xsize": 1032, "ysize": 1024, "fastaxis": 1, "slowaxis": 2}
    meta |= {"instrument": detector, "subarray": {"name": "FULL", **axes}}
    for key, value in meta.items():
        model[f"meta.{key}"] = value


def ramp(path):
    with RampModel((1, 2, *SHAPE)) as model:
        observation = {"date": "2026-10-05", "time": "12:00:00"}
        fill_meta(model, exposure={"type": "MIR_MRS"}, observation=observation)
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
        meta = {"reftype": "MASK", "author": "x", "pedigree": "GROUND", "description": "x"}
        fill_meta(model, useafter="2020-01-01T00:00:00", **meta)
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
    # run() would ask CRDS for its context. The mask replaces the official one, or adds to it.
    result = DQInitStep(override_mask=path).process(ramp(tmp_path / "ramp.fits"))
    official = known_mask(tmp_path / "official.fits")
    added = DQInitStep(override_mask=official, user_supplied_dq=path)
    added = added.process(ramp(tmp_path / "ramp.fits")).pixeldq
    assert (added[3, 3], added[5, 6], added[700, 1000]) == (1 | 1 << 10, BAD, BAD)
    assert fits.getheader(path)["FILENAME"] == "mask.fits"
    assert result.meta.cal_step.dq_init == "COMPLETE"
    expected = np.where(flagged, BAD, 0)
    expected[9, 9] = 4
    expected[3, 3] = (1 | 1 << 10) if merged else 0
    assert np.array_equal(result.pixeldq, expected)
    assert np.array_equal(result.groupdq[0, 1], expected & 1)


def make_run(folder, stacks, date):
    """Make the files of a run that mask reads; `stacks` maps names to seeds of exposures."""
    rows, flagged = [("y_asn", "p", "e9", "science", "e9_rate.fits", "skipped")], []
    for stack, seeds in stacks.items():
        for i in seeds:
            cards = {"DATE-OBS": date, "READPATT": f"P{date[5:7]}"}
            write_exposure(folder / f"e{i}_rate.fits", seed=i, primary=cards)
            rows.append(("x_asn", "p", f"e{i}", "science", f"e{i}_rate.fits", stack))
        place = folder / "results/stacks" / stack
        place.mkdir(parents=True)
        paths = [str(folder / f"e{i}_rate.fits") for i in seeds]
        flagged.append(fits.getdata(flag(place, paths, flagfrac_upper=0.01)["flags"]) > 0)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "results/members.csv", index=False)
    return flagged


@pytest.mark.parametrize("prefix", ["", "sub/"])
def test_the_mask_of_two_runs(tmp_path, monkeypatch, capsys, prefix):
    """Of the run, which may be a module's, and of another folder; the table tells dates."""
    own, other = tmp_path / "own", tmp_path / "other"
    flagged = make_run(own, {"a": (1, 2), "b": (3,)}, "2026-10-01")
    flagged += make_run(other, {"a": (4, 5)}, "2026-11-01")
    if prefix:
        own.joinpath("sub").mkdir()
        own.joinpath("results").rename(own / "sub/results")
    monkeypatch.chdir(own)
    words = (f"{prefix}results/members.csv", f"{prefix}results/mask", "--runs", other)
    call("mask", *words, "--min-fraction", "0.6")
    assert "exposures of mixed depth (P10, P11) share a mask" in capsys.readouterr().out
    expected = np.sum(flagged, axis=0) >= 2
    assert expected.any()
    path = own / prefix / "results/mask/nrs1.fits"
    with MaskModel(path) as mask:
        assert np.array_equal(mask.dq, np.where(expected, BAD, 0))
        assert str(mask.meta.useafter).startswith("2026-10-01")
    table = pd.read_csv(path.with_suffix(".csv")).set_index("date")
    assert table["stacks"].to_dict() == {"2026-10-01": 2, "2026-11-01": 1}
    assert table["exposures"].to_dict() == {"2026-10-01": 3, "2026-11-01": 2}
    row = table.loc["2026-11-01"]
    assert row["flagged"] == np.count_nonzero(flagged[2]) == row["stable"] + row["new"]


def test_the_target_mask(done):
    """Of the parameters in force; a folder where nothing ran is refused."""
    done.run("--", "mask")
    with MaskModel(done.path("results/mask/nrs1.fits")) as mask:
        (flags,) = done.path("results/stacks").glob("*/flags.fits")
        assert np.array_equal(mask.dq > 0, fits.getdata(flags) > 0)
    assert "mask" not in done.jobs("mask")
    assert done.jobs("mask", config=["mask_min_fraction=1"]) == {"mask": 1}
    with pytest.raises(InputError, match="name folders in which the workflow has run"):
        call("mask", done.path("results/members.csv"), done.path("m"), "--runs", done.path("asn"))
