"""What all programs share: how they end, what they leave, what they say."""

import argparse
import os
import signal
import subprocess
import sys

import pytest
from astropy.io import fits
from conftest import ROOT, call, program, wait_for, write_association, write_exposure

from badpix_selfcal import cli
from badpix_selfcal.errors import InputError
from badpix_selfcal.file_state import read_digest, read_recorded, read_state, unchanged

# ---- how they end --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_program_that_is_ended_leaves_no_half_of_a_file(tmp_path, number):
    """The exposure is a pipe that nobody writes to, so the program waits in the middle."""
    os.mkfifo(tmp_path / "e_rate.fits")
    command = [sys.executable, "-Es", ROOT / "scripts" / "selfcal", "checksums"]
    write_association(tmp_path / "x_asn.json", ("p", [("e_rate.fits", "science")]))
    (tmp_path / "members.csv").write_text("exptype,path\nscience,e_rate.fits\n")
    process = subprocess.Popen(
        [*command, "members.csv", "checksums.csv"], stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        wait_for(lambda: list(tmp_path.glob("*.part")), "half of a file")
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    finally:
        process.kill()
    assert sorted(os.listdir(tmp_path)) == ["e_rate.fits", "members.csv", "x_asn.json"]


def test_a_fault_of_an_input_is_one_line(tmp_path):
    done = program("median", "none.fits", "m.fits", check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("median: error: none.fits: no such file; check")
    assert len(done.stderr.splitlines()) == 1
    # Where the disk of the log is full, it goes to stdout, the terminal.
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-Es", ROOT / "scripts" / "selfcal", "median", "none.fits", "m"]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=full, text=True, cwd=tmp_path
        )
    assert ended.returncode
    assert ended.stdout == done.stderr


def test_a_defect_of_a_program_says_its_kind_after_its_traceback(tmp_path):
    (tmp_path / "members.csv").write_text("nothing\n1\n")
    done = program("checksums", "members.csv", "c.csv", check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("checksums: error: KeyError: 'exptype'\n")


def test_an_output_that_is_an_input_is_refused_by_any_of_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "x").touch()

    def refuse(**arguments):
        cli.refuse_overwriting(argparse.Namespace(**{"output": "x"} | arguments))

    refuse(a="y", b=["z"], c=3, d=None)
    for arguments in ({"a": "x"}, {"a": "./x"}, {"a": ["y", "link"]}):
        with pytest.raises(InputError, match="read and written; name another output"):
            refuse(**arguments)


# ---- files that change ---------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_text("one")
    state = read_state(path)
    assert read_digest(path)[:3] == (path, *state)
    with unchanged(path, state) as found:
        assert found == state
    changed = pytest.raises(InputError, match="replaced or changed while it was read; run again")
    with changed, unchanged(path):
        path.write_text("two more")
    changed = pytest.raises(InputError, match="after the stage pedestal read it; run again")
    with changed, unchanged(path, state):
        pass
    with pytest.raises(InputError, match="none: No such file"), unchanged(tmp_path / "none"):
        pass


def test_members_that_changed_since_the_run_began_are_an_error(tmp_path):
    """So that no job of a run knows other members than its Snakefile."""
    write_association(tmp_path / "x_asn.json", ("p", [("e_rate.fits", "science")]))
    config = '{"associations": "*.json", "exposures": "", "force_single": false, '
    config += '"missing_members": "error"}'
    words = ("members", "--config", config, "--output", "members.csv")
    done = program(*words, "--expected", "0" * 12, check=False, cwd=tmp_path)
    error = "the associations have changed since the run began; run again"
    assert done.stderr == f"members: error: members.csv: {error}\n"
    program(*words, cwd=tmp_path)
    assert (tmp_path / "members.csv").read_text().splitlines() == [
        "association,product,exposure,exptype,path,stack",
        "x_asn,p,e,science,e_rate.fits,skipped",
    ]


# ---- what a stage hands on -----------------------------------------------------------------------


def test_no_stage_hands_on_how_its_image_was_stored(tmp_path):
    """Cards of an exposure's headers that a stage keeps are those that the next ones need."""
    grating = {"primary": {"GRATING": "PRISM"}, "science": {"GRATING": "G140H"}}
    exposure = write_exposure(tmp_path / "e_rate.fits", checksum=True, **grating)
    call("pedestal", exposure, "--output", tmp_path / "p.fits", "--stack", "s-1")
    call("minimum", tmp_path / "p.fits", tmp_path / "m.fits")
    primary = fits.getheader(tmp_path / "p.fits")
    assert (primary["BPXSTACK"], primary["BPXNEXP"]) == ("s-1", 1)
    assert fits.getheader(tmp_path / "p.fits", 1)["EXTNAME"] == "e"
    header = fits.getheader(tmp_path / "m.fits")
    kept = {"INSTRUME", "DETECTOR", "EXP_TYPE", "DISPAXIS", "GRATING", "BUNIT"}
    stored = {"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "COMMENT"}
    own = {card for card in header if card.startswith("BPX")}
    assert set(header) == kept | own | stored
    assert own > {"BPXVER", "BPXSTACK", "BPXNEXP", *(f"BPX{letter}0001" for letter in "EPFST")}
    assert header["BPXF0001"] == 1
    assert header["GRATING"] == "PRISM"  # the primary header wins
    assert read_recorded(header) == {"e": read_state(exposure)}
