"""FITS files by fitsio (cfitsio): exposures in, the stages' images in and out."""

import contextlib
import errno
import math
import os
import re
import shutil
import zlib

import fitsio
import numpy as np

from badpix_selfcal.atomic_io import atomic_write, explain, open_unzipped
from badpix_selfcal.errors import InputError

# Of a path, what cfitsio takes for a filter and fitsio for a variable.
SPECIAL = re.compile(r"[\[\]$]")
CARD, BLOCK = 80, 2880  # bytes
# cfitsio goes on from a damaged END into the data, and takes them for cards.
HEADER = re.compile(rb"[ -~]*END *")
FLOAT32, UINT32 = -32, 32  # BITPIX
UNREADABLE = OSError, ValueError, TypeError, KeyError, fitsio.FITSFormatError, EOFError, zlib.error


@contextlib.contextmanager
def open_fits(path):
    """
    Open a FITS file to read.

    Parameters
    ----------
    path : str

    Yields
    ------
    fits : fitsio.FITS

    Raises
    ------
    InputError
        If the file is missing, not FITS, truncated or damaged, also while it is being read.
    """
    if SPECIAL.search(path):
        raise InputError(f"{path}: brackets or $ in the path; rename the folder or file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; check the path")
    try:
        with open_unzipped(path) as file:
            if file.read(6) != b"SIMPLE":
                raise InputError(f"{path}: not FITS, or gzipped; decompress or fetch it again")
            with fitsio.FITS(path) as fits:
                for hdu in fits:
                    if not HEADER.fullmatch(read_raw_header(file, hdu)):
                        raise ValueError("damaged header")
                end, size = hdu.get_offsets()["data_end"], file.seek(0, os.SEEK_END)
                if size != end:
                    raise ValueError(f"truncated or damaged: {size} bytes, {end} by its headers")
                yield fits
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a readable FITS file ({explain(error)}); fetch or make the file again"
        ) from error


def read_header(hdu):
    """Return the header of an HDU without the cards that describe how its image is stored."""
    header = hdu.read_header()
    header.clean()
    for keyword in ("COMMENT", "BSCALE", "BZERO"):
        header.delete(keyword)
    return header


def read_primary(path):
    """
    Read the primary header of a FITS file.

    Returns
    -------
    header : astropy.io.fits.Header
        By astropy, as fitsio takes 1.6 s for the 3,000 cards of a stack of 600 exposures.

    Raises
    ------
    InputError
    """
    from astropy.io import fits  # 0.2 s, which the stages do without

    with open_fits(path):
        return fits.getheader(path, 0)


def shape_of(hdu):
    """Return the shape of the image of an HDU, [ny, nx]; () without an image."""
    return tuple(hdu.get_info().get("dims") or ())


def is_plain(hdu, header, bitpix=FLOAT32):
    """Tell whether an image is stored as float32 or uint32, unscaled, uncompressed, undamaged."""
    info, defaults = hdu.get_info(), {"BSCALE": 1, "BZERO": 0, "PCOUNT": 0, "GCOUNT": 1}
    stored = [header.get(keyword, default) for keyword, default in defaults.items()]
    plain = [1, 1 << 31 if bitpix == UINT32 else 0, 0, 1]
    return info.get("img_type") == bitpix and not info["is_compressed_image"] and stored == plain


def load_model(path, shape):
    """
    Load an exposure that is compressed, scaled or otherwise unusual by stdatamodels.

    Parameters
    ----------
    path : str
    shape : tuple of int
        [ny, nx] of SCI, by its header.

    Returns
    -------
    model : JwstDataModel
        ERR and DQ are made if missing, as in the reference; to be closed.

    Raises
    ------
    InputError
    """
    from stdatamodels import DataModel  # 0.9 s
    from stdatamodels.jwst import datamodels

    try:
        model = datamodels.open(path)
        # Without the time of writing, so that `verify` finds the same bytes.
        vars(model)["on_save"] = lambda init: DataModel.on_save(model)
        if any(np.shape(plane) != shape for plane in (model.data, model.err, model.dq)):
            raise ValueError("SCI, ERR and DQ differ in shape")
        return model
    except Exception as error:  # whatever its libraries raise
        raise InputError(
            f"{path}: not readable ({explain(error)}); fetch or make the file again"
        ) from error


def save_model(model, path):
    """Save a model of stdatamodels; it takes its name, and FILENAME, when it is complete."""
    model.meta.filename = os.path.basename(path)
    with atomic_write(path) as part, open(part, "wb") as file:
        model.to_fits(file)


def read_science(path):
    """
    Read SCI of an exposure and its headers.

    Parameters
    ----------
    path : str
        A rate or assign_wcs exposure.

    Returns
    -------
    plane : ndarray of float32, [ny, nx]
        SCI, in the exposure's units.
    header : FITSHDR
        The cards of SCI and, before them, of the primary header.

    Raises
    ------
    InputError
        If the file is damaged, has no SCI, or if SCI is not an image of two dimensions.
    """
    with open_fits(path) as fits:
        science, header, own = science_of(path, fits)
        if is_plain(science, own):
            return science.read(), header
    with load_model(path, shape_of(science)) as model:
        return np.asarray(model.data, np.float32), header


def science_of(path, fits):
    """Return the HDU SCI of an open exposure, the header of the exposure, and that of SCI."""
    if "SCI" not in fits:
        raise InputError(f"{path}: no SCI extension; give a rate or assign_wcs exposure")
    science, header = fits["SCI"], fits[0].read_header()
    shape, own = shape_of(science), science.read_header()
    if len(shape) != 2:
        raise InputError(
            f"{path}: SCI has {len(shape)} dimensions, not 2; give a rate file, not rateints"
        )
    for record in own.records():
        if record["name"] not in header:
            header.add_record(record)
    return science, header, own


def read_dq(path):
    """
    Read DQ of an exposure.

    Parameters
    ----------
    path : str

    Returns
    -------
    dq : ndarray of uint32, [ny, nx]
        Zeros where there is no DQ.

    Raises
    ------
    InputError
        As of `read_science`, or if DQ has another shape than SCI.
    """
    with open_fits(path) as fits:
        shape = shape_of(science_of(path, fits)[0])
        if "DQ" not in fits:
            return np.zeros(shape, np.uint32)
        if shape_of(fits["DQ"]) != shape:
            raise InputError(f"{path}: DQ and SCI differ in shape; fetch or make the file again")
        if is_plain(fits["DQ"], fits["DQ"].read_header(), UINT32):
            return fits["DQ"].read()
    with load_model(path, shape) as model:
        return np.asarray(model.dq, np.uint32)


def read_image(path, extension=0):
    """
    Read an image of a stage and its header.

    Parameters
    ----------
    path : str
    extension : int or str
        The number or name of the HDU.

    Returns
    -------
    image : ndarray, [ny, nx]
    header : FITSHDR
        The cards that the next stage hands on.

    Raises
    ------
    InputError
    """
    with open_fits(path) as fits:
        if extension not in fits or len(shape_of(fits[extension])) != 2:
            raise InputError(f"{path}: no image in HDU {extension}; give the file of a stage")
        return fits[extension].read(), read_header(fits[extension])


def add_cards(header, *cards):
    """
    Add (keyword, value, comment) cards to a header, less NaN and infinities: FITS has none.

    Returns
    -------
    header : FITSHDR
        The same.
    """
    for keyword, value, comment in cards:
        if not isinstance(value, float) or math.isfinite(value):
            header.add_record({"name": keyword, "value": value, "comment": comment})
    return header


def with_unit(header, text):
    """Return the comment of a card with the unit of the image before it, where it is known."""
    return f"[{header['BUNIT']}] {text}" if header.get("BUNIT") else text


@contextlib.contextmanager
def new_fits(path):
    """Yield a new FITS file (fitsio.FITS) to write to; it takes its name when it is complete."""
    with atomic_write(path) as part:
        with fitsio.FITS(part, "rw", clobber=True) as fits:
            yield fits
            written = len(fits)
        # cfitsio does not notice that the disk takes no more when the file is closed.
        with contextlib.suppress(InputError), open_fits(part) as fits:
            if len(fits) == written:
                return
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_cards(path, prefix=b"BPX"):
    """
    Read the cards of a stage's primary header whose keywords begin with `prefix`.

    Returns
    -------
    cards : list of bytes
        As they stand in the file, 80 bytes each, those in CONTINUE included.
    """
    cards, wanted = [], False
    with open_fits(path) as fits, open(path, "rb") as file:
        for card in split_header(read_raw_header(file, fits[0])):
            wanted = wanted if card.startswith(b"CONTINUE") else card.startswith(prefix)
            if wanted:
                cards.append(card)
    return cards


def read_raw_header(file, hdu):
    """Read the bytes of the header of an HDU from an open file, which then stands at its data."""
    offsets = hdu.get_offsets()
    file.seek(offsets["header_start"])
    return file.read(offsets["data_start"] - offsets["header_start"])


def split_header(raw):
    """Return the cards of a header before END, of its bytes."""
    cards = [raw[i : i + CARD] for i in range(0, len(raw), CARD)]
    return cards[: cards.index(b"END".ljust(CARD))]


def copy_with_cards(source, target, cards):
    """
    Copy an exposure with cards added to its primary header, in place of earlier BPX cards.

    cfitsio shifts the data of the whole file for each block of 36 cards that it adds: 0.1 s for
    the cards of 36 MRS exposures, 28 s for those of 600. So they are added as it is copied.

    Parameters
    ----------
    source, target : str
    cards : list of bytes
        Of 80 bytes each; room for 36 more is left.
    """
    with open_unzipped(source) as file, open(target, "wb") as copy:
        with open_fits(source) as fits:
            raw = read_raw_header(file, fits[0])
        kept = [card for card in split_header(raw) if not card.startswith(b"BPX")]
        header = b"".join([*kept, *cards, b" " * CARD * 36, b"END"])
        copy.write(header.ljust(-(-(len(header) + 77) // BLOCK) * BLOCK))
        shutil.copyfileobj(file, copy, 1 << 20)


def write_image(path, image, header, **extensions):
    """Write the image of a stage [ny, nx] with its header, and extensions by their names."""
    with new_fits(path) as fits:
        append_image(fits, image, header)
        for name, extension in extensions.items():
            append_image(fits, extension, extname=name)


def append_image(fits, image, header=None, extname=None):
    """Append an image to an open FITS file; of infinities, `fits.write` of fitsio 1.4 makes NaN."""
    fits.create_image_hdu(dims=image.shape, dtype=image.dtype, header=header, extname=extname)
    fits[-1].write(image)
    fits[-1].write_keys(header or [])
