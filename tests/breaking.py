"""
Ways to break inputs and runs at random, by a seed: for the tests, a few; for `make fuzz`, many.

Each returns what became of it in a word, or raises an AssertionError where a promise is broken.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from conftest import ROOT, Workflow, write_association, write_exposure, write_nods
from disks import command, disk

from badpix_selfcal import tables
from badpix_selfcal.headers import read_hdus
from badpix_selfcal.program import Fault
from selfcal_rules import checks

# ---- inputs --------------------------------------------------------------------------------------


def structure(path):
    """Return name, shape and place of the data of each HDU, by astropy; None if it cannot."""
    try:
        with fits.open(path) as hdus:
            return [(h.name.upper(), h.shape, h.fileinfo()["datLoc"]) for h in hdus[1:]]
    except Exception:
        return None


def break_header(folder, rng):
    """A few bytes of the headers, the end, a block twice: refused, or read as astropy reads it."""
    path = folder / "x_rate.fits"
    if not (folder / "whole_rate.fits").exists():
        write_exposure(folder / "whole_rate.fits")
    with fits.open(folder / "whole_rate.fits") as hdus:
        spans = [(h.fileinfo()["hdrLoc"], h.fileinfo()["datLoc"]) for h in hdus]
    broken = bytearray((folder / "whole_rate.fits").read_bytes())
    for _ in range(rng.integers(1, 4)):
        broken[int(rng.integers(*spans[rng.integers(len(spans))]))] = int(rng.integers(256))
    kind = rng.integers(10)
    if kind == 0:
        del broken[int(rng.integers(len(broken))) :]
    elif kind == 1:
        place = 2880 * int(rng.integers(len(broken) // 2880))
        broken[place:place] = broken[place : place + 2880]
    path.write_bytes(broken)
    try:
        found = [(h.name, h.shape, h.start) for h in read_hdus(str(path))[1:]]
    except Fault as fault:
        assert str(fault).startswith(str(path)), fault  # noqa: PT017
        return "refused"
    wanted = structure(path)
    if wanted is None:
        return "read, astropy refuses"
    assert found == wanted
    return "read as by astropy"


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
    schema = checks.read_schema(ROOT / "workflow/schemas/members.schema.yaml")
    _, rows, faults = tables.read_members(str(path))
    if not faults:
        frame = pd.DataFrame(rows, columns=tables.COLUMNS)
        paths = set(frame["path"])
        faults = checks.member_faults(frame, schema, paths)
        assert faults or all(tables.NAME.fullmatch(name) for name in frame["product"])
    assert all("x_asn" in line or "a_rate" in line or "b_rate" in line for line in faults), faults
    return "refused" if faults else "read"


# ---- runs ----------------------------------------------------------------------------------------


def results(folder):
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


def whole_or_not_there(folder, wanted):
    """Assert that what has the name of a result is the result."""
    for name, content in results(folder).items():
        if not name.endswith("/pedestal.fits"):  # which does not outlive a run
            assert content == wanted[name], f"{name} is not whole"


def goes_on(workflow, wanted):
    """Assert that the plain command makes the rest, and that nothing is left to do then."""
    done = workflow.run(check=False)
    assert done.returncode == 0, done.stdout
    assert results(workflow.folder) == wanted
    again = workflow.run("--dry-run").stdout
    assert "Nothing to be done" in again, again


def kill_run(folder, rng, wanted, seconds):
    """kill -9 of all its processes, or of the first alone."""
    workflow = write_inputs(folder)
    run = workflow.start()
    time.sleep(rng.uniform(0, seconds))
    alone = rng.random() < 0.3
    run.kill() if alone else run.kill_all()
    run.communicate()
    whole_or_not_there(folder, wanted)
    goes_on(workflow, wanted)
    return "went on"


def end_run(folder, rng, wanted, seconds):
    """SIGTERM: the run ends, and says whether it is done."""
    workflow = write_inputs(folder)
    run = workflow.start()
    time.sleep(rng.uniform(0, seconds))
    run.send_signal(signal.SIGTERM)
    try:
        run.communicate(timeout=60)
    except subprocess.TimeoutExpired as error:
        run.kill_all()
        raise AssertionError("SIGTERM does not end the run") from error
    whole_or_not_there(folder, wanted)
    goes_on(workflow, wanted)
    return "ended"


def cut_power(folder, rng, wanted, seconds):
    """At any moment of a run, or after it."""
    with disk(folder) as made:
        workflow = write_inputs(made.folder / "run")
        run = workflow.start()
        if rng.random() < 0.8:
            time.sleep(rng.uniform(0, seconds))
            run.kill_all()
        run.communicate()
        made.cut_power()
        whole_or_not_there(workflow.folder, wanted)
        goes_on(workflow, wanted)
    return "went on"


def fill_disk(folder, rng, wanted, seconds):
    """Room for a part of the results: a fault that says so, and with more room the run goes on."""
    del seconds
    place = folder / "small"
    place.mkdir()
    needed = sum(map(len, wanted.values())) // 1024
    command("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place))
    try:
        workflow = write_inputs(place / "run")
        used = (shutil.disk_usage(place).used >> 10) + int(rng.integers(4, needed))
        command("mount", "-o", f"remount,size={used}k", str(place))
        done = workflow.run("--keep-going", check=False)
        full = "No space left" in done.stdout or "make room" in done.stdout
        assert done.returncode, "it fitted"
        assert full, done.stdout
        command("mount", "-o", "remount,size=64m", str(place))
        whole_or_not_there(workflow.folder, wanted)
        goes_on(workflow, wanted)
    finally:
        command("umount", str(place))
    return "went on"


def start_two(folder, rng, wanted, seconds):
    """At once or one a little later: one runs, the other is refused or finds nothing to do."""
    workflow = write_inputs(folder)
    pair = [workflow.start()]
    time.sleep(rng.uniform(0, seconds / 2) if rng.random() < 0.5 else 0)
    pair.append(workflow.start())
    said = [run.communicate()[0] for run in pair]
    codes = [run.returncode for run in pair]
    assert 0 in codes, said
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or "LockException" in text, text
    assert results(folder) == wanted
    assert workflow.jobs() == {}
    return "one was refused" if any(codes) else "one after the other"


INPUTS = {"headers": break_header, "associations": break_association}
RUNS = {
    "killed": kill_run,
    "ended by SIGTERM": end_run,
    "power cut": cut_power,
    "full disk": fill_disk,
    "two at once": start_two,
}


def quiet_run(folder):
    """Make the results that each run must come to; return them, and the seconds of a run."""
    workflow = write_inputs(folder)
    began = time.monotonic()
    run = workflow.start()
    out, _ = run.communicate()
    assert run.returncode == 0, out
    return results(workflow.folder), time.monotonic() - began


def trial(kind, seed, folder, wanted=None, seconds=None):
    """Break something once, by a seed, in an empty folder; return what became of it."""
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    if kind in INPUTS:
        return INPUTS[kind](folder, rng)
    return RUNS[kind](folder, rng, wanted, seconds)
