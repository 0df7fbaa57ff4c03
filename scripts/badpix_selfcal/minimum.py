"""Stage 2: the minimum of a stack's planes, pixel by pixel, ignoring NaN."""

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal.fits_io import add_cards, with_unit


def take_minimum(planes):
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
    lowest = next(planes)
    source = np.ones(lowest.shape, np.int16)
    for number, plane in enumerate(planes, start=2):
        lower = np.fmin(lowest, plane)
        np.putmask(source, lower != lowest, number)  # also where there was none before
        lowest = lower
    source[np.isnan(lowest)] = 0
    return lowest, source


def measure_shares(source, n_planes):
    """
    Measure how much of the minimum each plane sets.

    Parameters
    ----------
    source : ndarray of int16, [ny, nx]
        As of `take_minimum`.
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


def minimum_header(stack, planes, shares):
    """
    Make the header of a stack's minimum.

    Parameters
    ----------
    stack : FITSHDR
        The cards that name the stack.
    planes : list of (str, FITSHDR)
        Exposure name and header of each plane.
    shares : sequence of float
        Of the minimum, of each plane.

    Returns
    -------
    header : FITSHDR
        With the cards on which all planes agree (those without one agree with any), and the
        exposures with their pedestals, shares and warnings.
    """
    header, found = FITSHDR(stack), {}
    for _, cards in planes:
        for record in cards.records():
            if not record["name"].startswith("BPX"):
                found.setdefault(record["name"], []).append(record)
    for records in found.values():
        if len({record["value"] for record in records}) == 1:
            header.add_record(records[0])
    n_background = sum(cards.get("BKGDTARG") is True for _, cards in planes)
    add_cards(header, ("BPXNBKG", n_background, "dedicated backgrounds in the stack (BKGDTARG)"))
    for i, ((exposure, cards), share) in enumerate(zip(planes, shares, strict=True), start=1):
        warnings = [cards["BPXWARN"]] if "BPXWARN" in cards else []
        if dominates(share, len(planes)):
            warnings.append(f"sets {share:.0%} of the minimum")
        add_cards(
            header,
            (f"BPXE{i:04}", exposure, "exposure in the stack"),
            (f"BPXP{i:04}", cards.get("BPXPED", np.nan), with_unit(cards, "its residual pedestal")),
            (f"BPXS{i:04}", cards["BPXSIZE"], "[byte] size of its file"),
            (f"BPXT{i:04}", cards["BPXTIME"], "[ns] modification time of its file, since 1970"),
            (f"BPXF{i:04}", round(float(share), 5), "fraction of the minimum that it sets"),
        )
        if warnings:
            add_cards(header, (f"BPXW{i:04}", ", ".join(warnings), "warning"))
    return header
