"""The simulated exposures look like real ones, and their bad pixels are found."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, SHARED
from scipy import ndimage

from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import running_median
from badpix_selfcal.minimum import take_minimum
from badpix_selfcal.pedestal import subtract_pedestal
from badpix_selfcal.threshold import flag_outliers
from demo.detectors import DETECTORS, H2RG_REGIONS
from demo.simulate import DEAD, HOT, JUMP_DET, REFERENCE_PIXEL, find_slices, simulate_exposure
from demo.simulate_bad_pixels import simulate_bad_pixels


@pytest.fixture(scope="module")
def truth():
    return simulate_bad_pixels((1024, 1032), np.random.default_rng(1))


def simulate(truth, i, source=0.0):
    scene = source, 0.2 * i, 0.1 * i
    return simulate_exposure(DETECTORS["MIRIFULONG"], truth, *scene, np.random.default_rng(i))


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
    lit = ~np.isnan(find_slices(DETECTORS["MIRIFULONG"])[0])
    assert np.nanmedian(data[-100:][lit[-100:]]) > 5 * np.nanmedian(data[:100][lit[:100]])
    assert np.nanmax(data) > 50  # lines
    again = simulate(truth, 1, source=8.0)
    assert all(planes[name].tobytes() == again[name].tobytes() for name in planes)


def count_regions(bad):
    """Return which share of the connected regions has each of the sizes that are written down."""
    sizes = np.bincount(ndimage.label(bad, np.ones((3, 3)))[0].ravel())[1:]
    return {size: (sizes == size).mean() for size in H2RG_REGIONS}


def test_bad_pixels_of_nirspec_cluster_as_on_a_real_detector():
    """As many pairs, crosses and squares as the statistics say, and as that mask has."""
    detector = DETECTORS["NRS1"]
    truth = simulate_bad_pixels(
        detector.shape, np.random.default_rng(1), share=0.0053, defects=detector.defects
    )
    assert np.mean(truth > 0) == pytest.approx(0.0053, rel=0.03)
    assert count_regions(truth) == pytest.approx(H2RG_REGIONS, rel=0.2)
    mask = SHARED / "real/nis_badpix_20241001.fits.gz"
    if not mask.exists():
        pytest.skip(f"no mask {mask}")
    bad = fits.getdata(mask)[5:-5, 5:-5] > 0  # no reference pixels, no edge
    assert count_regions(bad) == pytest.approx(H2RG_REGIONS, abs=5e-4)


def test_strong_bad_pixels_are_found(truth):
    """And more of them when the median's window shrinks at the edges."""
    planes = [subtract_pedestal(simulate(truth, i)["data"], "MIRIFULONG")[0] for i in range(4)]
    minimum, _ = take_minimum(planes)
    seen = ~np.isnan(minimum)
    recall = {}
    for mode in ("zero", "shrink"):
        flags, _, _ = flag_outliers(minimum, running_median(minimum, 15, 2, mode))
        assert (flags[(truth > 3) & seen] == HIGH).mean() > 0.95
        assert (flags[(truth < -2) & seen] == LOW).mean() > 0.95
        recall[mode] = (flags[(truth > 0) & seen] == HIGH).mean()
    assert recall["shrink"] > recall["zero"] + 0.02, recall


def test_the_table_of_exposures():
    """Four dithers and two backgrounds of each MRS detector, and one nod pair."""
    table = pd.read_csv(ROOT / "demo" / "exposures.csv")
    counts = table.assign(lit=table["source"] > 0).groupby(["detector", "lit"]).size().to_dict()
    mrs = {(name, lit): 4 if lit else 2 for name in ("mirifulong", "mirifushort") for lit in (0, 1)}
    assert counts == {**mrs, ("nrs1", True): 2}
    assert table["exposure"].is_unique
    assert table["seed"].is_unique
