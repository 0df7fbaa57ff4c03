"""Flagged exposures, of all kinds of input: what changes, and that nothing else does."""

import gzip
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from conftest import call, planes_of, program, write_exposure

from badpix_selfcal.images import Header, add_cards, write_image

SHAPE = (48, 64)
BLANKED = ("SCI", "ERR", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")


@pytest.fixture
def flags(tmp_path):
    """Write a flags.fits as the threshold stage does, and return its path and its array."""
    flags = np.zeros(SHAPE, np.uint8)
    flags[0, 0] = flags[5, 7] = flags[-1, -1] = 1
    flags[20, 30] = flags[0, 63] = 2
    header = Header()
    add_cards(
        header,
        ("BPXVER", "0", "version"),
        ("BPXSTACK", "s" * 60, "a comment for which the text goes on in another card"),
        ("BPXNLO", 3, "low"),
        ("BPXNHI", 2, "high"),
    )
    write_image(str(tmp_path / "flags.fits"), flags, header)
    return tmp_path / "flags.fits", flags > 0


def write_back(exposure, flags, output="out_badpix_selfcal.fits"):
    output = flags.parent / output
    call("write_back", exposure, flags, output)
    return output


def failed(exposure, flags):
    """Run write_back in vain."""
    output = flags.parent / "out_badpix_selfcal.fits"
    done = program("write_back", exposure, flags, output, check=False)
    assert done.returncode == 1
    return done


def hdu_bytes(path):
    """Return the raw data bytes of each HDU."""
    content = Path(path).read_bytes()
    with fits.open(path, disable_image_compression=True) as hdus:
        spans = {h.name: h.fileinfo() for h in hdus}
    return {n: content[s["datLoc"] : s["datLoc"] + s["datSpan"]] for n, s in spans.items()}


def check_flagged(output, bad, planes):
    """Check that `output` holds `planes`, flagged where `bad`, as plain float32 and uint32."""
    with fits.open(output) as hdus:
        for name in BLANKED:
            if name not in planes:
                continue
            data = hdus[name].data
            assert hdus[name].header["BITPIX"] == -32
            assert "BSCALE" not in hdus[name].header
            assert np.isnan(data[bad]).all()
            assert np.array_equal(data[~bad], planes[name][~bad], equal_nan=True)
        expected = np.where(bad, planes["DQ"] | 1 | 1 << 30, planes["DQ"])
        assert hdus["DQ"].data.dtype == np.uint32
        assert np.array_equal(hdus["DQ"].data, expected)


def test_flagged_pixels_change_and_nothing_else(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    extra = {"WAVELENGTH": np.ones(SHAPE, np.float32), "REGIONS": np.ones(SHAPE, np.int32)}
    exposure = write_exposure(tmp_path / "x_rate.fits", planes=planes | extra)
    before = Path(exposure).read_bytes()
    output = write_back(exposure, path)
    check_flagged(output, bad, planes)
    assert Path(exposure).read_bytes() == before
    old, new = hdu_bytes(exposure), hdu_bytes(output)
    assert list(old) == list(new)
    assert {n for n in old if old[n] != new[n]} == {*BLANKED, "DQ"}
    with fits.open(exposure) as old, fits.open(output) as new:
        for was, now in zip(old[1:], new[1:], strict=True):
            assert was.header.tostring() == now.header.tostring()
        kept = [str(card) for card in old[0].header.cards if card.keyword != "FILENAME"]
        assert [str(card) for card in new[0].header.cards if str(card) in kept] == kept


def test_header_says_what_happened(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    planes["DQ"][5, 7], planes["DQ"][20, 30] = 1, 4  # the second is no DO_NOT_USE
    exposure = write_exposure(tmp_path / "x_rate.fits", planes=planes)
    header = fits.getheader(write_back(exposure, path))
    assert header["FILENAME"] == "out_badpix_selfcal.fits"
    assert header["S_BPXSLF"] == "COMPLETE"
    assert header.comments["S_BPXSLF"] == "Bad Pixel Self-Calibration"
    assert header.index("S_BPXSLF") == header.index("S_RAMP") + 1
    assert header["BPXSTACK"] == "s" * 60
    assert (header["BPXNLO"], header["BPXNHI"]) == (3, 2)
    assert header["BPXNNEW"] == np.count_nonzero(bad & (planes["DQ"] & 1 == 0))
    assert "flagged" in str(header["HISTORY"])
    assert "s" * 60 in str(header["HISTORY"])


def test_flagging_again_replaces_the_cards(tmp_path, flags):
    path, _ = flags
    exposure = write_exposure(tmp_path / "x_rate.fits", primary={"S_BPXSLF": "SKIPPED"})
    once = write_back(exposure, path, "once.fits")
    twice = fits.getheader(write_back(once, path, "twice.fits"))
    assert twice["S_BPXSLF"] == "COMPLETE"
    assert twice["BPXNNEW"] == 0
    for key in ("S_BPXSLF", "FILENAME", "BPXSTACK", "BPXNNEW", "BPXNLO"):
        assert twice.count(key) == 1
    assert len(twice) == len(fits.getheader(once)) + 2  # the two lines of HISTORY
    assert "CONTINUE" not in [c.keyword for c in twice.cards][-3:]


def test_long_names_continue(tmp_path, flags):
    exposure = write_exposure(tmp_path / "x.fits", primary={"FILENAME": "n" * 100 + ".fits"})
    header = fits.getheader(write_back(exposure, flags[0]))
    assert header["FILENAME"] == "out_badpix_selfcal.fits"


@pytest.mark.parametrize("n_cards", range(0, 37, 4))
def test_header_of_any_length(tmp_path, flags, n_cards):
    """The header grows by whole blocks; wherever it ends, what follows must be found."""
    path, bad = flags
    cards = {f"KEY{i}": i for i in range(n_cards)}
    planes = planes_of(SHAPE)
    exposure = write_exposure(tmp_path / "x.fits", planes=planes, primary=cards)
    output = write_back(exposure, path)
    check_flagged(output, bad, planes)
    assert output.stat().st_size % 2880 == 0


@pytest.mark.parametrize("checksum", [True, "datasum"])
def test_checksums_are_right_where_the_input_has_them(tmp_path, flags, checksum):
    exposure = write_exposure(tmp_path / "x.fits", checksum=checksum)
    output = write_back(exposure, flags[0])
    with fits.open(output, checksum=True) as hdus:  # a wrong one warns, which fails the test
        for hdu in hdus:
            assert "DATASUM" in hdu.header
            hdu.verify("exception")
    check_flagged(output, flags[1], planes_of(SHAPE))


def test_no_checksums_are_added(tmp_path, flags):
    with fits.open(write_back(write_exposure(tmp_path / "x.fits"), flags[0])) as hdus:
        assert not any("CHECKSUM" in hdu.header for hdu in hdus)


def test_missing_planes(tmp_path, flags):
    path, bad = flags
    sci = planes_of(SHAPE)["SCI"]
    exposure = write_exposure(tmp_path / "x.fits", planes={"SCI": sci})
    output = write_back(exposure, path)
    zeros = {"ERR": np.zeros(SHAPE, np.float32), "DQ": np.zeros(SHAPE, np.uint32)}
    check_flagged(output, bad, {"SCI": sci, **zeros})
    with fits.open(output) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ"]
    assert {p.name for p in tmp_path.iterdir()} == {"x.fits", path.name, output.name}


def test_scaled_planes_come_out_plain(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    exposure = write_exposure(tmp_path / "x.fits", planes=planes, checksum=True)
    with fits.open(exposure, mode="update") as hdus:
        hdus["SCI"].data = np.round(np.nan_to_num(hdus["SCI"].data) * 100).astype(np.float32)
        hdus["SCI"].scale("int16", bscale=0.25, bzero=3.0)
    with fits.open(exposure) as hdus:
        planes["SCI"] = hdus["SCI"].data.astype(np.float32)
        science = hdus["SCI"].header.copy()
    output = write_back(exposure, path)
    check_flagged(output, bad, planes)
    with fits.open(output, checksum=True) as hdus:
        assert hdus["SCI"].header["BUNIT"] == science["BUNIT"]
        assert hdus["SCI"].header["DISPAXIS"] == science["DISPAXIS"]


@pytest.mark.parametrize(("scale", "zero"), [(0.1, 0.3), (0.1, 0.0), (1.0, 0.3)])
def test_scaled_floats_come_out_plain(tmp_path, flags, scale, zero):
    """Of float32 with BSCALE the type does not tell that it is scaled."""
    path, bad = flags
    planes = planes_of(SHAPE)
    exposure = write_exposure(tmp_path / "x.fits", planes=planes)
    with fitsio.FITS(exposure, "rw") as file:
        file["SCI"].write_key("BSCALE", scale)
        file["SCI"].write_key("BZERO", zero)
    with fits.open(exposure) as hdus:
        planes["SCI"] = hdus["SCI"].data.astype(np.float32)
    check_flagged(write_back(exposure, path), bad, planes)
    call("pedestal", exposure, "--output", tmp_path / "p.fits")
    plane = fits.getdata(tmp_path / "p.fits", 1)
    assert np.array_equal(plane, planes["SCI"], equal_nan=True)


def test_names_of_planes_in_lower_case(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    exposure = write_exposure(tmp_path / "x.fits", planes=planes | {"SCI": planes["SCI"] * 1.0})
    with fits.open(exposure) as hdus:
        hdus["SCI"].data = hdus["SCI"].data.astype(np.float64)
        hdus["SCI"].header["EXTNAME"] = "sci"
        hdus.writeto(tmp_path / "y.fits")
    check_flagged(write_back(tmp_path / "y.fits", path), bad, planes)


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_other_types_come_out_plain(tmp_path, flags, dtype):
    path, bad = flags
    planes = planes_of(SHAPE)
    stored = planes | {
        "SCI": np.nan_to_num(planes["SCI"]).astype(dtype),
        "DQ": (planes["DQ"] & 7).astype(np.uint8),
    }
    exposure = write_exposure(tmp_path / "x.fits", planes=stored)
    plain = stored | {"SCI": stored["SCI"].astype("f4"), "DQ": stored["DQ"].astype("u4")}
    check_flagged(write_back(exposure, path), bad, plain)


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_compressed_planes_come_out_plain(tmp_path, flags, method):
    """What reads back from a compressed file, quantised as it may be, is kept to the bit."""
    path, bad = flags
    planes = planes_of(SHAPE)
    exposure = write_exposure(tmp_path / "x.fits", planes={"SCI": planes["SCI"]})
    level = 16.0 if method == "RICE_1" else 0.0
    with fits.open(exposure) as hdus:
        hdus[1] = fits.CompImageHDU(
            planes["SCI"], hdus[1].header, "SCI", method, quantize_level=level
        )
        hdus.append(fits.CompImageHDU(planes["DQ"].astype("i4"), name="DQ"))
        hdus.writeto(tmp_path / "c.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        planes = {"SCI": hdus["SCI"].data.copy(), "DQ": hdus["DQ"].data.astype("u4")}
    output = write_back(tmp_path / "c.fits", path)
    check_flagged(output, bad, planes)
    assert fits.getheader(output, "SCI")["XTENSION"] == "IMAGE"
    assert fits.getheader(output, "SCI")["BUNIT"] == "DN/s"


def test_signed_dq_keeps_its_bits(tmp_path, flags):
    path, bad = flags
    planes = planes_of(SHAPE)
    planes["DQ"] &= np.uint32(0x7FFFFFFF)
    exposure = write_exposure(
        tmp_path / "x.fits", planes=planes | {"DQ": planes["DQ"].astype(np.int32)}
    )
    with fits.open(write_back(exposure, path)) as hdus:
        expected = np.where(bad, planes["DQ"] | 1 | 1 << 30, planes["DQ"])
        assert np.array_equal(hdus["DQ"].data.astype(np.uint32), expected)


def test_names_that_confuse_cfitsio(tmp_path, flags):
    exposure = write_exposure(tmp_path / "a [b] (c) + d" / "x[1].fits")
    check_flagged(write_back(exposure, flags[0]), flags[1], planes_of(SHAPE))


def test_skip_leaves_every_array(tmp_path):
    exposure = write_exposure(tmp_path / "x.fits", checksum=True)
    done = program("skip", exposure, tmp_path / "y.fits")
    assert "so nothing is flagged" in done.stdout
    assert hdu_bytes(exposure) == hdu_bytes(tmp_path / "y.fits")
    with fits.open(tmp_path / "y.fits", checksum=True) as hdus:
        assert hdus[0].header["S_BPXSLF"] == "SKIPPED"
        assert hdus[0].header["FILENAME"] == "y.fits"


def truncated(path, n):
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:-n])
    return path


def cut_in_header(path, name):
    """Cut a file within the header of a plane, where cfitsio sees no fault but a shorter file."""
    with fits.open(path) as hdus:
        place = hdus[name].fileinfo()["hdrLoc"] + 720
    Path(path).write_bytes(Path(path).read_bytes()[:place])
    return path


def corrupted(path):
    """Spoil the compressed pixels of SCI."""
    plane = np.random.default_rng(0).normal(size=SHAPE).astype("f4")
    cards = fits.Header({"DETECTOR": "NRS1"})
    sci = fits.CompImageHDU(plane, name="SCI", compression_type="GZIP_1", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(header=cards), sci]).writeto(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        info = hdus[1].fileinfo()
        place = info["datLoc"] + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    content = bytearray(Path(path).read_bytes())
    content[place : place + 2000] = bytes(2000)
    Path(path).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("fault", "make"),
    [
        ("No such file", lambda p: p),
        ("truncated", lambda p: truncated(write_exposure(p), 3)),
        ("truncated", lambda p: truncated(write_exposure(p), 30000)),
        ("truncated", lambda p: cut_in_header(write_exposure(p), "DQ")),
        ("truncated", lambda p: cut_in_header(write_exposure(p), "VAR_FLAT")),
        ("not readable", corrupted),
        ("no SCI", lambda p: write_exposure(p, planes={"SCI2": np.ones(SHAPE, np.float32)},
                                            science={"BUNIT": None, "DISPAXIS": None})),
        ("3 dimensions", lambda p: write_exposure(p, planes={"SCI": np.ones((2, *SHAPE), "f4")})),
        ("not a readable FITS", lambda p: p.write_text("hello") and p),
        ("no DETECTOR", lambda p: write_exposure(p, primary={"DETECTOR": None})),
        ("no DETECTOR", lambda p: write_exposure(p, primary={"DETECTOR": ""})),
    ],
)  # fmt: skip
def test_faulty_exposures(tmp_path, flags, fault, make):
    """One line that names the file, no output, no half-written output."""
    exposure = make(tmp_path / "bad_rate.fits")
    output = tmp_path / "pedestal.fits"
    done = program("pedestal", exposure, "--output", output, "--log", tmp_path / "log", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert fault in done.stderr
    assert "bad_rate.fits" in done.stderr
    assert ";" in done.stderr
    assert "Traceback" in (tmp_path / "log").read_text()
    assert not [p for p in tmp_path.iterdir() if "pedestal" in p.name]
    done = program("skip", exposure, tmp_path / "skipped.fits", check=False)
    assert (done.returncode == 0) == (fault == "no DETECTOR")
    assert fault == "no DETECTOR" or fault in done.stderr
    if fault != "no DETECTOR":
        done = failed(exposure, flags[0])
        assert len(done.stderr.splitlines()) == 1
        assert "bad_rate.fits" in done.stderr
        assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_flags_of_another_shape(tmp_path, flags):
    exposure = write_exposure(tmp_path / "x.fits", planes=planes_of((48, 65)))
    done = failed(exposure, flags[0])
    assert "(48, 65)" in done.stderr
    assert "(48, 64)" in done.stderr


def test_exposures_of_two_detectors(tmp_path):
    paths = [write_exposure(tmp_path / f"{d}.fits", d) for d in ("MIRIFUSHORT", "MIRIFULONG")]
    done = program("pedestal", *paths, "--output", tmp_path / "p.fits", check=False)
    assert "DETECTOR MIRIFULONG against MIRIFUSHORT" in done.stderr
    assert not (tmp_path / "p.fits").exists()


def test_flags_of_another_detector(tmp_path, flags):
    exposure = write_exposure(tmp_path / "x.fits", primary={"DETECTOR": "NRS2"})
    with fits.open(flags[0], mode="update") as hdus:
        hdus[0].header["DETECTOR"] = "NRS1"
    done = failed(exposure, flags[0])
    assert "of NRS2, but" in done.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_detector_may_be_named_in_either_case(tmp_path, flags):
    paths = [write_exposure(tmp_path / f"{d}.fits", primary={"DETECTOR": d, "EXP_TYPE": e})
             for d, e in (("nrs1", "NRS_IFU"), ("NRS1", "nrs_ifu"))]  # fmt: skip
    call("pedestal", *paths, "--output", tmp_path / "p.fits")
    header = fits.getheader(tmp_path / "p.fits", 1)
    assert (header["DETECTOR"], header["EXP_TYPE"]) == ("NRS1", "NRS_IFU")
    with fits.open(flags[0], mode="update") as hdus:
        hdus[0].header["DETECTOR"] = "NRS1"
    check_flagged(write_back(paths[0], flags[0]), flags[1], planes_of(SHAPE))


@pytest.mark.parametrize("name", ["skip", "write_back", "pedestal"])
def test_no_program_writes_over_its_input(tmp_path, flags, name):
    exposure = write_exposure(tmp_path / "x.fits")
    before = Path(exposure).read_bytes()
    words = {
        "skip": [exposure, f"{tmp_path}/./x.fits"],
        "write_back": [exposure, flags[0], exposure],
        "pedestal": [exposure, "--output", exposure],
    }
    done = program(name, *words[name], check=False)
    assert done.returncode == 1
    assert "input and output are one file" in done.stderr
    assert Path(exposure).read_bytes() == before


def test_gzip_is_told_from_truncated(tmp_path, flags):
    exposure = write_exposure(tmp_path / "x.fits")
    packed = tmp_path / "y_rate.fits"
    packed.write_bytes(gzip.compress(Path(exposure).read_bytes()))
    done = program("pedestal", packed, "--output", tmp_path / "p.fits", check=False)
    assert "compressed by gzip; decompress it" in done.stderr


def test_a_stage_takes_only_the_file_of_a_stage(tmp_path):
    exposure = write_exposure(tmp_path / "x.fits")
    done = program("median", exposure, tmp_path / "m.fits", check=False)
    assert "x.fits: no image in the primary HDU" in done.stderr


def test_exposures_of_two_gratings_are_only_warned_of(tmp_path):
    paths = [
        write_exposure(tmp_path / f"{g}.fits", primary={"GRATING": g}) for g in ("G395H", "PRISM")
    ]
    done = program("pedestal", *paths, "--output", tmp_path / "p.fits")
    assert "warning" in done.stderr
    assert "GRATING PRISM against G395H" in done.stderr
    assert (tmp_path / "p.fits").exists()


def test_full_disk(tmp_path, flags):
    exposure = write_exposure(tmp_path / "x.fits")
    (tmp_path / "out_badpix_selfcal.fits").write_text("the old one")
    files = exposure, flags[0], tmp_path / "out_badpix_selfcal.fits"
    done = program("write_back", *files, check=False, room=20000)
    assert done.returncode == 1
    assert (tmp_path / "out_badpix_selfcal.fits").read_text() == "the old one"
    assert "out_badpix_selfcal.fits" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*.part"))
