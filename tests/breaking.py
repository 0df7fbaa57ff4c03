"""
Ways to break inputs and runs at random, by a seed: for the tests, a few; for `make fuzz`, many.

Each returns what became of it in a word, or raises an AssertionError where a promise is broken.
"""

import functools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import fitsio
import numpy as np
from astropy.io import fits
from conftest import Workflow, planes_of, write_association, write_exposure, write_nods
from disks import disk, small_disk

from badpix_selfcal.associations import NAME, read_rows
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_dq
from badpix_selfcal.pedestal import read_planes
from badpix_selfcal.write_back import apply_flags, write_flagged

# ---- inputs --------------------------------------------------------------------------------------

SHAPE = (8, 10)


@functools.cache
def make_exposure(folder, compressed):
    """Return an exposure's bytes, where its headers begin, their cards, and its planes."""
    path = folder / "whole_rate.fits"
    write_exposure(path, planes=planes_of(SHAPE))
    if compressed:
        with fits.open(path) as hdus:
            kind = {"compression_type": "GZIP_1", "quantize_level": 0}
            hdus["SCI"] = fits.CompImageHDU(hdus["SCI"].data, hdus["SCI"].header, "SCI", **kind)
            hdus.writeto(path, overwrite=True)
    with fits.open(path, disable_image_compression=True) as hdus:
        headers = [(hdu.fileinfo()["hdrLoc"], len(hdu.header) + 1) for hdu in hdus]
    return path.read_bytes(), headers, read_by_astropy(path)


def read_by_astropy(path):
    """Return SCI and DQ, those that astropy can read."""
    try:
        with fits.open(path) as hdus:
            planes = {name: hdus[name].data for name in ("SCI", "DQ") if name in hdus}
            return {n: p.astype("u4" if n == "DQ" else "f4") for n, p in planes.items()}
    except Exception:
        return {}


def break_exposure(folder, rng):
    """
    Break a few bytes of the headers, cut off the end, double a block.

    The exposure is refused, or SCI and DQ are read and flagged as astropy reads them. Accepted
    differences:

    - A plane is as before the damage. cfitsio skips text after a value or a keyword, and takes an
      unknown XTENSION for an image; astropy drops the HDU and those after it, ignores the card, or
      returns bytes.
    - There is no DQ, as its EXTNAME is damaged; astropy refuses the card.
    """
    whole, headers, before = make_exposure(folder, compressed=bool(rng.random() < 0.02))
    broken = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        # Of three in four, some text: what cannot be printed is always refused.
        value = rng.integers(32, 127) if rng.random() < 0.75 else rng.integers(256)
        start, n_cards = headers[rng.integers(len(headers))]
        broken[start + int(rng.integers(80 * n_cards))] = int(value)
    kind = rng.integers(20)
    if kind == 0:
        del broken[int(rng.integers(len(broken))) :]
    elif kind == 1:
        place = 2880 * int(rng.integers(len(broken) // 2880))
        broken[place:place] = broken[place : place + 2880]
    path, target = str(folder / "x_rate.fits"), str(folder / "flagged.fits")
    Path(path).write_bytes(broken)
    flags = (rng.random(SHAPE) < 0.1).astype(np.uint8)
    header = {"DETECTOR": "NRS1", "BPXSTACK": "x"}
    try:
        found = {"SCI": next(read_planes([path]))[1], "DQ": read_dq(path)}
        write_flagged(path, target, flags, header, [], "flagged.fits")
    except InputError as error:
        assert str(error).startswith(path), error  # noqa: PT017
        assert len(str(error).splitlines()) == 1, error  # noqa: PT017
        return "refused"
    by_astropy = read_by_astropy(path)
    missing = {} if "DQ" in by_astropy else {"DQ": np.zeros(SHAPE, "u4")}
    for name, plane in found.items():
        reads = [read[name] for read in (by_astropy, before, missing) if name in read]
        accepted = [other.copy() for other in reads if other.shape == SHAPE]
        assert is_among(plane, accepted), name
        for other in accepted:
            apply_flags({name: other}, flags > 0)
        assert is_among(fitsio.read(target, ext=name), accepted), name
    return "read as by astropy" if by_astropy else "read, astropy refuses"


def is_among(plane, others):
    return any(np.array_equal(plane, other, equal_nan=True) for other in others)


ODD = [
    *(None, True, 0, -1, 1e308, "", " ", "x" * 5000, "science", "BACKGROUND", "../x", "/", "a\0b"),
    *("\n", "{x}", "\ud800", "$(touch OWNED)", "--log", "é", [], {}, [[]], [None], {"name": 1}),
]


def break_association(folder, rng):
    """A value, a key or bytes changed: refused in lines that name the file, or read."""
    path = folder / "x_asn.json"
    products = [(f"p{i}", [("a_rate.fits", "science"), ("b_rate.fits", "selfcal")]) for i in "12"]
    write_association(path, *products)
    association = json.loads(path.read_text())
    for _ in range(rng.integers(1, 4)):
        place = association
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not len(keys):
                break
            key = keys[rng.integers(len(keys))]
            if isinstance(place[key], (dict, list)) and rng.random() < 0.8:
                place = place[key]
                continue
            if rng.random() < 0.2:
                del place[key]
            else:
                place[key] = ODD[rng.integers(len(ODD))]
            break
    content = bytearray(json.dumps(association).encode())
    for _ in range(rng.integers(3) if rng.random() < 0.5 else 0):
        content[rng.integers(len(content))] = int(rng.integers(256))
    path.write_bytes(content)
    try:
        rows = read_rows(str(path))
    except InputError as error:
        assert all(line.startswith(f"{path}: ") for line in str(error).splitlines()), error  # noqa: PT017
        return "refused"
    assert rows
    assert all(NAME.fullmatch(product) for _, product, *_ in rows)
    return "read"


# ---- runs ----------------------------------------------------------------------------------------


def read_results(folder):
    """Return the bytes of the images and flagged associations below a folder's results."""
    places = ("stacks/*/*.fits", "flagged/*/*.fits", "associations/*.json")
    found = [path for place in places for path in folder.glob(f"results/{place}")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def write_inputs(folder):
    """Write the nods, of one date, as results say it."""
    workflow = write_nods(Workflow(folder))
    for path in folder.glob("rate/*.fits"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    os.sync()
    return workflow


def check_goes_on(workflow, wanted):
    """
    Assert that what has the name of a result is whole, and that the plain command does the rest.

    After a kill -9 or a power cut, Snakemake asks for --unlock first.
    """
    for name, content in read_results(workflow.folder).items():
        if not name.endswith("/pedestal.fits"):  # which does not outlive a run
            assert content == wanted[name], f"{name} is not whole"
    done = workflow.run(check=False)
    if "--unlock" in done.stdout:
        workflow.run("--unlock")
        done = workflow.run(check=False)
    assert done.returncode == 0, done.stdout
    assert read_results(workflow.folder) == wanted
    assert workflow.jobs() == {}
    return "went on"


def kill_all(run):
    """kill -9 of all processes of a run."""
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()


def kill_run(folder, rng, wanted, seconds):
    """kill -9 at any moment of a run."""
    workflow = write_inputs(folder)
    run = workflow.start()
    time.sleep(rng.uniform(0, seconds))
    kill_all(run)
    return check_goes_on(workflow, wanted)


def cut_power(folder, rng, wanted, seconds):
    """At any moment of a run, or after it."""
    with disk(folder) as made:
        workflow = write_inputs(made.folder / "run")
        run = workflow.start()
        if rng.random() < 0.8:
            time.sleep(rng.uniform(0, seconds))
            kill_all(run)
        else:
            run.communicate()
        made.cut_power()
        return check_goes_on(workflow, wanted)


def fill_disk(folder, rng, wanted, seconds):
    """Room for a part of the results: an error that says so; with more room the run goes on."""
    del seconds
    place = folder / "small"
    place.mkdir()
    with small_disk(place, 64 << 20) as resize:
        workflow = write_inputs(place / "run")
        needed = sum(map(len, wanted.values()))
        resize(shutil.disk_usage(place).used + int(rng.integers(4 << 10, needed)))
        done = workflow.run("--keep-going", check=False)
        assert done.returncode, "it fitted"
        assert "No space left" in done.stdout or "make room" in done.stdout, done.stdout
        resize(64 << 20)
        return check_goes_on(workflow, wanted)


INPUTS = {"exposures": break_exposure, "associations": break_association}
RUNS = {"killed": kill_run, "power cut": cut_power, "full disk": fill_disk}


def quiet_run(folder):
    """Make the results that each run must come to; return them, and the seconds of a run."""
    workflow = write_inputs(folder)
    began = time.monotonic()
    workflow.run()
    return read_results(workflow.folder), time.monotonic() - began


def trial(kind, seed, folder, *quiet):
    """Break something once, by a seed, in an empty folder; return what became of it."""
    return (INPUTS | RUNS)[kind](Path(folder), np.random.default_rng(seed), *quiet)
