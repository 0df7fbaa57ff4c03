"""The noise, against a plain and slow reading of its definition."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badpix_selfcal.noise import measure_noise

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the slow reading

INF, NAN = np.inf, np.nan
FEW = st.sampled_from(np.array([-1, 0, 1, 2, 1.5, 9, INF, -INF, NAN, NAN, 3e38], np.float32))
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
TAME = st.one_of(st.sampled_from(np.array([NAN, 0, 1, 50], np.float32)), st.floats(-9, 9, width=32))
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=14)
IMAGES = st.one_of(*(hnp.arrays(np.float32, SHAPES, elements=e) for e in (FEW, ANY, TAME)))
KERNELS = st.sampled_from([1, 3, 5, 15, 31])


def median_of(values):
    values = np.sort([float(v) for v in values if v == v])
    n = values.size
    return (values[(n - 1) // 2] + values[n // 2]) / 2 if n else NAN


def slow_median(lines, half, along):
    """Median over 2 half + 1 pixels of [along, across], ignoring what is missing or beyond."""
    result = np.empty_like(lines)
    for (i, j), _ in np.ndenumerate(lines):
        part = lines[max(0, i - half) : i + half + 1, j] if along else \
            lines[i, max(0, j - half) : j + half + 1]  # fmt: skip
        result[i, j] = median_of(part)
    return result


def slow_noise(lines, k):
    """Follow the definition word for word, on an image [along, across]."""
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
    return result


def along(image, axis):
    return image if axis == 2 else image.T


def check_noise(image, kernel_size, axis):
    """Compare the noise with its definition; return it."""
    before = image.copy()
    found = measure_noise(image, kernel_size, axis)
    assert found.dtype == np.float32
    expected = slow_noise(along(image, axis), kernel_size)
    np.testing.assert_allclose(along(found, axis), expected, rtol=1e-5)
    np.testing.assert_array_equal(before, image)
    return found


@settings(max_examples=300, deadline=None)
@given(IMAGES, KERNELS, st.sampled_from([1, 2]))
def test_the_noise_is_its_definition_on_any_image(image, kernel_size, axis):
    check_noise(image, kernel_size, axis)


@pytest.mark.parametrize("axis", [1, 2])
def test_the_noise_of_a_detector_is_its_definition(axis, rng):
    """Also of windows without a valid pixel, and of images smaller than the windows."""
    image = rng.normal(size=(70, 90)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = NAN
    image[20:60, 40:43] = NAN
    image[30:34] += 8
    image[:, 50:] *= np.linspace(1, 30, 70, dtype=np.float32)[:, None]
    check_noise(image, 7, axis)
    for shape in ((1, 1), (1, 9), (9, 1), (2, 2)):
        check_noise(image[: shape[0], : shape[1]], 15, axis)


def test_shared_signal_is_light_but_a_blotch_is_not(rng):
    """A line across many pixels raises the noise to itself; three pixels do not."""
    image = rng.normal(0, 1, (200, 100)).astype(np.float32)
    image[100, 30:60] += 50
    image[150:153, 80:83] += 50
    found = measure_noise(image, 15, 2)
    assert (found[100, 36:54] > 40).all()
    assert (found[151, 80:83] < 5).all()


def test_the_noise_refuses_an_unknown_axis_and_another_shape():
    image = np.zeros((3, 3), np.float32)
    for axis in (None, 0, 3):
        with pytest.raises(ValueError, match="dispersion axis"):
            measure_noise(image, 3, axis)
    with pytest.raises(ValueError, match="shapes"):
        measure_noise(image, 3, 2, image[:1] > 0)


@pytest.mark.parametrize("axis", [1, 2])
def test_excluded_pixels_take_the_slope_from_no_neighbour(axis, rng):
    """The median is known at an excluded pixel, so that its neighbours have a slope."""
    step = 50 * np.clip(np.arange(60, dtype=np.float32) - 27, 0, 3)  # from row 27 to 30
    image = rng.normal(0, 1, (60, 40)).astype(np.float32) + step[:, None]
    excluded = rng.random(image.shape) < 0.05
    turned, mask = (along(a, axis) for a in (image, excluded))
    found = along(measure_noise(turned, 5, axis, mask), axis)
    assert np.array_equal(np.isnan(found), excluded)
    expected = slow_noise(np.where(excluded, np.float32(NAN), image), 5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (found[28:30][~excluded[28:30]] > 20).all()  # where the scatter is 1


@pytest.fixture
def rng():
    return np.random.default_rng(2)
