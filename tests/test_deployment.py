"""Elsewhere: as a module of another workflow, on what is read-only, repeated; its provenance."""

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
from conftest import ROOT, Workflow, copy_workflow, program, write_association, write_exposure

from tables.provenance import git_commit


def results_of(workflow):
    """Return every FITS file of the results: its arrays' bytes by path."""
    found = {}
    for path in workflow.path("results").rglob("*.fits"):
        if not path.is_symlink():
            with fits.open(path) as hdus:
                arrays = [hdu.data.tobytes() for hdu in hdus if hdu.data is not None]
            found[str(path.relative_to(workflow.folder))] = arrays
    return found


def test_a_run_repeated_elsewhere_gives_the_same_bytes(finished, tmp_path_factory):
    """Another clone, another folder, the exposures in another order in the association."""
    first_run = Workflow(finished)
    elsewhere = Workflow(tmp_path_factory.mktemp("elsewhere"))
    shutil.copytree(first_run.path("rate"), elsewhere.path("rate"))
    shutil.copytree(first_run.path("asn"), elsewhere.path("asn"))
    for path in elsewhere.path("asn").iterdir():
        association = json.loads(path.read_text())
        association["products"][0]["members"].reverse()
        path.write_text(json.dumps(association))
    snakefile = copy_workflow(tmp_path_factory.mktemp("clone"))
    elsewhere.run("--quiet", "all", snakefile=snakefile)
    first, again = results_of(first_run), results_of(elsewhere)
    assert first == again
    assert len(first) == 6


def test_provenance(nods):
    nods.run("--quiet", "all", config=["kernel_size=7"])
    record = json.loads(nods.path("results/provenance.json").read_text())
    assert record["config"]["kernel_size"] == 7
    assert record["config"]["flagfrac_lower"] == 0.001
    installed = importlib.metadata.distributions()
    assert record["packages"] == {d.metadata["Name"]: d.version for d in installed}
    assert record["python"] == sys.version.split()[0]
    for key, folder in (("exposures", "rate"), ("associations", "asn")):
        files = {f["path"]: f for f in record[key]}
        assert set(files) == {f"{folder}/{path.name}" for path in nods.path(folder).iterdir()}
        for path, described in files.items():
            content = nods.path(path).read_bytes()
            assert described["size"] == len(content)
            assert described["sha256"] == hashlib.sha256(content).hexdigest()
    if (ROOT / ".git").exists() and shutil.which("git"):
        commit = subprocess.run(
            ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert record["workflow"]["git_commit"].rstrip("+") == commit.stdout.strip()
    assert nods.jobs(config=["kernel_size=7"]) == {}


def test_a_changed_tree_is_told_from_its_commit(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout.strip()

    if not shutil.which("git"):
        pytest.skip("no git here")
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    (tmp_path / "new").write_text("not tracked")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD") != ""
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD") + "+"


def test_provenance_without_git(tmp_path, monkeypatch):
    copy_workflow(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write_exposure(tmp_path / "a_rate.fits")
    write_association(tmp_path / "a_asn.json", ("p", [("a_rate.fits", "science")]))
    (tmp_path / "exposures.json").write_text('["a_rate.fits"]')
    (tmp_path / "associations.json").write_text('["a_asn.json"]')
    program("checksums", "exposures.json", "checksums.csv", cwd=tmp_path)
    command = [sys.executable, "-Es", tmp_path / "scripts/selfcal", "provenance", "checksums.csv"]
    command += ["associations.json", "--output", "p.json"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "p.json").read_text())["workflow"]["git_commit"] is None


MODULE = """\
configfile: "parent.yaml"


module selfcal:
    snakefile:
        "{snakefile}"
    config:
        config["badpix_selfcal"]


use rule * from selfcal as selfcal_*


rule everything:
    default_target: True
    input:
        rules.selfcal_all.input,
        "count.txt",


rule count:
    input:
        rules.selfcal_summary.output,
    output:
        "count.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""


def test_as_a_module_of_another_workflow(nods):
    """With the config that the parent gives; its files are those of a run of its own."""
    nods.path("Snakefile").write_text(MODULE.format(snakefile=ROOT / "Snakefile"))
    nods.path("parent.yaml").write_text(
        "badpix_selfcal:\n  associations: asn/*.json\n  kernel_size: 5\n"
    )
    parent = {"associations": None, "snakefile": nods.path("Snakefile")}
    nods.run("--quiet", "all", **parent)
    assert nods.path("count.txt").read_text().strip() == "4"
    flagged = nods.path("results/flagged").rglob("*00001_nrs1_badpix_selfcal.fits")
    assert fits.getheader(next(flagged))["BPXKERN"] == 5
    jobs = nods.run("--dry-run", **parent).stdout
    assert "Nothing to be done" in jobs
    # And by itself, with the same parameters, it finds all done but the names of the rules.
    assert len(results_of(nods)) == 6


def test_as_a_module_with_a_prefix(nods):
    """Its results go below the prefix; exposures and associations are where the user says."""
    text = MODULE.format(snakefile=ROOT / "Snakefile")
    text = text.replace("    config:\n", '    prefix:\n        "sub"\n    config:\n', 1)
    nods.path("Snakefile").write_text(text)
    nods.path("parent.yaml").write_text("badpix_selfcal:\n  associations: asn/*.json\n")
    parent = {"associations": None, "snakefile": nods.path("Snakefile")}
    nods.run("--quiet", "all", **parent)
    assert not nods.path("results").exists()
    summary = pd.read_csv(nods.path("sub/results/summary.csv"))
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "COMPLETE"]
    association = nods.path("sub/results/associations/one_asn.json")
    for member in json.loads(association.read_text())["products"][0]["members"]:
        assert (association.parent / member["expname"]).is_file()
    links = list(nods.path("sub/results/by_association").rglob("*.fits"))
    assert len(links) == 11
    assert all(link.is_file() for link in links)
    assert "Nothing to be done" in nods.run("--dry-run", **parent).stdout
    planned = nods.run("selfcal_plan", **parent).stdout
    assert "files:     0 to make" in planned, planned
    assert "0 results, 0 MB, to delete" in nods.run("selfcal_prune", **parent).stdout
    nods.run("selfcal_verify", **parent)
    assert len(nods.path("sub/results/SHA256SUMS").read_text().splitlines()) == 13
    flags = next(nods.path("sub/results/stacks").glob("*/flags.fits"))
    flags.write_bytes(flags.read_bytes()[:-1] + b"x")
    assert nods.run("selfcal_verify", check=False, **parent).returncode != 0
    (found,) = nods.path("sub/results/verify.csv").read_text().splitlines()[1:]
    assert found.startswith("sub/results/stacks/")
    assert not nods.path("results").exists()


PARENT = (
    MODULE
    + """

rule own:
    output:
        "own.txt",
    shell:
        "summary.py > {{output}}; plan.py >> {{output}}; median.py >> {{output}}"
"""
)


def test_a_parent_has_its_own_programs(nods, monkeypatch):
    """Of the names that ours have."""
    (nods.path("bin")).mkdir()
    for name in ("summary", "plan", "median"):
        path = nods.path("bin", f"{name}.py")
        path.write_text(f"#!/bin/sh\necho the parent\\'s {name}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{nods.path('bin')}:{os.environ['PATH']}")
    nods.path("Snakefile").write_text(PARENT.format(snakefile=ROOT / "Snakefile"))
    nods.path("parent.yaml").write_text("badpix_selfcal:\n  associations: asn/*.json\n")
    nods.run("own.txt", "results/summary.csv", associations=None,
             snakefile=nods.path("Snakefile"))  # fmt: skip
    said = nods.path("own.txt").read_text().splitlines()
    assert said == ["the parent's summary", "the parent's plan", "the parent's median"]
    assert nods.path("results/summary.csv").exists()


def test_the_standard_place_of_the_snakefile(done):
    """Where the catalogue of Snakemake workflows and snakedeploy look for it."""
    standard = ROOT / "workflow" / "Snakefile"
    assert done.jobs(snakefile=standard) == {}
    done.path("results/status.csv").unlink()
    done.path("results/associations/one_asn.json").unlink()
    done.run("--quiet", "all", snakefile=standard)
    assert done.path("results/associations/one_asn.json").exists()
    assert done.path("results/status.csv").exists()
    assert done.jobs() == {}


def test_read_only_checkout_and_inputs(nods, tmp_path_factory):
    """Another working directory, from which neither can be written."""
    snakefile = copy_workflow(tmp_path_factory.mktemp("checkout"))
    places = [snakefile.parent, nods.path("rate"), nods.path("asn")]
    mounts = [f"mount --bind {p} {p} && mount -o remount,ro,bind {p}" for p in places]
    possible = subprocess.run(["unshare", "-m", "sh", "-c", mounts[0]], capture_output=True)
    if possible.returncode:
        pytest.skip(f"no read-only mounts here: {possible.stderr.decode().strip()}")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
    command += ["--snakefile", str(snakefile), "--directory", str(nods.folder)]
    command += ["--config", "associations=asn/*.json"]
    words = [*mounts, f"! touch {snakefile} 2>/dev/null", " ".join(f"'{w}'" for w in command)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", " && ".join(words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=nods.path("asn"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert nods.path("results/summary.csv").exists()


def test_a_home_that_cannot_be_written_to(nods, monkeypatch):
    """The run and its figures end well, and lists of fonts and the like stay in the run folder."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    with nods.start_anew("--", "all", "figures") as run:
        out, _ = run.communicate()
    assert run.returncode == 0, out
    assert "temporary cache directory" not in out
    assert list(nods.path("results/figures").glob("*/flags.png"))
    assert list(nods.path(".snakemake/matplotlib").glob("fontlist*.json"))
