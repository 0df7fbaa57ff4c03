"""The target verify: no fault in what a run makes, and every tampering found, dates kept or not."""

import hashlib
import json
import os
import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import Workflow, copy_run, write_association, write_exposure

from badpix_selfcal.associations import read_members, stack_name
from badpix_selfcal.file_state import DIGEST_COLUMNS, read_digest
from badpix_selfcal.parameters import PARAMETERS
from tools.verify import list_jobs, read_values, verify_stack, verify_tables

NAMES = [f"jw01204001001_02101_0000{i}_nrs1" for i in (1, 2, 3)]
LAST = "results are what today's inputs and parameters make, to the bit."


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """Return a folder where a run is done and verify has found no fault."""
    workflow = Workflow(tmp_path_factory.mktemp("verified"))
    for i, name in enumerate(NAMES):
        write_exposure(workflow.path("rate", f"{name}_rate.fits"), seed=i, checksum=i == 0)
    files = [f"../rate/{name}_rate.fits" for name in NAMES]
    pairs = [(files[0], "science"), (files[1], "background"), ("leak.fits", "imprint")]
    write_association(workflow.path("asn/one_asn.json"), ("p1", pairs))
    write_association(workflow.path("asn/alone_asn.json"), ("p3", [(files[2], "science")]))
    workflow.path("config.yaml").write_text("save_flagged_bkg: true\n")
    workflow.run("--quiet", "all")
    assert f"12 {LAST}" in workflow.run("--", "verify").stdout
    return workflow.folder


@pytest.fixture
def copy(verified, tmp_path, monkeypatch):
    """Return the working directory, a copy of that folder."""
    monkeypatch.chdir(copy_run(verified, tmp_path / "run").folder)
    return tmp_path / "run"


def list_faults(rows):
    return {path: fault for path, fault in rows if fault}


def today():
    """Return what the program reads of today's inputs: members, associations, config, jobs."""
    with open("results/provenance.json") as file:
        config = json.load(file)["config"]
    members, paths, *_ = read_members(config)
    return members, paths, config, list_jobs(members, config)


VALUES = read_values({p.name: p.default for p in PARAMETERS})


def find_faults(inputs):
    """Verify everything as the program does, in this process."""
    members, paths, config, jobs = inputs
    files = sorted(members.loc[members["exptype"] != "imprint", "path"].unique())
    digests = pd.DataFrame(map(read_digest, files), columns=DIGEST_COLUMNS)
    rows = chain.from_iterable(verify_stack(job, VALUES) for job in jobs)
    return list_faults([*rows, *verify_tables(members, paths, digests, config)])


def the(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def keep_date(path, change):
    before = path.stat() if path.exists() else None
    change(path)
    if before and path.exists():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(place, bit=0):
    """Return a tampering: a bit of the file, at a fraction of its length."""

    def change(path):
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 1 << bit
        path.write_bytes(content)

    return change


def resize(change):
    """Return a tampering: the file cut, or continued by zeros."""
    return lambda path: os.truncate(path, change(path.stat().st_size))


def replace(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


def another(path):
    """Put another FITS file in its place."""
    path.write_bytes((path.parents[3] / "rate" / f"{NAMES[2]}_rate.fits").read_bytes())


def turn_over(path):
    """Put a file of the same kind in its place: arrays of another threshold, say."""
    with fits.open(path, mode="update") as hdus:
        for hdu in hdus:
            if hdu.data is not None and hdu.data.ndim == 2:
                hdu.data = np.ascontiguousarray(hdu.data[::-1])


RESULTS = {
    "minimum": "results/stacks/*/minimum.fits",
    "median": "results/stacks/*/median.fits",
    "flags": "results/stacks/*/flags.fits",
    "flagged": f"results/flagged/*/{NAMES[0]}_badpix_selfcal.fits",
    "background": f"results/flagged/*/{NAMES[1]}_badpix_selfcal.fits",
    "skipped": "results/flagged/skipped/*.fits",
}
FLIPS = ((0, 1), (0.001, 0), (0.1, 4), (0.3, 7), (0.5, 6), (0.77, 5), (0.9, 3), (0.999, 2), (1, 0))
TAMPERINGS = {
    **{f"flip at {place}": flip(place, bit) for place, bit in FLIPS},
    "three bytes short": resize(lambda size: size - 3),
    "a block short": resize(lambda size: size - 2880),
    "half": resize(lambda size: size // 2),
    "a block long": resize(lambda size: size + 2880),
    "turned over": turn_over,
    "another": another,
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_tampering_of_images_is_found(copy, name):
    """Each in turn, with its date kept; and undone, all is well."""
    path = the(copy, RESULTS[name])
    good, relative = path.read_bytes(), str(path.relative_to(copy))
    (job,) = (job for job in today()[-1] if path.parent.name == job[0])
    for how, tampering in TAMPERINGS.items():
        keep_date(path, tampering)
        assert not path.exists() or path.read_bytes() != good, how
        assert list(list_faults(verify_stack(job, VALUES))) == [relative], how
        path.write_bytes(good)
    assert list_faults(verify_stack(job, VALUES)) == {}


def relink(path):
    path.unlink()
    path.symlink_to("/nowhere")


LINK = f"associations/{NAMES[0]}_badpix_selfcal_{stack_name(NAMES[:2])[-12:]}.fits"
TABLES = [
    ("members.csv", replace("background", "science")),
    ("members.csv", Path.unlink),
    ("summary.csv", resize(lambda size: size - 3)),
    ("summary.csv", replace("0.001", "0.01")),
    ("summary.csv", replace("COMPLETE", "SKIPPED")),
    ("checksums.csv", replace(",", ";")),
    ("provenance.json", replace('"sha256": "', '"sha256": "0')),
    ("provenance.json", replace('"kernel_size": 15', '"kernel_size": 17')),
    ("provenance.json", lambda path: path.write_text("{")),
    ("associations/one_asn.json", replace("leak_", "leek_")),
    ("associations/one_asn.json", Path.unlink),
    (LINK, Path.unlink),
    (LINK, relink),
    ("by_association/one_asn/p1/flags.fits", Path.unlink),
    ("by_association/one_asn/p1/flags.fits", relink),
    ("by_association/one_asn/p1/more.fits", lambda path: path.symlink_to("flags.fits")),
]


@pytest.mark.parametrize(("name", "change"), TABLES)
def test_every_tampering_of_tables_and_links_is_found(copy, name, change):
    path, inputs = copy / "results" / name, today()
    keep_date(path, change)
    assert list(find_faults(inputs)) == [f"results/{name.removesuffix(f'/p1/{path.name}')}"]


def test_an_exposure_changed_with_its_date_and_size_kept_is_found(copy):
    """All that no run can notice."""
    keep_date(copy / f"rate/{NAMES[1]}_rate.fits", flip(0.05, 3))
    found = list(find_faults(today()))
    assert "results/checksums.csv" in found
    assert any(file.startswith("results/stacks/") or NAMES[1] in file for file in found)


def test_the_target_leaves_digests_for_sha256sum_and_nothing_else(copy):
    before = sorted(copy.rglob("*"))
    assert find_faults(today()) == {}
    assert sorted(copy.rglob("*")) == before
    lines = (copy / "results/SHA256SUMS").read_text().splitlines()
    found = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
    assert len(found) == len(lines) == 3 + 3 + 2 + 4
    for name, digest in found.items():
        assert hashlib.sha256((copy / "results" / name).read_bytes()).hexdigest() == digest


def test_the_target_fails_and_says_what_differs_and_the_remedy(copy):
    workflow = Workflow(copy)
    median, flagged = the(copy, RESULTS["median"]), the(copy, RESULTS["background"])
    keep_date(median, flip(0.6))
    flagged.unlink()
    assert workflow.jobs() == {}  # no run notices them
    done = workflow.run("--", "verify", check=False)
    assert done.returncode != 0
    files = [str(path.relative_to(copy)) for path in (median, flagged)]
    line = f"verify: error: {files[0]}: differs from what today's inputs give (HDU 0: data)"
    assert line in done.stdout
    assert f"verify: error: {files[1]}: missing" in done.stdout
    assert "2 faults; delete these files, of flagged exposures the folder, and run" in done.stdout
    assert pd.read_csv("results/verify.csv")["file"].tolist() == files
    median.unlink()
    shutil.rmtree(flagged.parent)
    workflow.run("--quiet", "all")
    assert f"12 {LAST}" in workflow.run("--", "verify").stdout
    done = workflow.run("--", "verify", config=["kernel_size=5"], check=False)
    assert "cards BPXKERN" in done.stdout


def test_no_fault_with_other_settings(nods):
    """What is made again is made with the parameters in force."""
    write_exposure(nods.path("rate", f"{NAMES[1]}_rate.fits"), primary={"BKGDTARG": True})
    config = ["save_flagged_bkg=true", "threshold=sigma", "nsigma_upper=4", "repeat_fraction=0.5"]
    nods.run("--quiet", "all", config=config)
    assert LAST in nods.run("--", "verify", config=config).stdout
    assert nods.run("--", "verify", check=False).returncode != 0
