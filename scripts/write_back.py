#!/usr/bin/env -S python3 -Es
"""Stage 5: write a stack's flags into a copy of one of its exposures."""

import contextlib
import os

import numpy as np

from _fits import (
    card,
    copy_with_header,
    history,
    is_stored_as,
    opened,
    opened_by_astropy,
    primary_cards,
    primary_values,
    read_image,
    refresh_checksums,
    replaced,
    split_cards,
)
from _program import VERSION, Fault, complain, note, parser, run, whole

DO_NOT_USE = 1
OTHER_BAD_PIXEL = 1 << 30
# The planes that become NaN at a flagged pixel. SCI must be there; ERR and DQ are made if missing.
BLANKED = ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")


def apply_flags(flags, dq, planes):
    """
    Flag pixels of an exposure in place: its arrays are windows into the copied file.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        Not 0 where a pixel is to be flagged.
    dq : ndarray of uint32, [ny, nx]
        Gains DO_NOT_USE and OTHER_BAD_PIXEL there; other bits stay.
    planes : iterable of ndarray of float32, [ny, nx]
        Become NaN there.

    Notes
    -----
    After ``jwst.badpix_selfcal.badpix_selfcal.apply_flags`` of jwst 3.0.0.
    """
    bad = np.nonzero(flags)
    dq[bad] |= DO_NOT_USE | OTHER_BAD_PIXEL
    for plane in planes:
        plane[bad] = np.nan


def count_new(flags, dq):
    """Count the flagged pixels [ny, nx] that are not DO_NOT_USE in `dq` [ny, nx] already."""
    return int(np.count_nonzero(dq[np.nonzero(flags)] & DO_NOT_USE == 0))


def marked(cards, filename, status, more=()):
    """
    Say in a primary header what became of an exposure.

    Parameters
    ----------
    cards : list of bytes
        The exposure's primary header; all that this workflow did not write stays as it is.
    filename : str
        The exposure's new file name.
    status : {"COMPLETE", "SKIPPED"}
        The value of S_BPXSLF, put among the other calibration steps.
    more : iterable of bytes
        Cards to add at the end.

    Returns
    -------
    cards : list of bytes
    """
    _, cards = split_cards(cards, b"BPX")  # of an earlier run
    cards = replaced(cards, card("FILENAME", filename, "Name of the file"))
    cards = replaced(cards, card("S_BPXSLF", status, "Bad Pixel Self-Calibration"), after=b"S_")
    return [*cards, *more]


def plane_offsets(path, shape):
    """
    Find where in a file the planes begin that flags touch.

    Parameters
    ----------
    path : str
        An exposure.
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
    offsets = {}
    in_place = True
    with opened(path) as file:
        if "SCI" not in file:
            raise Fault(f"{path}: no SCI extension; give a rate or assign_wcs exposure")
        for name in (*BLANKED, "DQ"):
            if name not in file:
                in_place &= name not in ("ERR", "DQ")
                continue
            info = file[name].get_info()
            if tuple(info.get("dims", ())) != shape:
                raise Fault(
                    f"{path}: {name} has shape {tuple(info.get('dims', ()))}, the flags have "
                    f"{shape}; take the exposure out of the association"
                )
            in_place &= is_stored_as(file[name], "u4" if name == "DQ" else "f4")
            offsets[name] = info["data_start"]
    return offsets if in_place else None


def write_plain(path, target):
    """
    Rewrite an exposure so that its planes can be changed in place.

    SCI, ERR and VAR_* become float32 and DQ uint32, unscaled and uncompressed; a missing ERR or
    DQ is made of zeros, as stdatamodels does.
    """
    from astropy.io import fits  # slow to import, rarely needed

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
        plain.writeto(target, output_verify="silentfix", overwrite=True)


@contextlib.contextmanager
def flaggable(path, shape, copy):
    """Yield an exposure, or a plain copy of it named `copy`, and its `plane_offsets`."""
    offsets = plane_offsets(path, shape)
    if offsets:
        yield path, offsets
        return
    try:
        write_plain(path, copy)
        complain(f"write_back: warning: {path}: DQ or ERR missing, or planes not plain; rewritten")
        yield copy, plane_offsets(copy, shape)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(copy)


def window(path, offset, dtype, shape, mode="r+"):
    """Return a plane [ny, nx] of a file as an array whose changes go to the file."""
    return np.memmap(path, dtype, mode, offset, shape)


def main(arguments):
    """Write ``{exposure}_badpix_selfcal.fits``."""
    flags, header = read_image(arguments.flags)
    shape = flags.shape
    filename = os.path.basename(arguments.output)
    with (
        whole(arguments.output) as part,
        flaggable(arguments.exposure, shape, f"{part}.part") as (source, offsets),
    ):
        detector = primary_values(source).get("DETECTOR", "")
        if detector.upper() != header.get("DETECTOR", detector).upper():
            raise Fault(
                f"{arguments.exposure}: of {detector}, but {arguments.flags} of "
                f"{header['DETECTOR']}; give flags of the same detector"
            )
        # DQ is stored as signed, offset by 2**31; that changes no bit but the highest.
        n_new = count_new(flags, window(source, offsets["DQ"], ">u4", shape, "r"))
        cards = marked(
            primary_cards(source)[0],
            filename,
            "COMPLETE",
            [
                *split_cards(primary_cards(arguments.flags)[0], b"BPX")[0],
                card("BPXNNEW", n_new, "flagged here and not DO_NOT_USE before"),
                history(f"badpix_selfcal workflow {VERSION} flagged bad pixels of stack"),
                history(f"  {header['BPXSTACK']}"),
            ],
        )
        shift = copy_with_header(source, part, cards)
        dq = window(part, offsets.pop("DQ") + shift, ">u4", shape)
        planes = [window(part, offset + shift, ">f4", shape) for offset in offsets.values()]
        apply_flags(flags, dq, planes)
        del dq, planes  # so that all is written
        refresh_checksums(part, [0, "DQ", *offsets])
    note(f"{arguments.output}: {np.count_nonzero(flags)} pixels flagged, {n_new} of them new")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("exposure", help="the exposure to flag")
    options.add_argument("flags", help="flags.fits of its stack")
    options.add_argument("output", help="{exposure}_badpix_selfcal.fits")
    run(main, options)
