"""FITS in and out: damaged files are refused, headers come back, and cards are added in a copy."""

import gzip
import os
from pathlib import Path

import breaking
import numpy as np
import pytest
from astropy.io import fits
from conftest import call, flag, write_exposure
from fitsio import FITSHDR

from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import add_cards, read_image, write_image

SHAPE = (48, 64)

# ---- damaged files -------------------------------------------------------------------------------


def find_header(path, name):
    """Return where the header and the data of an HDU begin, in bytes."""
    with fits.open(path) as hdus:
        info = hdus[name].fileinfo()
    return info["hdrLoc"], info["datLoc"]


def cut(name, into=0, block=0):
    """Cut a file in the header (block 0) or data (block 1) of an HDU, or at its end."""

    def damage(path):
        place = -into if name is None else find_header(path, name)[block] + into
        Path(path).write_bytes(Path(path).read_bytes()[:place])

    return damage


def change(function):
    def damage(path):
        Path(path).write_bytes(function(Path(path).read_bytes()))

    return damage


def replace(old, new, name):
    """Replace a text in the header of an HDU, byte for byte."""

    def damage(path):
        content, (start, end) = Path(path).read_bytes(), find_header(path, name)
        assert old in content[start:end]
        header = content[start:end].replace(old, new.ljust(len(old)), 1)
        Path(path).write_bytes(content[:start] + header + content[end:])

    return damage


def card(keyword, value):
    return f"{keyword:8}= {value:>20}".encode()


def replace_plane(name, hdu):
    def damage(path):
        with fits.open(path) as hdus:
            hdu.header["EXTNAME"] = name
            hdus[name] = hdu
            hdus.writeto(path, overwrite=True)

    return damage


def make_folder(path):
    os.remove(path)
    os.mkdir(path)


def corrupt_compressed(path):
    plane = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    with fits.open(path) as hdus:
        hdus["SCI"] = fits.CompImageHDU(plane, name="SCI", compression_type="GZIP_1")
        hdus.writeto(path, overwrite=True)
    with fits.open(path, disable_image_compression=True) as hdus:
        place = hdus[1].fileinfo()["datLoc"] + hdus[1].data.nbytes
    content = bytearray(Path(path).read_bytes())
    content[place : place + 2000] = bytes(2000)
    Path(path).write_bytes(content)


CUBE = np.ones((2, 3, 4), np.float32)
END = b"END" + b" " * 77
DAMAGE = {
    "missing": (os.remove, "No such file"),
    "a folder": (make_folder, "no such file; check the path"),
    "empty": (change(lambda _: b""), "not FITS, or gzipped; decompress or fetch it again"),
    "text": (change(lambda _: b"hello\n" * 999), "not FITS, or gzipped"),
    "gzip": (change(gzip.compress), "not FITS, or gzipped; decompress"),
    "3 bytes short": (cut(None, 3), "truncated or damaged: .* bytes"),
    "a block short": (cut(None, 2880), "truncated or damaged"),
    "cut in a header": (cut("DQ", 720), "truncated or damaged"),
    "cut in the last header": (cut("VAR_FLAT", 720), "truncated or damaged"),
    "cut in data": (cut("DQ", 720, block=1), "truncated or damaged"),
    "garbage appended": (change(lambda content: content + b"notes"), "truncated or damaged"),
    "a block of zeros": (change(lambda content: content + bytes(2880)), "truncated or damaged"),
    "no SCI": (replace(b"'SCI  ", b"'SKY  ", "SCI"), "no SCI extension; give a rate"),
    "SCI is a table": (replace_plane("SCI", fits.BinTableHDU()), "SCI has 0 dimensions"),
    "SCI of 3-D": (replace_plane("SCI", fits.ImageHDU(CUBE)), "SCI has 3 dimensions, not 2"),
    "compressed data": (corrupt_compressed, "not readable .*; fetch or make the file again"),
    # What the FITS standard forbids, and cfitsio would take for another image.
    "GCOUNT": (replace(card("GCOUNT", 1), card("GCOUNT", -1), "SCI"), "not .*readable"),
    "PCOUNT": (replace(card("PCOUNT", 0), card("PCOUNT", -9999999), "SCI"), "not .*readable"),
    "NAXIS1": (replace(card("NAXIS1", 64), card("NAXIS1", -64), "SCI"), "not a readable FITS"),
    "NAXIS2": (replace(b"NAXIS2", b"NAXJS2", "SCI"), "not a readable FITS"),
    "BITPIX": (replace(card("BITPIX", -32), card("BITPIX", -33), "SCI"), "not a readable FITS"),
    "XTENSION": (replace(b"XTENSION", b"YTENSION", "DQ"), "not a readable FITS"),
    "END": (replace(END, b"EMD", "DQ"), "not a readable FITS"),
    "text after END": (replace(END, b"END".ljust(79) + b"x", "DQ"), "damaged header"),
    "unprintable": (replace(b"NRS_IFU", b"NRS_\xff\xfe\xfd", 0), "damaged header"),
    "BSCALE": (replace(b"BUNIT   = 'DN/s", b"BSCALE  = 'much", "SCI"), "not readable"),
}


@pytest.fixture
def flags(tmp_path):
    """Return flags of an exposure like those that are damaged."""
    exposure = write_exposure(tmp_path / "good" / "bad_rate.fits")
    path = flag(tmp_path / "good", [exposure])["flags"]
    with fits.open(path, mode="update") as hdus:  # else the exposure's size betrays it
        for key in ("BPXE0001", "BPXS0001", "BPXT0001"):
            del hdus[0].header[key]
    return path


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_exposures_are_refused(tmp_path, flags, kind):
    """In one line that names file, fault and remedy, with nothing half-written."""
    damage, fault = DAMAGE[kind]
    path = write_exposure(tmp_path / "bad_rate.fits")
    damage(path)
    words = {
        "pedestal": (path, "--output", tmp_path / "output" / "p.fits"),
        "write_back": (flags, tmp_path / "output", path),
        "mark_skipped": (path, tmp_path / "output" / "s.fits"),
    }
    if kind in ("compressed data", "BSCALE"):  # it does not read them
        del words["mark_skipped"]
    for name in words:
        with pytest.raises(InputError, match=f"^{path}: .*{fault}") as caught:
            call(name, *words[name])
        assert "; " in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert not list(tmp_path.glob("output/*"))


@pytest.mark.parametrize("name", ["x[1]_rate.fits", "a[b]/x_rate.fits", "$HOME/x_rate.fits"])
def test_paths_that_cfitsio_misreads_are_refused(tmp_path, name):
    path = write_exposure(tmp_path / name)
    with pytest.raises(InputError, match=r"brackets or \$ in the path; rename the folder or file"):
        call("pedestal", path, "--output", tmp_path / "p.fits")


def test_other_paths_are_read(tmp_path, flags):
    exposure = write_exposure(tmp_path / "a (b) + c, d;e #1 ~!%20" / "it's_rate.fits")
    call("pedestal", exposure, "--output", tmp_path / "p.fits")
    call("write_back", flags, tmp_path / "a (b) + c", exposure)
    assert fits.getdata(tmp_path / "a (b) + c" / "it's_badpix_selfcal.fits", "DQ").any()


@pytest.mark.filterwarnings("ignore")  # of astropy, about damaged cards
def test_broken_headers_are_refused_or_read_as_astropy_reads_them(tmp_path):
    """`make fuzz` does more of them."""
    found = {breaking.trial("exposures", seed, tmp_path) for seed in range(1200)}
    assert found == {"refused", "read as by astropy", "read, astropy refuses"}


# ---- headers and cards ---------------------------------------------------------------------------

VALUES = (
    *(0, -1, 10**18, True, False, 0.5, 1 / 3, -2e-7 / 3, 1.5e300, "", " ", "it's", "''", "a/b"),
    *("a&", "&", "n" * 67, "n" * 68, "n" * 69, "it's " * 40, "x" * 300, "MIRIFULONG"),
)


def test_cards_come_back(tmp_path):
    """To us and to astropy, with their types; those that go on in other cards, too."""
    header, path = FITSHDR(), str(tmp_path / "x.fits")
    add_cards(header, *((f"BPX{i:05}", value, "a comment") for i, value in enumerate(VALUES)))
    add_cards(header, *((f"BPY{i}", v, "") for i, v in enumerate((np.nan, np.inf, -np.inf))))
    write_image(path, np.ones((3, 4), np.float32), header, SOURCE=np.ones((3, 4), np.int16))
    found, by_astropy = read_image(path)[1], fits.getheader(path)
    for i, value in enumerate(VALUES):
        for read in (found[f"BPX{i:05}"], by_astropy[f"BPX{i:05}"]):
            same = value.rstrip() if isinstance(value, str) else pytest.approx(value, rel=1e-14)
            assert (type(read), read.rstrip() if isinstance(read, str) else read) == (
                type(value),
                same,
            )
    assert "BPY0" not in by_astropy  # FITS has no such numbers
