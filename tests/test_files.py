"""Files that are written whole or not at all, and faults that name the right file."""

import contextlib
import errno
import os

import pytest
from conftest import program, write_exposure

from badpix_selfcal.files import atomic_write, reading
from badpix_selfcal.headers import chunks
from badpix_selfcal.program import Fault


def test_a_file_appears_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "new" / "x.fits"
    with atomic_write(str(path)) as part, open(part, "w") as file:
        file.write("all")
        assert not path.exists()
    assert path.read_text() == "all"
    assert os.listdir(path.parent) == ["x.fits"]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """Then its name is, too: no power cut leaves a result's name without the result."""
    path, order, replace = tmp_path / "x.fits", [], os.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append(os.fstat(file).st_ino))
    monkeypatch.setattr(os, "replace", lambda *names: order.append("named") or replace(*names))
    with atomic_write(str(path)) as part, open(part, "w") as file:
        file.write("all")
    assert order == [path.stat().st_ino, "named", tmp_path.stat().st_ino]


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_disk_that_fails_at_the_end_is_a_fault(tmp_path, monkeypatch, code):
    """Not one whose file system cannot wait for its disk, and says so."""

    def fsync(file):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    expected = pytest.raises(Fault, match=r"x.fits: cannot be written .Input/output error")
    with (
        expected if code == errno.EIO else contextlib.nullcontext(),
        atomic_write(str(tmp_path / "x.fits")) as part,
        open(part, "w") as file,
    ):
        file.write("all")
    assert os.listdir(tmp_path) == ([] if code == errno.EIO else ["x.fits"])


def test_a_failed_program_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "x.fits"
    path.write_text("old")

    def fail():
        with atomic_write(str(path)) as part, open(part, "w") as file:
            file.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.fits"]


def test_a_full_disk_is_the_outputs_fault(tmp_path):
    path = str(tmp_path / "x.fits")
    with (
        pytest.raises(Fault, match=r"x.fits: cannot be written .No space left.*make room"),
        atomic_write(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("room", [0, 2880, 5000, 20_000, 34_000])
def test_a_full_disk_is_told_wherever_it_ends(tmp_path, room):
    """cfitsio's own words would be: tried to move past end of file, 1st key not SIMPLE."""
    exposure = write_exposure(tmp_path / "x_rate.fits")
    files = exposure, exposure, "--output", tmp_path / "pedestal.fits"
    done = program("pedestal", *files, check=False, room=room)
    assert done.returncode == 1
    assert "pedestal.fits: cannot be written (File too large); make room" in done.stderr
    assert os.listdir(tmp_path) == ["x_rate.fits"]


def test_an_input_that_cannot_be_read_is_not(tmp_path):
    """It names the input and speaks of its disk, be it read inside or outside the block."""
    path, missing = str(tmp_path / "x.fits"), "/nowhere/e_rate.fits"
    with pytest.raises(FileNotFoundError, match=missing), atomic_write(path):
        open(missing).close()
    with pytest.raises(Fault, match=f"^{missing}: No such file"), atomic_write(path):
        list(chunks(missing, 0))
    with (
        pytest.raises(Fault, match=f"^{missing}: Input/output error; check"),
        atomic_write(path),
        reading(missing),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
