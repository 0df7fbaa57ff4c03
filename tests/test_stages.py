"""The arithmetic of the stages on arrays, against numpy, stcal and jwst; adversarial arrays too."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from conftest import program
from hypothesis import given, settings
from hypothesis import strategies as st
from jwst.badpix_selfcal.badpix_selfcal import badpix_selfcal
from stcal.outlier_detection.utils import medfilt

from badpix_selfcal.doubts import at_edge, counts, line_like, run_lengths
from badpix_selfcal.images import Header, add_cards, write_image
from badpix_selfcal.running_median import network, running_median
from stages.median import dispersion_axis
from stages.minimum import dominates, minimum, shares
from stages.pedestal import UNILLUMINATED, disagreements, subtract_pedestal
from stages.threshold import flag_outliers

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference

INF, NAN = np.inf, np.nan
# Few distinct values, so that ties are common; and all that float32 holds.
CRAMPED = st.sampled_from(np.array([-1, 0, 1, 2, 1.5, INF, -INF, NAN, NAN, 3e38], np.float32))
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
VALUES = st.one_of(CRAMPED, ANY)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
IMAGES = hnp.arrays(np.float32, SHAPES, elements=VALUES)
KERNELS = st.sampled_from([1, 3, 5, 7, 9, 15, 23, 25, 31, 51])


def reference_median(image, kernel_size, axis):
    kernel = {1: (1, kernel_size), 2: (kernel_size, 1), None: (kernel_size,) * 2}[axis]
    return medfilt(image, kernel)


def same(a, b):
    """Tell whether arrays have the same bits, all NaN counting as one."""
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


# ---- median --------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(IMAGES, KERNELS, st.sampled_from([1, 2]))
def test_median_is_the_reference_on_any_image(image, kernel_size, axis):
    assert same(
        running_median(image, kernel_size, axis), reference_median(image, kernel_size, axis)
    )


@settings(max_examples=100, deadline=None)
@given(IMAGES, st.sampled_from([1, 3, 5, 15, 23]))
def test_median_in_two_dimensions_is_the_reference(image, kernel_size):
    assert same(
        running_median(image, kernel_size, None), reference_median(image, kernel_size, None)
    )


@pytest.mark.parametrize("kernel_size", [3, 15, 25, 27, 151])
@pytest.mark.parametrize("axis", [1, 2])
def test_median_of_a_detector_is_the_reference(kernel_size, axis, rng):
    image = rng.normal(size=(300, 211)).astype(np.float32)
    image[rng.random(image.shape) < 0.05] = NAN
    image[40:60, 30:90] = NAN
    image[rng.random(image.shape) < 0.01] = INF
    assert same(
        running_median(image, kernel_size, axis), reference_median(image, kernel_size, axis)
    )


def test_median_with_a_large_square_kernel_is_the_reference(rng):
    image = rng.normal(size=(40, 30)).astype(np.float32)
    image[rng.random(image.shape) < 0.2] = NAN
    assert same(running_median(image, 31, None), reference_median(image, 31, None))


@settings(max_examples=200, deadline=None)
@given(IMAGES, st.sampled_from([3, 5, 15]), st.sampled_from([1, 2]))
def test_median_that_shrinks_sees_nothing_beyond_the_edge(image, kernel_size, axis):
    half = kernel_size // 2
    lines = image if axis == 1 else image.T
    expected = np.empty_like(lines)
    for y, line in enumerate(lines):
        for x in range(line.size):
            expected[y, x] = np.nanmedian(line[max(0, x - half) : x + half + 1][None], axis=1)[0]
    expected = expected if axis == 1 else expected.T
    assert same(running_median(image, kernel_size, axis, "shrink"), np.ascontiguousarray(expected))


def test_median_leaves_its_input_alone(rng):
    image = rng.normal(size=(30, 30)).astype(np.float32)
    image[3, 4] = NAN
    before = image.copy()
    for axis in (1, 2, None):
        running_median(image, 5, axis)
    assert same(image, before)


def test_median_takes_what_fits_files_hold(rng):
    image = rng.normal(size=(30, 30)).astype(">f4")
    assert same(running_median(image, 5, 1), reference_median(image.astype("f4"), 5, 1))


@pytest.mark.parametrize(("kernel_size", "axis"), [(4, 1), (0, 1), (-3, 2), (5, 3), (5, 0)])
def test_median_refuses(kernel_size, axis):
    with pytest.raises(ValueError, match=r"kernel size|dispersion axis"):
        running_median(np.zeros((5, 5), np.float32), kernel_size, axis)


@pytest.mark.parametrize(("k", "tile"), [(1, 1), (3, 2), (5, 2), (7, 4), (15, 8), (31, 16), (9, 9)])
def test_network_finds_the_middle_of_each_window(k, tile, rng):
    """And its neighbours in order of size, on ties, too."""
    pixels = rng.integers(0, 9, (tile + k - 1, 300))
    steps, results, n_planes = network(k, tile)
    planes = [*pixels, *np.zeros((n_planes - len(pixels), 300), int)]
    for function, a, b, out in steps:
        planes[out] = function(planes[a], planes[b])
    for i, result in enumerate(results):
        ordered = np.sort(pixels[i : i + k], axis=0)
        expected = ordered[k // 2 - 1 : k // 2 + 2] if k > 1 else ordered[[0, 0, 0]]
        assert np.array_equal([planes[p] for p in result], expected)


@pytest.mark.parametrize(
    ("header", "wanted", "axis"),
    [
        ({"DISPAXIS": 1, "EXP_TYPE": "MIR_MRS"}, "auto", 1),
        ({"DISPAXIS": 1, "EXP_TYPE": "MIR_MRS"}, "2", 2),
        ({"EXP_TYPE": "MIR_MRS"}, "auto", 2),
        ({"EXP_TYPE": "NRS_IFU"}, "auto", 1),
        ({"EXP_TYPE": "MIR_IMAGE"}, "auto", None),
        ({}, "auto", None),
    ],
)
def test_dispersion_axis(header, wanted, axis):
    assert dispersion_axis(header, wanted) == axis


def test_dispersion_axis_refuses_what_is_none():
    with pytest.raises(ValueError, match="DISPAXIS 3"):
        dispersion_axis({"DISPAXIS": 3})


# ---- threshold -----------------------------------------------------------------------------------

FRACTIONS = st.one_of(st.sampled_from([0.0, 0.001, 0.5]), st.floats(0, 0.5))


@settings(max_examples=300, deadline=None)
@given(IMAGES, FRACTIONS, FRACTIONS, st.sampled_from([1, 3, 15]), st.sampled_from([1, 2]))
def test_flags_are_the_reference_on_any_image(image, lower, upper, kernel_size, axis):
    flags, _, _ = flag_outliers(image, running_median(image, kernel_size, axis), lower, upper)
    expected = np.zeros(image.shape, bool)
    expected[badpix_selfcal(image, lower, upper, kernel_size, axis)] = True
    assert np.array_equal(flags > 0, expected)


def test_flags_tell_low_from_high_and_count_as_specified(rng):
    image = rng.normal(size=(100, 90)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = NAN
    flags, low, high = flag_outliers(image, np.zeros_like(image), 0.01, 0.002)
    n = np.isfinite(image).sum()
    assert (flags == 1).sum() == int((n - 1) * 0.01) + 1
    assert (flags == 2).sum() == int((n - 1) * 0.002) + 1
    assert image[flags == 1].max() < low < high < image[flags == 2].min()
    assert not flags[np.isnan(image)].any()


@pytest.mark.parametrize("value", [0.0, 3.0, NAN])
def test_a_constant_image_has_no_flags(value):
    image = np.full((9, 9), value, np.float32)
    assert not flag_outliers(image, np.zeros_like(image), 0.1, 0.1)[0].any()


def test_fraction_zero_flags_nothing_on_its_side(rng):
    image = rng.normal(size=(50, 50)).astype(np.float32)
    flags, _, _ = flag_outliers(image, np.zeros_like(image), 0, 0.01)
    assert set(np.unique(flags)) == {0, 2}


@pytest.mark.parametrize(("lower", "upper"), [(-0.1, 0.1), (0.1, 0.6), (NAN, 0.1)])
def test_flags_refuse_fractions_out_of_range(lower, upper):
    with pytest.raises(ValueError, match=r"not in 0 to 0\.5"):
        flag_outliers(np.zeros((3, 3)), np.zeros((3, 3)), lower, upper)


def test_flags_refuse_another_shape():
    with pytest.raises(ValueError, match="shapes"):
        flag_outliers(np.zeros((3, 3)), np.zeros((1, 3)))


# ---- minimum and pedestal ------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=VALUES)
)
def test_minimum_is_nanmin_in_any_order(stack):
    expected = np.nanmin(stack, axis=0)
    lowest, source = minimum(stack)
    assert same(lowest, expected)
    assert same(minimum(stack[::-1])[0], expected)
    assert np.array_equal(source == 0, np.isnan(expected))
    first = np.argmax(stack == expected, axis=0) + 1
    assert np.array_equal(source, np.where(source > 0, first, 0))


def test_shares_of_the_minimum():
    source = np.array([[0, 1, 1, 2], [3, 3, 3, 3]], np.int16)
    assert shares(source, 4).tolist() == [2 / 7, 1 / 7, 4 / 7, 0]
    assert shares(np.zeros((2, 2), np.int16), 2).tolist() == [0, 0]


def test_an_exposure_dominates_when_its_share_is_nearer_to_all():
    assert [dominates(share, 4) for share in (0.25, 0.6, 0.63, 1.0)] == [False, False, True, True]
    assert not dominates(1.0, 1)


def test_minimum_leaves_its_input_alone():
    first, second = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    assert minimum([first, second])[0].sum() == 0
    assert first.sum() == 4


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "MIRIFULONG", "mirifulong"])
def test_pedestal_is_the_median_between_the_channels(detector, rng):
    plane = rng.normal(3, 1, (1024, 1032)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.02] = NAN
    columns = (503, 516) if "SHORT" in detector else (474, 507)
    level = np.nanmedian(plane[50:974, columns[0] : columns[1]])
    subtracted, measured = subtract_pedestal(plane, detector)
    assert measured == level
    assert measured.dtype == np.float32
    assert same(subtracted, plane - level)


def test_nirspec_has_no_pedestal(rng):
    plane = rng.normal(3, 1, (64, 64)).astype(np.float32)
    subtracted, level = subtract_pedestal(plane, "NRS2")
    assert level == 0
    assert same(subtracted, plane)


def test_an_exposure_without_valid_unilluminated_pixels_drops_out():
    plane = np.ones((1024, 1032), np.float32)
    plane[UNILLUMINATED["MIRIFULONG"]] = NAN
    subtracted, level = subtract_pedestal(plane, "MIRIFULONG")
    assert np.isnan(level)
    assert np.isnan(subtracted).all()
    assert same(minimum([subtracted, plane])[0], plane)


def test_exposures_that_do_not_belong_together():
    header = {"DETECTOR": "NRS1", "EXP_TYPE": "NRS_IFU", "GRATING": "G395H"}
    seen = {}
    assert disagreements(header, (4, 4), seen) == ([], [])
    assert disagreements({**header, "DISPAXIS": 1}, (4, 4), seen) == ([], [])
    faults, doubts = disagreements({**header, "DETECTOR": "NRS2"}, (4, 5), seen)
    assert faults == ["shape (4, 5) against (4, 4)", "DETECTOR NRS2 against NRS1"]
    faults, doubts = disagreements({**header, "GRATING": "PRISM"}, (4, 4), seen)
    assert (faults, doubts) == ([], ["GRATING PRISM against G395H"])
    # Not only against the first, which does not say.
    faults, _ = disagreements({**header, "DISPAXIS": 2}, (4, 4), seen)
    assert faults == ["DISPAXIS 2 against 1"]


# ---- what is doubtful among the flags ------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(bool, SHAPES), st.sampled_from([1, 2]))
def test_runs_of_flagged_pixels(flagged, axis):
    """As one would count them: the lengths of the words of x in each line."""
    lines = flagged if axis == 1 else flagged.T
    words = "|".join("".join("x" if f else " " for f in line) for line in lines)
    expected = [len(word) for word in words.replace("|", " ").split()]
    assert run_lengths(flagged, axis).tolist() == expected


@pytest.mark.parametrize(("axis", "expected"), [(1, 4), (2, 3), (None, 6)])
def test_flags_at_the_edge(axis, expected):
    flagged = np.zeros((20, 30), bool)
    flagged[10, [0, 6, 7, 29]] = True  # half of a kernel of 15 is 7
    flagged[[0, 19], 15] = flagged[0, 0] = True
    assert at_edge(flagged, axis, 15) == expected
    assert at_edge(flagged, axis, 1) == 0
    assert at_edge(flagged, axis, 99) == flagged.sum()


@pytest.mark.parametrize("axis", [1, 2])
def test_a_line_is_told_from_bad_pixels(axis, rng):
    """A line is bright across a slice, and at about the same wavelength in several slices."""
    difference = rng.normal(0, 0.1, (200, 300)).astype(np.float32)
    line = np.zeros(difference.shape, bool)
    for i, start in enumerate(range(20, 280, 30)):
        line[100 + i % 3, start : start + 5] = True
    difference[line] += 5
    bad = np.zeros(difference.shape, bool)
    bad[rng.integers(0, 200, 60), rng.integers(0, 300, 60)] = True
    bad[101, ::40] = True  # at the line's wavelength, yet each alone
    bad[50:53, 60:63] = True  # a cluster is in one place
    bad &= ~line
    difference[bad] += 5
    flagged = line | bad
    if axis == 1:
        y, x = line_like(flagged.T, difference.T, 4.0, 1)
        x, y = y, x
    else:
        y, x = line_like(flagged, difference, 4.0, 2)
    found = np.zeros_like(line)
    found[y, x] = True
    beside = np.roll(line, 1, axis=1) & np.roll(line, -1, axis=1)
    assert found[line & beside].all()
    assert not found[bad & ~beside].any()
    assert line_like(bad, np.where(line, 0, difference), 4.0, 2)[0].size == 0


@pytest.mark.parametrize(
    ("rows", "n"), [((50, 52), 4), ((50, 53), 0), ((0, 2), 4), ((197, 199), 4)]
)
def test_a_line_may_bend_by_two_pixels_between_slices(rows, n):
    """Flags of it in four strips: two of them at one wavelength, two at another."""
    difference = np.zeros((200, 100), np.float32)
    flagged = np.zeros(difference.shape, bool)
    for i in range(4):
        y, x = rows[i % 2], 8 + 16 * i
        difference[y, x - 1 : x + 2] = 5
        flagged[y, x] = True
    assert line_like(flagged, difference, 4.0, 2)[0].size == n
    assert line_like(flagged.T, difference.T, 4.0, 1)[0].size == n
    if n:  # what is too low is no line
        assert counts(2 * flagged.astype(np.uint8), difference, 4.0, 2, 1)[2] == n
        assert counts(flagged.astype(np.uint8), difference, 4.0, 2, 1)[2] == 0
    flagged[:, 56] = False  # three strips are no line
    assert line_like(flagged, difference, 4.0, 2)[0].size == 0


@pytest.mark.parametrize(("beside", "n"), [(2.1, 4), (2.0, 0)])
def test_a_line_has_neighbours_above_half_the_threshold(beside, n):
    difference = np.zeros((20, 100), np.float32)
    flagged = np.zeros(difference.shape, bool)
    flagged[5, 8:72:16] = True
    difference[5, 7::16] = difference[5, 9::16] = beside
    difference[flagged] = 5
    assert line_like(flagged, difference, 4.0, 2)[0].size == n


def test_infinities_are_flagged_silently(tmp_path):
    image = np.zeros((40, 40), np.float32)
    image[5, 5:30] = INF  # so that the median is infinite, too
    header = Header()
    add_cards(header, ("BPXAXIS", 1, ""), ("BPXKERN", 15, ""))
    filtered = running_median(image, 15, 1)
    write_image(str(tmp_path / "minimum.fits"), image, header)
    write_image(str(tmp_path / "median.fits"), filtered, header)
    files = [tmp_path / f"{name}.fits" for name in ("minimum", "median", "flags")]
    assert program("threshold", *files).stderr == ""


def test_counts_without_a_dispersion_axis():
    flags = np.ones((5, 5), np.uint8)
    assert counts(flags, np.zeros((5, 5)), 1.0, None, 3) == (16, None, None)
    assert counts(flags, np.zeros((5, 5)), 1.0, 2, 3) == (10, 25, 0)


def test_only_runs_of_three_or_more_are_counted():
    flags = np.zeros((5, 20), np.uint8)
    flags[0, :2] = flags[1, 4:7] = 1
    flags[2, 3:7] = (1, 2, 1, 2)
    assert counts(flags, np.zeros((5, 20)), 1.0, 1, 1) == (0, 7, 0)


@pytest.fixture
def rng():
    return np.random.default_rng(1)
