#!/usr/bin/env -S python3 -Es
"""Stage 2: the minimum of a stack's planes, pixel by pixel, ignoring NaN."""

import fitsio
import numpy as np

from _fits import add_cards, image_cards, opened, write_image
from _program import Fault, note, parser, run


def minimum(planes):
    """
    Take the minimum of planes, pixel by pixel, ignoring NaN.

    Parameters
    ----------
    planes : iterable of ndarray of float32, [ny, nx]
        Read one at a time: a few planes are in memory, however many there are.

    Returns
    -------
    lowest : ndarray of float32, [ny, nx]
        In the units of the planes; NaN where every plane is NaN.
    source : ndarray of int16, [ny, nx]
        The number, from 1, of the first plane that has the minimum; 0 where every plane is NaN.

    Notes
    -----
    The bits of ``numpy.nanmin`` over the stack, which ``jwst.badpix_selfcal`` takes.
    """
    planes = iter(planes)
    lowest = next(planes).copy()
    lower = np.empty_like(lowest)
    source = np.ones(lowest.shape, np.int16)
    number = 1
    for plane in planes:
        number += 1
        np.fmin(lowest, plane, out=lower)
        np.putmask(source, lower != lowest, number)  # also where there was none before
        lowest, lower = lower, lowest
        del plane  # before the next is read
    source[np.isnan(lowest)] = 0
    return lowest, source


def shares(source, n_planes):
    """
    Measure how much of the minimum each plane sets.

    Parameters
    ----------
    source : ndarray of int16, [ny, nx]
        As of `minimum`.
    n_planes : int

    Returns
    -------
    shares : ndarray of float64, [n_planes]
        Fractions of the valid pixels.
    """
    counts = np.bincount(source.ravel(), minlength=n_planes + 1)[1:]
    return counts / max(1, counts.sum())


def is_odd(share, n_planes):
    """Tell whether the share of a plane is nearer to all than to an equal part."""
    return n_planes > 1 and share > (1 + 1 / n_planes) / 2


def stack_header(header, planes, shares):
    """
    Make the header of a stack's minimum.

    Parameters
    ----------
    header : fitsio.FITSHDR
        The cards that name the stack.
    planes : list of (str, fitsio.FITSHDR)
        Exposure name and header of each plane.
    shares : sequence of float
        Of the minimum, of each plane.

    Returns
    -------
    header : fitsio.FITSHDR
        With the cards on which all planes agree (those without one agree with any), and the
        exposures with their pedestals, shares and warnings.
    """
    header = fitsio.FITSHDR(header.records())
    agreed = {}
    for _, cards in planes:
        for record in cards.records():
            agreed.setdefault(record["name"], []).append(record)
    for name, records in agreed.items():
        if not name.startswith("BPX") and len({record["value"] for record in records}) == 1:
            header.add_record(records[0])
    for i, ((exposure, cards), share) in enumerate(zip(planes, shares, strict=True), start=1):
        warnings = [cards["BPXWARN"]] if "BPXWARN" in cards else []
        if is_odd(share, len(planes)):
            warnings.append(f"sets {share:.0%} of the minimum")
        add_cards(
            header,
            (f"BPXE{i:04}", exposure, "exposure in the stack"),
            (f"BPXP{i:04}", cards.get("BPXPED", np.nan), "its residual pedestal"),
            (f"BPXF{i:04}", round(float(share), 5), "fraction of the minimum that it sets"),
        )
        if warnings:
            add_cards(header, (f"BPXW{i:04}", ", ".join(warnings), "warning"))
    return header


def main(arguments):
    """Write ``minimum.fits``, one plane in memory at a time; SOURCE says whose minimum it is."""
    with opened(arguments.pedestal) as file:
        if len(file) < 2:
            raise Fault(f"{arguments.pedestal}: no planes; give the file of the stage pedestal")
        lowest, source = minimum(hdu.read() for hdu in file[1:])
        planes = [(hdu.get_extname(), image_cards(hdu)) for hdu in file[1:]]
        header = stack_header(image_cards(file[0]), planes, shares(source, len(planes)))
    for card in header.records():
        if card["name"].startswith("BPXW"):
            note(f"{card['name']}: {card['value']}")
    write_image(arguments.output, lowest, header, SOURCE=source)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("pedestal", help="pedestal.fits")
    options.add_argument("output", help="minimum.fits")
    run(main, options)
