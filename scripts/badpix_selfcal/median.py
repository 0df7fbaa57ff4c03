"""Stage 3: the running median of a stack's minimum along the dispersion axis, ignoring NaN."""

import bottleneck
import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.fits_io import add_cards
from badpix_selfcal.parameters import parameter_cards

# Beyond the image: zeros, as in the reference, or nothing, so that windows shrink.
BEYOND = {"zero": np.float32(0), "shrink": np.float32(np.nan)}
DISPERSION_AXIS = {"MIR_MRS": 2, "NRS_IFU": 1}


def running_median(image, kernel_size, axis, edge_mode="zero"):
    """
    Filter an image with a running median along one axis, ignoring NaN.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        Any units.
    kernel_size : int
        Length of the window in pixels, odd; it may exceed the image.
    axis : {1, 2}
        Along which the window lies, as in DISPAXIS: 1 along x (rows), 2 along y (columns).
    edge_mode : {"zero", "shrink"}
        What a window that reaches beyond the image finds there: zeros, or nothing.

    Returns
    -------
    filtered : ndarray of float32, [ny, nx]
        In the units of `image`; NaN where a window holds nothing but NaN.

    Raises
    ------
    ValueError
        If the kernel is even or not positive, or if `axis` is neither 1 nor 2.

    Notes
    -----
    The bits of ``stcal.outlier_detection.utils.medfilt`` of stcal 1.20.0 when `edge_mode` is
    zero, but for the sign of zero and where the sum of two values overflows float32.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel size {kernel_size} is not odd")
    if axis not in (1, 2):
        raise ValueError(f"dispersion axis {axis} is neither 1 nor 2")
    image, beyond = np.asarray(image, np.float32), BEYOND[edge_mode]
    return move_window(bottleneck.move_median, image, kernel_size, axis, beyond)


def move_window(function, image, kernel_size, axis, beyond):
    """Apply a function of bottleneck in a window around each pixel, with `beyond` at the edges."""
    half = kernel_size // 2
    widths = ((0, 0), (half, half)) if axis == 1 else ((half, half), (0, 0))
    padded = np.pad(image, widths, constant_values=beyond)
    # Axis 1 is along x, the second of [y, x].
    moved = function(padded, kernel_size, min_count=1, axis=2 - axis)
    # A window is named by its last pixel.
    return moved[2 * half :] if axis == 2 else moved[:, 2 * half :]


def subtract_median(minimum, median):
    """Return the residual, `minimum` less `median` [ny, nx]; inf less inf is NaN, silently."""
    with np.errstate(invalid="ignore", over="ignore"):
        return minimum - median


def exclude(image, excluded):
    """Return an image [ny, nx] that is NaN at excluded pixels (bool [ny, nx], or None)."""
    return image if excluded is None else np.where(excluded, np.float32(np.nan), image)


def filter_minimum(minimum, header, values, excluded=None):
    """
    Filter the minimum of a stack as the parameters say.

    Parameters
    ----------
    minimum : ndarray of float32, [ny, nx]
    header : FITSHDR
        Of the minimum.
    values : dict
        The parameters of the stage median, by name.
    excluded : ndarray of bool, [ny, nx], optional
        With edge_mode shrink: pixels that take no part, whose median is NaN.

    Returns
    -------
    median : ndarray of float32, [ny, nx]
    header : FITSHDR
        Of the minimum, with the parameters added.

    Raises
    ------
    ValueError
        If the dispersion axis is unknown.
    """
    axis = find_dispersion_axis(header, str(values["dispersion_axis"]))
    options = values["kernel_size"], axis, values["edge_mode"]
    header = FITSHDR(header)
    # NaN at excluded pixels, so that no later stage judges them.
    median = exclude(running_median(exclude(minimum, excluded), *options), excluded)
    if excluded is not None:
        n_excluded = int(np.count_nonzero(excluded))
        add_cards(header, ("BPXNOUT", n_excluded, "pixels excluded, bad in every exposure"))
    add_cards(header, *parameter_cards("median", values, dispersion_axis=axis))
    return median, header


def find_dispersion_axis(header, wanted="auto"):
    """
    Find the dispersion axis of an image.

    Parameters
    ----------
    header : mapping
        With DISPAXIS, which assign_wcs writes, or EXP_TYPE.
    wanted : {"auto", "1", "2"}
        What the user asks for; it wins over the header.

    Returns
    -------
    axis : {1, 2}

    Raises
    ------
    ValueError
        If DISPAXIS is neither 1 nor 2, or if neither card tells the axis.
    """
    if wanted != "auto":
        return int(wanted)
    exp_type = header.get("EXP_TYPE")
    axis = header.get("DISPAXIS") or DISPERSION_AXIS.get(str(exp_type).upper())
    if axis is None:
        raise ValueError("neither DISPAXIS nor EXP_TYPE tells the dispersion axis")
    if axis not in (1, 2):
        raise ValueError(f"DISPAXIS {axis} is neither 1 nor 2")
    return axis
