"""The noise, against a plain and slow reading of its definition."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badpix_selfcal.noise import mean_offset, noise
from badpix_selfcal.running_median import running_median

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the slow reading

INF, NAN = np.inf, np.nan
FEW = st.sampled_from(np.array([-1, 0, 1, 2, 1.5, 9, INF, -INF, NAN, NAN, 3e38], np.float32))
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
TAME = st.one_of(st.sampled_from(np.array([NAN, 0, 1, 50], np.float32)), st.floats(-9, 9, width=32))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=14)
IMAGES = st.one_of(*(hnp.arrays(np.float32, SHAPES, elements=e) for e in (FEW, ANY, TAME)))
KERNELS = st.sampled_from([1, 3, 5, 15, 31])


def median_of(values):
    values = np.sort(np.array([v for v in values if v == v], np.float32))
    n = values.size  # in float32 as the reference, where the sum of the largest numbers overflows
    return (values[(n - 1) // 2] + values[n // 2]) / np.float32(2) if n else np.float32(NAN)


def slow_median(lines, half, along):
    """Median over 2 half + 1 pixels of [along, across], ignoring what is missing or beyond."""
    result = np.empty_like(lines)
    for (i, j), _ in np.ndenumerate(lines):
        part = lines[max(0, i - half) : i + half + 1, j] if along else \
            lines[i, max(0, j - half) : j + half + 1]  # fmt: skip
        result[i, j] = median_of(part)
    return result


def slow_noise(lines, k):
    """The definition, word for word, on an image [along, across]; d and the noise."""
    median = slow_median(lines, k // 2, along=True)
    d = lines - median
    sigma = np.float32(1.4826) * slow_median(slow_median(abs(d), k, along=True), 5, along=False)
    line = abs(slow_median(d, 5, along=False))
    n = len(lines)
    result = np.full_like(lines, NAN)
    for (i, j), value in np.ndenumerate(d):
        if np.isnan(value) or not sigma[i, j] > 0:
            continue
        before, after = max(0, i - 1), min(n - 1, i + 1)
        steep = (median[after, j] - median[before, j]) / np.float32(max(1, after - before))
        offsets = [m - i for m in range(max(0, i - k // 2), min(n, i + k // 2 + 1))
                   if not np.isnan(d[m, j])]  # fmt: skip
        slope = abs(steep) * np.float32(max(1, 2 * abs(np.mean(offsets))))
        terms = [sigma[i, j], line[i, j], slope if n > 1 else NAN]
        result[i, j] = max(t for t in terms if t == t)
    return median, d, result


def along(image, axis):
    return image if axis == 2 else image.T


@settings(max_examples=400, deadline=None)
@given(IMAGES, KERNELS, st.sampled_from([1, 2]))
def test_noise_is_its_definition_on_any_image(image, kernel_size, axis):
    _, _, expected = slow_noise(along(image, axis), kernel_size)
    median = running_median(image, kernel_size, axis, "shrink")
    found = noise(image, median, kernel_size, axis)
    assert found.dtype == np.float32
    np.testing.assert_allclose(along(found, axis), expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_noise_of_a_detector_is_its_definition(axis, rng):
    image = rng.normal(size=(70, 90)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = NAN
    image[20:60, 40:43] = NAN
    image[30:34] += 8
    image[:, 50:] *= np.linspace(1, 30, 70, dtype=np.float32)[:, None]
    _, _, expected = slow_noise(along(image, axis), 7)
    median = running_median(image, 7, axis, "shrink")
    np.testing.assert_allclose(along(noise(image, median, 7, axis), axis), expected, rtol=1e-5)


def noise_of(image, kernel_size=5, axis=2):
    return noise(image, running_median(image, kernel_size, axis, "shrink"), kernel_size, axis)


@pytest.mark.parametrize("value", [0.0, 3.0, NAN, INF, -INF])
def test_a_constant_image_has_no_noise(value):
    assert np.isnan(noise_of(np.full((9, 12), value, np.float32))).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_an_image_smaller_than_the_windows_has_a_noise(shape, rng):
    image = rng.normal(size=shape).astype(np.float32)
    for axis in (1, 2):
        _, _, expected = slow_noise(along(image, axis), 15)
        np.testing.assert_allclose(along(noise_of(image, 15, axis), axis), expected, rtol=1e-5)


def test_infinities_are_judged_and_do_not_spread(rng):
    image = rng.normal(size=(60, 40)).astype(np.float32)
    plain = noise_of(image)
    image[30, 20], image[40, 5] = INF, -INF
    found = noise_of(image)
    assert np.isfinite(found[30, 20])
    assert np.isfinite(found[40, 5])
    assert np.array_equal(np.isnan(found), np.isnan(plain))


def test_windows_without_a_valid_pixel_are_not_judged(rng):
    image = rng.normal(size=(60, 40)).astype(np.float32)
    image[:, 10:30] = NAN
    image[30, 20] = 100  # alone: it is its own median
    assert np.isnan(noise_of(image)[:, 10:30]).all()


def test_what_neighbours_share_is_no_bad_pixel_but_a_blotch_is(rng):
    """A line across many pixels raises the noise to itself; three pixels do not."""
    image = rng.normal(0, 1, (200, 100)).astype(np.float32)
    image[100, 30:60] += 50
    image[150:153, 80:83] += 50
    found = noise_of(image, 15)
    assert (found[100, 36:54] > 40).all()
    assert (found[151, 80:83] < 5).all()


def test_mean_offset_of_a_window():
    valid = np.array([[1, 1, 1, 0, 1, 0, 0, 0, 0]], bool).T
    expected = [1, 0, (-2 - 1 + 0 + 2) / 4, (-2 - 1 + 1) / 3, -1, -1, -2, NAN, NAN]
    np.testing.assert_allclose(mean_offset(valid, 2)[:, 0], expected, rtol=1e-6)


def test_noise_leaves_its_input_alone(rng):
    image = rng.normal(size=(30, 30)).astype(np.float32)
    median = running_median(image, 5, 2, "shrink")
    before = image.copy(), median.copy()
    for axis in (1, 2):
        noise(image, median, 5, axis)
    assert np.array_equal(before, (image, median))


@pytest.mark.parametrize("axis", [None, 0, 3])
def test_noise_refuses_an_unknown_axis(axis):
    with pytest.raises(ValueError, match="dispersion axis"):
        noise(np.zeros((3, 3)), np.zeros((3, 3)), 3, axis)


def test_noise_refuses_another_shape():
    with pytest.raises(ValueError, match="shapes"):
        noise(np.zeros((3, 3)), np.zeros((1, 3)), 3, 2)


@pytest.fixture
def rng():
    return np.random.default_rng(2)
