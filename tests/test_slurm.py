"""On a real Slurm, started on this machine: the same products; jobs killed or short of memory."""

import os
import subprocess

import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, copy_workflow, wait_for, write_association, write_exposure
from one_node import MISSING, one_node, start_daemon

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Slurm"),
]

# For a short test; the rest is the profile's.
ON_SLURM = (
    *("--workflow-profile", str(ROOT / "profiles/slurm"), "--cores", "2"),
    *("--cluster-generic-status-cmd", "selfcal slurm_status --grace 2"),
    *("--seconds-between-status-checks", "1", "--latency-wait", "10"),
)


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    """Start a Slurm of one node; return its daemons by name."""
    try:
        with one_node(tmp_path_factory.mktemp("slurm")) as daemons:
            yield daemons
    except RuntimeError as error:
        pytest.skip(str(error))


def write_stacks(workflow):
    """Write two associations that share a stack of three, one of two, one that is skipped."""
    names = [f"jw01204001001_0210{i}_00001_nrs1_rate.fits" for i in range(6)]
    for i, name in enumerate(names):
        write_exposure(workflow.path("asn", name), seed=i)
        os.utime(workflow.path("asn", name), (1_000_000_000, 1_000_000_000))  # as headers tell it
    three = [(name, "selfcal") for name in names[:3]]
    for i in range(2):
        members = [(names[i], "science"), *three]
        write_association(workflow.path(f"asn/shared{i}_asn.json"), (f"p{i}", members))
    two = [(names[3], "science"), (names[4], "background")]
    write_association(workflow.path("asn/two_asn.json"), ("p2", two))
    write_association(workflow.path("asn/alone_asn.json"), ("p3", [(names[5], "science")]))


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Run the stacks without Slurm."""
    workflow = Workflow(tmp_path_factory.mktemp("local"))
    write_stacks(workflow)
    workflow.run("--quiet", "all")
    return workflow


def content(path):
    """Return the arrays and the cards of a FITS file."""
    with fits.open(path) as hdus:
        return [
            (hdu.name, [str(card) for card in hdu.header.cards],
             None if hdu.data is None else hdu.data.tobytes())
            for hdu in hdus
        ]  # fmt: skip


def assert_same_results(one, other):
    """Compare two results folders: the same files, pixel for pixel and card for card."""
    files = [{p.relative_to(f.path("results")) for p in f.path("results").rglob("*")
              if p.is_file()} for f in (one, other)]  # fmt: skip
    assert files[0] == files[1]
    for path in sorted(files[0]):
        a, b = one.path("results", path), other.path("results", path)
        if path.suffix == ".fits":
            assert content(a) == content(b), path
        elif path.name != "provenance.json":  # which says on what it was made
            assert a.read_text() == b.read_text(), path
    assert len(files[0]) > 15


def edit_program(folder, name, text):
    """Return a copy of the workflow of which a program does something first."""
    snakefile = copy_workflow(folder)
    script = folder / f"scripts/stages/{name}.py"
    script.write_text(script.read_text().replace("def main(arguments):\n", text, 1))
    return snakefile


def test_the_results_are_those_of_a_laptop(workflow, local):
    write_stacks(workflow)
    workflow.run(*ON_SLURM)
    assert_same_results(local, workflow)
    (log,) = workflow.path(".snakemake/log").iterdir()
    # The two stacks in one; what is skipped; checksums.
    assert log.read_text().count("with external jobid") == 3
    assert workflow.jobs() == {}


# Waits to be ended the first time, goes on the second.
SLOW = """def main(arguments):
    import os, time
    with open("medians", "a") as file:
        file.write("x")
    if os.path.getsize("medians") == 1:
        time.sleep(300)
"""


def test_a_controller_that_is_away_and_a_cancelled_job(workflow, local, tmp_path, slurm):
    """While nobody answers, the job goes on; ended by scancel, it is made again."""
    write_stacks(workflow)
    snakefile = edit_program(tmp_path, "median", SLOW)
    run = workflow.start(*ON_SLURM, snakefile=snakefile)
    wait_for(lambda: workflow.path("medians").exists() or run.poll() is not None, "median", 60)
    slurm["slurmctld"].terminate()
    slurm["slurmctld"].wait()
    asked = workflow.path(".snakemake/slurm_logs/queue.json")
    wait_for(lambda: "null" in asked.read_text(), "unanswered question", 60)
    slurm["slurmctld"] = start_daemon("slurmctld")
    cancel = ["scancel", "--user", "root"]
    wait_for(lambda: subprocess.run(cancel, capture_output=True).returncode == 0, "Slurm", 60)
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 0, out
    assert "CANCELLED" in out
    assert len(workflow.path("medians").read_text()) >= 3
    assert_same_results(local, workflow)


GREEDY = """def main(arguments):
    import os, time
    with open("attempts", "a") as file:
        file.write(os.popen("squeue -h -j $SLURM_JOB_ID -o '%m %l'").read())
    held = bytearray(os.urandom(1 << 20)) * 900
    time.sleep(4)
    del held
"""


def test_a_job_short_of_memory_gets_more(workflow, tmp_path):
    """It takes 900 MB, and is killed; the next attempt has twice the memory and the time."""
    write_stacks(workflow)
    snakefile = edit_program(tmp_path, "minimum", GREEDY)
    out = workflow.run(*ON_SLURM, associations="asn/two_asn.json", snakefile=snakefile).stdout
    attempts = [line.split() for line in workflow.path("attempts").read_text().splitlines()]
    assert [memory for memory, _ in attempts] == ["600M", "1200M"], out
    minutes = [int(time.split(":")[0]) for _, time in attempts]
    assert minutes[1] == 2 * minutes[0]
    assert workflow.path("results/summary.csv").exists()
