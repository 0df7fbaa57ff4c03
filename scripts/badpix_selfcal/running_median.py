"""The running median of an image, ignoring NaN, exact and fast."""

import functools

import numpy as np

# What lies beyond the image: zeros, as in the reference, or nothing, so that windows shrink.
BEYOND = {"zero": np.float32(0), "shrink": np.float32(np.nan)}
BLOCK = 1 << 19  # window elements sorted at a time: 2 MB, which fit the processor's caches
NETWORK = 25  # longest window that is faster sorted by a network than by numpy's sort


def running_median(image, kernel_size, axis, edge_mode="zero"):
    """
    Filter an image with a running median along its dispersion axis, ignoring NaN.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        Any units.
    kernel_size : int
        Length of the window in pixels, odd; it may exceed the image.
    axis : {1, 2, None}
        The dispersion axis as in DISPAXIS: 1 along x (rows), 2 along y (columns), None for a
        square window.
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
    zero. Windows are sorted in blocks, missing pixels last, so the middle is found by counting.
    Memory: a few planes, whatever the kernel.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel size {kernel_size} is not odd")
    if axis not in (1, 2, None):
        raise ValueError(f"dispersion axis {axis} is neither 1, 2 nor None")
    if axis == 2 and kernel_size > NETWORK:  # numpy sorts faster along rows
        turned = running_median(np.ascontiguousarray(image.T), kernel_size, 1, edge_mode)
        return np.ascontiguousarray(turned.T)
    kernel = {1: (1, kernel_size), 2: (kernel_size, 1), None: (kernel_size, kernel_size)}[axis]
    beyond = [(k // 2, k // 2) for k in kernel]
    padded = np.pad(np.asarray(image, np.float32), beyond, constant_values=BEYOND[edge_mode])
    missing = np.isnan(padded)
    padded[missing] = np.inf  # so that it sorts to the end of a window
    n_valid = kernel[0] * kernel[1] - box_sum(missing, kernel)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel)
    filtered = np.empty(image.shape, np.float32)
    for block in blocks(image.shape, kernel[0] * kernel[1]):
        filtered[block] = median_of_windows(windows[block], n_valid[block])
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


def blocks(shape, window):
    """Cut an image [ny, nx] into blocks whose windows of `window` pixels fit BLOCK."""
    ny, nx = shape
    columns = max(1, min(nx, BLOCK // window))
    rows = max(1, BLOCK // (window * columns))
    for y in range(0, ny, rows):
        for x in range(0, nx, columns):
            yield slice(y, y + rows), slice(x, x + columns)


def median_of_windows(windows, n_valid):
    """
    Take the median of each window.

    Parameters
    ----------
    windows : ndarray of float32, [ny, nx, ky, kx]
        Infinite where a pixel is missing.
    n_valid : ndarray of int, [ny, nx]
        How many pixels of each window are not missing.

    Returns
    -------
    medians : ndarray of float32, [ny, nx]
        The mean of the two in the middle where `n_valid` is even, NaN where it is 0.
    """
    size = windows.shape[2] * windows.shape[3]
    ordered = sort_windows(windows)
    low = high = ordered[size // 2]
    gaps = np.flatnonzero(n_valid < size)
    if gaps.size:
        n = n_valid.reshape(-1)[gaps]
        low, high = low.copy(), high.copy()
        low[gaps] = np.where(n > 0, ordered[(n - 1) // 2, gaps], np.nan)
        high[gaps] = ordered[n // 2, gaps]
    with np.errstate(invalid="ignore", over="ignore"):
        return ((low + high) / 2).reshape(n_valid.shape)


def sort_windows(windows):
    """
    Sort each window [ny, nx, ky, kx]; return its pixels, the smallest first, [n, ny * nx].

    At least up to the middle. Small windows are sorted all at once, by the comparisons of Batcher's
    network (Knuth, The Art of Computer Programming, algorithm 5.2.2 M); a call of sort for each
    would take thrice as long.
    """
    ny, nx, *kernel = windows.shape
    size = kernel[0] * kernel[1]
    if size > NETWORK:
        return np.sort(windows.reshape(ny * nx, size), axis=1).T
    planes = [windows[:, :, j, i] for j in range(kernel[0]) for i in range(kernel[1])]
    for a, b in half_network(size):
        planes[a], planes[b] = np.minimum(planes[a], planes[b]), np.maximum(planes[a], planes[b])
    return np.stack(planes[: size // 2 + 1]).reshape(-1, ny * nx)


@functools.cache
def half_network(size):
    """List the comparisons of the network that matter for the places up to the middle."""
    wanted, pairs = set(range(size // 2 + 1)), []
    for pair in reversed(list(batcher_network(size))):
        if not wanted.isdisjoint(pair):
            wanted.update(pair)
            pairs.insert(0, pair)
    return pairs


def batcher_network(size):
    """Yield the pairs of places to compare, and to swap if need be, so that `size` are sorted."""
    top = 1 << (size - 1).bit_length() >> 1
    p = top
    while p:
        q, r, d = top, 0, p
        while d:
            for i in range(size - d):
                if i & p == r:
                    yield i, i + d
            d, q, r = q - p, q >> 1, p
        p >>= 1
