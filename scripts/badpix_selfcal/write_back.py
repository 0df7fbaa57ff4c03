"""Stage 5: copies of the exposures of a stack, with its flags."""

import os
import tempfile

import fitsio
import numpy as np

from badpix_selfcal import fits_io
from badpix_selfcal.associations import exposure_name
from badpix_selfcal.dq import DO_NOT_USE, OTHER_BAD_PIXEL
from badpix_selfcal.errors import InputError
from badpix_selfcal.file_state import read_recorded, unchanged
from badpix_selfcal.version import VERSION

# Planes that change: DQ, and those that become NaN at a flagged pixel. SCI must exist; ERR and DQ
# are created if missing.
PLANES = ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT", "DQ")


def apply_flags(planes, flagged):
    """
    Apply flags to the planes of an exposure, in place: they may be mapped from its file.

    Parameters
    ----------
    planes : dict of str to ndarray, [ny, nx]
        DQ (uint32) and those of SCI, ERR, VAR_POISSON, VAR_RNOISE, VAR_FLAT (float32) that exist.
        DQ gains DO_NOT_USE and OTHER_BAD_PIXEL at flagged pixels, the others become NaN there.
    flagged : ndarray of bool, [ny, nx]

    Notes
    -----
    After ``jwst.badpix_selfcal.badpix_selfcal.apply_flags`` of jwst 3.0.0.
    """
    for name, plane in planes.items():
        if name == "DQ":
            plane[flagged] |= np.uint32(DO_NOT_USE | OTHER_BAD_PIXEL)
        else:
            plane[flagged] = np.nan


def map_planes(path, shape):
    """
    Map the planes of a plain exposure to memory, to change a few of its millions of pixels.

    To read and write them by fitsio takes 30 ms for an MRS exposure, this 4 ms.

    Parameters
    ----------
    path : str
    shape : tuple of int
        [ny, nx].

    Returns
    -------
    planes : dict of str to memmap, [ny, nx]
        As of `apply_flags`; the highest bit of DQ is inverted, as FITS stores it less 2**31.
    """
    with fits_io.open_fits(path) as fits:
        offsets = {n: fits[n].get_offsets()["data_start"] for n in PLANES if n in fits}
    types = {"DQ": ">u4"}
    return {n: np.memmap(path, types.get(n, ">f4"), "r+", at, shape) for n, at in offsets.items()}


def check_planes(path, flags, detector):
    """
    Check that flags belong to an exposure, and see how its planes are stored.

    Returns
    -------
    plain : bool
        False where SCI, ERR or DQ is missing, or a plane is scaled, compressed or of another type.

    Raises
    ------
    InputError
        If there is no SCI, or if the detector or the shape of a plane differ from the flags'.
    """
    with fits_io.open_fits(path) as fits:
        _, header, _ = fits_io.science_of(path, fits)
        if str(header.get("DETECTOR")).upper() != detector.upper():
            raise InputError(
                f"{path}: of {header.get('DETECTOR')}, the flags of {detector}; "
                "give flags of the same detector"
            )
        names = [name for name in PLANES if name in fits]
        for name in names:
            if (shape := fits_io.shape_of(fits[name])) != flags.shape:
                raise InputError(
                    f"{path}: {name} has shape {shape}, the flags {flags.shape}; "
                    "remove the exposure from the association"
                )
        types = {"DQ": fits_io.UINT32}
        return {"SCI", "ERR", "DQ"} <= set(names) and all(
            fits_io.is_plain(fits[name], fits[name].read_header(), types.get(name, fits_io.FLOAT32))
            for name in names
        )


def write_flagged(path, target, flags, header, cards, name):
    """
    Write a flagged copy of an exposure.

    Parameters
    ----------
    path, target : str
        The exposure, and the file to write.
    flags : ndarray of uint8, [ny, nx]
    header : FITSHDR
        Of the flags.
    cards : list of bytes
        The stack's BPX cards, as of `read_cards`.
    name : str
        File name of the flagged exposure, for its header.

    Returns
    -------
    n_new : int
        Flagged pixels that were not DO_NOT_USE.

    Raises
    ------
    InputError
        If flags and exposure do not belong together, or if the exposure is damaged or changes.
    """
    with unchanged(path, read_recorded(header).get(exposure_name(path))):
        if check_planes(path, flags, header["DETECTOR"]):
            checksums = find_checksums(path)
            fits_io.copy_with_cards(path, target, cards)
        else:
            beside = {"prefix": ".", "suffix": ".part", "dir": os.path.dirname(target) or "."}
            with tempfile.NamedTemporaryFile(**beside) as plain:
                with fits_io.load_model(path, flags.shape) as model:
                    model.to_fits(plain.name, overwrite=True)
                checksums = find_checksums(plain.name)
                fits_io.copy_with_cards(plain.name, target, cards)
    flagged, planes = flags > 0, map_planes(target, flags.shape)
    n_new = int(np.count_nonzero(planes["DQ"][flagged] & DO_NOT_USE == 0))
    apply_flags(planes, flagged)
    with fitsio.FITS(target, "rw") as fits:
        write_status(fits, name, "COMPLETE")
        fits[0].write_key("BPXNNEW", n_new, comment="flagged here and not DO_NOT_USE before")
        fits[0].write_history(f"badpix_selfcal workflow {VERSION} flagged bad pixels of stack")
        fits[0].write_history(f"  {header['BPXSTACK']}")
        for hdu in checksums:
            fits[hdu].write_checksum()
    return n_new


def write_skipped(path, target, name):
    """
    Write a copy of an exposure that has nothing to calibrate from, marked as SKIPPED.

    Parameters
    ----------
    path, target, name : str
        As of `write_flagged`.
    """
    with unchanged(path) as (size, modified):
        with fits_io.open_fits(path) as fits:
            fits_io.science_of(path, fits)
        checksums = find_checksums(path)
        fits_io.copy_with_cards(path, target, [])
    with fitsio.FITS(target, "rw") as fits:
        write_status(fits, name, "SKIPPED")
        for keyword, value, comment in (
            ("BPXVER", VERSION, "version of the badpix_selfcal workflow"),
            ("BPXE0001", exposure_name(path), "the exposure"),
            ("BPXS0001", size, "[byte] size of its file"),
            ("BPXT0001", modified, "[ns] modification time of its file, since 1970"),
        ):
            fits[0].write_key(keyword, value, comment=comment)
        fits[0].write_history(f"badpix_selfcal workflow {VERSION} skipped: no other exposure")
        if 0 in checksums:
            fits[0].write_checksum()


def write_status(fits, name, status):
    """Write FILENAME and S_BPXSLF into the primary header of an open exposure."""
    fits[0].write_key("FILENAME", name, comment="Name of the file")
    fits[0].write_key("S_BPXSLF", status, comment="Bad Pixel Self-Calibration")


def find_checksums(path):
    """List the HDUs of an exposure that change and have checksums, the primary one first."""
    with fits_io.open_fits(path) as fits:
        changed = [0, *(name for name in PLANES if name in fits)]
        return [h for h in changed if {"CHECKSUM", "DATASUM"} & {*fits[h].read_header().keys()}]
