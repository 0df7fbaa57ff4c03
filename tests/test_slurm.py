"""On a real Slurm, started here on one machine: the same products, kills, jobs short of memory."""

import os
import shutil
import subprocess

import pytest
from astropy.io import fits
from conftest import ROOT, Workflow, copy_workflow, wait_for, write_association, write_exposure
from one_node import MISSING, one_node, start_daemon

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Slurm"),
]


@pytest.fixture(scope="session", autouse=True)
def slurm(tmp_path_factory):
    """Start a Slurm of one node."""
    try:
        with one_node(tmp_path_factory.mktemp("slurm")) as daemons:
            yield daemons
    except RuntimeError as error:
        pytest.skip(str(error))


# For a short test; the rest is the profile's.
ON_SLURM = (
    *("--workflow-profile", str(ROOT / "profiles/slurm"), "--cores", "2"),
    *("--cluster-generic-status-cmd", "selfcal slurm_status --grace 2"),
    *("--seconds-between-status-checks", "1", "--latency-wait", "10"),
)


def three_stacks(workflow):
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


def submitted(stdout):
    return stdout.count("with external jobid")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The three stacks, run without Slurm."""
    workflow = Workflow(tmp_path_factory.mktemp("local"))
    three_stacks(workflow)
    workflow.run("--quiet", "all")
    return workflow


def start_slow(workflow, folder):
    """Start the three stacks on Slurm, by a copy of the workflow, and wait until a median waits."""
    three_stacks(workflow)
    snakefile = copy_workflow(folder)
    script = folder / "scripts/stages/median.py"
    script.write_text(script.read_text().replace("def main(arguments):", SLOW, 1))
    run = start(workflow, snakefile=snakefile)
    mark = workflow.path("median_is_running")
    wait_for(lambda: mark.exists() or run.poll() is not None, "median", seconds=60)
    assert run.poll() is None, run.communicate()
    return run


# Waits to be ended the first time, goes on the second.
SLOW = """def main(arguments):
    import os, time
    if not os.path.exists("median_is_running"):
        open("median_is_running", "w").close()
        time.sleep(300)
"""


def test_the_demo_gives_the_results_of_a_laptop(tmp_path):
    local, remote = (Workflow(tmp_path / name) for name in ("local", "slurm"))
    local.folder.mkdir()
    remote.folder.mkdir()
    shutil.copytree(ROOT / "demo", local.path("demo"), copy_function=os.link)
    local.run("--quiet", "all", associations=None)
    # The same files, as headers and checksums.csv tell their dates.
    shutil.copytree(local.path("demo"), remote.path("demo"), copy_function=os.link)
    out = remote.run(*ON_SLURM, associations=None).stdout
    assert_same_results(local, remote)
    # The three stacks in one; what is skipped; checksums.
    assert submitted(out) <= 3, out
    assert remote.jobs(associations=None) == {}


def test_a_large_stack_fits_one_node(workflow):
    """Of 36 exposures, whose group would ask for 36 CPUs, if the profile did not limit it."""
    first = write_exposure(workflow.path("asn", "e00_nrs1_rate.fits"))
    for i in range(1, 36):
        os.link(first, workflow.path("asn", f"e{i:02}_nrs1_rate.fits"))
    members = [(f"e{i:02}_nrs1_rate.fits", "background" if i else "science") for i in range(36)]
    write_association(workflow.path("asn/x_asn.json"), ("p", members))
    # Were it not limited, Slurm would never start it.
    for limit, expected in (("2", "2 RUNNING None"), ("36", "36 PENDING PartitionConfig")):
        memory = ("--resources", f"mem_mb={int(limit) * 1000}")
        run = start(workflow, "--cores", limit, *memory, "--nolock")
        wait_for(lambda expected=expected: expected in queue("%C %T %r"), expected, seconds=60)
        run.kill()  # rather than to wait for its jobs
        run.communicate()
        cancel_all()


def cancel_all():
    """Cancel every job, and wait until they have gone."""
    subprocess.run(["scancel", "--user", "root"], check=True)
    wait_for(lambda: not queue("%T"), "an empty queue", seconds=60)


def start(workflow, *words, snakefile=ROOT / "Snakefile"):
    """Start a run on Slurm; return its process."""
    return workflow.start(*ON_SLURM, *words, snakefile=snakefile)


def queue(form):
    """Return a line for each job that Slurm has, unless it is being ended."""
    command = ["squeue", "-h", "-t", "PENDING,RUNNING", "-o", form]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def test_a_cancelled_job_is_made_again(workflow, local, tmp_path_factory):
    """By scancel while it runs: the job is retried; the products are the same."""
    run = start_slow(workflow, tmp_path_factory.mktemp("slow"))
    subprocess.run(["scancel", "--user", "root"], check=True)
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 0, out
    assert submitted(out) >= 3, out
    assert_same_results(local, workflow)


def test_a_job_out_of_time_gets_more(workflow, local, tmp_path_factory):
    """Slurm ends the first attempt at its limit; the second has twice the time."""
    run = start_slow(workflow, tmp_path_factory.mktemp("slow"))
    (first,) = [line.split() for line in queue("%i %l %j") if "selfcal" in line]
    end = subprocess.run(["date", "+%FT%T"], capture_output=True, text=True, check=True)
    # Slurm's limits are of minutes at least; so its end is moved to now.
    subprocess.run(["scontrol", "update", f"JobId={first[0]}", f"EndTime={end.stdout.strip()}"])

    def second_attempt():
        return [
            w for w in map(str.split, queue("%i %l %j")) if w[2] == first[2] and w[0] != first[0]
        ]

    (second,) = wait_for(second_attempt, "second attempt", seconds=120)
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 0, out
    assert "DUE TO TIME LIMIT" in out
    assert minutes(second[1]) == 2 * minutes(first[1])
    assert_same_results(local, workflow)


def minutes(limit):
    """Read a time limit as squeue writes it, without days."""
    parts = [int(part) for part in limit.split(":")]
    return sum(part * 60**i for i, part in enumerate(reversed(parts))) / 60


def test_a_controller_that_does_not_answer_is_no_failure(workflow, tmp_path, slurm):
    """It is away while a job runs, ends, and the next is to be submitted."""
    three_stacks(workflow)
    snakefile = copy_workflow(tmp_path)
    script = tmp_path / "scripts/stages/median.py"
    script.write_text(script.read_text().replace("def main(arguments):", WAITING, 1))
    run = start(workflow, "--jobs", "1", snakefile=snakefile)
    mark = workflow.path("median_is_running")
    wait_for(lambda: mark.exists() or run.poll() is not None, "median", seconds=60)
    assert run.poll() is None, run.communicate()
    slurm["slurmctld"].terminate()
    slurm["slurmctld"].wait()
    asked = workflow.path(".snakemake/slurm_logs/queue.json")
    wait_for(lambda: "null" in asked.read_text(), "unanswered question", seconds=60)
    workflow.path("go").touch()
    wait_for(lambda: list(workflow.path(".snakemake/slurm_logs").glob("exit-*")), "end of the job",
             seconds=60)  # fmt: skip
    slurm["slurmctld"] = start_daemon("slurmctld")
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 0, out
    assert "exit code" not in out
    assert workflow.path("runs_of_median").read_text() == "x" * 2  # once for each stack


# Waits until it may go on, and says how often it was begun.
WAITING = """def main(arguments):
    import os, time
    with open("runs_of_median", "a") as file:
        file.write("x")
    open("median_is_running", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.1)
"""


def test_a_hundred_jobs_in_the_queue(workflow):
    """All are submitted and watched; cancelled, the run ends and says so."""
    first = write_exposure(workflow.path("asn", "e00a_nrs1_rate.fits"))
    for i in range(100):
        pair = [f"e{i:02}{letter}_nrs1_rate.fits" for letter in "ab"]
        for name in pair:
            if not workflow.path("asn", name).exists():
                os.link(first, workflow.path("asn", name))
        members = [(pair[0], "science"), (pair[1], "background")]
        write_association(workflow.path(f"asn/x{i:02}_asn.json"), (f"p{i}", members))
    held = "selfcal slurm_submit -- --hold --mem={resources.mem_mb} --time={resources.runtime}"
    run = start(workflow, "--group-components", "selfcal=1", "--retries", "0", "--jobs", "200",
                "--seconds-between-status-checks", "5",
                "--cluster-generic-submit-cmd", held)  # fmt: skip
    wait_for(lambda: len(queue("%T")) == 101, "hundred jobs and checksums", seconds=200)
    assert run.poll() is None
    cancel_all()
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 1
    assert out.count("CANCELLED") >= 100, out
    status = workflow.path("results/status.csv").read_text().splitlines()
    assert len(status) == 101


def test_a_job_short_of_memory_gets_more(workflow, tmp_path):
    """It takes 700 MB, and is killed until an attempt has as much."""
    snakefile = copy_workflow(tmp_path)
    script = tmp_path / "scripts/stages/minimum.py"
    greedy = script.read_text().replace("def main(arguments):", GREEDY, 1)
    script.write_text(greedy)
    three_stacks(workflow)
    words = ("--set-resources", *(f"{rule}:mem_mb=400*attempt" for rule in STAGES))
    out = workflow.run(*ON_SLURM, *words, snakefile=snakefile).stdout
    attempts = workflow.path("attempts").read_text().split()
    assert attempts[0] != attempts[-1], out
    assert int(attempts[-1]) > 700
    assert workflow.path("results/summary.csv").exists()


STAGES = ("pedestal", "minimum", "median", "threshold", "write_back")
GREEDY = """def main(arguments):
    import os, time
    with open("attempts", "a") as file:
        job = os.environ["SLURM_JOB_ID"]
        file.write(os.popen(f"squeue -h -j {job} -o %m").read().replace("M", ""))
    held = bytearray(os.urandom(1 << 20)) * 700
    time.sleep(4)
    del held
"""
