"""
Images of FITS files, light enough for jobs that last a tenth of a second.

Pixels are read from where the headers say that they lie, and written behind headers of our own;
astropy, whose start takes 0.2 s, is imported for images alone that are scaled, compressed or of
another type.
"""

import contextlib
import math

import numpy as np

from badpix_selfcal.files import atomic_write, reading
from badpix_selfcal.headers import (
    BLOCK,
    find,
    header_bytes,
    image_cards,
    long_card,
    opened_by_astropy,
    read_hdus,
)
from badpix_selfcal.program import Fault

DTYPES = {
    8: "u1",
    16: ">i2",
    32: ">i4",
    -32: ">f4",
}  # of BITPIX, in the stages' files and plain exposures
ROWS = 64  # written at a time, which stay in the processor's cache
# How an image is stored, which is not handed on to the next stage.
STORAGE = {
    *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "PCOUNT", "GCOUNT"),
    *("EXTNAME", "BSCALE", "BZERO", "CHECKSUM", "DATASUM"),
}


class Header(dict):
    """The cards that a stage hands on: values by keyword, with their comments."""

    def __init__(self, values=(), comments=()):
        super().__init__(values)
        self.comments = dict(comments)

    def add(self, keyword, value, comment):
        """Add a card; NaN and infinities, which FITS cannot say, are left out."""
        if not isinstance(value, float) or math.isfinite(value):
            self[keyword] = value
            self.comments[keyword] = comment


def handed_on(hdu):
    """Return the cards of a stage's HDU less those that describe how its image is stored."""
    header = Header()
    for keyword, value in hdu.values.items():
        if keyword not in STORAGE and value is not None:
            header.add(keyword, value, hdu.comments[keyword])
    return header


def with_unit(header, text):
    """Return a card's comment led by the unit of the image, where the header tells it."""
    return f"[{header['BUNIT']}] {text}" if header.get("BUNIT") else text


def add_cards(header, *cards):
    """Add (keyword, value, comment) cards to a header."""
    for card in cards:
        header.add(*card)


def read_pixels(path, hdu):
    """
    Read the image of an HDU as it stands in the file.

    Parameters
    ----------
    path : str
    hdu : HDU
        One of the file's, neither scaled nor compressed.

    Returns
    -------
    image : ndarray, [ny, nx]
        Of uint8, int16, int32 or float32, in the processor's byte order.
    """
    dtype = np.dtype(DTYPES[hdu.values["BITPIX"]])
    with reading(path), open(path, "rb") as file:
        file.seek(hdu.start)
        image = np.fromfile(file, dtype, math.prod(hdu.shape))
    if image.size < math.prod(hdu.shape):
        raise Fault(f"{path}: changed while it was read; run again")
    return image.byteswap(inplace=True).view(dtype.newbyteorder("=")).reshape(hdu.shape)


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
    hdus : list of HDU
        The headers of the file.

    Raises
    ------
    Fault
        If the file is unreadable, has no SCI, or if SCI is not an image of two dimensions.
    """
    hdus = read_hdus(path)
    science = find(hdus, "SCI")
    if science is None:
        raise Fault(f"{path}: no SCI extension; give a rate or assign_wcs exposure")
    if len(science.shape) != 2:
        raise Fault(
            f"{path}: SCI has {len(science.shape)} dimensions, not 2; "
            "give a rate file, not rateints"
        )
    plain = science.is_plain(-32)
    return (read_pixels(path, science) if plain else read_as_float32(path)), hdus


def read_dq(path, hdus):
    """
    Read the DQ plane of an exposure.

    Parameters
    ----------
    path : str
    hdus : list of HDU
        Its headers, of which SCI is one.

    Returns
    -------
    dq : ndarray of uint32, [ny, nx]
        Zeros where there is no DQ, as stdatamodels has it.

    Raises
    ------
    Fault
        If DQ has another shape than SCI.
    """
    hdu, shape = find(hdus, "DQ"), find(hdus, "SCI").shape
    if hdu is None:
        return np.zeros(shape, np.uint32)
    if hdu.shape != shape:
        raise Fault(f"{path}: DQ has shape {hdu.shape}, SCI {shape}; fetch or make the file again")
    if hdu.is_plain(32, (1 << 31,)):  # stored as signed, less 2**31
        return read_pixels(path, hdu).view(np.uint32) ^ np.uint32(1 << 31)
    with opened_by_astropy(path) as opened:
        return np.asarray(opened["DQ"].data).astype(np.uint32)


def read_as_float32(path):
    """Read a scaled, compressed or otherwise typed SCI as stdatamodels does: by astropy."""
    with opened_by_astropy(path) as hdus:
        return np.asarray(hdus["SCI"].data, dtype=np.float32)


def read_exposure(path, shape):
    """
    Read an exposure for a picture.

    Parameters
    ----------
    path : str
    shape : tuple of int
        That of its stack, [ny, nx].

    Returns
    -------
    image : ndarray of float32, [ny, nx]
        SCI.
    dq : ndarray of uint32, [ny, nx]
        DQ, 0 where there is none.
    """
    image, hdus = read_science(path)
    if image.shape != shape:
        raise Fault(f"{path}: not of the stack's shape {shape}; give an exposure of the stack")
    return image, read_dq(path, hdus)


def read_image(path, extension=None):
    """
    Read a stage's file.

    Parameters
    ----------
    path : str
    extension : str, optional
        The name of an extension; the primary HDU by default.

    Returns
    -------
    image : ndarray, [ny, nx]
    header : Header
        The cards of the HDU that the next stage builds on.
    """
    hdus = read_hdus(path)
    hdu = find(hdus, extension) if extension else hdus[0]
    if hdu is None or len(hdu.shape) != 2 or hdu.values["BITPIX"] not in DTYPES:
        raise Fault(f"{path}: no image in the primary HDU; give the file of a stage")
    return read_pixels(path, hdu), handed_on(hdu)


@contextlib.contextmanager
def created(path):
    """Open a new FITS file for writing; it takes its name when all of it is written."""
    with atomic_write(path) as part, open(part, "wb") as file:
        yield file


def write_image(path, image, header, **extensions):
    """Write a stage's file: an image [ny, nx] with its header, and others by their names."""
    with created(path) as file:
        append_image(file, image, header)
        for name, extension in extensions.items():
            append_image(file, extension, Header(), name)


def append_image(file, image, header, name=""):
    """
    Append an image to a FITS file that is open for writing.

    Parameters
    ----------
    file : file
    image : ndarray, [ny, nx], or None
        Of uint8, int16, int32 or float32; None for a header alone.
    header : Header
    name : str
        Its EXTNAME, if any.
    """
    shape, image = ((), np.empty(0, np.uint8)) if image is None else (image.shape, image)
    stored = image.dtype.newbyteorder(">")
    bitpix = next(bitpix for bitpix, dtype in DTYPES.items() if dtype == stored)
    cards = image_cards(bitpix, shape, first=file.tell() == 0)
    cards += long_card("EXTNAME", name, "name of the image") if name else []
    for keyword, value in header.items():
        cards += long_card(keyword, value, header.comments[keyword])
    file.write(header_bytes(cards))
    for y in range(0, len(image), ROWS):
        file.write(image[y : y + ROWS].astype(stored, order="C"))
    file.write(bytes(-image.nbytes % BLOCK))
