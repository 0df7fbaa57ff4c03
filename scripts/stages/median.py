"""Stage 3: the median of a stack's minimum along the dispersion axis, ignoring NaN."""

import numpy as np

from badpix_selfcal import parameters
from badpix_selfcal.images import add_cards, read_image, write_image
from badpix_selfcal.program import Fault, log, parser, warn
from badpix_selfcal.running_median import running_median

DISPERSION_AXIS = {"MIR_MRS": 2, "NRS_IFU": 1}


def dispersion_axis(header, wanted="auto"):
    """
    Find the dispersion axis of an image.

    Parameters
    ----------
    header : mapping
        With DISPAXIS, which assign_wcs writes, or EXP_TYPE, or neither.
    wanted : {"auto", "1", "2"}
        What the user asks for; it wins over the header.

    Returns
    -------
    axis : {1, 2, None}
        None where the header says nothing: the median is then taken in two dimensions.

    Raises
    ------
    ValueError
        If DISPAXIS is neither 1 nor 2.
    """
    if wanted != "auto":
        return int(wanted)
    axis = header.get("DISPAXIS")
    if axis is None:
        return DISPERSION_AXIS.get((header.get("EXP_TYPE") or "").upper())
    if axis not in (1, 2):
        raise ValueError(f"DISPAXIS {axis} is neither 1 nor 2")
    return axis


def usable_median(image, unusable, kernel_size, axis):
    """
    Take the running median of the pixels that are of use.

    Parameters
    ----------
    image : ndarray of float32, [ny, nx]
        Any units.
    unusable : ndarray of bool, [ny, nx]
        Pixels that take no part.
    kernel_size, axis
        As of `running_median`, whose windows shrink.

    Returns
    -------
    filtered : ndarray of float32, [ny, nx]
        NaN at the pixels of no use, so that no later stage judges them.
    """
    filtered = running_median(
        np.where(unusable, np.float32(np.nan), image), kernel_size, axis, "shrink"
    )
    filtered[unusable] = np.nan
    return filtered


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits")
    options.add_argument("output", help="median.fits")
    options.add_argument("--unusable", metavar="FILE", help="unusable.fits, for edge_mode shrink")
    parameters.add_options(options, "median")
    return options


def main(arguments):
    """Write ``median.fits``."""
    image, header = read_image(arguments.minimum)
    try:
        axis = dispersion_axis(header, arguments.dispersion_axis)
    except ValueError as error:
        raise Fault(f"{arguments.minimum}: {error}; set dispersion_axis to 1 or 2") from error
    if axis is None:
        warn(
            f"median: warning: {arguments.minimum}: neither DISPAXIS nor EXP_TYPE tells the "
            "dispersion axis, so the kernel is two-dimensional; set dispersion_axis to 1 or 2"
        )
    kernel_size = arguments.kernel_size
    if arguments.edge_mode == "shrink" and arguments.unusable:
        unusable, left_out = read_image(arguments.unusable)
        filtered = usable_median(image, unusable > 0, kernel_size, axis)
        header.add("BPXNOUT", left_out["BPXNOUT"], left_out.comments["BPXNOUT"])
    else:
        filtered = running_median(image, kernel_size, axis, arguments.edge_mode)
    add_cards(header, *parameters.cards("median", arguments, dispersion_axis=axis or 0))
    log(f"kernel {arguments.kernel_size} along axis {axis}, edge {arguments.edge_mode}")
    write_image(arguments.output, filtered, header)
