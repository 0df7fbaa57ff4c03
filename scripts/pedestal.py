#!/usr/bin/env -S python3 -Es
"""Stage 1: the SCI planes of a stack's exposures, each less its residual pedestal, in one file."""

import warnings

import fitsio
import numpy as np

from _fits import add_cards, append_image, read_science
from _names import exposure_name
from _program import VERSION, Fault, complain, note, parser, run, whole

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


def stack_header(path, primary, science):
    """
    Collect the cards of an exposure that the next stages need, from its two headers.

    Raises
    ------
    Fault
        If the exposure does not say its DETECTOR.
    """
    found = {r["name"]: r for r in [*science.records(), *primary.records()]}
    if not (found.get("DETECTOR") or {}).get("value"):
        raise Fault(f"{path}: no DETECTOR in the primary header; give a JWST exposure")
    keys = (*MUST_AGREE, *SHOULD_AGREE, *ALSO_KEPT)
    return fitsio.FITSHDR([found[k] for k in keys if k in found and found[k]["value"] is not None])


def disagreements(header, shape, other, other_shape):
    """
    Compare an exposure with another of its stack.

    Returns
    -------
    faults, doubts : list of str
        What forbids to combine them, and what only makes it doubtful.
    """
    faults = [] if shape == other_shape else [f"shape {shape} against {other_shape}"]
    doubts = []
    for found, keys in ((faults, MUST_AGREE), (doubts, SHOULD_AGREE)):
        for key in keys:
            mine, others = header.get(key), other.get(key)
            # A header without DISPAXIS (before assign_wcs) agrees with any.
            if None not in (mine, others) and str(mine).upper() != str(others).upper():
                found.append(f"{key} {mine} against {others}")
    return faults, doubts


def main(arguments):
    """Write ``pedestal.fits``, one exposure in memory at a time."""
    first = None
    with whole(arguments.output) as part, fitsio.FITS(part, "rw", clobber=True) as output:
        output.write(None, header=stack_cards(arguments.stack, len(arguments.exposures)))
        for path in arguments.exposures:
            plane, primary, science = read_science(path)
            header = stack_header(path, primary, science)
            first = first or (path, header, plane.shape)
            faults, doubts = disagreements(header, plane.shape, *first[1:])
            if faults:
                raise Fault(
                    f"{path}: {', '.join(faults)} of {first[0]}; "
                    "take the one that does not belong out of the association"
                )
            plane, level = subtract_pedestal(plane, header["DETECTOR"])
            if level != level:
                doubts.append("left out, no valid pixel between channels")
            for doubt in doubts:
                complain(f"pedestal: warning: {path}: {doubt}")
            note(f"{path}: pedestal {level}")
            add_cards(header, ("BPXPED", float(level), "residual pedestal that was subtracted"))
            if doubts:
                add_cards(header, ("BPXWARN", ", ".join(doubts), "warning"))
            append_image(output, plane, header, exposure_name(path))


def stack_cards(stack, n_exposures):
    """Return the header that names a stack."""
    header = fitsio.FITSHDR()
    add_cards(
        header,
        ("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
        ("BPXSTACK", stack, "stack"),
        ("BPXNEXP", n_exposures, "number of exposures in the stack"),
    )
    return header


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    options.add_argument("--output", required=True, help="pedestal.fits")
    options.add_argument("--stack", default="stack", help="name of the stack, for the headers")
    run(main, options)
