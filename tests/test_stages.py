"""The arithmetic of the stages on arrays, against numpy, stcal and jwst; adversarial arrays too."""

import warnings

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from astropy.io import fits
from conftest import SHAPES as DETECTORS
from conftest import call, flag, planes_of, write_exposure
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.badpix_selfcal.badpix_selfcal import badpix_selfcal
from numpy.lib.stride_tricks import sliding_window_view
from stcal.outlier_detection.utils import medfilt

from badpix_selfcal.errors import InputError
from badpix_selfcal.flag_diagnostics import count_diagnostics, find_line_like, label_runs
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.median import find_dispersion_axis, running_median
from badpix_selfcal.minimum import dominates, measure_shares, take_minimum
from badpix_selfcal.pedestal import find_disagreements, subtract_pedestal
from badpix_selfcal.threshold import flag_outliers

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference

INF, NAN = np.inf, np.nan
# Few distinct values, so that ties are common; and all that float32 holds.
CRAMPED = st.sampled_from(np.array([-1, 0, 1, 2, 1.5, INF, -INF, NAN, NAN, 3e38], np.float32))
VALUES = st.one_of(CRAMPED, st.floats(width=32, allow_nan=True, allow_infinity=True))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
IMAGES = hnp.arrays(np.float32, SHAPES, elements=VALUES)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def same(a, b):
    """Tell whether arrays have the same bits, all NaN and both zeros counting as one."""
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


# ---- median --------------------------------------------------------------------------------------


def reference_median(image, kernel_size, axis, edge_mode="zero"):
    """Filter by stcal, or by numpy where windows shrink."""
    if edge_mode == "zero":
        return medfilt(image, (1, kernel_size) if axis == 1 else (kernel_size, 1))
    half = [(0, 0), (0, 0)]
    half[2 - axis] = (kernel_size // 2,) * 2
    windows = sliding_window_view(
        np.pad(image, half, constant_values=NAN), kernel_size, axis=2 - axis
    )
    return np.nanmedian(windows, axis=-1)


def random_image(rng):
    """Make a small image of normal numbers, ties or any bits, with NaN and infinities."""
    shape = rng.integers(1, 14, 2)
    kinds = (
        lambda: rng.normal(size=shape).astype("f4"),
        lambda: rng.integers(-1, 3, shape).astype(">f4"),
        lambda: rng.integers(1 << 32, size=shape, dtype="u4").view("f4"),
    )
    image = rng.choice(kinds)()
    image[abs(image) > 1.7e38] = NAN  # a sum of two overflows
    for value in (NAN, INF, -INF):
        image[rng.random(shape) < rng.choice([0, 0.1, 0.5])] = value
    return image


@pytest.mark.parametrize("edge_mode", ["zero", "shrink"])
def test_the_median_is_the_reference_in_12000_trials(edge_mode, rng):
    for _ in range(6000):
        image, axis = random_image(rng), int(rng.integers(1, 3))
        kernel_size = int(rng.choice([1, 3, 5, 7, 9, 15, 31]))
        found = running_median(image, kernel_size, axis, edge_mode)
        expected = reference_median(image.astype("f4"), kernel_size, axis, edge_mode)
        assert same(found, expected), (image, kernel_size, axis)


def test_where_the_median_differs_from_the_reference():
    """Where the sum of the two middle values overflows float32, and in the sign of zero."""
    image = np.array([[3e38, NAN, 3.2e38]], np.float32)
    assert running_median(image, 3, 1)[0, 1] == np.float32(3.1e38)
    assert reference_median(image, 3, 1)[0, 1] == INF
    zero = np.array([[-0.0]], np.float32)
    assert np.signbit(running_median(zero, 1, 1))
    assert not np.signbit(reference_median(zero, 1, 1))


@pytest.mark.parametrize(("kernel_size", "axis"), [(4, 1), (0, 1), (-3, 2), (5, 3), (5, None)])
def test_the_median_refuses(kernel_size, axis):
    with pytest.raises(ValueError, match=r"kernel size|dispersion axis"):
        running_median(np.zeros((5, 5), np.float32), kernel_size, axis)


def test_the_dispersion_axis(tmp_path):
    """The user's, else DISPAXIS, else that of EXP_TYPE; an unknown one is refused."""
    both = {"DISPAXIS": 1, "EXP_TYPE": "MIR_MRS"}
    assert find_dispersion_axis(both) == 1
    assert find_dispersion_axis(both, "2") == 2
    assert find_dispersion_axis({"EXP_TYPE": "mir_mrs"}) == 2
    assert find_dispersion_axis({"EXP_TYPE": "NRS_IFU"}) == 1
    with pytest.raises(ValueError, match="DISPAXIS 3"):
        find_dispersion_axis({"DISPAXIS": 3})
    cards = {"primary": {"EXP_TYPE": None}, "science": {"DISPAXIS": None}}
    exposure = write_exposure(tmp_path / "x_rate.fits", **cards)
    call("pedestal", exposure, "--output", tmp_path / "p.fits")
    call("minimum", tmp_path / "p.fits", tmp_path / "m.fits")
    files = tmp_path / "m.fits", tmp_path / "median.fits"
    with pytest.raises(InputError, match=r"m\.fits: neither .* axis; set dispersion_axis"):
        call("median", *files)
    call("median", *files, "--dispersion-axis", "2")
    assert same(fits.getdata(files[1]).astype("f4"), running_median(fits.getdata(files[0]), 15, 2))


# ---- threshold -----------------------------------------------------------------------------------

FRACTIONS = st.one_of(st.sampled_from([0.0, 0.001, 0.5]), st.floats(0, 0.5))


@settings(max_examples=300, deadline=None)
@given(IMAGES, FRACTIONS, FRACTIONS, st.sampled_from([1, 3, 15]), st.sampled_from([1, 2]))
def test_flags_are_the_reference_on_any_image(image, lower, upper, kernel_size, axis):
    median = reference_median(image, kernel_size, axis)  # where ours overflows, it is not
    flags, _, _ = flag_outliers(image, median, lower, upper)
    expected = np.zeros(image.shape, bool)
    expected[badpix_selfcal(image, lower, upper, kernel_size, axis)] = True
    assert np.array_equal(flags > 0, expected)


def test_flags_tell_low_from_high_and_count_as_specified(rng):
    image = rng.normal(size=(100, 90)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = NAN
    zeros = np.zeros_like(image)
    flags, low, high = flag_outliers(image, zeros, 0.01, 0.002)
    n = np.isfinite(image).sum()
    assert (flags == LOW).sum() == int((n - 1) * 0.01) + 1
    assert (flags == HIGH).sum() == int((n - 1) * 0.002) + 1
    assert image[flags == LOW].max() < low < high < image[flags == HIGH].min()
    assert not flags[np.isnan(image)].any()
    assert set(np.unique(flag_outliers(image, zeros, 0, 0.01)[0])) == {0, HIGH}
    for value in (0.0, 3.0, NAN):  # ties with the threshold are not flagged
        assert not flag_outliers(np.full_like(image, value), zeros, 0.1, 0.1)[0].any()


@pytest.mark.parametrize(("lower", "upper"), [(-0.1, 0.1), (0.1, 0.6), (NAN, 0.1)])
def test_flags_refuse(lower, upper):
    with pytest.raises(ValueError, match=r"not in 0 to 0\.5"):
        flag_outliers(np.zeros((3, 3)), np.zeros((3, 3)), lower, upper)
    with pytest.raises(ValueError, match="shapes"):
        flag_outliers(np.zeros((3, 3)), np.zeros((1, 3)))


# ---- minimum and pedestal ------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=VALUES)
)
def test_the_minimum_is_nanmin_in_any_order(stack):
    expected, before = np.nanmin(stack, axis=0), stack.copy()
    lowest, source = take_minimum(stack)
    assert same(lowest, expected)
    assert same(take_minimum(stack[::-1])[0], expected)
    first = np.argmax(stack == expected, axis=0) + 1
    assert np.array_equal(source, np.where(np.isnan(expected), 0, first))
    assert same(stack, before)


def test_shares_of_the_minimum():
    """An exposure dominates when its share is nearer to all than to an equal part."""
    source = np.array([[0, 1, 1, 2], [3, 3, 3, 3]], np.int16)
    assert measure_shares(source, 4).tolist() == [2 / 7, 1 / 7, 4 / 7, 0]
    assert measure_shares(np.zeros((2, 2), np.int16), 2).tolist() == [0, 0]
    assert [dominates(share, 4) for share in (0.25, 0.62, 0.63, 1.0)] == [False, False, True, True]
    assert not dominates(1.0, 1)


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "MIRIFULONG", "mirifulong", "NRS2"])
def test_the_pedestal_is_the_median_between_the_channels(detector, rng):
    plane = rng.normal(3, 1, (1024, 1032)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.02] = NAN
    columns = (503, 516) if "SHORT" in detector else (474, 507)
    level = np.nanmedian(plane[50:974, columns[0] : columns[1]])
    level = np.float32(0) if detector == "NRS2" else level
    subtracted, measured = subtract_pedestal(plane, detector)
    assert (measured, measured.dtype) == (level, np.float32)
    assert same(subtracted, plane - level)


def test_exposures_that_do_not_belong_together():
    header = {"DETECTOR": "NRS1", "EXP_TYPE": "NRS_IFU", "GRATING": "G395H"}
    seen = {}

    def compare(shape=(4, 4), **cards):
        return find_disagreements({**header, **cards}, shape, seen)

    assert compare() == compare(DETECTOR="nrs1", DISPAXIS=1) == ([], [])
    errors, _ = compare((4, 5), DETECTOR="NRS2")
    assert errors == ["shape (4, 5) against (4, 4)", "DETECTOR NRS2 against NRS1"]
    assert compare(GRATING="PRISM") == ([], ["GRATING PRISM against G395H"])
    assert compare(DISPAXIS=2) == (["DISPAXIS 2 against 1"], [])  # which the first lacks


# ---- diagnostics of flags ------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(bool, SHAPES), st.sampled_from([1, 2]))
def test_runs_of_flagged_pixels(flagged, axis):
    """As one would count them: the lengths of the words of x in each line."""
    lines = flagged if axis == 1 else flagged.T
    words = " ".join("".join("x" if f else " " for f in line) for line in lines)
    runs, lengths = label_runs(flagged, axis)
    assert lengths.tolist() == [0, *(len(word) for word in words.split())]
    numbered = (runs if axis == 1 else runs.T)[lines]
    assert numbered.tolist() == np.repeat(np.arange(len(lengths)), lengths).tolist()
    assert np.array_equal(runs > 0, flagged)


def diagnostics(flags, residual, *words):
    """Return the flags at the edge, in runs and line-like."""
    cards = count_diagnostics(flags, residual, np.zeros_like(residual), *words)
    counts = {keyword: value for keyword, value, _ in cards}
    return tuple(counts[keyword] for keyword in ("BPXNEDGE", "BPXNRUN", "BPXNLINE"))


def test_flags_at_the_edge_and_in_runs():
    flags = np.zeros((20, 30), np.uint8)
    flags[10, [0, 6, 7, 29]] = LOW  # half of a kernel of 15 is 7
    flags[[0, 19], 15] = flags[0, 0] = LOW
    flags[5, 10:12] = LOW
    flags[6, 10:14] = (LOW, HIGH, LOW, HIGH)  # a run of three or more, along x
    image = np.zeros(flags.shape, np.float32)
    assert diagnostics(flags, image, 1.0, 1, 15) == (4, 4, 0)
    assert diagnostics(flags, image, 1.0, 2, 15)[:2] == (9, 0)
    assert diagnostics(flags, image, 1.0, 1, 1)[0] == 0
    assert diagnostics(flags, image, 1.0, 2, 99)[0] == np.count_nonzero(flags)


@pytest.mark.parametrize(
    ("rows", "beside", "n"),
    [((50, 52), 5, 4), ((50, 53), 5, 0), ((0, 2), 5, 4), ((197, 199), 5, 4), ((50, 50), 2.0, 0)],
)
def test_what_counts_as_an_emission_line(rows, beside, n):
    """It may bend by two pixels between slices; its neighbours exceed half the threshold."""
    residual = np.zeros((200, 100), np.float32)
    flags = np.zeros(residual.shape, np.uint8)
    for i in range(4):
        y, x = rows[i % 2], 8 + 16 * i
        residual[y, x - 1 : x + 2] = beside, 5, beside
        flags[y, x] = HIGH
    assert diagnostics(flags, residual, 4.0, 2, 1)[2] == n
    assert diagnostics(flags.T, residual.T, 4.0, 1, 1)[2] == n
    y, x = find_line_like(flags.T == HIGH, residual.T, 4.0, 1)
    assert flags[x, y].tolist() == [HIGH] * n
    assert diagnostics(flags // HIGH, residual, 4.0, 2, 1)[2] == 0  # what is too low
    flags[:, 56] = 0  # three strips are no line
    assert diagnostics(flags, residual, 4.0, 2, 1)[2] == 0


def test_infinities_are_flagged_silently(tmp_path, capfd):
    """Also by the pedestal, which no card can hold."""
    planes = planes_of(DETECTORS["MIRIFULONG"])
    planes["SCI"][5, 5:30] = INF  # so that the median is infinite, too
    planes["SCI"][50:, 474:507] = INF
    exposure = write_exposure(tmp_path / "x_rate.fits", "MIRIFULONG", planes=planes)
    with warnings.catch_warnings(action="error"):
        flag(tmp_path, [exposure])
    assert "Warning" not in capfd.readouterr().err
