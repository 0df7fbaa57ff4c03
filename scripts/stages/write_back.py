"""Stage 5: write a stack's flags into a copy of one of its exposures."""

import bisect
import contextlib
import errno
import functools
import os

from badpix_selfcal.files import atomic_write, reading
from badpix_selfcal.headers import (
    FULL,
    calibrated_cards,
    card,
    copied,
    history,
    opened_by_astropy,
    read_hdus,
    refresh_checksums,
    split_cards,
    write_parts,
)
from badpix_selfcal.names import exposure_name
from badpix_selfcal.program import Fault, log, parser, warn
from badpix_selfcal.recorded import recorded, unchanged
from badpix_selfcal.version import VERSION

DO_NOT_USE = 1
OTHER_BAD_PIXEL = 1 << 30
# The planes that become NaN at a flagged pixel. SCI must be there; ERR and DQ are made if missing.
BLANKED = ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")
# A pixel takes four bytes in a FITS file, the highest first. DQ is stored as signed, offset by
# 2**31; that changes no bit but the highest.
NAN = bytes.fromhex("7fc00000")
HIGHEST, _, _, LOWEST = (DO_NOT_USE | OTHER_BAD_PIXEL).to_bytes(4, "big")


def flagged_pixels(plane):
    """Return the places, counted row by row, of the pixels that are 1 or 2 in a plane of bytes."""
    pixels = []
    for flag in (b"\1", b"\2"):
        pixel = plane.find(flag)
        while pixel >= 0:
            pixels.append(pixel)
            pixel = plane.find(flag, pixel + 1)
    return sorted(pixels)


def apply_flags(pixels, part, place, dq, planes):
    """
    Flag pixels of an exposure in a part of its file, in place.

    A few thousand pixels change in a file of many millions of bytes, so these are changed alone,
    and numpy is not imported for it.

    Parameters
    ----------
    pixels : list of int
        The places to flag in a plane, counted row by row, in order.
    part : bytearray
        Of the exposure's FITS file, in whole pixels.
    place : int
        The byte at which the part begins.
    dq : int
        The byte at which DQ begins (big-endian uint32); it gains DO_NOT_USE and OTHER_BAD_PIXEL
        at the pixels, other bits stay.
    planes : iterable of int
        The bytes at which planes of big-endian float32 begin; they become NaN at the pixels.

    Notes
    -----
    After ``jwst.badpix_selfcal.badpix_selfcal.apply_flags`` of jwst 3.0.0.
    """

    def places(plane):
        """Return where in the part those pixels of a plane lie that are in it."""
        shift = plane - place
        first = bisect.bisect_left(pixels, -(shift // 4))
        last = bisect.bisect_left(pixels, (len(part) - shift) // 4)
        return [shift + 4 * pixel for pixel in pixels[first:last]]

    for i in places(dq):
        part[i] |= HIGHEST
        part[i + 3] |= LOWEST
    for plane in planes:
        for i in places(plane):
            part[i : i + 4] = NAN


def count_new(pixels, plane):
    """Count the pixels that are not DO_NOT_USE already in DQ, given as big-endian bytes."""
    return sum(not plane[4 * pixel + 3] & DO_NOT_USE for pixel in pixels)


def plane_offsets(path, hdus, shape):
    """
    Find where in a file the planes begin that flags touch.

    Parameters
    ----------
    path : str
        An exposure, for the faults.
    hdus : list of HDU
        Its headers.
    shape : tuple of int
        [ny, nx] of the flags.

    Returns
    -------
    offsets : dict of str to int, or None
        The byte at which the data of each plane begin; None where SCI, ERR or DQ is missing or
        a plane is scaled, compressed or of another type, so that it cannot be changed in place.

    Raises
    ------
    Fault
        If there is no SCI, or if a plane's shape is not `shape`.
    """
    by_name = {hdu.name: hdu for hdu in reversed(hdus)}
    if "SCI" not in by_name:
        raise Fault(f"{path}: no SCI extension; give a rate or assign_wcs exposure")
    planes = {name: by_name[name] for name in (*BLANKED, "DQ") if name in by_name}
    for name, hdu in planes.items():
        if hdu.shape != shape:
            raise Fault(
                f"{path}: {name} has shape {hdu.shape}, the flags have {shape}; "
                "take the exposure out of the association"
            )
    in_place = {"SCI", "ERR", "DQ"} <= set(planes) and all(
        hdu.is_plain(32, (0, 1 << 31)) if name == "DQ" else hdu.is_plain(-32)
        for name, hdu in planes.items()
    )
    return {name: hdu.start for name, hdu in planes.items()} if in_place else None


def write_plain(path, target):
    """
    Rewrite an exposure so that its planes can be changed in place.

    SCI, ERR and VAR_* become float32 and DQ uint32, unscaled and uncompressed; a missing ERR or
    DQ is made of zeros, as stdatamodels does.
    """
    import numpy as np  # slow to import, as is astropy, and rarely needed
    from astropy.io import fits

    with opened_by_astropy(path) as hdus:
        plain = fits.HDUList()
        for hdu in hdus:
            if hdu.name.upper() in (*BLANKED, "DQ"):
                dtype = np.uint32 if hdu.name.upper() == "DQ" else np.float32
                header = hdu.header.copy(strip=True)
                header.remove("BLANK", ignore_missing=True)
                hdu = fits.ImageHDU(hdu.data.astype(dtype), header, name=hdu.name)
            plain.append(hdu)
        place = plain.index_of("SCI")
        for name, dtype in (("DQ", np.uint32), ("ERR", np.float32)):
            if name not in plain:
                zeros = np.zeros(plain["SCI"].shape, dtype)
                plain.insert(place + 1, fits.ImageHDU(zeros, name=name))
        try:
            plain.writeto(target, output_verify="silentfix", overwrite=True)
        except OSError as error:
            # astropy says in words alone that the disk is full, and not whose.
            if error.errno in FULL or "space" in str(error).lower():
                reason = os.strerror(error.errno or errno.ENOSPC)
                raise OSError(error.errno or errno.ENOSPC, reason, target) from error
            raise


@contextlib.contextmanager
def flaggable(path, shape, copy):
    """Yield an exposure, or a plain copy of it named `copy`, its headers and `plane_offsets`."""
    hdus = read_hdus(path)
    offsets = plane_offsets(path, hdus, shape)
    if offsets:
        yield path, hdus, offsets
        return
    try:
        write_plain(path, copy)
        warn(f"write_back: warning: {path}: DQ or ERR missing, or planes not plain; rewritten")
        hdus = read_hdus(copy)
        yield copy, hdus, plane_offsets(copy, hdus, shape)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(copy)


def read_flags(path):
    """
    Read a ``flags.fits``.

    Returns
    -------
    plane : bytes
        A byte per pixel, row by row.
    header : HDU
        With the shape of the plane, [ny, nx], and the cards.

    Raises
    ------
    Fault
        If it holds no flags.
    """
    header = read_hdus(path)[0]
    if len(header.shape) != 2 or header.values["BITPIX"] != 8:
        raise Fault(f"{path}: no flags in the primary HDU; give the file of the stage threshold")
    with reading(path), open(path, "rb") as file:
        file.seek(header.start)
        return file.read(header.shape[0] * header.shape[1]), header


@contextlib.contextmanager
def flagged(exposure, flags, name, copy):
    """
    Flag an exposure.

    Parameters
    ----------
    exposure, flags : str
        The exposure and the ``flags.fits`` of its stack.
    name : str
        Of the flagged exposure, for its header.
    copy : str
        A file for a plain copy of the exposure, which is made if need be, and removed.

    Yields
    ------
    parts : iterator of bytes
        The flagged exposure's file.
    hdus : list of HDU
        The headers that it is made of.
    offsets : dict of str to int
        As of `plane_offsets`.

    Raises
    ------
    Fault
        If the two do not belong together, or if the exposure changes meanwhile.
    """
    plane, header = read_flags(flags)
    pixels = flagged_pixels(plane)
    known = recorded(header.values).get(exposure_name(exposure))
    with (
        unchanged(exposure, known),
        flaggable(exposure, header.shape, copy) as (source, hdus, offsets),
    ):
        detector = str(hdus[0].values.get("DETECTOR", ""))
        wanted = str(header.values.get("DETECTOR", detector))
        if detector.upper() != wanted.upper():
            raise Fault(
                f"{exposure}: of {detector}, but {flags} of {wanted}; "
                "give flags of the same detector"
            )
        with reading(source), open(source, "rb") as file:
            file.seek(offsets["DQ"])
            n_new = count_new(pixels, file.read(4 * len(plane)))
        cards = calibrated_cards(
            hdus[0].cards,
            name,
            "COMPLETE",
            [
                *split_cards(header.cards, b"BPX")[0],
                card("BPXNNEW", n_new, "flagged here and not DO_NOT_USE before"),
                history(f"badpix_selfcal workflow {VERSION} flagged bad pixels of stack"),
                history(f"  {header.values['BPXSTACK']}"),
            ],
        )
        planes = [offsets[name] for name in BLANKED if name in offsets]
        flag = functools.partial(apply_flags, pixels, dq=offsets["DQ"], planes=planes)
        yield copied(source, hdus[0], cards, flag), hdus, offsets
    log(f"{name}: {len(pixels)} pixels flagged, {n_new} of them new")


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("exposure", help="the exposure to flag")
    options.add_argument("flags", help="flags.fits of its stack")
    options.add_argument("output", help="{exposure}_badpix_selfcal.fits")
    return options


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``."""
    name = os.path.basename(arguments.output)
    with (
        atomic_write(arguments.output) as part,
        flagged(arguments.exposure, arguments.flags, name, f"{part}.part") as (parts, hdus, planes),
    ):
        write_parts(part, parts)
        refresh_checksums(part, hdus, planes)
