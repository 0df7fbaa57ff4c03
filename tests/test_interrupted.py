"""Runs that are interrupted or disturbed: Ctrl-C, SIGTERM, kill -9, another run, changed files."""

import os
import signal

import pandas as pd
from astropy.io import fits
from conftest import wait_for, write_association, write_exposure

FIRST, SECOND = (f"rate/jw01204001001_02101_0000{i}_nrs1_rate.fits" for i in (1, 2))


def start(workflow, snakefile):
    """Start a run that waits in its median; return its process."""
    workflow.path("waits").unlink(missing_ok=True)
    process = workflow.start(snakefile=snakefile)
    wait_for(workflow.path("waits").exists, "median", 60)
    return process


def list_halves(workflow):
    """Return what is half written."""
    found = [p for p in workflow.path("results").rglob("*") if p.name.endswith(".part")]
    return found + list(workflow.path("results").rglob("median.fits"))


def test_a_run_that_is_interrupted_goes_on(nods, slow):
    """By Ctrl-C, by SIGTERM, by kill -9; nothing half written is taken for a result."""
    # Ctrl-C reaches the programs, too.
    run = start(nods, slow)
    os.killpg(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert not list_halves(nods)
    assert "interrupted: waiting for the jobs that run\n" in said
    assert said.endswith("\nnext: the same command goes on\n")
    assert "Traceback" not in said

    # SIGTERM lets the jobs end that are running.
    run = start(nods, slow)
    run.terminate()
    nods.path("go").touch()
    said, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "interrupted: waiting for the jobs that run\n" in said
    (median,) = nods.path("results/stacks").glob("*/median.fits")
    assert fits.getdata(median).any()
    median.unlink()
    nods.path("go").unlink()

    # After kill -9, Snakemake asks for --unlock.
    run = start(nods, slow)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    done = nods.run(check=False, snakefile=slow)
    assert done.returncode != 0
    assert "--unlock" in done.stdout
    nods.run("--unlock", snakefile=slow)
    nods.path("go").touch()
    nods.run("--quiet", "all", snakefile=slow)
    assert pd.read_csv(nods.path("results/summary.csv"))["n_high"].max() > 0
    assert nods.jobs(snakefile=slow) == {}


def test_what_happens_during_a_run(nods, slow):
    """Another run is refused; a new association waits; a replaced exposure is noticed."""
    run = start(nods, slow)
    done = nods.run(check=False)
    assert done.returncode != 0
    assert "wait for the other run; after a kill -9" in done.stdout
    assert nods.jobs()  # a dry run takes no lock
    done = nods.run("--", "prune_delete", check=False)
    assert done.returncode != 0
    pairs = [("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science")]
    write_association(nods.path("asn/late_asn.json"), ("p9", pairs))
    write_exposure(nods.path("other.fits"), seed=9)
    os.utime(nods.path("other.fits"), (1e9, 1e9))
    os.replace(nods.path("other.fits"), nods.path(SECOND))
    nods.path("go").touch()
    said, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    error = f"{SECOND}: replaced or changed after the stage pedestal read it; run again"
    assert f"write_back: error: {error}" in said
    assert list(pd.read_csv(nods.path("results/status.csv"))["association"]) == [
        "alone_asn",
        "one_asn",
        "two_asn",
    ]
    nods.run("--quiet", "all", snakefile=slow)
    flags = fits.getheader(next(nods.path("results/stacks").glob("*/flags.fits")))
    assert flags["BPXT0002"] == 10**18
    assert nods.path("results/associations/late_asn.json").exists()
    assert len(pd.read_csv(nods.path("results/summary.csv"))) == 4
