"""Status and submission of jobs on Slurm, by commands that stand in for Slurm's."""

import os
import time

import pandas as pd
import pytest
from conftest import ROOT, program

DOWN = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
NO_ACCOUNTS = "echo 'Slurm accounting storage is disabled' >&2; exit 1"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that sets what Slurm's commands do: shell scripts."""
    (tmp_path / ".snakemake/slurm_logs").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def set_commands(**commands):
        (tmp_path / ".snakemake/slurm_logs/queue.json").unlink(missing_ok=True)
        for name, text in {"sacct": NO_ACCOUNTS, **commands}.items():
            path = tmp_path / "bin" / name
            path.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n{text}\n')
            path.chmod(0o755)

    return set_commands


def status(folder, *words):
    return program("slurm_status", *words, "7", cwd=folder).stdout.strip()


def test_a_status_follows_from_the_queue_or_the_accounts(tmp_path, slurm):
    states = {
        "running": ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED"),
        "success": ("COMPLETED",),
        "failed": ("FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED", "PREEMPTED"),
    }
    for expected, names in states.items():
        for state in names:
            slurm(squeue=f"echo 7 {state}; echo 8 RUNNING")
            assert status(tmp_path) == expected
            slurm(squeue="echo 8 RUNNING", sacct=f"echo {state} by 1000")
            assert status(tmp_path) == expected
    slurm(squeue=DOWN, sacct=f"echo {state}")
    assert status(tmp_path) == expected


def test_the_exit_code_of_a_job_counts_first_and_slurms_reason_is_given(tmp_path, slurm):
    slurm(squeue="echo 7 RUNNING")
    logs = tmp_path / ".snakemake/slurm_logs"
    for code, expected in (("0", "success"), ("", "running"), ("1", "failed")):
        (logs / "exit-7").write_text(code)
        assert status(tmp_path) == expected
    assert "exit code 1" in program("slurm_status", "7", cwd=tmp_path).stderr
    reason = "JOB 7 CANCELLED DUE TO TIME LIMIT"
    (logs / "median-7.log").write_text(f"x\nslurmstepd-vm: error: *** {reason} ***\n")
    assert f"7: {reason};" in program("slurm_status", "7", cwd=tmp_path).stderr


def test_a_job_is_running_while_slurm_does_not_answer(tmp_path, slurm):
    slurm(squeue=DOWN)
    for _ in range(2):
        assert status(tmp_path, "--grace", "0") == "running"


def test_an_unknown_job_has_failed_after_a_while(tmp_path, slurm):
    """By an answer that is newer than the job: one serves for all jobs, for five seconds."""
    slurm(squeue="echo 8 RUNNING")
    assert status(tmp_path) == "running"
    time.sleep(0.1)
    for _ in range(4):
        assert status(tmp_path, "--grace", "0.05") == "running"
    assert (tmp_path / "calls").read_text().count("squeue") == 1
    (tmp_path / ".snakemake/slurm_logs/queue.json").unlink()
    assert status(tmp_path, "--grace", "0.05") == "failed"


def submit(folder, *words, check=True):
    (folder / "snakejob.median.3.sh").write_text("#!/bin/sh\nexit 3\n")
    words = ("--pause", "0.1", *words, "--", "--time=5", folder / "snakejob.median.3.sh")
    return program("slurm_submit", *words, check=check, cwd=folder)


def test_a_job_is_submitted_and_leaves_its_exit_code(tmp_path, slurm):
    slurm(sbatch="cat > batch; echo '12;cluster'")
    assert submit(tmp_path).stdout == "12\n"
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--job-name=median" in call
    assert "--time=5" in call
    done = os.system(f"cd /; SLURM_JOB_ID=12 sh {tmp_path}/batch")
    assert os.waitstatus_to_exitcode(done) == 3
    assert (tmp_path / ".snakemake/slurm_logs/exit-12").read_text() == "3\n"


POLICY = "Job violates accounting/QOS policy (job submit limit, users size and/or time limits)"
PASSING = (
    "Unable to contact slurm controller",
    "Unexpected message received",
    f"sbatch: error: AssocMaxSubmitJobLimit sbatch: error: {POLICY}",
    f"sbatch: error: QOSMaxSubmitJobPerUserLimit sbatch: error: {POLICY}",
    POLICY,
)
REFUSALS = (
    "sbatch: error: invalid partition specified: x",
    f"sbatch: error: QOSMaxWallDurationPerJobLimit sbatch: error: {POLICY}",
)


def test_submission_waits_for_what_passes(tmp_path, slurm):
    for answer in PASSING:
        fail = f"echo '{answer}' >&2; exit 1"
        slurm(sbatch=f"test -e once && rm once && echo 13 && exit; touch once; {fail}", squeue=DOWN)
        assert submit(tmp_path).stdout == "13\n"
        slurm(sbatch=fail, squeue=DOWN)
        done = submit(tmp_path, "--patience", "0", check=False)
        assert done.returncode == 1
        assert f"{answer}; run again later" in done.stderr


def test_a_job_whose_number_was_lost_is_not_submitted_twice(tmp_path, slurm):
    comment = "sed -n 's/.*--comment=\\([0-9a-f]*\\).*/\\1/p' calls"
    slurm(sbatch=DOWN, squeue=f"echo 14 $({comment})")
    assert submit(tmp_path).stdout == "14\n"
    assert (tmp_path / "calls").read_text().count("sbatch") == 1


def test_what_slurm_refuses_is_said_at_once(tmp_path, slurm):
    for n, answer in enumerate(REFUSALS, start=1):
        slurm(sbatch=f"echo '{answer}' >&2; exit 1")
        done = submit(tmp_path, check=False)
        assert done.returncode == 1
        assert answer in done.stderr
        assert (tmp_path / "calls").read_text().count("sbatch") == n


def test_a_refusal_is_in_the_status_of_the_run(nods, slurm):
    """Where Snakemake leaves an empty log of a job that never began."""
    slurm(sbatch=f"echo '{REFUSALS[0]}' >&2; exit 1")
    profile = ("--workflow-profile", ROOT / "profiles/slurm", "--retries", "0")
    assert nods.run(*profile, check=False).returncode == 1
    status = pd.read_csv(nods.path("results/status.csv"))
    assert list(status["status"]) == ["failed"] * 3
    assert set(status["message"]) == {f"{REFUSALS[0]}; correct the submit command in the profile"}


def test_the_profile_calls_these_programs():
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    assert "selfcal slurm_submit --" in text
    assert "selfcal slurm_status" in text
