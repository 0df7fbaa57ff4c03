"""Comparison of a result with the same result made again, byte for byte."""

import filecmp
import os
import re

from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import CARD, open_fits, read_raw_header

DIFFERS = "differs from what today's inputs give"
DATED = (b"CHECKSUM", b"DATASUM ")  # cards whose comments say when they were written
MOST = 5  # keywords to name


def find_text_difference(path, text):
    """Say whether a text file differs from a text made again; "" if it does not."""
    try:
        with open(path, "rb") as file:
            return "" if file.read() == text.encode() else DIFFERS
    except FileNotFoundError:
        return "missing"


def find_difference(path, again):
    """
    Say how a FITS file differs from the same file made again.

    Parameters
    ----------
    path, again : str

    Returns
    -------
    fault : str
        "" if all bytes agree but for the dates of checksums, which must be right then.
    """
    if not os.path.isfile(path):
        return "missing"
    if filecmp.cmp(path, again, shallow=False):
        return ""
    try:
        differences = list_differences(path, again)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ").partition("; ")[0]
    return f"{DIFFERS} ({'; '.join(differences)})" if differences else ""


def list_differences(path, again):
    """List the HDUs in which two FITS files differ, with the keywords of the cards that do."""
    hdus, expected = read_hdus(path), read_hdus(again)
    if [name for name, *_ in hdus] != [name for name, *_ in expected]:
        return ["other HDUs"]
    found = []
    for (name, cards, data), (_, cards_again, data_again) in zip(hdus, expected, strict=True):
        if cards != cards_again:
            different = {*cards} ^ {*cards_again}
            keywords = {re.sub(rb"[^!-~]", b"", card[:8]).decode() for card in different}
            found.append(f"{name}: cards {', '.join(sorted(keywords)[:MOST])}")
        if data != data_again:
            found.append(f"{name}: data")
    return found or list_wrong_checksums(path)


def read_hdus(path):
    """Return the name, the cards without dates and the data of each HDU: all bytes of the file."""
    hdus = []
    with open_fits(path) as fits, open(path, "rb") as file:
        for i, hdu in enumerate(fits):
            offsets = hdu.get_offsets()
            raw = read_raw_header(file, hdu)
            data = file.read(offsets["data_end"] - offsets["data_start"])
            cards = [raw[start : start + CARD] for start in range(0, len(raw), CARD)]
            cards = [card[:8] if card.startswith(DATED) else card for card in cards]
            hdus.append((hdu.get_extname() or f"HDU {i}", cards, data))
    return hdus


def list_wrong_checksums(path):
    """List the HDUs of a FITS file whose checksums are wrong."""
    found = []
    with open_fits(path) as fits:
        for hdu in fits:
            try:
                if "CHECKSUM" in hdu.read_header():
                    hdu.verify_checksum()
            except ValueError as error:
                found.append(f"{hdu.get_extname()}: {error}")
    return found
