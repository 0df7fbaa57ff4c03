#!/usr/bin/env -S python3 -Es
"""Stage 2: the minimum of a stack's planes, pixel by pixel, ignoring NaN."""

import fitsio
import numpy as np

from _fits import add_cards, image_cards, opened, write_image
from _program import Fault, parser, run


def minimum(planes):
    """
    Take the minimum of planes, pixel by pixel, ignoring NaN.

    Parameters
    ----------
    planes : iterable of ndarray of float32, [ny, nx]
        Read one at a time: two planes are in memory, however many there are.

    Returns
    -------
    lowest : ndarray of float32, [ny, nx]
        In the units of the planes; NaN where every plane is NaN.

    Notes
    -----
    The bits of ``numpy.nanmin`` over the stack, which ``jwst.badpix_selfcal`` takes.
    """
    planes = iter(planes)
    lowest = next(planes).copy()
    for plane in planes:
        np.fmin(lowest, plane, out=lowest)
    return lowest


def stack_header(header, planes):
    """
    Make the header of a stack's minimum.

    Parameters
    ----------
    header : fitsio.FITSHDR
        The cards that name the stack.
    planes : list of (str, fitsio.FITSHDR)
        Exposure name and header of each plane.

    Returns
    -------
    header : fitsio.FITSHDR
        With the cards on which all planes agree (those without one agree with any), and the
        exposures with their pedestals and warnings.
    """
    header = fitsio.FITSHDR(header.records())
    agreed = {}
    for _, cards in planes:
        for record in cards.records():
            agreed.setdefault(record["name"], []).append(record)
    for name, records in agreed.items():
        if not name.startswith("BPX") and len({record["value"] for record in records}) == 1:
            header.add_record(records[0])
    for i, (exposure, cards) in enumerate(planes, start=1):
        pedestal = cards.get("BPXPED", np.nan)
        add_cards(
            header,
            (f"BPXE{i:04}", exposure, "exposure in the stack"),
            (f"BPXP{i:04}", pedestal, "its residual pedestal"),
        )
        if "BPXWARN" in cards:
            add_cards(header, (f"BPXW{i:04}", cards["BPXWARN"], "warning"))
    return header


def main(arguments):
    """Write ``minimum.fits``, one plane in memory at a time."""
    with opened(arguments.pedestal) as file:
        if len(file) < 2:
            raise Fault(f"{arguments.pedestal}: no planes; give the file of the stage pedestal")
        lowest = minimum(hdu.read() for hdu in file[1:])
        planes = [(hdu.get_extname(), image_cards(hdu)) for hdu in file[1:]]
        header = stack_header(image_cards(file[0]), planes)
    write_image(arguments.output, lowest, header)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("pedestal", help="pedestal.fits")
    options.add_argument("output", help="minimum.fits")
    run(main, options)
