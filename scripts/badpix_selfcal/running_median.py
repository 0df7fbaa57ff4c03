"""Running medians along an axis or over squares, ignoring NaN, to the bits of jwst's filter."""

import functools

import numpy as np

# What lies beyond the image: zeros, as in the reference, or nothing, so that windows shrink.
BEYOND = {"zero": np.float32(0), "shrink": np.float32(np.nan)}
TILE = 16  # adjacent windows, at most, that share the sorting of what they have in common
BLOCK = 1 << 14  # pixels of a plane of the network, whose planes then fit the processor's caches
SQUARES = 1 << 19  # pixels of square windows that are sorted at a time


def running_median(image, kernel_size, axis, edge_mode="zero"):
    """
    Filter an image with a running median, ignoring NaN.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        Any units.
    kernel_size : int
        Length of the window in pixels, odd; it may exceed the image.
    axis : {1, 2, None}
        Along which the window lies, as in DISPAXIS: 1 along x (rows), 2 along y (columns), None
        for a square window.
    edge_mode : {"zero", "shrink"}
        What a window that reaches beyond the image finds there: zeros, or nothing.

    Returns
    -------
    filtered : ndarray of float32, [ny, nx]
        In the units of `image`; NaN where a window holds nothing but NaN.

    Raises
    ------
    ValueError
        If the kernel is even or not positive, or if `axis` is none of the three.

    Notes
    -----
    The bits of ``stcal.outlier_detection.utils.medfilt`` of stcal 1.20.0 when `edge_mode` is
    zero. Memory: a few planes.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel size {kernel_size} is not odd")
    image = np.asarray(image, np.float32)
    if axis == 2:
        return median_of_columns(image, kernel_size, edge_mode)
    if axis == 1:
        return transposed(median_of_columns(transposed(image), kernel_size, edge_mode))
    if axis is None:
        return median_of_squares(image, kernel_size, edge_mode)
    raise ValueError(f"dispersion axis {axis} is neither 1, 2 nor None")


# ---- along an axis -------------------------------------------------------------------------------


def median_of_columns(image, k, edge_mode):
    """
    Filter along y; parameters and result as of `running_median`.

    Missing pixels of a column count as -inf and +inf in turn. So a window has as many of one as of
    the other, or one more: its median is the middle pixel of the sorted window, or the mean of it
    and of a neighbour in order. These three are found for a tile of windows at once.
    """
    (ny, nx), tile = image.shape, tile_size(k)
    steps, results, n_planes = network(k, tile)
    n_tiles = -(-ny // tile)
    beyond = (k // 2, k // 2 + n_tiles * tile - ny), (0, 0)
    padded = np.pad(image, beyond, constant_values=BEYOND[edge_mode])
    missing = np.isnan(padded)
    before = np.zeros((len(padded) + 1, nx), np.int32)  # how many are missing, before each
    for row, found in enumerate(missing):  # cumsum would go down the columns, against the caches
        np.add(before[row], found, out=before[row + 1])
    np.copyto(padded, -np.inf, where=missing)
    np.copyto(padded, np.inf, where=missing & (before[:-1] & 1 > 0))
    filtered = np.empty((n_tiles * tile, nx), np.float32)
    at_once = min(n_tiles, max(1, BLOCK // nx))
    made = np.empty((n_planes - (tile + k - 1), at_once, nx), np.float32)
    for start in range(0, n_tiles * tile, at_once * tile):
        end = min(start + at_once * tile, n_tiles * tile)
        # Plane i holds pixel i of each tile's reach.
        planes = [padded[i : i + end - start : tile] for i in range(start, start + tile + k - 1)]
        planes += list(made[:, : len(planes[0])])
        for function, a, b, out in steps:
            function(planes[a], planes[b], out=planes[out])
        for i, (low, middle, high) in enumerate(results):
            rows = slice(start + i, end, tile)
            first, n_missing = before[rows], before[start + i + k : end + k : tile] - before[rows]
            other = planes[middle].copy()
            # With one -inf more, the median lies half a place above the middle, else below it.
            np.copyto(other, planes[high], where=n_missing & ~first & 1 > 0)
            np.copyto(other, planes[low], where=n_missing & first & 1 > 0)
            with np.errstate(invalid="ignore", over="ignore"):
                other += planes[middle]
            filtered[rows] = np.where(n_missing == k, np.float32(np.nan), other / 2)
    return filtered[:ny]


def transposed(image):
    """Return a transposed copy, made by strips, which the caches like better."""
    turned = np.empty(image.shape[::-1], image.dtype)
    for y in range(0, len(image), 32):
        turned[:, y : y + 32] = image[y : y + 32].T
    return turned


def tile_size(k):
    """Return how many adjacent windows of `k` pixels are best sorted together, a power of two."""
    return min(TILE, 1 << ((k + 1) // 2).bit_length() - 1)


@functools.cache
def network(k, tile):
    """
    List the comparisons that find the three middle pixels of adjacent windows.

    Parameters
    ----------
    k, tile : int
        Length of a window, odd, and number of windows, at most `k`.

    Returns
    -------
    steps : list of (function, int, int, int)
        ``numpy.minimum`` or ``numpy.maximum`` of two planes into a third. The first
        ``tile + k - 1`` planes are the pixels that the windows reach, in order.
    results : list of list of int
        Of each window, the planes of the pixels around and in the middle, in order of size.
    n_planes : int

    Notes
    -----
    What the windows have in common is sorted once and cut to what can still be in the middle; then
    half of the windows take in what these have in common, and so on. Sorting is by Batcher's
    merges (Knuth, The Art of Computer Programming, section 5.3.4).
    """
    n_pixels = tile + k - 1
    numbers = {}  # of a comparison's result, from n_pixels on

    def result(function, a, b):
        return numbers.setdefault((function, a, b), n_pixels + len(numbers))

    def merge(a, b):
        if not a or not b:
            return a + b
        if len(a) == len(b) == 1:
            return [result(np.minimum, *a, *b), result(np.maximum, *a, *b)]
        first, *evens = merge(a[::2], b[::2])
        odds = merge(a[1::2], b[1::2])
        n = min(len(evens), len(odds))
        pairs = [
            result(f, *pair)
            for pair in zip(odds, evens, strict=False)
            for f in (np.minimum, np.maximum)
        ]
        return [first, *pairs, *evens[n:], *odds[n:]]

    def sort(values):
        half = len(values) // 2
        return merge(sort(values[:half]), sort(values[half:])) if half else values

    def middles(common, left, right):
        """Window i has what is `common`, sorted, ``left[i:]`` and ``right[:i]``."""
        surplus = max(0, (len(common) - len(left) - 3) // 2)
        common = common[surplus : len(common) - surplus]
        if not left:
            return [common if len(common) == 3 else common * 3]
        half = (len(left) + 1) // 2
        return [
            *middles(merge(common, sort(left[half - 1 :])), left[: half - 1], right[: half - 1]),
            *middles(merge(common, sort(right[:half])), left[half:], right[half:]),
        ]

    pixels = list(range(n_pixels))
    results = middles(sort(pixels[tile - 1 : k]), pixels[: tile - 1], pixels[k:])
    return in_few_planes(numbers, results, n_pixels)


def in_few_planes(numbers, results, n_pixels):
    """Leave out comparisons of no use, and reuse planes; see `network`."""
    last, kept = {number: None for result in results for number in result}, []
    for step, number in reversed(numbers.items()):
        if number in last:
            kept.append((*step, number))
            for source in step[1:]:
                last.setdefault(source, number)  # the last that reads it, as we go backwards
    place, free, n_planes = {pixel: pixel for pixel in range(n_pixels)}, [], n_pixels
    steps = []
    for function, a, b, number in reversed(kept):
        if not free:
            free.append(n_planes)
            n_planes += 1
        place[number] = free.pop()
        steps.append((function, place[a], place[b], place[number]))
        free += [
            place[source] for source in (a, b) if source >= n_pixels and last[source] == number
        ]
    return steps, [[place[number] for number in result] for result in results], n_planes


# ---- over squares --------------------------------------------------------------------------------


def median_of_squares(image, k, edge_mode):
    """Filter over squares of `k` pixels; parameters and result as of `running_median`."""
    padded = np.pad(image, k // 2, constant_values=BEYOND[edge_mode])
    missing = np.isnan(padded)
    padded[missing] = np.inf  # so that it sorts to the end of a window
    n_valid = k * k - box_sum(missing, (k, k))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k))
    filtered = np.empty(image.shape, np.float32)
    nx = image.shape[1]
    columns = max(1, min(nx, SQUARES // (k * k)))
    rows = max(1, SQUARES // (k * k * columns))
    for y in range(0, len(image), rows):
        for x in range(0, nx, columns):
            block = slice(y, y + rows), slice(x, x + columns)
            n = n_valid[block].reshape(-1, 1)
            ordered = np.sort(windows[block].reshape(-1, k * k), axis=1)
            low = np.take_along_axis(ordered, np.maximum(n - 1, 0) // 2, axis=1)
            high = np.take_along_axis(ordered, n // 2, axis=1)
            with np.errstate(invalid="ignore", over="ignore"):
                middle = np.where(n > 0, (low + high) / 2, np.float32(np.nan))
            filtered[block] = middle.reshape(filtered[block].shape)
    return filtered


def box_sum(mask, kernel):
    """Count the True in every window of `kernel` [ky, kx] pixels that lies inside `mask`."""
    counts = mask
    for axis, k in enumerate(kernel):
        total = np.cumsum(np.insert(counts, 0, 0, axis=axis), axis=axis, dtype=np.int32)
        first, last = [slice(None)] * 2, [slice(None)] * 2
        first[axis], last[axis] = slice(None, -k), slice(k, None)
        counts = total[tuple(last)] - total[tuple(first)]
    return counts
