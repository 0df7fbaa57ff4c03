"""Stage 2: the minimum of a stack's planes, pixel by pixel, ignoring NaN."""

import numpy as np

from badpix_selfcal.headers import read_hdus
from badpix_selfcal.images import Header, add_cards, handed_on, read_pixels, with_unit, write_image
from badpix_selfcal.program import Fault, log, parser


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


def dominates(share, n_planes):
    """Tell whether the share of a plane is nearer to all than to an equal part."""
    return n_planes > 1 and share > (1 + 1 / n_planes) / 2


def stack_header(header, planes, shares):
    """
    Make the header of a stack's minimum.

    Parameters
    ----------
    header : Header
        The cards that name the stack.
    planes : list of (str, Header)
        Exposure name and header of each plane.
    shares : sequence of float
        Of the minimum, of each plane.

    Returns
    -------
    header : Header
        With the cards on which all planes agree (those without one agree with any), and the
        exposures with their pedestals, shares and warnings.
    """
    header = Header(header, header.comments)
    found = {}
    for _, cards in planes:
        for keyword, value in cards.items():
            found.setdefault(keyword, []).append((value, cards.comments[keyword]))
    for keyword, cards in found.items():
        if not keyword.startswith("BPX") and len({value for value, _ in cards}) == 1:
            header.add(keyword, *cards[0])
    for i, ((exposure, cards), share) in enumerate(zip(planes, shares, strict=True), start=1):
        warnings = [cards["BPXWARN"]] if "BPXWARN" in cards else []
        if dominates(share, len(planes)):
            warnings.append(f"sets {share:.0%} of the minimum")
        add_cards(
            header,
            (f"BPXE{i:04}", exposure, "exposure in the stack"),
            (f"BPXP{i:04}", cards.get("BPXPED", np.nan), with_unit(cards, "its residual pedestal")),
            (f"BPXS{i:04}", cards.get("BPXSIZE", np.nan), "[byte] size of its file"),
            (f"BPXT{i:04}", cards.get("BPXTIME", np.nan), "[ns] time of its file, since 1970"),
            (f"BPXF{i:04}", round(float(share), 5), "fraction of the minimum that it sets"),
        )
        if warnings:
            add_cards(header, (f"BPXW{i:04}", ", ".join(warnings), "warning"))
    return header


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("pedestal", help="pedestal.fits")
    options.add_argument("output", help="minimum.fits")
    return options


def main(arguments):
    """Write ``minimum.fits``, one plane in memory at a time; SOURCE says whose minimum it is."""
    stack, *hdus = read_hdus(arguments.pedestal)
    if not hdus:
        raise Fault(f"{arguments.pedestal}: no planes; give the file of the stage pedestal")
    lowest, source = minimum(read_pixels(arguments.pedestal, hdu) for hdu in hdus)
    planes = [(hdu.values["EXTNAME"], handed_on(hdu)) for hdu in hdus]
    header = stack_header(handed_on(stack), planes, shares(source, len(planes)))
    for keyword, value in header.items():
        if keyword.startswith("BPXW"):
            log(f"{keyword}: {value}")
    write_image(arguments.output, lowest, header, SOURCE=source)
