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
from badpix_selfcal.flag_diagnostics import find_warnings
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import running_median
from badpix_selfcal.outlier_counts import (
    count_outliers,
    estimate_outliers,
    find_false_positives,
    measure_significance,
    tail_probabilities,
)
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
    assert "spectral lines" in find_warnings({**header, "BPXNLO": 0, "BPXNEXP": 1})[0]
    assert find_warnings({**header, "BPXTHRES": "fraction"}) == []


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
    image = rng.normal(size=(n, 400, 500)).astype(np.float32).min(axis=0)
    bad = rng.choice(image.size, 300, replace=False)
    median = np.full_like(image, np.median(image))
    noise = np.full_like(image, 1.4826 * np.median(np.abs(image - median)))
    assert count_outliers(image, median, noise, n) < (25, 5)
    image.flat[bad[:200]] += 20
    image.flat[bad[200:]] -= 20
    noise[0, 0] = NAN
    low, high = count_outliers(image, median, noise, n)
    assert low == pytest.approx(100, abs=25)
    assert high == pytest.approx(200, abs=5)


@pytest.mark.parametrize("axis", [1, 2])
def test_outliers_are_estimated_from_strips_of_the_image(axis, rng):
    image = rng.normal(size=(600, 610)).astype(np.float32)
    bad = rng.choice(image.size, 2000, replace=False)
    image.flat[bad] += 30
    low, high = estimate_outliers(image, running_median(image, 15, axis), 15, axis, 1)
    assert high == pytest.approx(2000, rel=0.15)
    assert low < 20
    empty = np.full((3, 4), NAN, np.float32)
    assert estimate_outliers(empty, empty, 15, axis, 1) == (0, 0)
    # The same significance tells false positives among flags.
    flagged = np.zeros(image.shape, bool)
    flagged.flat[bad] = True
    significance = measure_significance(image, axis)
    assert find_false_positives(flagged, significance, 1).sum() < 20
    assert find_false_positives(flagged, significance, -1).sum() == 2000


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
    """With edge_mode shrink, from DQ of any kind; with zero, all is as in the reference."""
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
    for mode in ("shrink", "zero"):
        files = flag(tmp_path / mode, paths, edge_mode=mode, **fractions)
        minimum = fits.getdata(files["minimum"]).astype("f4")
        if mode == "shrink":
            assert np.array_equal(fits.getdata(files["excluded"]), excluded)
            minimum[excluded] = NAN
        expected = flag_outliers(minimum, running_median(minimum, 15, 1, mode), 0.01, 0.01)[0]
        flags, header = fits.getdata(files["flags"], header=True)
        assert np.array_equal(flags, expected)
        assert header["BPXNPIX"] == np.isfinite(minimum).sum()
        assert header.get("BPXNOUT") == (excluded.sum() if mode == "shrink" else None)


# ---- by hand and in a run ------------------------------------------------------------------------


def test_zeros_beyond_the_edge_and_a_missing_noise_are_refused(tmp_path):
    files = flag(tmp_path, [write_exposure(tmp_path / "x_rate.fits")], kernel_size=5)
    with pytest.raises(InputError, match=r"median\.fits: its edge_mode is not shrink; make it"):
        call("noise", files["minimum"], files["median"], tmp_path / "noise.fits")
    words = files["minimum"], files["median"], tmp_path / "f.fits"
    with pytest.raises(InputError, match="--noise: threshold sigma needs it"):
        call("threshold", *words, "--threshold", "sigma")


def test_a_line_of_light_is_spared_where_a_fraction_flags_it(tmp_path, rng):
    sci = rng.normal(10, 0.1, SHAPE).astype(np.float32)
    sci[:, 30] += 40  # along y, across the dispersion
    sci[25, 50] += 2
    planes = planes_of(SHAPE) | {"SCI": sci, "DQ": np.zeros(SHAPE, np.uint32)}
    path = write_exposure(tmp_path / "a_nrs1_rate.fits", planes=planes)
    for threshold in ("fraction", "sigma"):
        files = flag(tmp_path / threshold, [path], threshold=threshold, edge_mode="shrink")
        flags = fits.getdata(files["flags"])
        assert flags[25, 50] == (HIGH if threshold == "sigma" else 0)
        assert flags[:, 30].any() == (threshold == "fraction")


def test_a_run_with_sigma(nods):
    """Also of an exposure alone, and with so low a threshold that too much is flagged."""
    config = ["threshold=sigma", "force_single=true", "nsigma_upper=1.5", "nsigma_lower=6"]
    out = nods.run(config=config).stdout
    assert "one exposure alone, spectral lines may be flagged" in out
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
    assert row["n_outliers_high"] > 0
    assert "of the pixels are flagged" in row["warnings"]
    assert "one exposure alone" in summary.loc["p3", "warnings"]
    link = nods.path("results/by_association/one_asn/p1/noise.fits")
    assert link.resolve() == (stack / "noise.fits").resolve()
    product = nods.path("results/flagged", row["stack"], f"{row['science']}_badpix_selfcal.fits")
    assert fits.getheader(product)["BPXNSHI"] == 1.5
    again = nods.jobs(config=[*config[:2], "nsigma_upper=3"])
    assert (again["threshold"], "noise" in again) == (2, False)
    # By default, there is neither a noise nor a look at DQ.
    nods.run("--quiet", "all", "--", stack.relative_to(nods.folder) / "flags.fits")
    header = fits.getheader(stack / "flags.fits")
    assert header["BPXTHRES"] == "fraction"
    assert not {"BPXNOUT", "BPXNSHI"} & set(header)
