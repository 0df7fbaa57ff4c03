"""Stage 1: the SCI planes of a stack's exposures, each less its residual pedestal, in one file."""

import warnings

import numpy as np

from badpix_selfcal.headers import find
from badpix_selfcal.images import (
    Header,
    add_cards,
    append_image,
    created,
    read_image,
    read_science,
    with_unit,
)
from badpix_selfcal.names import exposure_name
from badpix_selfcal.program import Fault, log, parser, warn
from badpix_selfcal.recorded import unchanged
from badpix_selfcal.version import VERSION

# Between the channels of MRS no light falls: [rows, columns], from jwst.badpix_selfcal.
UNILLUMINATED = {
    "MIRIFUSHORT": (slice(50, 974), slice(503, 516)),
    "MIRIFULONG": (slice(50, 974), slice(474, 507)),
}
# The exposures of a stack must agree in the first; where they differ in the second, we warn.
MUST_AGREE = ("INSTRUME", "DETECTOR", "EXP_TYPE", "DISPAXIS")
SHOULD_AGREE = ("FILTER", "GRATING")
ALSO_KEPT = ("CHANNEL", "BAND", "BUNIT")


def subtract_pedestal(plane, detector):
    """
    Subtract the residual pedestal of the dark current, seen where no light falls.

    Parameters
    ----------
    plane : ndarray of float32, [ny, nx]
        SCI of an exposure.
    detector : str
        Its DETECTOR, in either case.

    Returns
    -------
    plane : ndarray of float32, [ny, nx]
        SCI less the level, in the same units.
    level : float32
        The median of the unilluminated pixels: 0 on a detector that has no such region
        (NIRSpec), NaN (and so is the plane) where none of them is valid.

    Notes
    -----
    After ``jwst.badpix_selfcal.BadpixSelfcalStep.process`` of jwst 3.0.0.
    """
    region = UNILLUMINATED.get(detector.upper())
    if region is None:
        return plane, np.float32(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no valid pixel: NaN says it
        level = np.nanmedian(plane[region])
    return plane - level, level


def exposure_header(path, primary, science):
    """
    Collect the cards of an exposure that the next stages need, from its two headers.

    Parameters
    ----------
    path : str
        For the fault.
    primary, science : HDU
        The primary HDU, which wins, and SCI.

    Raises
    ------
    Fault
        If the exposure does not say its DETECTOR.
    """
    values = {**science.values, **primary.values}
    comments = {**science.comments, **primary.comments}
    if not isinstance(values.get("DETECTOR"), str) or not values["DETECTOR"]:
        raise Fault(f"{path}: no DETECTOR in the primary header; give a JWST exposure")
    header = Header()
    for key in (*MUST_AGREE, *SHOULD_AGREE, *ALSO_KEPT):
        value = values.get(key)
        if value is not None:
            # The reference takes DETECTOR in either case.
            value = value.upper() if isinstance(value, str) and key in MUST_AGREE else value
            header.add(key, value, comments[key])
    return header


def disagreements(header, shape, seen):
    """
    Compare an exposure with those of its stack that came before.

    Parameters
    ----------
    header : mapping
        Its cards.
    shape : tuple of int
        [ny, nx] of its SCI.
    seen : dict
        The first value of each card, and of the shape, in the stack; what is new is added.

    Returns
    -------
    faults, doubts : list of str
        What forbids to combine them, and what only makes it doubtful.
    """
    faults, doubts = [], []
    if shape != seen.setdefault("shape", shape):
        faults.append(f"shape {shape} against {seen['shape']}")
    for found, keys in ((faults, MUST_AGREE), (doubts, SHOULD_AGREE)):
        for key in keys:
            # A header without DISPAXIS (before assign_wcs) agrees with any.
            if key in header and header[key] != seen.setdefault(key, header[key]):
                found.append(f"{key} {header[key]} against {seen[key]}")
    return faults, doubts


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    options.add_argument("--output", required=True, help="pedestal.fits")
    options.add_argument("--add", metavar="IMAGE", help="an image to add to each exposure first")
    options.add_argument("--stack", default="stack", help="name of the stack, for the headers")
    return options


def main(arguments):
    """Write ``pedestal.fits``, one exposure in memory at a time."""
    seen = {}
    added = read_image(arguments.add)[0] if arguments.add else None
    with created(arguments.output) as output:
        stack = stack_cards(arguments.stack, len(arguments.exposures))
        append_image(output, None, stack)
        for path in arguments.exposures:
            with unchanged(path) as (n_bytes, modified):
                plane, hdus = read_science(path)
            header = exposure_header(path, hdus[0], find(hdus, "SCI"))
            faults, doubts = disagreements(header, plane.shape, seen)
            if faults:
                raise Fault(
                    f"{path}: {', '.join(faults)} of the exposures before it in the stack; "
                    "take those that do not belong out of the association"
                )
            plane = plane if added is None else plane + added
            plane, level = subtract_pedestal(plane, header["DETECTOR"])
            if level != level:
                doubts.append("left out, no valid pixel between channels")
            for doubt in doubts:
                warn(f"pedestal: warning: {path}: {doubt}")
            log(f"{path}: pedestal {level}")
            subtracted = with_unit(header, "residual pedestal that was subtracted")
            add_cards(
                header,
                ("BPXPED", float(level), subtracted),
                ("BPXSIZE", n_bytes, "[byte] size of the file that was read"),
                ("BPXTIME", modified, "[ns] its modification time, since 1970"),
            )
            if doubts:
                add_cards(header, ("BPXWARN", ", ".join(doubts), "warning"))
            append_image(output, plane, header, exposure_name(path))


def stack_cards(stack, n_exposures):
    """Return the header that names a stack."""
    header = Header()
    add_cards(
        header,
        ("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
        ("BPXSTACK", stack, "stack"),
        ("BPXNEXP", n_exposures, "number of exposures in the stack"),
    )
    return header
