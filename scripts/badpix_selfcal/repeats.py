"""Stage beside the threshold: pixels that come and go, bad in some exposures of a stack."""

import numpy as np

from badpix_selfcal.noise import measure_residual

CUT = 4.0  # times the noise of an exposure
VALID, HIGH = 4, 2  # exposures that must be valid, and high, at least


def find_repeats(planes, kernel_size, axis, repeat_fraction, excluded=None):
    """
    Find pixels that are high in several exposures, though not in all: the minimum misses them.

    Parameters
    ----------
    planes : iterable of ndarray of float32, [ny, nx]
        The pedestal-subtracted exposures, read one at a time.
    kernel_size : int
        Length of the running median's window in pixels.
    axis : {1, 2}
        The dispersion axis.
    repeat_fraction : float
        Of the weight, 1 / noise^2, of the valid exposures: in so much of it a pixel must be high.
    excluded : ndarray of bool, [ny, nx], optional
        Pixels that take no part.

    Returns
    -------
    repeats : ndarray of bool, [ny, nx]
        Pixels that exceed CUT times their own noise (`measure_noise`) in at least HIGH exposures
        and in `repeat_fraction` of the weight, where at least VALID exposures are valid.
    """
    weight = weight_high = n_valid = n_high = 0
    for plane in planes:
        residual, noise = measure_residual(plane, kernel_size, axis, excluded)
        with np.errstate(invalid="ignore"):
            high = residual > np.float32(CUT) * noise
        valid = ~np.isnan(noise)
        own = np.where(valid, 1 / np.square(noise), 0)
        weight, weight_high = weight + own, weight_high + own * high
        n_valid, n_high = n_valid + valid.astype(np.int16), n_high + high.astype(np.int16)
    enough = (n_valid >= VALID) & (n_high >= HIGH)
    return enough & (weight_high >= repeat_fraction * weight)


def find_refusal(headers):
    """
    Say why pixels that come and go cannot be told from source light in a stack.

    Parameters
    ----------
    headers : list of mapping
        Of the planes.

    Returns
    -------
    reason : str
        With the remedy; empty where a dedicated background or several bands tell them.
    """
    if any(header.get("BKGDTARG") is True for header in headers):
        return ""
    if len({header.get("BAND") for header in headers}) > 1:
        return ""
    return (
        "repeat_fraction needs a dedicated background (BKGDTARG) or several bands in the stack, as "
        "it would flag an extended source; add them as selfcal, or set repeat_fraction to 0"
    )
