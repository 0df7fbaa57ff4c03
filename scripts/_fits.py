"""
Reading and writing FITS, light enough for jobs that last a tenth of a second.

``fitsio`` costs nothing over numpy at start-up where ``astropy.io.fits`` costs 0.2 s; astropy is
imported only for images that are stored scaled, compressed or in another type.
"""

import contextlib
import errno
import os

import fitsio
import numpy as np

from _cards import BLOCK, opened_by_astropy, read_hdus
from _program import Fault, whole


@contextlib.contextmanager
def opened(path):
    """
    Open a FITS file for reading, whole and of any name.

    Raises
    ------
    Fault
        If there is no such file, if it is not FITS, or if it is shorter than its headers say.
    """
    read_hdus(path)  # as cfitsio takes a header that breaks off for the end of the file
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # By descriptor, as cfitsio takes brackets in a name for a filter.
        with fitsio.FITS(f"/dev/fd/{descriptor}") as file:
            yield file
    except OSError as error:
        first = str(error).splitlines()[0]
        raise Fault(f"{path}: not a readable FITS file ({first}); fetch it again") from error
    finally:
        os.close(descriptor)


def is_plain(hdu):
    """Tell whether an image HDU holds float32 as it is: neither scaled nor compressed."""
    info, header = hdu.get_info(), hdu.read_header()
    return (
        not info["is_compressed_image"]
        and info["img_type"] == -32  # BITPIX
        and (header.get("BSCALE", 1), header.get("BZERO", 0)) == (1, 0)
    )


def read_science(path):
    """
    Read the SCI plane of an exposure, alone, and its headers.

    Parameters
    ----------
    path : str
        An exposure, ``IFUImageModel`` or ``ImageModel``.

    Returns
    -------
    plane : ndarray of float32, [ny, nx]
        SCI, in the exposure's units.
    primary, science : fitsio.FITSHDR
        The primary header and the header of SCI.

    Raises
    ------
    Fault
        If the file is unreadable, has no SCI, or if SCI is not an image of two dimensions.
    """
    with opened(path) as file:
        if "SCI" not in file:
            raise Fault(f"{path}: no SCI extension; give a rate or assign_wcs exposure")
        hdu = file["SCI"]
        shape = hdu.get_info().get("dims", ())
        if len(shape) != 2:
            raise Fault(
                f"{path}: SCI has {len(shape)} dimensions, not 2; give a rate file, not rateints"
            )
        plane = hdu.read() if is_plain(hdu) else read_as_float32(path)
        return plane, file[0].read_header(), hdu.read_header()


def read_as_float32(path):
    """Read a scaled, compressed or otherwise typed SCI as stdatamodels does: by astropy."""
    with opened_by_astropy(path) as hdus:
        return np.asarray(hdus["SCI"].data, dtype=np.float32)


def read_image(path):
    """Read a stage's file: its image [ny, nx] and the header that the next stage builds on."""
    with opened(path) as file:
        if len(file[0].get_info().get("dims", ())) != 2:
            raise Fault(f"{path}: no image in the primary HDU; give the file of a stage")
        return file[0].read(), image_cards(file[0])


def image_cards(hdu):
    """Read an HDU's header less the cards that describe how its image is stored."""
    header = hdu.read_header()
    header.clean()
    header.delete("COMMENT")  # cfitsio's own, which would pile up
    return header


@contextlib.contextmanager
def created(path):
    """Open a new FITS file for writing; it takes its name when all of it is written."""
    with whole(path) as part:
        with fitsio.FITS(part, "rw", clobber=True) as file:
            yield file
        if os.path.getsize(part) % BLOCK:  # fitsio does not tell when closing it fails
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_image(path, image, header, **extensions):
    """Write a stage's file: an image [ny, nx] with its header, and others by their names."""
    with created(path) as file:
        append_image(file, image, header)
        for name, extension in extensions.items():
            append_image(file, extension, fitsio.FITSHDR(), name)


def append_image(file, image, header, name=None):
    """Append an image [ny, nx] to a FITS file that is open for writing."""
    # In two steps, as fitsio's own write of a new image turns infinities into NaN.
    file.create_image_hdu(dims=image.shape, dtype=image.dtype, extname=name, header=header)
    file[-1].write_keys(header)
    file[-1].write(image)


def add_cards(header, *cards):
    """Add (keyword, value, comment) cards to a header; NaN, which FITS cannot say, is left out."""
    for name, value, comment in cards:
        if value == value:
            header.add_record({"name": name, "value": value, "comment": comment})
