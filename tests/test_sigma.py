"""Threshold sigma: the programs by hand and in the workflow, pixels of no use, deviants."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import flag, planes_of, program, write_exposure
from scipy import optimize, stats

from badpix_selfcal.cautions import cautions
from badpix_selfcal.deviants import chances, count_deviants, estimate_deviants
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.running_median import running_median
from stages.median import usable_median
from stages.threshold import flag_beyond_noise, flag_outliers

NAN, INF = np.nan, np.inf
SHAPE = (48, 64)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


# ---- flags beyond the noise ----------------------------------------------------------------------


def test_flags_beyond_so_many_times_the_noise():
    found = np.array([[5.1, 5.0, 4.9, -7.1, -7.0, 10.1, NAN, INF, -INF, 99]], np.float32)
    noise = np.array([[1, 1, 1, 1, 1, 2, 1, 1, 1, NAN]], np.float32)
    flags = flag_beyond_noise(found, np.zeros_like(found), noise)
    assert flags.tolist() == [[HIGH, 0, 0, LOW, 0, HIGH, 0, HIGH, LOW, 0]]
    flags = flag_beyond_noise(found, np.zeros_like(found), noise, 7.2, 4.8)
    assert flags.tolist() == [[HIGH, HIGH, HIGH, 0, 0, HIGH, 0, HIGH, LOW, 0]]


@pytest.mark.parametrize("nsigma", [(0, 5), (7, -1), (NAN, 5)])
def test_flags_refuse_nsigma_that_is_not_positive(nsigma):
    image = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match="not positive"):
        flag_beyond_noise(image, image, image, *nsigma)


def test_flags_refuse_a_noise_of_another_shape():
    with pytest.raises(ValueError, match="shapes"):
        flag_beyond_noise(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((1, 3)))


def test_what_to_warn_of():
    header = {"BPXTHRES": "sigma", "BPXNLO": 10, "BPXNHI": 11, "BPXNPIX": 1000, "BPXNEXP": 2}
    assert cautions(header)[0].startswith("2.1% of the pixels")
    assert cautions({**header, "BPXNLO": 9}) == []
    assert "spectral lines" in cautions({**header, "BPXNLO": 0, "BPXNEXP": 1})[0]
    assert cautions({**header, "BPXTHRES": "fraction"}) == []


# ---- deviants ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4, 36])
@pytest.mark.parametrize("cut", [1.0, 3.0, 5.0])
def test_chances_are_those_of_the_least_of_n(n, cut):
    least = stats.order_statistic(stats.Normal(), r=1, n=n)
    middle = least.median()
    deviation = optimize.brentq(lambda x: least.cdf(middle + x) - least.cdf(middle - x) - 0.5, 0, 2)
    reach = cut * 1.4826 * deviation
    expected = least.cdf(middle - reach), least.ccdf(middle + reach)
    assert chances(cut, n) == pytest.approx(expected, rel=1e-4, abs=1e-14)


@pytest.mark.parametrize("n", [1, 10])
def test_noise_alone_has_no_deviants_and_bad_pixels_are_counted(n, rng):
    image = rng.normal(size=(n, 400, 500)).astype(np.float32).min(axis=0)
    bad = rng.choice(image.size, 300, replace=False)
    median = np.full_like(image, np.median(image))
    scatter = 1.4826 * np.median(np.abs(image - median))
    noise = np.full_like(image, scatter)
    low, high = count_deviants(image, median, noise, n)
    assert low < 25
    assert high < 5
    image.flat[bad[:200]] += 20
    image.flat[bad[200:]] -= 20
    noise[0, 0] = NAN
    low, high = count_deviants(image, median, noise, n)
    assert low == pytest.approx(100, abs=25)
    assert high == pytest.approx(200, abs=5)


@pytest.mark.parametrize("axis", [1, 2])
def test_deviants_are_estimated_from_a_part_of_the_image(axis, rng):
    image = rng.normal(size=(600, 610)).astype(np.float32)
    image.flat[rng.choice(image.size, 2000, replace=False)] += 30
    low, high = estimate_deviants(image, running_median(image, 15, axis), 15, axis, 1)
    assert high == pytest.approx(2000, rel=0.15)
    assert low < 20
    assert estimate_deviants(np.full((3, 4), NAN), np.zeros((3, 4)), 15, axis, 1) == (0, 0)


# ---- pixels of no use ----------------------------------------------------------------------------


def test_pixels_of_no_use_take_no_part_in_the_median(rng):
    image = rng.normal(size=(40, 30)).astype(np.float32)
    unusable = rng.random(image.shape) < 0.2
    missing = np.where(unusable, np.float32(NAN), image)
    found = usable_median(image, unusable, 5, 2)
    expected = np.where(unusable, NAN, running_median(missing, 5, 2, "shrink"))
    np.testing.assert_array_equal(found, expected)
    assert not np.isnan(image).any()


def exposures(folder, *dqs):
    """Write exposures of NRS1 with these DQ planes, or none; each has its own noise."""
    paths = []
    for i, dq in enumerate(dqs):
        planes = planes_of(SHAPE, seed=i)
        planes["SCI"] = np.nan_to_num(planes["SCI"], nan=10).astype(np.float32)
        planes["SCI"][:, :4] = 0
        del planes["DQ"]
        if dq is not None:
            planes["DQ"] = dq
        paths.append(write_exposure(folder / f"e{i}_nrs1_rate.fits", planes=planes))
    return paths


def some_dq():
    dq = np.zeros(SHAPE, np.uint32)
    dq[:, :4] = np.uint32(1 << 31)  # reference pixels, not all of which are DO_NOT_USE
    dq[5, 10] = dq[6, 11] = 1
    dq[20] |= 4  # a jump that was corrected
    return dq


def unusable_of(folder, paths):
    program("pedestal", *paths, "--output", folder / "p.fits")
    program("minimum", folder / "p.fits", folder / "m.fits")
    program("unusable", folder / "m.fits", folder / "u.fits", *paths)
    return fits.getdata(folder / "u.fits", header=True)


def test_of_no_use_is_what_is_so_in_every_exposure(tmp_path):
    first, second = some_dq(), some_dq()
    second[6, 11] = 0
    second[7, 12] = 1
    paths = exposures(tmp_path, first, second)
    found, header = unusable_of(tmp_path, paths)
    expected = np.zeros(SHAPE, bool)
    expected[:, :4] = expected[5, 10] = True
    assert np.array_equal(found > 0, expected)
    assert header["BPXNOUT"] == expected.sum()


@pytest.mark.parametrize("other", [None, "compressed", "int32"])
def test_dq_of_every_kind(tmp_path, other):
    dq = some_dq()
    paths = exposures(tmp_path, dq, dq if other else None)
    with fits.open(paths[1]) as hdus:
        if other == "compressed":
            hdus["DQ"] = fits.CompImageHDU(dq, name="DQ")
        if other == "int32":
            hdus["DQ"] = fits.ImageHDU(dq.view(np.int32), name="DQ")
        hdus.writeto(tmp_path / "other_nrs1_rate.fits")
    found, _ = unusable_of(tmp_path, [paths[0], tmp_path / "other_nrs1_rate.fits"])
    expected = dq & np.uint32(1 | 1 << 31) > 0 if other else np.zeros(SHAPE, bool)
    assert np.array_equal(found > 0, expected)


def test_what_is_of_no_use_is_neither_flagged_nor_counted(tmp_path):
    paths = exposures(tmp_path, some_dq(), some_dq())
    unusable, _ = unusable_of(tmp_path, paths)
    minimum = fits.getdata(tmp_path / "m.fits")
    usable = np.where(unusable > 0, np.float32(NAN), minimum)
    words = ["--flagfrac-lower", "0.01", "--flagfrac-upper", "0.01"]
    for mode in ("shrink", "zero"):
        with_unusable = ["--edge-mode", mode, "--unusable", tmp_path / "u.fits"]
        program("median", tmp_path / "m.fits", tmp_path / "d.fits", *with_unusable)
        program("threshold", tmp_path / "m.fits", tmp_path / "d.fits", tmp_path / "f.fits", *words)
        flags, header = fits.getdata(tmp_path / "f.fits"), fits.getheader(tmp_path / "f.fits")
        if mode == "shrink":
            expected = flag_outliers(usable, running_median(usable, 15, 1, mode), 0.01, 0.01)[0]
            assert header["BPXNPIX"] == np.isfinite(usable).sum()
            assert not flags[np.isnan(usable)].any()
        else:  # as in the reference, whatever the file of the minimum says
            expected = flag_outliers(minimum, running_median(minimum, 15, 1), 0.01, 0.01)[0]
            assert "BPXNOUT" not in header
        assert np.array_equal(flags, expected)


# ---- by hand and in the workflow -----------------------------------------------------------------


def test_an_unknown_axis_and_zeros_beyond_the_edge_are_refused(tmp_path):
    header = {"science": {"DISPAXIS": None}, "primary": {"EXP_TYPE": "NRS_IMAGE"}}
    path = write_exposure(tmp_path / "x_nrs1_rate.fits", **header)
    flag(tmp_path, [path], {}, kernel_size=5)
    files = [tmp_path / f"{name}.fits" for name in ("minimum", "median", "noise")]
    done = program("noise", *files, check=False)
    assert done.returncode == 1
    assert "the dispersion axis is unknown" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    program("median", *files[:2], "--dispersion-axis", "1", "--kernel-size", "5")
    assert "edge_mode is not shrink" in program("noise", *files, check=False).stderr
    files = [tmp_path / f"{name}.fits" for name in ("minimum", "median", "flags")]
    assert "--noise" in program("threshold", *files, "--threshold", "sigma", check=False).stderr


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("nsigma_upper", "0", "a number above 0"),
        ("nsigma_lower", "-1", "a number above 0"),
        ("nsigma_lower", "many", "a number above 0"),
        ("threshold", "nsigma", "one of fraction, sigma"),
    ],
)
def test_a_faulty_config(nods, key, value, fault):
    done = nods.run("--dry-run", config=[f"{key}={value}"], check=False)
    assert done.returncode == 1
    assert f"config: {key}:" in done.stdout
    assert fault in done.stdout


def test_a_run_with_sigma(nods):
    """Also of an exposure alone, and with so low a threshold that too much is flagged."""
    config = ["threshold=sigma", "force_single=true", "nsigma_upper=1.5", "nsigma_lower=6"]
    done = nods.run(config=config)
    assert "one exposure alone, spectral lines may be flagged" in done.stdout
    summary = pd.read_csv(nods.path("results/summary.csv")).set_index("product")
    row = summary.loc["p1"]
    stack = nods.path("results/stacks", row["stack"])
    minimum, median, noise, flags = (
        fits.getdata(stack / f"{name}.fits") for name in ("minimum", "median", "noise", "flags")
    )
    assert np.array_equal(flags, flag_beyond_noise(minimum, median, noise, 6, 1.5))
    assert set(np.unique(flags)) == {0, 1, 2}
    assert (row["threshold"], row["nsigma_lower"], row["nsigma_upper"]) == ("sigma", 6, 1.5)
    assert row[["flagfrac_lower", "flagfrac_upper"]].isna().all()
    assert (row["edge_mode"], row["n_left_out"]) == ("shrink", (np.isnan(median)).sum())
    assert (row["n_high"], row["n_low"]) == ((flags == HIGH).sum(), (flags == LOW).sum())
    assert row["high_threshold"] == pytest.approx(1.5 * np.nanmedian(noise), rel=1e-6)
    assert row["low_threshold"] == pytest.approx(-6 * np.nanmedian(noise), rel=1e-6)
    assert "of the pixels are flagged" in row["warnings"]
    assert "one exposure alone" in summary.loc["p3", "warnings"]
    assert row["deviant_high"] > 0
    link = nods.path("results/by_association/one_asn/p1/noise.fits")
    assert link.resolve() == (stack / "noise.fits").resolve()
    product = nods.path("results/flagged", row["stack"], f"{row['science']}_badpix_selfcal.fits")
    assert fits.getheader(product)["BPXNSHI"] == 1.5
    plan = nods.run("--quiet", "all", "--", "plan", config=config).stdout
    assert "0 to make" in plan
    plan = nods.run("--quiet", "all", "--", "plan", config=[*config[:2], "nsigma_upper=3"]).stdout
    assert "threshold" in plan
    assert "noise" not in plan


def test_a_run_by_default_has_neither_a_noise_nor_a_look_at_dq(nods):
    nods.run("--quiet", "all")
    (stack,) = nods.path("results/stacks").iterdir()
    assert sorted(path.name for path in stack.iterdir()) == [
        "flags.fits", "median.fits", "minimum.fits"
    ]  # fmt: skip
    header = fits.getheader(stack / "flags.fits")
    assert (header["BPXTHRES"], "BPXNOUT" in header, "BPXNSHI" in header) == (
        "fraction",
        False,
        False,
    )
    assert header["BPXNDHI"] >= 0
    assert not nods.path("results/by_association/one_asn/p1/noise.fits").is_symlink()


def test_a_line_of_light_is_spared_in_an_exposure_where_a_fraction_takes_it(tmp_path, rng):
    """A line over many pixels, a warm pixel, a blotch, a reference column."""
    planes = planes_of(SHAPE)
    sci = rng.normal(10, 0.1, SHAPE).astype(np.float32)
    sci[:, 30] += 40  # along y, across the dispersion
    sci[25, 50] += 2
    planes |= {"SCI": sci, "DQ": np.zeros(SHAPE, np.uint32)}
    paths = [write_exposure(tmp_path / "a_nrs1_rate.fits", planes=planes)]
    flags = {}
    for threshold in ("fraction", "sigma"):
        parameters = {"threshold": threshold, "edge_mode": "shrink", "kernel_size": 15}
        files = flag(tmp_path, paths, {}, **parameters)
        flags[threshold] = fits.getdata(files["flags"])
    assert flags["sigma"][25, 50] == HIGH
    assert not flags["sigma"][:, 30].any()
    assert flags["fraction"][:, 30].any()
    assert flags["fraction"][25, 50] == 0
