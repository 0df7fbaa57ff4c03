"""What all programs share: how they end, what they leave behind, what they write."""

import argparse
import errno
import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, call, program, wait_for, write_exposure

from badpix_selfcal import images
from badpix_selfcal import program as shared
from badpix_selfcal.files import atomic_write
from badpix_selfcal.images import Header, read_image, with_unit, write_image
from badpix_selfcal.program import Fault, refuse_overwriting

PLANE = np.arange(12, dtype=np.float32).reshape(3, 4)


# ---- how they end --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_scheduler_that_ends_a_job_leaves_no_half_of_a_file(tmp_path, number):
    """The exposure is a pipe that nobody writes to, so the program waits in the middle."""
    os.mkfifo(tmp_path / "e_rate.fits")
    command = [sys.executable, "-Es", ROOT / "scripts" / "selfcal", "pedestal"]
    command += [tmp_path / "e_rate.fits", "--output", tmp_path / "pedestal.fits"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: list(tmp_path.glob("*.part")), "half of a file", seconds=60)
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    finally:
        process.kill()
    assert os.listdir(tmp_path) == ["e_rate.fits"]


def test_a_fault_is_a_line_for_the_user_and_a_traceback_for_the_log(tmp_path):
    done = program(
        "median", "none.fits", "m.fits", "--log", "logs/a/b.log", check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    line = "median: error: none.fits: No such file or directory; check the path, its permissions"
    assert done.stderr.startswith(line)
    assert done.stdout == ""
    text = (tmp_path / "logs/a/b.log").read_text()
    assert text.startswith("Traceback")
    assert line in text


def test_what_is_no_fault_of_the_user_says_its_kind_and_shows_its_traceback(tmp_path):
    """A defect of a program is reported as such, also without a log."""
    write_image(str(tmp_path / "m.fits"), PLANE, Header())
    done = program("threshold", "m.fits", "m.fits", "f.fits", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "threshold: error: KeyError: 'BPXAXIS'\n"
    assert "Traceback" in done.stdout


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({"a": "x"}, True),
        ({"a": "./x"}, True),
        ({"a": ["y", "link"]}, True),
        ({"a": "y", "b": ["z"], "c": 3, "d": None}, False),
    ],
)
def test_an_output_that_is_an_input_is_refused_by_any_of_its_names(
    tmp_path, monkeypatch, inputs, fault
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("x")
    arguments = argparse.Namespace(output="x", log=None, **inputs)
    if fault:
        with pytest.raises(Fault, match="input and output are one file"):
            refuse_overwriting(arguments)
    else:
        refuse_overwriting(arguments)


def test_a_warning_goes_to_the_user_and_to_the_log(tmp_path, monkeypatch, capsys):
    with open(tmp_path / "log", "w") as file:
        monkeypatch.setattr(shared.log, "file", file)
        shared.warn("careful")
        shared.log("only noted")
    assert capsys.readouterr() == ("", "careful\n")
    assert (tmp_path / "log").read_text() == "careful\nonly noted\n"


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(1)])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, error):
    (tmp_path / "x").write_text("old")
    with pytest.raises(type(error)), atomic_write(str(tmp_path / "x")) as part:  # noqa: PT012
        with open(part, "w") as file:
            file.write("new")
        raise error
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault, match="cannot be written"), atomic_write(str(tmp_path / "file/x")):
        pass


# ---- images --------------------------------------------------------------------------------------


def test_an_image_comes_back_with_its_cards(tmp_path):
    header = Header()
    header.add("BPXA", 3, "three")
    header.add("BPXB", "it's", "text")
    header.add("BPXC", 1.5e-7, "number")
    path = str(tmp_path / "x.fits")
    image = np.array([[np.inf, -np.inf, np.nan, 1.5]], np.float32)
    write_image(path, image, header, SOURCE=np.array([[1, 2, -3, 4]], np.int16))
    found, cards = read_image(path)
    assert found.tobytes() == image.tobytes()
    assert found.dtype == np.float32
    assert (cards, cards.comments) == (header, header.comments)
    source, cards = read_image(path, "SOURCE")
    assert source.tolist() == [[1, 2, -3, 4]]
    assert cards == {}
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert hdus[0].data.tobytes() == image.astype(">f4").tobytes()
        assert hdus["SOURCE"].data.tolist() == source.tolist()
    with pytest.raises(Fault, match="give the file of a stage"):
        read_image(path, "NONE")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("turned", [False, True])
def test_an_image_of_any_size_type_and_order(tmp_path, dtype, turned):
    image = np.arange(201 * 7).astype(dtype).reshape(7, 201)
    image = image.T if turned else image
    write_image(str(tmp_path / "x.fits"), image, Header())
    assert read_image(str(tmp_path / "x.fits"))[0].tolist() == image.tolist()
    assert np.array_equal(fits.getdata(tmp_path / "x.fits"), image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32(np.inf)])
def test_a_number_that_fits_cannot_say_is_left_out(tmp_path, value):
    """Such as a threshold where more than that fraction of the pixels is infinite."""
    header = Header()
    header.add("BPXTHHI", float(value), "high threshold")
    header.add("BPXNHI", 0, "flagged")
    write_image(str(tmp_path / "x.fits"), PLANE, header)
    assert read_image(str(tmp_path / "x.fits"))[1] == {"BPXNHI": 0}


def test_a_file_that_is_cut_when_it_is_closed_is_a_fault(tmp_path, monkeypatch):
    """On a full or a remote disk the last bytes may fail only then."""

    class Cut(io.FileIO):
        def close(self):
            if not self.closed:
                super().close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = str(tmp_path / "x.fits")
    monkeypatch.setattr(images, "open", Cut, raising=False)
    with pytest.raises(Fault, match=r"x\.fits: cannot be written \(No space left"):
        write_image(path, PLANE, Header())
    assert os.listdir(tmp_path) == []


def test_a_file_that_shrinks_while_it_is_read_is_a_fault(tmp_path):
    from badpix_selfcal.headers import read_hdus
    from badpix_selfcal.images import read_pixels

    path = str(tmp_path / "x.fits")
    write_image(path, PLANE, Header())
    (hdu,) = read_hdus(path)
    os.truncate(path, hdu.start + 4)
    with pytest.raises(Fault, match="changed while it was read"):
        read_pixels(path, hdu)


def test_comments_name_the_unit_where_it_is_known():
    assert with_unit({"BUNIT": "DN/s"}, "low threshold") == "[DN/s] low threshold"
    assert with_unit({"BUNIT": ""}, "low threshold") == "low threshold"
    assert with_unit({}, "low threshold") == "low threshold"


def test_no_stage_hands_on_how_its_image_was_stored(tmp_path):
    """Cards of an exposure's headers that a stage keeps are those that the next ones need."""
    exposure = write_exposure(
        tmp_path / "e_rate.fits",
        checksum=True,
        primary={"GRATING": "PRISM"},
        science={"GRATING": "G140H"},
    )
    call("pedestal", exposure, "--output", tmp_path / "p.fits", "--stack", "s-1")
    call("minimum", tmp_path / "p.fits", tmp_path / "m.fits")
    primary = fits.getheader(tmp_path / "p.fits")
    assert (primary["BPXSTACK"], primary["BPXNEXP"]) == ("s-1", 1)
    assert fits.getheader(tmp_path / "p.fits", 1)["EXTNAME"] == "e"
    header = fits.getheader(tmp_path / "m.fits")
    kept = {"INSTRUME", "DETECTOR", "EXP_TYPE", "DISPAXIS", "GRATING", "BUNIT"}
    own = {
        "BPXVER",
        "BPXSTACK",
        "BPXNEXP",
        "BPXE0001",
        "BPXP0001",
        "BPXF0001",
        "BPXS0001",
        "BPXT0001",
    }
    stored = {"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND"}
    assert set(header) == kept | own | stored
    assert header["BPXF0001"] == 1
    assert header["GRATING"] == "PRISM"  # the primary header wins
    with fits.open(tmp_path / "m.fits") as hdus:
        hdus[0].writeto(tmp_path / "again.fits", checksum=True)
    assert set(read_image(str(tmp_path / "again.fits"))[1]) == kept | own
