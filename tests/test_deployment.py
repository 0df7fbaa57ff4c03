"""Elsewhere: as a module, read-only, in another clone, installed; and what a run records of it."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, copy_workflow, write_exposure

from badpix_selfcal.version import VERSION
from tables.provenance import read_commit


def read_results(folder):
    """Return every FITS file of the results: its arrays' bytes by path."""
    found = {}
    for path in folder.rglob("results/**/*.fits"):
        if not path.is_symlink():
            with fits.open(path) as hdus:
                arrays = [hdu.data.tobytes() for hdu in hdus if hdu.data is not None]
            found[str(path.relative_to(folder))] = arrays
    return found


def test_a_run_repeated_elsewhere_gives_the_same_arrays(finished, tmp_path):
    """
    From another clone, the exposures in another order in the associations.

    Neither the clone nor the inputs nor the home can be written to; what matplotlib would write
    there stays in the run folder.
    """
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("rate", "asn"):
        shutil.copytree(finished / name, folder / name)
    for path in (folder / "asn").iterdir():
        association = json.loads(path.read_text())
        association["products"][0]["members"].reverse()
        path.write_text(json.dumps(association))
    (tmp_path / "clone").mkdir()
    snakefile = copy_workflow(tmp_path / "clone")
    places = [snakefile.parent, folder / "rate", folder / "asn"]
    mounts = [f"mount --bind {p} {p} && mount -o remount,ro,bind {p}" for p in places]
    possible = subprocess.run(["unshare", "-m", "sh", "-c", mounts[0]], capture_output=True)
    if possible.returncode:
        pytest.skip(f"no read-only mounts here: {possible.stderr.decode().strip()}")
    command = Workflow(folder).command(
        "--", "all", "results/figures/shared.png", snakefile=snakefile
    )
    words = [*mounts, f"! touch {snakefile} 2>/dev/null", " ".join(f"'{w}'" for w in command)]
    other = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", " && ".join(words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder / "asn",
        env={k: v for k, v in os.environ.items() if k not in other} | {"HOME": "/proc/nowhere"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "temporary cache directory" not in done.stdout
    assert list(folder.glob(".snakemake/matplotlib/fontlist*.json"))
    assert read_results(folder) == read_results(finished)
    assert len(read_results(finished)) == 6


# ---- provenance ----------------------------------------------------------------------------------


def test_provenance(finished):
    record = json.loads((finished / "results/provenance.json").read_text())
    assert record["config"]["kernel_size"] == 15
    assert record["workflow"]["version"] == VERSION
    installed = importlib.metadata.distributions()
    assert record["packages"] == {d.metadata["Name"]: d.version for d in installed}
    assert record["python"] == sys.version.split()[0]
    for key, folder in (("exposures", "rate"), ("associations", "asn")):
        files = {f["path"]: f for f in record[key]}
        assert set(files) == {f"{folder}/{path.name}" for path in (finished / folder).iterdir()}
        for path, described in files.items():
            content = (finished / path).read_bytes()
            assert described["size"] == len(content)
            assert described["modified"] == (finished / path).stat().st_mtime_ns
            assert described["sha256"] == hashlib.sha256(content).hexdigest()
    commit = read_commit(ROOT)
    assert record["workflow"]["git_commit"] == commit
    assert commit or not (ROOT / ".git").exists()


def test_the_commit_of_a_folder(tmp_path, monkeypatch):
    """With + if a tracked file has changed; none without git or without a repository."""

    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout.strip()

    if not shutil.which("git"):
        pytest.skip("no git here")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_commit(tmp_path) is None
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    (tmp_path / "new").write_text("not tracked")
    commit = git("rev-parse", "HEAD")
    assert read_commit(tmp_path) == commit != ""
    (tmp_path / "a").write_text("2")
    assert read_commit(tmp_path) == f"{commit}+"
    monkeypatch.setenv("PATH", "")
    assert read_commit(tmp_path) is None


# ---- in another workflow -------------------------------------------------------------------------

MODULE = """\
configfile: "config.yaml"


module selfcal:
    snakefile:
        "{snakefile}"
    {prefix}
    config:
        config["badpix_selfcal"]


use rule * from selfcal as selfcal_*


rule everything:
    default_target: True
    input:
        rules.selfcal_all.input,
        "count.txt",
        "own.txt",


rule count:
    input:
        rules.selfcal_summary.output,
    output:
        "count.txt",
    shell:
        "wc -l < {{input}} > {{output}}"


rule own:
    output:
        "own.txt",
    shell:
        "summary.py > {{output}}; plan.py >> {{output}}; median.py >> {{output}}"
"""


def write_parent(workflow, prefix=""):
    """Write a workflow with programs of the names of ours, and a config.yaml of its own."""
    workflow.path("Snakefile").write_text(
        MODULE.format(snakefile=ROOT / "Snakefile", prefix=prefix)
    )
    workflow.path("config.yaml").write_text(
        "associations: nothing/*.json\nof_the_parent: 1\n"
        "badpix_selfcal:\n  associations: asn/*.json\n  kernel_size: 5\n"
    )
    workflow.path("bin").mkdir()
    for name in ("summary", "plan", "median"):
        path = workflow.path("bin", f"{name}.py")
        path.write_text(f"#!/bin/sh\necho the parent\\'s {name}\n")
        path.chmod(0o755)
    return {"associations": None, "snakefile": workflow.path("Snakefile")}


def test_as_a_module_of_another_workflow(nods, monkeypatch):
    """With the config that the parent gives; each has its own programs and config.yaml."""
    parent = write_parent(nods)
    monkeypatch.setenv("PATH", f"{nods.path('bin')}:{os.environ['PATH']}")
    nods.run("--quiet", "all", **parent)
    assert nods.path("count.txt").read_text().strip() == "4"
    said = nods.path("own.txt").read_text().splitlines()
    assert said == ["the parent's summary", "the parent's plan", "the parent's median"]
    flagged = nods.path("results/flagged").rglob("*00001_nrs1_badpix_selfcal.fits")
    assert fits.getheader(next(flagged))["BPXKERN"] == 5
    assert len(read_results(nods.folder)) == 6
    assert nods.jobs(**parent) == {}


def test_as_a_module_with_a_prefix(nods, monkeypatch):
    """Its results go below the prefix; exposures and associations are where the user says."""
    parent = write_parent(nods, prefix='prefix:\n        "sub"')
    monkeypatch.setenv("PATH", f"{nods.path('bin')}:{os.environ['PATH']}")
    nods.run("--quiet", "all", **parent)
    summary = pd.read_csv(nods.path("sub/results/summary.csv"))
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "COMPLETE"]
    association = nods.path("sub/results/associations/one_asn.json")
    for member in json.loads(association.read_text())["products"][0]["members"]:
        assert (association.parent / member["expname"]).is_file()
    links = list(nods.path("sub/results/by_association").rglob("*.fits"))
    assert len(links) == 2 * 4 + 1  # minimum, median, flags and the science exposure; skipped
    assert all(link.is_file() for link in links)
    assert nods.jobs(**parent) == {}
    tools = [f"selfcal_{name}" for name in ("plan", "prune", "verify")]
    out = nods.run(*tools, **parent).stdout
    assert "files:     0 of " in out
    assert "0 results, 0 MB, to delete" in out
    assert len(nods.path("sub/results/SHA256SUMS").read_text().splitlines()) > 10
    (folder,) = nods.path("sub/results/flagged").glob("jw*")
    next(folder.glob("*.fits")).unlink()
    out = nods.run("--dry-run", **parent).stdout
    assert f"delete the folder sub/results/flagged/{folder.name}" in out
    assert not nods.path("results").exists()


def test_the_standard_place_of_the_snakefile(finished):
    """Where the catalogue of Snakemake workflows and snakedeploy look for it."""
    assert Workflow(finished).jobs(snakefile=ROOT / "workflow" / "Snakefile") == {}


# ---- installed -----------------------------------------------------------------------------------


def test_installed_by_pip(tmp_path):
    """The package, its programs and the launcher; nothing else, and nothing of the checkout."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "scripts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    folder = tmp_path / "installed"
    where = ("--no-deps", "--no-build-isolation", "--target", folder, tmp_path)
    subprocess.run([*pip, "install", *where], check=True)
    assert {p.name for p in folder.iterdir()} == {
        "bin",
        "badpix_selfcal",
        "snakemake_logger_plugin_selfcal",
        f"badpix_selfcal_workflow-{VERSION}.dist-info",
    }
    names = [p.relative_to(ROOT / "scripts") for p in (ROOT / "scripts").rglob("*")]
    wanted = {
        str(name if name.parts[0] == "badpix_selfcal" else f"badpix_selfcal/programs/{name}")
        for name in names
        if name.suffix
        and "_plugin_" not in name.parts[0]
        and (ROOT / "scripts" / name).is_file()
        and "__pycache__" not in name.parts
    }
    found = {p.relative_to(folder) for p in (folder / "badpix_selfcal").rglob("*") if p.is_file()}
    assert {str(name) for name in found if "__pycache__" not in name.parts} == wanted

    def selfcal(*words):
        return subprocess.run(
            [folder / "bin" / "selfcal", *words], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(folder)}, check=True,
        ).stdout  # fmt: skip

    assert "stages:   excluded" in selfcal("--help")
    assert VERSION in selfcal("median", "--version")
    write_exposure(tmp_path / "e_rate.fits")
    selfcal("pedestal", "e_rate.fits", "--output", "pedestal.fits")
    assert fits.getheader(tmp_path / "pedestal.fits", 1)["EXTNAME"] == "e"
    selfcal("slurm_status", "--help")  # which imports a module beside it
    selfcal("report", "--help")  # and this, its templates
