"""Stage 1: the SCI planes of a stack, each less its residual pedestal."""

import os

import numpy as np
from fitsio import FITSHDR

from badpix_selfcal import processing
from badpix_selfcal.associations import exposure_name
from badpix_selfcal.errors import InputError
from badpix_selfcal.file_state import unchanged
from badpix_selfcal.fits_io import add_cards, read_science, with_unit
from badpix_selfcal.version import VERSION

# Between the channels of MRS no light falls: [rows, columns], from jwst.badpix_selfcal.
UNILLUMINATED = {
    "MIRIFUSHORT": (slice(50, 974), slice(503, 516)),
    "MIRIFULONG": (slice(50, 974), slice(474, 507)),
}
# The exposures of a stack must agree in the first; where they differ in the second, we warn.
MUST_AGREE = ("INSTRUME", "DETECTOR", "EXP_TYPE", "DISPAXIS")
SHOULD_AGREE = ("FILTER", "GRATING")
ALSO_KEPT = ("CHANNEL", "BAND", "BUNIT", "BKGDTARG")


def subtract_pedestal(plane, detector):
    """
    Subtract the residual pedestal of the dark current, measured where no light falls.

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
    valid = plane[region][~np.isnan(plane[region])]
    with np.errstate(invalid="ignore"):  # inf less inf
        level = np.median(valid) if valid.size else np.float32(np.nan)
        return plane - level, level


def find_error(header):
    """
    Say why an exposure cannot be self-calibrated.

    Parameters
    ----------
    header : mapping
        The cards of its primary header and of SCI.

    Returns
    -------
    error : str
        With the remedy; empty if there is none.
    """
    if not isinstance(header.get("DETECTOR"), str) or not header["DETECTOR"]:
        return "no DETECTOR in the primary header; give a JWST exposure"
    if header.get("S_BPXSLF") == "COMPLETE":
        return "already self-calibrated; use the original rate file"
    exp_type = str(header.get("EXP_TYPE") or "").upper()
    if exp_type and exp_type not in processing.SUPPORTED:
        mode = processing.describe_mode(exp_type)
        return f"{mode} is not supported; give exposures of MRS or NIRSpec IFU"
    steps = header.get("S_PHOTOM"), header.get("S_FLAT")
    if "COMPLETE" in steps or "MJy" in str(header.get("BUNIT")):
        return "calibrated already (S_PHOTOM, S_FLAT or BUNIT); use the rate file"
    return ""


def find_disagreements(header, shape, seen, name=""):
    """
    Compare an exposure with those before it in its stack.

    Parameters
    ----------
    header : mapping
        Its cards.
    shape : tuple of int
        [ny, nx] of its SCI.
    seen : dict
        The first value of each card, and of the shape, in the stack; new ones are added.
    name : str
        Of the exposure.

    Returns
    -------
    errors, warnings : list of str
        What forbids to combine the exposures, and what only makes it doubtful: of their
        processing, the first difference of a kind in the stack.
    """
    errors, warnings_ = [], []
    if shape != seen.setdefault("shape", shape):
        errors.append(f"shape {shape} against {seen['shape']}")
    for found, keywords in ((errors, MUST_AGREE), (warnings_, SHOULD_AGREE)):
        for keyword in keywords:
            # A header without DISPAXIS (before assign_wcs) agrees with any.
            value = header.get(keyword)
            if value is not None:
                # The reference takes DETECTOR in either case.
                value = value.upper() if isinstance(value, str) else value
                if value != seen.setdefault(keyword, value):
                    found.append(f"{keyword} {value} against {seen[keyword]}")
    if identity := processing.identify(header):
        other = seen.setdefault(identity, name)
        if other != name:
            errors.append(f"the same exposure as {other}")
    known, told = seen.setdefault("processing", ({}, set()))
    for kind, value in processing.describe_processing(header).items():
        if value and value != known.setdefault(kind, value) and kind not in told:
            told.add(kind)
            warnings_.append(f"mixed processing, {kind}: {value} against {known[kind]}")
    if processing.is_unlit(header) and "light" not in told:
        told.add("light")
        warnings_.append(f"no light reaches NRS2 with {header['GRATING']}")
    return errors, warnings_


def read_planes(exposures, added=None):
    """
    Read the planes of a stack, one at a time, each less its pedestal.

    Parameters
    ----------
    exposures : list of str
        Paths.
    added : ndarray of float32, [ny, nx], optional
        Added to each exposure first, by the tuning.

    Yields
    ------
    name : str
        Of the exposure.
    plane : ndarray of float32, [ny, nx]
    header : FITSHDR
        Of the plane: what the next stages need of the exposure, its pedestal, the size and the
        modification time of its file, warnings.

    Raises
    ------
    InputError
        If an exposure is damaged or does not belong to the others.
    """
    seen = {}
    for path in exposures:
        with unchanged(path) as (size, modified):
            plane, cards = read_science(path)
        if error := find_error(cards):
            raise InputError(f"{path}: {error}")
        errors, doubts = find_disagreements(cards, plane.shape, seen, os.path.basename(path))
        if errors:
            raise InputError(
                f"{path}: {', '.join(errors)} of the exposures before it in the stack; "
                "remove those that do not belong from the association"
            )
        plane = plane if added is None else plane + added
        plane, level = subtract_pedestal(plane, cards["DETECTOR"])
        if level != level:
            doubts.append("left out, no valid pixel between channels")
        header = FITSHDR()
        for keyword in (*MUST_AGREE, *SHOULD_AGREE, *ALSO_KEPT):
            value = cards.get(keyword)
            value = value.upper() if isinstance(value, str) and keyword in MUST_AGREE else value
            if value is not None:
                add_cards(header, (keyword, value, cards.get_comment(keyword)))
        add_cards(
            header,
            ("BPXPED", float(level), with_unit(header, "residual pedestal that was subtracted")),
            ("BPXSIZE", size, "[byte] size of the file"),
            ("BPXTIME", modified, "[ns] modification time of the file, since 1970"),
        )
        if doubts:
            add_cards(header, ("BPXWARN", ", ".join(doubts), "warning"))
        yield exposure_name(path), plane, header


def stack_header(stack, n_exposures):
    """Return the header that names a stack."""
    return add_cards(
        FITSHDR(),
        ("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
        ("BPXSTACK", stack, "stack"),
        ("BPXNEXP", n_exposures, "number of exposures in the stack"),
    )
