"""The target verify: green on what a run makes, red on every tampering, dates kept or not."""

import hashlib
import json
import os
import shutil
import subprocess
from glob import glob
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import Workflow, call, program, write_association, write_exposure

from tools.verify_stack import flagged_digest

NAMES = [f"jw01204001001_02101_0000{i}_nrs1" for i in (1, 2, 3)]


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
    workflow.run("--quiet", "all")
    out = workflow.run("--", "verify").stdout
    assert "results are what today's inputs and parameters make, to the bit" in out
    return workflow.folder


@pytest.fixture
def copy(verified, tmp_path):
    shutil.copytree(verified, tmp_path / "run", symlinks=True)
    for path in (tmp_path / "run").rglob(".snakemake_timestamp"):
        shutil.copystat(verified / path.relative_to(tmp_path / "run"), path)
    return tmp_path / "run"


def find_faults(folder):
    """Run the programs of verify as its rules do, which takes Snakemake's time less."""
    planned = ".snakemake/badpix_selfcal"
    found = []
    for path in glob(f"{folder}/{planned}/*exp-*.json") + glob(
        f"{folder}/{planned}/skipped-*.json"
    ):
        stack = Path(path).stem.rpartition("-")[0]
        words = ["verify_stack", f"--stack={stack}", path, "results/verify/s.csv"]
        program(*words, cwd=folder)
        found += table(folder, "s")
    files = [
        next(glob_of(folder, planned, n)) for n in ("members", "exposures", "associations")
    ]  # fmt: skip
    program("verify_tables", *files, "results/verify/t.csv", cwd=folder)
    return found + table(folder, "t")


def glob_of(folder, planned, name):
    """Yield what was handed over under a name; of `associations`, that with the stacks."""
    for path in glob(f"{folder}/{planned}/{name}-*.json"):
        if name != "associations" or isinstance(json.loads(Path(path).read_text())[0], list):
            yield path


def table(folder, name):
    """Return the faults of a table of results: file and fault."""
    rows = pd.read_csv(folder / f"results/verify/{name}.csv")
    assert (rows["fault"].isna() | rows["sha256"].isna()).all()
    return rows.loc[rows["fault"].notna(), ["file", "fault"]].values.tolist()


def the(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def keep_date(path, change):
    before = os.stat(path)
    change(path)
    if path.exists():
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

    def resized(path):
        os.truncate(path, change(path.stat().st_size))

    return resized


def another(path):
    """Put another file of FITS in its place."""
    other = path.parents[3] / "rate" / f"{NAMES[2]}_rate.fits"
    path.write_bytes(other.read_bytes())


def swap(path):
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
    "turned over": swap,
    "another": another,
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
}


def test_no_fault_where_nothing_is_changed(copy):
    assert find_faults(copy) == []


@pytest.mark.parametrize("i", [0, 1])
def test_what_has_no_checksums_is_compared_without_being_written(copy, i):
    """The first exposure has checksums, which are set in a file alone."""
    exposure, flags = copy / "rate" / f"{NAMES[i]}_rate.fits", the(copy, RESULTS["flags"])
    result = the(copy, f"results/flagged/*-*/{NAMES[i]}_badpix_selfcal.fits")
    content = result.read_bytes()
    before = sorted(copy.rglob("*"))
    arguments = [str(path) for path in (exposure, flags, result, copy / "copy.fits")]
    assert flagged_digest(*arguments) == (hashlib.sha256(content).hexdigest() if i else "")
    flipped = content[:9999] + bytes([content[9999] ^ 1]) + content[10000:]
    for changed in (flipped, content[:-1], content + b" ", b""):
        result.write_bytes(changed)
        assert flagged_digest(*arguments) == ""
    assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize("name", RESULTS)
def test_every_tampering_of_images_is_found(copy, monkeypatch, name):
    """Each in turn, with its date kept; and undone, all is well."""
    path = the(copy, RESULTS[name])
    good, date = path.read_bytes(), path.stat()
    planned = glob(f"{copy}/.snakemake/badpix_selfcal/{path.parent.name}-*.json")[0]
    words = ["verify_stack", f"--stack={path.parent.name}", planned, "results/verify/s.csv"]
    monkeypatch.chdir(copy)
    for how, tampering in TAMPERINGS.items():
        tampering(path)
        if path.exists():
            assert path.read_bytes() != good, how
            os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))
        call(*words)
        found = table(copy, "s")
        assert [file for file, _ in found] == [str(path.relative_to(copy))], how
        path.write_bytes(good)
    call(*words)
    assert table(copy, "s") == []


def replace(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("results/members.csv", replace("background", "science")),
        ("results/members.csv", lambda path: path.unlink()),
        ("results/summary.csv", lambda path: os.truncate(path, path.stat().st_size - 3)),
        ("results/summary.csv", replace("0.001", "0.01")),
        ("results/summary.csv", replace("COMPLETE", "SKIPPED")),
        ("results/checksums.csv", replace(",", ";")),
        ("results/provenance.json", replace('"sha256": "', '"sha256": "0')),
        ("results/provenance.json", lambda path: path.write_text("{")),
        ("results/associations/one_asn.json", replace("leak.fits", "leek.fits")),
        ("results/associations/one_asn.json", lambda path: path.unlink()),
    ],
)
def test_every_tampering_of_tables_is_found(copy, path, change):
    keep_date(copy / path, change)
    assert path in [file for file, _ in find_faults(copy)]


@pytest.mark.parametrize("how", ["gone", "elsewhere", "more"])
def test_every_tampering_of_links_is_found(copy, how):
    link = copy / "results/by_association/one_asn/p1/flags.fits"
    if how == "more":
        link.with_name("more.fits").symlink_to("flags.fits")
    else:
        link.unlink()
    if how == "elsewhere":
        link.symlink_to("/nowhere")
    assert [file for file, _ in find_faults(copy)] == ["results/by_association/one_asn"]


def test_an_exposure_changed_with_its_date_and_size_kept_is_found(copy):
    """All that no run can notice."""
    path = copy / f"rate/{NAMES[1]}_rate.fits"
    keep_date(path, flip(0.05, 3))
    found = [file for file, _ in find_faults(copy)]
    assert "results/checksums.csv" in found
    assert any(file.startswith("results/stacks/") for file in found) or any(
        NAMES[1] in file for file in found
    )


def test_the_target_fails_and_lists_what_it_found(copy):
    workflow = Workflow(copy)
    path = the(copy, RESULTS["median"])
    keep_date(path, flip(0.6))
    assert workflow.jobs() == {}  # no run notices it
    done = workflow.run("--", "verify", check=False)
    assert done.returncode != 0
    relative = str(path.relative_to(copy))
    line = f"verify: error: {relative}: is not what is made of today's exposures"
    assert f"{line} (PRIMARY: data)" in done.stdout or f"{line} (HDU 0: data)" in done.stdout
    assert pd.read_csv(copy / "results/verify.csv")["file"].tolist() == [relative]
    done = workflow.run("--", "verify", config=["kernel_size=5"], check=False)
    assert "cards BPXKERN" in done.stdout


def test_what_stdatamodels_refuses_is_found(copy):
    """A card of another type, but not one that the exposure itself has."""
    flagged = the(copy, RESULTS["flagged"])
    exposure = copy / "rate" / f"{NAMES[0]}_rate.fits"

    def found():
        planned = copy / "models.json"
        planned.write_text(json.dumps([[str(exposure), str(flagged)]]))
        program("verify_models", planned, "results/verify/m.csv", cwd=copy)
        return table(copy, "m")

    assert found() == []
    for path in (flagged, exposure):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["S_BPXSLF"] = 5
        if path == flagged:
            ((file, fault),) = found()
            assert file == str(flagged)
            assert "is refused by stdatamodels: " in fault
            assert "5 is not of type 'string'" in fault
    assert found() == []


def test_digests_of_results_are_kept_for_sha256sum(copy):
    lines = (copy / "results/SHA256SUMS").read_text().splitlines()
    found = {line.split("  ")[1]: line.split("  ")[0] for line in lines}
    assert len(found) == len(lines) == 3 + 3 + 2 + 4
    for name, digest in found.items():
        assert hashlib.sha256((copy / "results" / name).read_bytes()).hexdigest() == digest
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--quiet", "-c", "SHA256SUMS"]
        assert subprocess.run(command, cwd=copy / "results").returncode == 0
        keep_date(the(copy, RESULTS["flags"]), flip(0.9))
        assert subprocess.run(command, cwd=copy / "results", capture_output=True).returncode == 1


@pytest.mark.parametrize(
    "config", [["save_flagged_bkg=false"], ["edge_mode=shrink"], ["threshold=sigma"]]
)
def test_no_fault_with_other_settings(nods, config):
    """What is made again is made with the parameters in force."""
    nods.run("--quiet", "all", config=config)
    nods.run("--", "verify", config=config)
    assert nods.path("results/SHA256SUMS").exists()
    done = nods.run("--", "verify", check=False)
    assert done.returncode != 0
