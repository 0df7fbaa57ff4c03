"""Inputs that are damaged, endless or named to be misread: refused at once, by a clear line."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import copy_workflow, program, write_association, write_exposure

from badpix_selfcal.headers import parse, read_hdus
from badpix_selfcal.program import Fault
from selfcal_rules import checks

# ---- exposures -----------------------------------------------------------------------------------


def edited(path, old, new, hdu=0):
    """Replace a text in the header of an HDU, byte for byte; what is longer stays in its card."""
    content = bytearray(Path(path).read_bytes())
    with fits.open(path) as hdus:
        start, end = hdus[hdu].fileinfo()["hdrLoc"], hdus[hdu].fileinfo()["datLoc"]
    place = content.find(old, start, end)
    assert place >= 0
    content[place : place + len(new)] = new
    Path(path).write_bytes(content)


def card(keyword, value):
    return f"{keyword:8}= {value:>20}".encode()


FORBIDDEN = {
    "negative GCOUNT": (card("GCOUNT", 1), card("GCOUNT", -1), 1, "GCOUNT"),
    "negative PCOUNT": (card("PCOUNT", 0), card("PCOUNT", -99999999), 1, "PCOUNT"),
    "negative NAXIS1": (card("NAXIS1", 64), card("NAXIS1", -64), 1, "-64"),
    "no XTENSION": (b"XTENSION", b"YTENSION", 3, "no FITS extension at byte"),
    "XTENSION in small letters": (b"XTENSION", b"xTENSION", 2, "no FITS extension at byte"),
    "another XTENSION": (b"'IMAGE ", b"'IMAGF ", 1, "XTENSION is IMAGF"),
    "EXTNAME in small letters": (b"EXTNAME", b"eXTNAME", 3, "the keyword 'eXTNAME '"),
    "no NAXIS2": (b"NAXIS2", b"NAXJS2", 1, "no NAXIS2 in its place"),
    "no BITPIX": (b"BITPIX", b"BITPIY", 2, "no BITPIX in its place"),
    "BITPIX of no type": (card("BITPIX", -32), card("BITPIX", -33), 1, "BITPIX is -33"),
    "END of DQ": (b"END" + b" " * 77, b"EMD" + b" " * 77, 3, ""),
    "END that is not alone": (b"END" + b" " * 77, b"END" + b" " * 77 + b"x", 3, "text after END"),
    "BSCALE that goes on": (
        b"BSCALE  =                    1 ",
        b"BSCALE  =                    1 H",
        3,
        "BSCALE is 1 H",
    ),
    "no ASCII": (b"NRS_IFU", b"NRS_\xff\xfe\xfd", 0, "not printable ASCII"),
    "DETECTOR T": (b"= 'NRS1    '", b"=          T", 0, "no DETECTOR"),
}


@pytest.mark.parametrize("fault", FORBIDDEN)
def test_what_the_fits_standard_forbids(tmp_path, fault):
    """Damage that would make of a file another one, or keep its reader for ever."""
    old, new, hdu, word = FORBIDDEN[fault]
    exposure = write_exposure(tmp_path / "bad_rate.fits")
    edited(exposure, old, new, hdu)
    done = program("pedestal", exposure, "--output", tmp_path / "p.fits", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    assert "bad_rate.fits: " in done.stderr
    assert word in done.stderr
    assert os.listdir(tmp_path) == ["bad_rate.fits"]


def test_bscale_that_is_no_number(tmp_path):
    exposure = write_exposure(tmp_path / "bad_rate.fits", science={"BSCALE": "much"})
    done = program("pedestal", exposure, "--output", tmp_path / "p.fits", check=False)
    assert done.returncode == 1
    assert "bad_rate.fits" in done.stderr.splitlines()[-1]


@pytest.mark.filterwarnings("ignore")  # of astropy, about cards that say nothing of the structure
def test_damage_anywhere_in_a_header_is_read_as_jwst_reads_it_or_refused(tmp_path):
    """A bit of the structure changed: no other image, no endless loop."""
    exposure = write_exposure(tmp_path / "x_rate.fits")
    content = Path(exposure).read_bytes()
    with fits.open(exposure) as hdus:
        spans = [(h.fileinfo()["hdrLoc"], len(h.header)) for h in hdus]
    expected = [(hdu.name, hdu.shape, hdu.start) for hdu in read_hdus(exposure)]
    rng = np.random.default_rng(13)
    for _ in range(300):
        start, n_cards = spans[rng.integers(len(spans))]
        place = start + 80 * int(rng.integers(min(n_cards, 7))) + int(rng.integers(30))
        broken = bytearray(content)
        broken[place] ^= 1 << int(rng.integers(8))
        Path(exposure).write_bytes(broken)
        try:
            found = [(hdu.name, hdu.shape, hdu.start) for hdu in read_hdus(exposure)]
        except Fault as fault:
            assert str(fault).startswith(exposure)  # noqa: PT017
            continue
        assert len(found) == len(expected)
        with fits.open(exposure) as hdus:
            assert [h.name for h in hdus[1:]] == [name for name, _, _ in found[1:]]
            assert [h.shape for h in hdus[1:]] == [shape for _, shape, _ in found[1:]]


def test_very_many_cards_take_no_time():
    """Of a text, and of its continuations, which once took time by their number squared."""
    cards = [b"LONG    = 'a&'".ljust(80)]
    cards += [(b"CONTINUE  '" + b"b" * 66 + b"&'").ljust(80)] * 60_000
    values, _ = parse(cards)
    assert len(values["LONG"]) == 1 + 66 * 60_000 + 1


def test_infinities_are_no_want_of_room(tmp_path):
    """An exposure without a finite pixel: its pedestal cannot be said in a card."""
    planes = {"SCI": np.full((72, 530), np.inf, np.float32)}
    exposure = write_exposure(tmp_path / "x_rate.fits", "MIRIFULONG", planes=planes)
    for name, words in (
        ("pedestal", [exposure, "--output", tmp_path / "p.fits"]),
        ("minimum", [tmp_path / "p.fits", tmp_path / "min.fits"]),
        ("median", [tmp_path / "min.fits", tmp_path / "med.fits"]),
        ("threshold", [tmp_path / "min.fits", tmp_path / "med.fits", tmp_path / "f.fits"]),
        ("write_back", [exposure, tmp_path / "f.fits", tmp_path / "out.fits"]),
    ):
        program(name, *words)


def test_one_empty_exposure_is_said_in_few_lines(nods):
    nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits").write_bytes(b"")
    done = nods.run(check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    said = [line for line in done.stdout.splitlines() if "(empty); fetch it again" in line]
    assert len(said) <= 3


# ---- associations and names ----------------------------------------------------------------------


def refused(done):
    assert done.returncode != 0
    return done.stdout


def test_what_is_no_file_among_the_associations(nods):
    os.mkfifo(nods.path("asn/pipe_asn.json"))
    nods.path("asn/folder_asn.json").mkdir()
    out = refused(nods.run("--dry-run", check=False))
    assert "asn/pipe_asn.json: no regular file; remove it" in out
    assert "asn/folder_asn.json: no regular file; remove it" in out


@pytest.mark.parametrize("name", ["p" * 300, "p\n", "../p", "-p", "$(touch OWNED)"])
def test_names_of_products_that_cannot_be_folders(nods, name):
    science = ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science")
    write_association(nods.path("asn/bad_asn.json"), (name, [science]))
    out = refused(nods.run("--dry-run", check=False))
    assert "asn/bad_asn.json: product" in out
    assert not nods.path("OWNED").exists()


@pytest.mark.parametrize("name", ["x_asn\n", "x;touch OWNED;_asn", "--log"])
def test_names_of_associations_that_would_be_misread(nods, name):
    science = ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science")
    write_association(nods.path(f"asn/{name}.json"), ("p", [science]))
    refused(nods.run("--dry-run", check=False))
    assert not nods.path("OWNED").exists()


@pytest.mark.parametrize(
    "target",
    [
        "results/tune/{stack}/1/kernel_size~$(touch OWNED)15/edge_mode~zero/median.fits",
        "results/tune/{stack}/1/kernel_size~15;touch OWNED/edge_mode~zero/median.fits",
        "results/tune/{stack}/$(touch OWNED)/added.fits",
        "results/stacks/$(touch OWNED)-0123456789ab/minimum.fits",
        "results/flagged/skipped/$(touch OWNED)_badpix_selfcal.fits",
        "results/associations/$(touch OWNED).json",
    ],
)
def test_no_target_reaches_the_shell(nods, target):
    nods.run("--quiet", "all")
    (stack,) = (path.name for path in nods.path("results/stacks").iterdir())
    refused(nods.run(target.format(stack=stack), check=False))
    assert not nods.path("OWNED").exists()


@pytest.mark.parametrize(
    "target",
    ["results/stacks/x-0123456789ab/minimum.fits", "results/flagged/skipped/x_badpix_selfcal.fits"],
)
def test_a_target_of_no_association(nods, target):
    out = refused(nods.run("--dry-run", target, check=False))
    assert "in no association; correct the target" in out


def test_folders_that_look_like_options_or_wildcards(workflow):
    for folder in ("--log", "-x"):
        write_exposure(workflow.path(folder, f"a{folder}_rate.fits"))
        write_exposure(workflow.path(folder, f"b{folder}_rate.fits"), seed=1)
        pairs = [(f"a{folder}_rate.fits", "science"), (f"b{folder}_rate.fits", "background")]
        write_association(workflow.path(folder, f"x{folder}_asn.json"), (f"p{folder}", pairs))
    workflow.run("--quiet", "all", associations="*/*_asn.json")
    assert len(pd.read_csv(workflow.path("results/summary.csv"))) == 2


def test_braces_in_a_parent_folder(workflow, tmp_path_factory):
    archive = tmp_path_factory.mktemp("archive") / "{program}"
    write_exposure(archive / "a_rate.fits")
    science = (f"{archive}/a_rate.fits", "science")
    write_association(workflow.path("x_asn.json"), ("p", [(f"link/{science[0]}", "science")]))
    write_association(archive / "y_asn.json", ("p", [("a_rate.fits", "science")]))
    out = refused(workflow.run(associations=str(archive / "*_asn.json"), check=False))
    assert f"{archive}/y_asn.json: a brace, which names a wildcard; rename" in out


def test_a_clone_in_a_folder_with_a_colon(nods, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "a:b"
    folder.mkdir()
    out = refused(nods.run("--dry-run", snakefile=copy_workflow(folder), check=False))
    assert "PATH cannot name a folder with : in it; move the workflow" in out


def test_a_table_of_settings_as_a_spreadsheet_writes_it(nods):
    header = "kernel_size,edge_mode,flagfrac_lower,flagfrac_upper\n"
    nods.path("t.csv").write_text(header + "15.0,zero,0.001,0.001\n21.0,zero,0.001,0.001\n")
    out = nods.run("--dry-run", "--", "tune", config=["tune=t.csv"]).stdout
    assert "kernel_size~15/" in out or "tune_median" in out
    assert "15.0" not in out


def test_many_faults_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = [f"fault {i}" for i in range(50)]
    assert checks.first_of(few) == few
    assert os.listdir(tmp_path) == []
    many = [f"fault {i}" for i in range(100_000)]
    found = checks.first_of(many)
    assert len(found) == 51
    assert found[-1].startswith("... and 99950 more; all of them are in ")
    assert Path(checks.FAULTS).read_text().splitlines() == many


def test_a_full_disk_is_not_the_fault_of_a_scaled_exposure(tmp_path):
    """Of which a plain copy is written first, by astropy."""
    exposure = write_exposure(tmp_path / "x_rate.fits", science={"BSCALE": 0.5})
    program("pedestal", exposure, "--output", tmp_path / "p.fits")
    program("minimum", tmp_path / "p.fits", tmp_path / "m.fits")
    program("median", tmp_path / "m.fits", tmp_path / "d.fits")
    program("threshold", tmp_path / "m.fits", tmp_path / "d.fits", tmp_path / "f.fits")
    files = exposure, tmp_path / "f.fits", tmp_path / "out.fits"
    done = program("write_back", *files, check=False, room=20000)
    assert done.returncode == 1
    assert f"{tmp_path}/out.fits: cannot be written" in done.stderr.splitlines()[-1]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
