"""Files that are written whole or not at all; full disks and failed writes name the right file."""

import contextlib
import errno
import os
from pathlib import Path

import pytest
from conftest import call, flag, program, write_exposure
from disks import NotHereError, small_disk

from badpix_selfcal.atomic_io import atomic_write, reading
from badpix_selfcal.errors import InputError


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """Then its name is, too: no power cut leaves a result's name without the result."""
    path, order, replace = tmp_path / "new" / "x.fits", [], os.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append(os.fstat(file).st_ino))
    monkeypatch.setattr(os, "replace", lambda *names: order.append("named") or replace(*names))
    with atomic_write(str(path)) as part, open(part, "w") as file:
        file.write("all")
        assert not path.exists()
    assert path.read_text() == "all"
    assert os.listdir(path.parent) == ["x.fits"]
    assert order == [path.stat().st_ino, "named", path.parent.stat().st_ino]


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_disk_that_fails_at_the_end_is_an_input_error(tmp_path, monkeypatch, code):
    """Not one whose file system cannot wait for its disk, and says so."""

    def fsync(file):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    error = pytest.raises(InputError, match=r"x.fits: cannot be written .Input/output error")
    with (
        error if code == errno.EIO else contextlib.nullcontext(),
        atomic_write(str(tmp_path / "x.fits")) as part,
        open(part, "w") as file,
    ):
        file.write("all")
    assert os.listdir(tmp_path) == ([] if code == errno.EIO else ["x.fits"])


MISSING = "/nowhere/e_rate.fits"
DISK = OSError(errno.EIO, os.strerror(errno.EIO))
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
CFITSIO = OSError("FITSIO status = 106: error writing\nmore of it")
NOT_THERE = FileNotFoundError(errno.ENOENT, "No such file", MISSING)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (ZeroDivisionError(), ZeroDivisionError, "^$"),
        (FULL, InputError, r"x\.fits: cannot be written \(No space left on device\); make room"),
        (CFITSIO, InputError, r"cannot be written \(FITSIO status = 106: error writing\); make"),
        (NOT_THERE, FileNotFoundError, MISSING),  # which is not the output
        (DISK, InputError, f"^{MISSING}: Input/output error; check the path"),
    ],
)
def test_errors_while_writing_name_the_right_file(tmp_path, error, expected, message):
    """The old file stays, and no other."""
    (tmp_path / "x.fits").write_text("old")

    def fail():
        with atomic_write(str(tmp_path / "x.fits")) as part:
            Path(part).write_text("half")
            with reading(MISSING) if error is DISK else contextlib.nullcontext():
                raise error

    with pytest.raises(expected, match=message):
        fail()
    assert (tmp_path / "x.fits").read_text() == "old"
    assert os.listdir(tmp_path) == ["x.fits"]


# ---- full disks ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Return the files of the stages of three exposures, of which the last is scaled."""
    folder = tmp_path_factory.mktemp("stages")
    paths = [write_exposure(folder / f"{name}_rate.fits") for name in "ab"]
    paths.append(write_exposure(folder / "s_rate.fits", science={"BSCALE": 0.5}))
    return paths, flag(folder, paths, edge_mode="shrink", threshold="sigma")


FILES = ("pedestal", "minimum", "excluded", "median", "noise", "flags")


def list_programs(paths, files, output):
    """Return the words of each program, and the name of the file that it writes."""
    shrink = ("--edge-mode", "shrink", "--excluded", files["excluded"])
    sigma = ("--threshold", "sigma", "--noise", files["noise"])
    minimum, median, folder = files["minimum"], files["median"], os.path.dirname(output)
    return {
        "pedestal": (*paths[:2], "--output", output),
        "minimum": (files["pedestal"], output),
        "excluded": (minimum, output, *paths),
        "median": (*shrink, minimum, output),
        "noise": (minimum, files["excluded"], median, output),
        "threshold": (*sigma, minimum, median, output),
        "write_back": (files["flags"], folder, paths[0]),
        "write_back scaled": (files["flags"], folder, paths[2]),
        "mark_skipped": (paths[0], output),
    }


NAMES = {"write_back": "a_badpix_selfcal.fits", "write_back scaled": "s_badpix_selfcal.fits"}


@pytest.mark.parametrize("name", list_programs("abc", dict.fromkeys(FILES, ""), ""))
def test_a_full_disk_is_told_wherever_it_ends(tmp_path, stages, name):
    """In one line; the old result stays, and nothing else. cfitsio fails as late as on close."""
    output = tmp_path / NAMES.get(name, "x.fits")
    words = name.split()[0], *list_programs(*stages, str(output))[name]
    call(*words)
    size = output.stat().st_size
    output.write_text("old")
    said = f"{output}: cannot be written ("

    def check(done):
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert said in last
        assert last.endswith("); make room on its disk or allow it, then run again")
        assert done.stderr.count(": error: ") == 1
        assert "Traceback" not in done.stderr
        assert output.read_text() == "old"
        assert os.listdir(output.parent) == [output.name]

    for room in (20000,) if "scaled" in name else (0, 5000, size - 1):
        check(program(*words, check=False, room=room))
    try:
        with small_disk(tmp_path, size - 5000):
            output.write_text("old")
            check(program(*words, check=False))
    except NotHereError as error:
        pytest.skip(str(error))
