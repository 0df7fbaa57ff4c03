"""The simulated exposures: what an observer recognises is there, and its bad pixels are found."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from badpix_selfcal.detectors import DETECTORS
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.running_median import running_median
from demo.simulate import DEAD, HOT, JUMP_DET, REFERENCE_PIXEL, exposure, slice_position
from demo.truth import unknown_bad_pixels
from stages.minimum import minimum
from stages.pedestal import subtract_pedestal
from stages.threshold import flag_outliers


@pytest.fixture(scope="module")
def truth():
    return unknown_bad_pixels((1024, 1032), np.random.default_rng(1))


def simulate(truth, i, source=0.0):
    rng = np.random.default_rng(i)
    return exposure(DETECTORS["MIRIFULONG"], truth, source, 0.2 * i, 0.1 * i, rng)


def test_an_exposure(truth):
    planes = simulate(truth, 1, source=8.0)
    data, dq = planes["data"], planes["dq"]
    assert {name: plane.dtype.str for name, plane in planes.items()} == {
        **dict.fromkeys(("data", "err", "var_poisson", "var_rnoise"), "<f4"),
        "dq": "<u4",
    }
    assert np.array_equal(np.isnan(data), (dq & (DEAD | HOT)) > 0)
    assert 0.01 < np.isnan(data).mean() < 0.02
    assert ((dq[:, :4] & REFERENCE_PIXEL) > 0).all()
    assert ((dq & JUMP_DET) > 0).any()
    _, level = subtract_pedestal(data, "MIRIFULONG")
    assert level == pytest.approx(0.1, abs=0.01)
    lit = ~np.isnan(slice_position(DETECTORS["MIRIFULONG"])[0])
    assert np.nanmedian(data[-100:][lit[-100:]]) > 5 * np.nanmedian(data[:100][lit[:100]])
    assert np.nanmax(data) > 50  # lines


def test_the_same_seed_gives_the_same_exposure(truth):
    first, again = simulate(truth, 3), simulate(truth, 3)
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)


def test_strong_bad_pixels_are_found(truth):
    """And more of them when the median's window shrinks at the edges."""
    planes = [subtract_pedestal(simulate(truth, i)["data"], "MIRIFULONG")[0] for i in range(4)]
    lowest, _ = minimum(planes)
    seen = ~np.isnan(lowest)
    recall = {}
    for mode in ("zero", "shrink"):
        flags, _, _ = flag_outliers(lowest, running_median(lowest, 15, 2, mode))
        assert (flags[(truth > 3) & seen] == HIGH).mean() > 0.95
        assert (flags[(truth < -2) & seen] == LOW).mean() > 0.95
        recall[mode] = (flags[(truth > 0) & seen] == HIGH).mean()
    assert recall["shrink"] > recall["zero"] + 0.02, recall


def test_the_table_of_exposures():
    """Four dithers and two backgrounds of each MRS detector, and one nod pair."""
    table = pd.read_csv(ROOT / "demo" / "exposures.csv")
    counts = table.assign(lit=table["source"] > 0).groupby(["detector", "lit"]).size().to_dict()
    assert counts == {
        ("mirifulong", True): 4,
        ("mirifulong", False): 2,
        ("mirifushort", True): 4,
        ("mirifushort", False): 2,
        ("nrs1", True): 2,
    }
    assert table["exposure"].is_unique
    assert table["seed"].is_unique
