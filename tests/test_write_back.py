"""Flagged exposures, of all kinds of input: what changes, and that nothing else does."""

import os
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from conftest import call, flag, planes_of, program, write_exposure

from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import add_cards, write_image

SHAPE = (48, 64)
BLANKED = ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")


@pytest.fixture
def flags(tmp_path):
    """Write a flags.fits as the threshold stage does, and return its path and its array."""
    flags = np.zeros(SHAPE, np.uint8)
    flags[0, 0] = flags[5, 7] = flags[-1, -1] = 1
    flags[20, 30] = flags[0, 63] = 2
    header = fitsio.FITSHDR()
    add_cards(
        header,
        ("DETECTOR", "NRS1", ""),
        ("BPXSTACK", "s" * 60, "a comment for which the text goes on in another card"),
        ("BPXNLO", 3, "low"),
        ("BPXNHI", 2, "high"),
    )
    write_image(str(tmp_path / "flags.fits"), flags, header)
    return tmp_path / "flags.fits", flags > 0


def name_flagged(exposure):
    return Path(exposure).name.replace("_rate", "_badpix_selfcal")


def write_back(exposure, flags, folder="flagged"):
    call("write_back", flags, flags.parent / folder, exposure)
    return flags.parent / folder / name_flagged(exposure)


def split_hdus(path):
    """Return the bytes of the header and of the data of each HDU."""
    content = Path(path).read_bytes()
    with fitsio.FITS(path) as hdus:
        places = {hdu.get_extname() or "PRIMARY": hdu.get_offsets().values() for hdu in hdus}
    assert max(end for *_, end in places.values()) == len(content)
    return {
        name: (content[start:data], content[data:end])
        for name, (start, data, end) in places.items()
    }


def check_flagged(output, bad, planes):
    """Check that `output` holds `planes`, flagged where `bad`, as plain float32 and uint32."""
    with fits.open(output, checksum=True) as hdus:  # a wrong one warns, which fails the test
        assert {hdu.name for hdu in hdus} & {*BLANKED, "DQ"} == set(planes)
        for name, plane in planes.items():
            cards = [hdus[name].header.get(key) for key in ("XTENSION", "BITPIX", "BZERO")]
            assert cards == ["IMAGE", *((32, 1 << 31) if name == "DQ" else (-32, None))]
            expected = np.where(bad, plane | 1 | 1 << 30 if name == "DQ" else np.nan, plane)
            np.testing.assert_array_equal(hdus[name].data, expected)


@pytest.mark.parametrize("checksum", [False, True, "datasum"])
def test_flagged_pixels_change_and_nothing_else(tmp_path, flags, checksum):
    """Wherever the primary header ends: it grows by whole blocks."""
    path, bad = flags
    planes = planes_of(SHAPE)
    other = {"WAVELENGTH": np.ones(SHAPE, np.float32), "REGIONS": np.ones(SHAPE, np.int32)}
    for n_cards in range(0, 37, 4):
        cards = {f"KEY{i}": i / 3 for i in range(n_cards)} | {"LONG": "it's " * 30}
        exposure = tmp_path / "x_rate.fits"
        write_exposure(exposure, planes=planes | other, primary=cards, checksum=checksum)
        before = exposure.read_bytes()
        output = write_back(exposure, path)
        assert exposure.read_bytes() == before
        check_flagged(output, bad, planes)
        old, new = split_hdus(exposure), split_hdus(output)
        assert list(old) == list(new)
        assert {name for name in old if old[name][1] != new[name][1]} == set(planes)
        changed = {name for name in old if old[name][0] != new[name][0]}
        assert changed == {"PRIMARY", *(planes if checksum else ())}
        for name in changed:
            cards = [
                [str(card) for card in fits.Header.fromstring(header).cards
                 if card.keyword not in ("FILENAME", "CHECKSUM", "DATASUM", "")]
                for header in (old[name][0], new[name][0])
            ]  # fmt: skip
            assert [card for card in cards[1] if card in cards[0]] == cards[0]
            assert name == "PRIMARY" or cards[0] == cards[1]
        for header, _ in new.values():
            assert (b"DATASUM" in header) == bool(checksum)


def test_the_header_says_what_happened(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    planes["DQ"][5, 7], planes["DQ"][20, 30] = 1, 4  # the second is not DO_NOT_USE
    cards = {"S_BPXSLF": "SKIPPED", "FILENAME": "n" * 100 + ".fits"}
    once = write_back(write_exposure(tmp_path / "x_rate.fits", planes=planes, primary=cards), path)
    header = fits.getheader(once)
    assert header["FILENAME"] == "x_badpix_selfcal.fits"
    assert header["S_BPXSLF"] == "COMPLETE"
    assert header["BPXSTACK"] == "s" * 60
    assert (header["BPXNLO"], header["BPXNHI"]) == (3, 2)
    assert header["BPXNNEW"] == np.count_nonzero(bad & (planes["DQ"] & 1 == 0))
    assert "flagged bad pixels of stack\n  " + "s" * 60 in str(header["HISTORY"])
    # Flagged again, it has the new cards in place of the old ones.
    twice = fits.getheader(write_back(once, path, "twice"))
    assert twice["BPXNNEW"] == 0
    for key in ("S_BPXSLF", "FILENAME", "BPXSTACK", "BPXNNEW", "BPXNLO"):
        assert twice.count(key) == 1
    assert len(twice["HISTORY"]) == len(header["HISTORY"]) + 2
    with pytest.raises(InputError, match="read and written; name another folder"):
        write_back(once, path)


# ---- unusual exposures ---------------------------------------------------------------------------


def convert(**types):
    def write(path, planes):
        changed = {name: np.nan_to_num(planes[name]).astype(types[name]) for name in types}
        write_exposure(path, planes=planes | changed)

    return write


def edit(path, name, change):
    """Put a changed HDU in place of a plane."""
    with fits.open(path) as hdus:
        hdus[name] = change(hdus[name])
        hdus[name].header["EXTNAME"] = name
        hdus.writeto(f"{path}.new", checksum=True)
    os.replace(f"{path}.new", path)


def scale_floats(**cards):
    return lambda path, planes: write_exposure(path, planes=planes, science=cards)


def scale_integers(path, planes):
    def scale(hdu):
        hdu = fits.ImageHDU(np.round(np.nan_to_num(hdu.data) * 100), hdu.header)
        hdu.scale("int16", bscale=0.25, bzero=3.0)
        return hdu

    write_exposure(path, planes=planes)
    edit(path, "SCI", scale)


def compress(method, level=0.0):
    def write(path, planes):
        write_exposure(path, planes=planes)
        kind = {"compression_type": method, "quantize_level": level}
        edit(path, "SCI", lambda hdu: fits.CompImageHDU(hdu.data, hdu.header, **kind))
        edit(path, "DQ", lambda hdu: fits.CompImageHDU(hdu.data.view("i4") & 7, hdu.header))

    return write


def name_in_lower_case(path, planes):
    convert(SCI="f8")(path, planes)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content.replace(b"EXTNAME = 'SCI ", b"EXTNAME = 'sci ", 1))


UNUSUAL = {
    "only_sci": lambda path, planes: write_exposure(path, planes={"SCI": planes["SCI"]}),
    "float64": convert(SCI="f8", DQ="u1"),
    "int16": convert(SCI="i2", DQ="i4"),
    "scaled_integers": scale_integers,
    "bscale": scale_floats(BSCALE=0.1),  # the type of float32 does not tell that it is scaled
    "bzero": scale_floats(BSCALE=1.0, BZERO=0.3),
    "rice": compress("RICE_1", 16.0),
    "gzip1": compress("GZIP_1"),
    "gzip2": compress("GZIP_2"),
    "lower_case": name_in_lower_case,
    "plain": lambda path, planes: write_exposure(path, planes=planes),
}


def test_unusual_exposures_come_out_plain(tmp_path, flags):
    """To the bit as astropy reads them, several at a time; and so they enter the minimum."""
    path, bad = flags
    paths = [tmp_path / f"{kind}_rate.fits" for kind in UNUSUAL]
    for make, exposure in zip(UNUSUAL.values(), paths, strict=True):
        make(exposure, planes_of(SHAPE))
    call("write_back", "--threads", 4, path, tmp_path / "flagged", *paths)
    call("pedestal", *paths, "--output", tmp_path / "p.fits")
    for kind, exposure in zip(UNUSUAL, paths, strict=True):
        with fits.open(exposure) as hdus:
            planes = {h.name.upper(): h.data for h in hdus[1:]}
        planes = {n: p.astype("u4" if n == "DQ" else "f4") for n, p in planes.items()}
        if kind == "only_sci":  # the reference makes them
            planes |= {"ERR": np.zeros(SHAPE, "f4"), "DQ": np.zeros(SHAPE, "u4")}
        output = tmp_path / "flagged" / name_flagged(exposure)
        check_flagged(output, bad, planes)
        np.testing.assert_array_equal(fits.getdata(tmp_path / "p.fits", kind), planes["SCI"])
        science = fits.getheader(output, "SCI")
        assert (science["BUNIT"], science["DISPAXIS"]) == ("DN/s", 1)
    assert len(os.listdir(tmp_path / "flagged")) == len(paths)  # and no temporary file


def test_skipped_exposures_keep_every_array(tmp_path):
    exposure = write_exposure(tmp_path / "x_rate.fits", checksum=True)
    output = tmp_path / "y.fits"
    assert "so nothing is flagged" in program("mark_skipped", exposure, output).stderr
    old, new = split_hdus(exposure), split_hdus(output)
    assert old.pop("PRIMARY")[1] == new.pop("PRIMARY")[1]
    assert old == new
    with fits.open(output, checksum=True) as hdus:
        header = hdus[0].header
        assert (header["S_BPXSLF"], header["FILENAME"]) == ("SKIPPED", "y.fits")
        assert (header["BPXE0001"], header["BPXS0001"]) == ("x", os.path.getsize(exposure))


# ---- what does not belong together ---------------------------------------------------------------


def test_flags_of_other_exposures_are_refused(tmp_path, flags):
    path, planes = flags[0], planes_of(SHAPE)
    for stored, detector, error in (
        (planes_of((48, 65)), "NRS1", r"SCI has shape \(48, 65\), the flags \(48, 64\); remove"),
        (planes | {"DQ": planes["DQ"][:9]}, "NRS1", r"DQ has shape \(9, 64\), the flags"),
        (planes, "NRS2", "of NRS2, the flags of NRS1; give flags of the same detector"),
    ):
        cards = {"DETECTOR": detector}
        exposure = write_exposure(tmp_path / "x.fits", planes=stored, primary=cards)
        with pytest.raises(InputError, match=f"x.fits: {error}"):
            write_back(exposure, path)
    exposure = write_exposure(tmp_path / "x.fits", primary={"DETECTOR": "nrs1"})
    call("write_back", path, tmp_path / "flagged", exposure)  # in either case
    files = flag(tmp_path / "stages", [exposure], edge_mode="shrink")
    for name, error in (("pedestal", "no image in HDU 0; give"), ("minimum", "no flags; give")):
        with pytest.raises(InputError, match=rf"{name}\.fits: {error} the file of .* stage"):
            write_back(exposure, Path(files[name]))
    os.utime(exposure, (1, 1))
    for words in (
        ("write_back", files["flags"], files["flagged"], exposure),
        ("excluded", files["minimum"], files["excluded"], exposure),
    ):
        with pytest.raises(InputError, match=r"x\.fits: replaced or changed .*; run again"):
            call(*words)


def test_exposures_of_another_detector_are_refused(tmp_path):
    """Those of another grating are warned of."""
    cards = ({"DETECTOR": "nrs1", "GRATING": "A"}, {"EXP_TYPE": "nrs_ifu", "GRATING": "B"},
             {"DETECTOR": "NRS2"})  # fmt: skip
    paths = [write_exposure(tmp_path / f"x{i}.fits", primary=c) for i, c in enumerate(cards)]
    output = tmp_path / "p.fits"
    done = program("pedestal", *paths, "--output", output, check=False)
    assert "x2.fits: DETECTOR NRS2 against NRS1" in done.stderr.splitlines()[-1]
    assert not output.exists()
    done = program("pedestal", *paths[:2], "--output", output)
    assert done.stderr.endswith("pedestal: warning: x1: GRATING B against A\n")
    with fits.open(output) as hdus:
        found = [(h.header["DETECTOR"], h.header["EXP_TYPE"]) for h in hdus[1:]]
    assert found == [("NRS1", "NRS_IFU")] * 2
