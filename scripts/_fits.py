"""
Reading and writing FITS, light enough for jobs that last a tenth of a second.

``fitsio`` costs nothing over numpy at start-up where ``astropy.io.fits`` costs 0.2 s; astropy is
imported only for images that are stored scaled, compressed or in another type.
"""

import contextlib
import errno
import os
import shutil

import fitsio
import numpy as np

from _program import Fault, whole

CARD = 80
BLOCK = 2880
END = b"END".ljust(CARD)


@contextlib.contextmanager
def opened(path):
    """
    Open a FITS file for reading, whole and of any name.

    Raises
    ------
    Fault
        If there is no such file, if it is not FITS, or if it is shorter than its headers say.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}; check the path and its permissions") from error
    try:
        if os.pread(descriptor, 2, 0) == b"\x1f\x8b":
            raise Fault(f"{path}: compressed by gzip; decompress it (gunzip)")
        # By descriptor, as cfitsio takes brackets in a name for a filter.
        with fitsio.FITS(f"/dev/fd/{descriptor}") as file:
            end = max(hdu.get_offsets()["data_end"] for hdu in file)
            size = os.fstat(descriptor).st_size
            # cfitsio takes a header that breaks off for the end of the file.
            if size < end or os.pread(descriptor, 8, end) == b"XTENSION":
                raise Fault(f"{path}: truncated after {size} bytes; fetch or make the file again")
            yield file
    except OSError as error:
        first = str(error).splitlines()[0]
        raise Fault(f"{path}: not a readable FITS file ({first}); fetch it again") from error
    finally:
        os.close(descriptor)


# BITPIX in the file and after scaling, as cfitsio says them; DQ is stored with BZERO 2**31.
STORED = {"f4": {(-32, -32)}, "u4": {(32, 40), (32, 32)}}


def is_stored_as(hdu, dtype):
    """Tell whether an image HDU holds float32 ("f4") or uint32 ("u4") as it is: not compressed."""
    info, header = hdu.get_info(), hdu.read_header()
    if (
        info["is_compressed_image"]
        or (info["img_type"], info["img_equiv_type"]) not in STORED[dtype]
    ):
        return False
    # Of float32 those types do not tell whether it is scaled.
    return dtype == "u4" or (header.get("BSCALE", 1) == 1 and header.get("BZERO", 0) == 0)


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
        plane = hdu.read() if is_stored_as(hdu, "f4") else read_as_float32(path)
        return plane, file[0].read_header(), hdu.read_header()


def read_as_float32(path):
    """Read a scaled, compressed or otherwise typed SCI as stdatamodels does: by astropy."""
    with opened_by_astropy(path) as hdus:
        return np.asarray(hdus["SCI"].data, dtype=np.float32)


@contextlib.contextmanager
def opened_by_astropy(path):
    """Open a FITS file by astropy, which is slow to import; any fault of it names the file."""
    from astropy.io import fits

    try:
        with fits.open(path) as hdus:
            yield hdus
    except Exception as error:
        if getattr(error, "errno", None):  # of the system: a full disk where the copy goes
            raise
        raise Fault(f"{path}: not readable ({error}); fetch or make the file again") from error


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


def write_image(path, image, header):
    """Write a stage's file: one image [ny, nx] in the primary HDU, `header` carried on."""
    with created(path) as file:
        append_image(file, image, header)


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


def primary_cards(path):
    """
    Read the primary header of a FITS file as it stands there.

    Returns
    -------
    cards : list of bytes
        The cards before END, 80 bytes each.
    size : int
        The bytes that the header fills in the file.

    Raises
    ------
    Fault
        If the header does not end.
    """
    cards = []
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            cards += [block[i : i + CARD] for i in range(0, len(block), CARD)]
            if END in cards:
                return cards[: cards.index(END)], file.tell()
    raise Fault(f"{path}: the primary header has no END; fetch or make the file again")


def copy_with_header(source, target, cards):
    """
    Copy a FITS file, with another primary header.

    Returns
    -------
    shift : int
        By how many bytes everything after the primary header moved.
    """
    _, size = primary_cards(source)
    header = b"".join([*cards, END])
    header = header.ljust(-(-len(header) // BLOCK) * BLOCK)
    with open(source, "rb") as old, open(target, "wb") as new:
        new.write(header)
        old.seek(size)
        shutil.copyfileobj(old, new, 1 << 22)
    return len(header) - size


def refresh_checksums(path, names):
    """Set the checksums of the named HDUs (the primary one is 0), where they have any, right."""
    with fitsio.FITS(path, "rw") as file:
        for name in names:
            header = file[name].read_header()
            if "CHECKSUM" in header or "DATASUM" in header:
                file[name].write_checksum()


def card(keyword, value, comment):
    """
    Format a card of a text or an integer as 80 bytes.

    Raises
    ------
    Fault
        If it does not fit.
    """
    if isinstance(value, str):
        value = "'{:8}'".format(value.replace("'", "''")).ljust(20)
    text = f"{keyword:8}= {value:>20}"
    if len(text) > CARD:
        raise Fault(f"{value}: too long for the FITS card {keyword}; use a shorter name")
    return f"{text} / {comment}"[:CARD].ljust(CARD).encode("ascii")


def history(text):
    """Format a HISTORY card."""
    return f"HISTORY {text}"[:CARD].ljust(CARD).encode("ascii")


def split_cards(cards, prefix):
    """Part a header's cards into those whose keyword begins with `prefix`, and the others."""
    parts = ([], [])
    other = True
    for raw in cards:
        if not raw.startswith(b"CONTINUE"):  # which goes where the card before it went
            other = not raw.startswith(prefix)
        parts[other].append(raw)
    return parts


def replaced(cards, new, after=b""):
    """
    Put a card in the place of the one with its keyword.

    Without one, the new card comes after the last whose keyword begins with `after`, or last.
    """
    old, others = split_cards(cards, new[:8])
    place = cards.index(old[0]) if old else len(others)
    if not old and after:
        block = [i for i, raw in enumerate(others, start=1) if raw.startswith(after)]
        place = max(block, default=place)
    return [*others[:place], new, *others[place:]]


def primary_values(path):
    """Read the values of the primary header as texts, by keyword; no other HDU is looked at."""
    values, last = {}, None
    for raw in primary_cards(path)[0]:
        keyword, text = raw[:8].decode("ascii", "replace").rstrip(), card_text(raw)
        if keyword == "CONTINUE":
            values[last] = values[last].removesuffix("&") + text
        else:
            values[keyword], last = text, keyword
    return values


def card_text(raw):
    """Return the value of a card (80 bytes) as text, without its quotes and comment."""
    text = raw[10:].decode("ascii", "replace")
    if text.lstrip().startswith("'"):
        # A quote in a text is doubled.
        return text.split("'", 1)[1].replace("''", "\0").split("'")[0].rstrip().replace("\0", "'")
    return text.split("/")[0].strip()
