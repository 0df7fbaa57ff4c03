"""Threshold sigma: the programs by hand and in a run, excluded pixels, outlier counts."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import call, flag, planes_of, write_exposure
from scipy import optimize, stats

from badpix_selfcal.errors import InputError
from badpix_selfcal.excluded import find_excluded
from badpix_selfcal.fits_io import read_dq
from badpix_selfcal.flag_diagnostics import (
    count_diagnostics,
    estimate_false_positives,
    find_warnings,
    find_wide_defects,
    measure_structure,
)
from badpix_selfcal.flags import GOOD, HIGH, LOW
from badpix_selfcal.median import running_median
from badpix_selfcal.outlier_counts import (
    count_outliers,
    find_false_positives,
    measure_significance,
    tail_probabilities,
)
from badpix_selfcal.repeats import find_refusal, find_repeats
from badpix_selfcal.threshold import flag_beyond_noise, flag_outliers

NAN, INF = np.nan, np.inf
SHAPE = (48, 64)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


# ---- arrays --------------------------------------------------------------------------------------


def test_flags_beyond_a_multiple_of_the_noise():
    residual = np.array([[5.1, 5.0, 4.9, -7.1, -7.0, 10.1, NAN, INF, -INF, 99]], np.float32)
    noise = np.array([[1, 1, 1, 1, 1, 2, 1, 1, 1, NAN]], np.float32)
    zeros = np.zeros_like(noise)
    flags = flag_beyond_noise(residual, zeros, noise)
    assert flags.tolist() == [[HIGH, 0, 0, LOW, 0, HIGH, 0, HIGH, LOW, 0]]
    flags = flag_beyond_noise(residual, zeros, noise, 7.2, 4.8)
    assert flags.tolist() == [[HIGH, HIGH, HIGH, 0, 0, HIGH, 0, HIGH, LOW, 0]]
    for nsigma in ((0, 5), (7, -1), (NAN, 5)):
        with pytest.raises(ValueError, match="not positive"):
            flag_beyond_noise(residual, zeros, noise, *nsigma)
    with pytest.raises(ValueError, match="shapes"):
        flag_beyond_noise(residual, zeros, noise[:, :1])


def test_the_warnings():
    header = {"BPXTHRES": "sigma", "BPXNLO": 10, "BPXNHI": 11, "BPXNPIX": 1000, "BPXNEXP": 2}
    assert find_warnings(header)[0].startswith("2.1% of the pixels")
    assert find_warnings({**header, "BPXNLO": 9}) == []
    assert "emission lines" in find_warnings({**header, "BPXNLO": 0, "BPXNEXP": 1})[0]
    header["BPXTHRES"] = "fraction"
    assert find_warnings(header) == []
    counts = {"BPXNHI": 1000, "BPXNFALS": 90, "BPXEFALS": 32}
    (warning,) = find_warnings(header | counts)
    assert warning.startswith("about 90 ± 32 of 1000 high flags follow source structure")
    assert find_warnings(header | counts | {"BPXNFALS": 79}) == []  # below 8 %
    assert find_warnings(header | counts | {"BPXEFALS": 50}) == []  # within its error
    assert "2 rows or columns are off" in find_warnings(header | {"BPXNWIDE": 2})[0]


@pytest.mark.parametrize("n", [1, 2, 4, 36])
def test_tail_probabilities_are_those_of_the_minimum_of_n(n):
    minimum = stats.order_statistic(stats.Normal(), r=1, n=n)
    middle = minimum.median()
    mad = optimize.brentq(lambda x: minimum.cdf(middle + x) - minimum.cdf(middle - x) - 0.5, 0, 2)
    for cut in (1.0, 3.0, 5.0):
        reach = cut * 1.4826 * mad
        expected = minimum.cdf(middle - reach), minimum.ccdf(middle + reach)
        assert tail_probabilities(cut, n) == pytest.approx(expected, rel=1e-4, abs=1e-14)


@pytest.mark.parametrize("n", [1, 10])
def test_outliers_are_counted_and_noise_is_not(n, rng):
    significance = rng.normal(size=(n, 400, 500)).min(axis=0)
    significance -= np.median(significance)
    significance /= 1.4826 * np.median(np.abs(significance))
    assert count_outliers(significance, n) < 5
    significance.flat[rng.choice(significance.size, 200, replace=False)] += 20
    significance[0, 0] = NAN
    assert count_outliers(significance, n) == pytest.approx(200, abs=5)
    assert count_outliers(np.full((3, 4), NAN), n) == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_outliers_and_false_positives_by_significance(axis, rng):
    image = rng.normal(size=(300, 310)).astype(np.float32)
    flagged = np.zeros(image.shape, bool)
    flagged.flat[rng.choice(image.size, 500, replace=False)] = True
    image[flagged] += 30
    significance = measure_significance(image, axis)
    assert count_outliers(significance, 1) == pytest.approx(500, rel=0.05)
    assert find_false_positives(flagged, significance, 1).sum() < 20
    assert find_false_positives(flagged, significance, -1).sum() == 500


@pytest.mark.parametrize("axis", [1, 2])
def test_flags_that_follow_source_structure_are_estimated(axis, rng):
    """Bad pixels anywhere are none of them; lines in slices are, whatever the threshold."""
    along = np.arange(400)
    profile = 50 * np.exp(-0.5 * ((np.arange(300) % 30 - 15) / 5) ** 2)
    lines = 1 + 3 * (along % 40 == 0)
    image = (profile * lines[:, None] + rng.normal(size=(400, 300))).astype(np.float32)
    bad = rng.random(image.shape) < 0.003
    image[bad] += 1000
    image = image if axis == 2 else image.T
    bad = bad if axis == 2 else bad.T
    median = running_median(image, 15, axis, "shrink")
    structure = measure_structure(image, median, axis)
    n, error = estimate_false_positives(bad, structure)
    assert n < 3 * error
    assert error == pytest.approx(np.sqrt(bad.sum()), rel=0.01)
    high = image - median > 20
    n, error = estimate_false_positives(high, structure)
    assert n == pytest.approx((high & ~bad).sum(), rel=0.2)
    assert estimate_false_positives(high, np.full(high.shape, NAN)) == (0, 0)


@pytest.mark.parametrize("axis", [1, 2])
def test_rows_and_columns_that_are_off_are_found(axis, rng):
    residual = rng.normal(size=(200, 100)).astype(np.float32)
    residual[50] += 10
    residual[120, :70] -= 10  # not most of its length
    residual[150] -= 10
    residual[10] = NAN
    residual = residual if axis == 2 else residual.T
    assert find_wide_defects(residual, axis).tolist() == [50, 150]
    flags = np.where(residual > 5, HIGH, GOOD)
    cards = count_diagnostics(flags, residual, np.zeros_like(residual), 5, axis, 15)
    assert {key: value for key, value, _ in cards}["BPXNFALS"] == 0  # they are no source's light


# ---- pixels that come and go ---------------------------------------------------------------------


def test_pixels_that_come_and_go(rng):
    """High in at least two exposures and half of the weight, where at least four are valid."""
    planes = rng.normal(size=(6, 60, 50)).astype(np.float32)
    planes[:4, 10, 10] += 50  # four of six
    planes[:2, 20, 20] += 50  # two of six
    planes[4:, 30, 30], planes[:3, 30, 30] = NAN, planes[:3, 30, 30] + 50  # three of four
    planes[3:, 40, 40], planes[:2, 40, 40] = NAN, planes[:2, 40, 40] + 50  # two of three
    planes[:, 50, 10] += 50
    excluded = np.zeros((60, 50), bool)
    excluded[50, 10] = True
    for axis in (1, 2):
        turned = planes if axis == 2 else planes.transpose(0, 2, 1)
        mask = excluded if axis == 2 else excluded.T
        found = find_repeats(turned, 15, axis, 0.5, mask)
        found = found if axis == 2 else found.T
        assert np.argwhere(found).tolist() == [[10, 10], [30, 30]]
        # Noisy exposures count less.
        noisy = np.stack([plane * (1 if i in (0, 1) else 9) for i, plane in enumerate(turned)])
        found = find_repeats(noisy, 15, axis, 0.5, mask)
        assert (found if axis == 2 else found.T)[20, 20]


def test_repeats_are_refused_where_light_may_come_and_go():
    assert find_refusal([{"BAND": "SHORT"}, {"BAND": "SHORT", "BKGDTARG": True}]) == ""
    assert find_refusal([{"BAND": "SHORT"}, {"BAND": "LONG"}]) == ""
    assert "dedicated background" in find_refusal([{"BKGDTARG": False}, {}])


# ---- excluded pixels -----------------------------------------------------------------------------


def dq_planes(rng):
    """Make DQ of three exposures, and where all of them are bad."""
    planes = np.zeros((3, *SHAPE), np.uint32)
    planes[:, :, :4] = np.uint32(1 << 31)  # reference pixels, not all of which are DO_NOT_USE
    planes[:, 20] |= 4  # a jump that was corrected
    planes[rng.random(planes.shape) < 0.3] |= 1
    excluded = (planes & np.uint32(1 | 1 << 31) > 0).all(axis=0)
    return planes, excluded


def test_excluded_pixels_are_neither_flagged_nor_counted(tmp_path, rng):
    """With edge_mode shrink, from DQ of any kind; parity tests that zero reads none."""
    dqs, excluded = dq_planes(rng)
    assert np.array_equal(find_excluded(dqs), excluded)
    paths = []
    for i, dq in enumerate(dqs):
        planes = planes_of(SHAPE, seed=i) | {"DQ": dq}
        planes["SCI"] = np.nan_to_num(planes["SCI"], nan=10).astype(np.float32)
        planes["SCI"][:, :4] = 0
        paths.append(write_exposure(tmp_path / f"e{i}_rate.fits", planes=planes))
    with fits.open(paths[1]) as hdus:
        hdus["DQ"] = fits.CompImageHDU(dqs[1], name="DQ")
        hdus.writeto(tmp_path / "e1c_rate.fits")
    with fits.open(paths[2]) as hdus:
        hdus["DQ"] = fits.ImageHDU(dqs[2].view(np.int32), name="DQ")
        hdus.writeto(tmp_path / "e2i_rate.fits")
        del hdus["DQ"]
        hdus.writeto(tmp_path / "none_rate.fits")
    paths[1:] = [str(tmp_path / "e1c_rate.fits"), str(tmp_path / "e2i_rate.fits")]
    assert not read_dq(str(tmp_path / "none_rate.fits")).any()
    fractions = {"flagfrac_lower": "0.01", "flagfrac_upper": "0.01"}
    files = flag(tmp_path / "shrink", paths, edge_mode="shrink", **fractions)
    assert np.array_equal(fits.getdata(files["excluded"]), excluded)
    minimum = np.where(excluded, NAN, fits.getdata(files["minimum"])).astype("f4")
    expected = flag_outliers(minimum, running_median(minimum, 15, 1, "shrink"), 0.01, 0.01)[0]
    flags, header = fits.getdata(files["flags"], header=True)
    assert np.array_equal(flags, expected)
    assert header["BPXNPIX"] == np.isfinite(minimum).sum()
    assert header["BPXNOUT"] == excluded.sum()


# ---- by hand and in a run ------------------------------------------------------------------------


def test_zeros_beyond_the_edge_and_a_missing_noise_are_refused(tmp_path):
    files = flag(tmp_path, [write_exposure(tmp_path / "x_rate.fits")], kernel_size=5)
    call("excluded", files["minimum"], files["excluded"], tmp_path / "x_rate.fits")
    with pytest.raises(InputError, match=r"median\.fits: its edge_mode is not shrink; make it"):
        call("noise", *(files[n] for n in ("minimum", "excluded", "median", "noise")))
    words = files["minimum"], files["median"], tmp_path / "f.fits"
    with pytest.raises(InputError, match="--noise: threshold sigma needs it"):
        call("threshold", *words, "--threshold", "sigma")


def test_a_run_with_sigma(nods):
    """Also of an exposure alone, and with so low a threshold that too much is flagged."""
    config = ["threshold=sigma", "force_single=true", "nsigma_upper=1.5", "nsigma_lower=6"]
    out = nods.run(config=config).stdout
    assert "1 with one exposure alone" in out
    summary = pd.read_csv(nods.path("results/summary.csv")).set_index("product")
    row = summary.loc["p1"]
    stack = nods.path("results/stacks", row["stack"])
    names = ("minimum", "median", "noise", "flags")
    minimum, median, noise, flags = (fits.getdata(stack / f"{name}.fits") for name in names)
    assert np.array_equal(flags, flag_beyond_noise(minimum, median, noise, 6, 1.5))
    assert set(np.unique(flags)) == {0, LOW, HIGH}
    assert (row["threshold"], row["nsigma_lower"], row["nsigma_upper"]) == ("sigma", 6, 1.5)
    assert row[["flagfrac_lower", "flagfrac_upper"]].isna().all()
    assert (row["edge_mode"], row["n_excluded"]) == ("shrink", np.isnan(median).sum())
    assert (row["n_high"], row["n_low"]) == ((flags == HIGH).sum(), (flags == LOW).sum())
    assert row["high_threshold"] == pytest.approx(1.5 * np.nanmedian(noise), rel=1e-6)
    assert row["low_threshold"] == pytest.approx(-6 * np.nanmedian(noise), rel=1e-6)
    assert np.isnan(row["n_outliers_high"])  # of a fraction alone
    assert row["n_false_high_error"] == round(np.sqrt(row["n_high"]))
    assert "of the pixels are flagged" in row["warnings"]
    assert "one exposure alone" in summary.loc["p3", "warnings"]
    product = nods.path("results/flagged", row["stack"], f"{row['science']}_badpix_selfcal.fits")
    assert fits.getheader(product)["BPXNSHI"] == 1.5
