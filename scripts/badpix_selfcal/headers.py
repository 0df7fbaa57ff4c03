"""
FITS as bytes: headers card by card, and where the data of each HDU lie.

What copies whole exposures needs no more than this: a write_back takes 27 ms of processor time so,
140 with fitsio and 368 with astropy; a pedestal takes 144 ms, with fitsio 194. Property tests
compare what is read and what is written with astropy.
"""

import contextlib
import errno
import itertools
import math
import os
import re

from badpix_selfcal.files import reading
from badpix_selfcal.program import Fault

CARD = 80
BLOCK = 2880
END = b"END".ljust(CARD)
# What the FITS standard allows in a keyword (4.1.2.1), in a header (3.2), as a mandatory text and
# number (4.2.1.1, 4.2.3, in the fixed format), as BITPIX (4.4.1.1).
KEYWORD = re.compile(rb"[A-Z0-9_-]* *")
TEXT = re.compile(rb"[ -~]*")
WORD = re.compile(rb"= '([^']|'')*' *(/.*)?")
TRUTH = re.compile(rb"= +[TF] *(/.*)?")
SCALE = re.compile(rb"= *[-+]?[0-9]*\.?[0-9]*([ED][-+]?[0-9]+)? *(/.*)?")
NUMBER = re.compile(rb"= (?=.{20}( *$| */)) *-?[0-9]+ *(/.*)?")
BITPIX = (8, 16, 32, 64, -32, -64)
EXTENSIONS = ("IMAGE", "TABLE", "BINTABLE", "A3DTABLE", "IUEIMAGE", "DUMP", "FOREIGN")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CHUNK = 1 << 18  # bytes copied at a time, whole pixels, which stay in the processor's cache
COMMENTARY = ("", "COMMENT", "HISTORY")  # have no value, not even with a = (FITS standard, 4.4.2)
INTEGER = re.compile(r"[+-]?\d+", re.A)
REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EDed][+-]?\d+)?", re.A)


class HDU:
    """
    A header and data unit of a file.

    Attributes
    ----------
    name : str
        EXTNAME in capitals.
    cards : list of bytes
        The cards before END, 80 bytes each.
    values, comments : dict
        Of each keyword, the first where it comes twice.
    start, end : int
        The bytes of the file between which its data lie, padding included.
    """

    def __init__(self, cards, start):
        self.cards = cards
        self.values, self.comments = parse(cards)
        self.name = str(self.values.get("EXTNAME", "")).upper()
        self.start = start
        self.end = start + data_size(self.values)

    @property
    def shape(self):
        """The shape of its image, [ny, nx], compressed or not; () if there is none."""
        z = "Z" if self.values.get("ZIMAGE") is True else ""
        n = self.values.get(f"{z}NAXIS", 0)
        return tuple(self.values[f"{z}NAXIS{i}"] for i in range(n, 0, -1))

    def is_plain(self, bitpix, zeros=(0,)):
        """Tell whether its image is of `bitpix`, not compressed, its BZERO one of `zeros`."""
        return (
            self.values.get("ZIMAGE") is not True
            and self.values["BITPIX"] == bitpix
            and self.values.get("BSCALE", 1) == 1
            and self.values.get("BZERO", 0) in zeros
        )


def read_hdus(path):
    """
    Read the headers of a FITS file, each once.

    Returns
    -------
    hdus : list of HDU
        Of which the first is the primary one.

    Raises
    ------
    Fault
        If there is no such file, if it is not FITS, or if it is shorter than its headers say.
    """
    hdus = []
    with reading(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while start := file.read(10):
            if not hdus and start.startswith(b"\x1f\x8b"):
                raise Fault(f"{path}: compressed by gzip; decompress it (gunzip)")
            if not hdus and not start.startswith(b"SIMPLE  ="):
                raise Fault(f"{path}: not a readable FITS file (no SIMPLE); fetch it again")
            if hdus and not start.startswith(b"XTENSION= "):
                place = file.tell() - len(start)
                if any(start.strip(b"\0 ") or chunk.strip(b"\0 ") for chunk in rest(file)):
                    raise Fault(f"{path}: no FITS extension at byte {place}; fetch it again")
                break
            file.seek(-len(start), os.SEEK_CUR)
            try:
                cards = read_cards(file)
                if cards is None:
                    raise Fault(
                        f"{path}: truncated after {size} bytes; fetch or make the file again"
                    )
                refuse_forbidden(cards, first=not hdus)
                hdu = HDU(cards, file.tell())
            except (KeyError, TypeError, ValueError) as error:
                what = f"no {error.args[0]}" if isinstance(error, KeyError) else error
                raise Fault(
                    f"{path}: not a readable FITS file (HDU {len(hdus)}: {what}); fetch it again"
                ) from error
            if hdu.end > size:
                raise Fault(f"{path}: truncated after {size} bytes; fetch or make the file again")
            hdus.append(hdu)
            file.seek(hdu.end)
    if not hdus:
        raise Fault(f"{path}: not a readable FITS file (empty); fetch it again")
    return hdus


def rest(file):
    """Yield what is left of a file, an empty part at least."""
    yield b""
    while chunk := file.read(CHUNK):
        yield chunk


def refuse_forbidden(cards, first):
    """
    Check a header by the FITS standard, 4.0, as far as a damaged one could be taken for another.

    Parameters
    ----------
    cards : list of bytes
    first : bool
        Whether it is the primary one.

    Raises
    ------
    ValueError
        If it has what the standard forbids.
    """
    if not TEXT.fullmatch(b"".join(cards)):
        raise ValueError("characters that are not printable ASCII")
    for raw in cards:
        if not KEYWORD.fullmatch(raw[:8]):
            raise ValueError(f"the keyword {raw[:8].decode()!r}")
        if raw.startswith(b"EXTNAME ") and not WORD.fullmatch(raw[8:]):
            raise ValueError(f"EXTNAME is {raw[10:].decode().strip()}")
        if raw.startswith((b"BSCALE ", b"BZERO ")) and not SCALE.fullmatch(raw[8:]):
            raise ValueError(f"{raw[:6].decode().strip()} is {raw[10:].decode().strip()}")
        if raw.startswith(b"EXTEND ") and not TRUTH.fullmatch(raw[8:]):
            raise ValueError(f"EXTEND is {raw[10:].decode().strip()}")
    if cards[:1] and not first and not WORD.fullmatch(cards[0][8:]):
        raise ValueError(f"XTENSION is {cards[0][10:].decode().strip()}")
    values, _ = parse(cards[:3])
    n_axes = values.get("NAXIS")
    n_axes = n_axes if type(n_axes) is int and 0 <= n_axes <= 999 else 0
    numbers = ["BITPIX", "NAXIS", *(f"NAXIS{i}" for i in range(1, n_axes + 1))]
    numbers += [] if first else ["PCOUNT", "GCOUNT"]
    for raw, keyword in itertools.zip_longest(cards[1 : len(numbers) + 1], numbers, fillvalue=b""):
        if raw[:8] != f"{keyword:8}".encode() or not NUMBER.fullmatch(raw[8:]):
            raise ValueError(f"no {keyword} in its place")
    if values["BITPIX"] not in BITPIX:
        raise ValueError(f"BITPIX is {values['BITPIX']}")
    if first and cards[0][8:30] != b"= " + b"T".rjust(20):
        raise ValueError("SIMPLE is not T")
    if first:
        return
    if values["XTENSION"] not in EXTENSIONS:
        raise ValueError(f"XTENSION is {values['XTENSION']}")
    values, _ = parse(cards[len(numbers) - 1 : len(numbers) + 1])
    counts = values["PCOUNT"], values["GCOUNT"]
    if cards[0].startswith(b"XTENSION= 'IMAGE ") and counts != (0, 1):
        raise ValueError(f"PCOUNT, GCOUNT are {counts}")


def find(hdus, name):
    """Return the first HDU of that name, None if there is none."""
    return next((hdu for hdu in hdus if hdu.name == name), None)


def data_size(values):
    """
    Return the bytes that the data of an HDU fill, by its header (FITS standard, 4.4.1).

    Raises
    ------
    KeyError, ValueError
        If the header does not say it, or says it with what is no number or a negative one.
    """
    axes = [values[f"NAXIS{i}"] for i in range(1, count(values, "NAXIS") + 1)]
    numbers = [*axes, values.get("PCOUNT", 0), values.get("GCOUNT", 1), abs(values["BITPIX"])]
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"its size is {numbers}")
    n = numbers[-3] + math.prod(axes) if axes else 0
    size = numbers[-1] // 8 * numbers[-2] * n
    return -(-size // BLOCK) * BLOCK


def count(values, keyword):
    """Return a number of axes, 0 to 999 (FITS standard, 4.4.1)."""
    if type(values[keyword]) is not int or not 0 <= values[keyword] <= 999:
        raise ValueError(f"{keyword} is {values[keyword]}")
    return values[keyword]


def read_cards(file):
    """Read a header: its cards before END, 80 bytes each; None if it breaks off."""
    cards = []
    while len(block := file.read(BLOCK)) == BLOCK:
        new = [block[i : i + CARD] for i in range(0, BLOCK, CARD)]
        if END in new:
            place = new.index(END)
            if b"".join(new[place + 1 :]).strip(b" "):
                raise ValueError("text after END")
            return cards + new[:place]
        cards += new
    return None


def read_primary(path):
    """
    Read the primary header of a FITS file alone; its data and other HDUs are not looked at.

    Raises
    ------
    Fault
        If there is no such file, or no such header.
    """
    with reading(path), open(path, "rb") as file:
        try:
            cards = read_cards(file)
            if cards is None:
                raise Fault(f"{path}: the primary header has no END; fetch or make the file again")
            return HDU(cards, file.tell())
        except (KeyError, TypeError, ValueError) as error:
            raise Fault(f"{path}: not a readable FITS file ({error}); fetch it again") from error


def parse(cards):
    """
    Read the values and comments of a header's cards, CONTINUE included.

    Returns
    -------
    values, comments : dict
        By keyword: str, bool, int or float, None where there is none; the first of equal keywords.
        Commentary cards and the ESO convention HIERARCH are left out.

    Notes
    -----
    FITS standard 4.0, 4.1 and 4.2. Blanks at the end of a text are not part of it. What is
    neither text, T, F nor a number of the standard is given as the text that stands there: a
    complex number, NaN, ``- 3`` (astropy reads the first and the last). An & at the end of a text
    which nothing continues is part of it, as the standard says (astropy drops it).
    """
    values, comments, last = {}, {}, None
    continued = {}  # the parts of texts, joined at the end: of many, one by one takes very long
    for raw in cards:
        keyword = raw[:8].decode("ascii", "replace").rstrip().upper()
        if keyword == "CONTINUE" and last and isinstance(values[last], str):
            value, comment = parse_field(raw[8:])
            texts, notes = continued.setdefault(last, ([values[last]], [comments[last]]))
            if texts[-1].endswith("&") and isinstance(value, str):
                texts[-1] = texts[-1][:-1]
                texts.append(value)
                notes.append(comment)
            continue
        last = None
        if raw[8:10] == b"= " and keyword not in values and keyword not in COMMENTARY:
            values[keyword], comments[keyword] = parse_field(raw[9:])
            last = keyword
    for keyword, (texts, notes) in continued.items():
        text = "".join(texts)
        values[keyword] = text if text.endswith("&") else text.rstrip()
        comments[keyword] = " ".join(filter(None, notes))
    return values, comments


def parse_field(raw):
    """Read the value and the comment of a card, from the bytes that follow its keyword and =."""
    text = raw.decode("ascii", "replace")
    if text.lstrip().startswith("'"):
        # A quote in a text is doubled.
        parts = text.split("'", 1)[1].replace("''", "\0").split("'", 1)
        value, rest = parts[0].replace("\0", "'"), parts[1] if len(parts) > 1 else ""
        return value.rstrip(), rest.replace("\0", "''").partition("/")[2].strip()
    field, _, comment = text.partition("/")
    return parse_number(field.strip()), comment.strip()


def parse_number(text):
    """Read what is no text: T or F, an integer, a real number; anything else as it stands."""
    if text in ("", "T", "F"):
        return {"": None, "T": True, "F": False}[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if REAL.fullmatch(text):
        return float(text.upper().replace("D", "E"))
    return text


def chunks(path, start):
    """
    Yield the bytes of a file from `start` on; errors of reading name the file.

    Each part, a bytearray of CHUNK bytes but for the last, is overwritten by the next.
    """
    with reading(path), open(path, "rb") as file:
        file.seek(start)
        buffer = bytearray(CHUNK)
        while n := file.readinto(buffer):
            yield buffer if n == CHUNK else buffer[:n]


def copied(source, primary, cards, change=None):
    """
    Yield the bytes of a FITS file with another primary header, and other bytes in places.

    Parameters
    ----------
    source : str
    primary : HDU
        The primary HDU of `source`.
    cards : list of bytes
        The new header, without END.
    change : callable, optional
        Gets each part of the file after the primary header, a bytearray, and the byte of `source`
        at which it begins; may change it in place.

    Yields
    ------
    part : bytes or bytearray
        Which the next one overwrites.
    """
    yield header_bytes(cards)
    place = primary.start
    for chunk in chunks(source, place):
        if change:
            change(chunk, place)
        yield chunk
        place += len(chunk)


def write_parts(path, parts):
    """Write a file of its parts."""
    with open(path, "wb") as file:
        for part in parts:
            file.write(part)


def has_checksum(hdu):
    """Tell whether an HDU has a checksum, or one of its data."""
    return not {"CHECKSUM", "DATASUM"}.isdisjoint(hdu.values)


def refresh_checksums(path, hdus, names=()):
    """Set the checksums of the primary HDU and of the named ones, where they have any, right."""
    stale = [i for i, hdu in enumerate(hdus) if (i == 0 or hdu.name in names) and has_checksum(hdu)]
    if stale:
        import fitsio  # slow to import, as it needs numpy

        with fitsio.FITS(path, "rw") as file:
            for i in stale:
                file[i].write_checksum()


@contextlib.contextmanager
def opened_by_astropy(path):
    """Open a FITS file by astropy, which is slow to import; any fault of it names the file."""
    from astropy.io import fits

    try:
        with fits.open(path) as hdus:
            yield hdus
    except Exception as error:
        if getattr(error, "errno", None) in FULL:  # where a copy goes
            raise
        raise Fault(f"{path}: not readable ({error}); fetch or make the file again") from error


def header_bytes(cards):
    """Return the bytes of a header, given without END."""
    header = b"".join([*cards, END])
    return header.ljust(-(-len(header) // BLOCK) * BLOCK)


def image_cards(bitpix, shape, first):
    """
    Format the cards that a header begins with, in their order.

    Parameters
    ----------
    bitpix : int
    shape : tuple of int
        Of the image, [ny, nx]; () where there is none.
    first : bool
        Whether it is the primary one.
    """
    kind = card("SIMPLE", True, "FITS") if first else card("XTENSION", "IMAGE", "an image")
    axes = [card(f"NAXIS{i}", n, "pixels") for i, n in enumerate(reversed(shape), start=1)]
    bits = card("BITPIX", bitpix, "bits of a pixel; negative: floating point")
    cards = [kind, bits, card("NAXIS", len(shape), "axes"), *axes]
    if first:
        return [*cards, card("EXTEND", True, "extensions may follow")]
    return [*cards, card("PCOUNT", 0, "no more data"), card("GCOUNT", 1, "one image")]


def card(keyword, value, comment):
    """
    Format a card of a text, a truth or a number, finite, as 80 bytes.

    Raises
    ------
    Fault
        If it does not fit.
    """
    text = f"{keyword:8}= {field(value):>20}"
    if len(text) > CARD:
        raise Fault(f"{value}: too long for the FITS card {keyword}; use a shorter name")
    return in_ascii(f"{text} / {comment}")


def long_card(keyword, value, comment):
    """Format a card as `card` does, in a list: a text that is too long goes on in CONTINUE."""
    if not isinstance(value, str):
        return [card(keyword, value, comment)]
    cards, start, value = [], f"{keyword:8}= ", field(value)[1:].rstrip()[:-1]
    while value and len(f"{start}'{value}' / {comment}") > CARD:
        n = 67  # of the 70 that a card has for the value, two quotes and the & that says it goes on
        n -= value[:n].count("'") % 2  # doubled quotes stay together
        cards.append(in_ascii(f"{start}'{value[:n]}&'"))
        start, value = "CONTINUE  ", value[n:]
    value = f"'{value}'".ljust(20)
    return [*cards, in_ascii(f"{start}{value} / {comment}")]


def field(value):
    """Format the value of a card; a float with 15 digits, as cfitsio does."""
    if isinstance(value, str):
        return "'{:8}'".format(value.replace("'", "''")).ljust(20)
    if isinstance(value, bool):
        return "T" if value else "F"
    if not isinstance(value, float):
        return str(value)
    digits, e, power = f"{value:.15G}".partition("E")
    point = "" if "." in digits else ".0" if e else "."
    return f"{digits}{point}{e}{power}"


def in_ascii(text):
    """Return the 80 bytes of a card; a character that FITS does not allow becomes a ?."""
    return re.sub("[^ -~]", "?", text)[:CARD].ljust(CARD).encode()


def history(text):
    """Format a HISTORY card."""
    return in_ascii(f"HISTORY {text}")


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


def calibrated_cards(cards, filename, status, more=()):
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
