"""What a job's status on Slurm is taken for, by commands that stand in for Slurm's."""

import os
import time

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


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        *((state, "running") for state in ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED")),
        ("COMPLETED", "success"),
        *((s, "failed") for s in ("FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED")),
        *((s, "failed") for s in ("PREEMPTED", "BOOT_FAIL", "DEADLINE")),
    ],
)
def test_states_of_the_queue_and_of_the_accounts(tmp_path, slurm, state, expected):
    slurm(squeue=f"echo 7 {state}; echo 8 RUNNING")
    assert status(tmp_path) == expected
    slurm(squeue="echo 8 RUNNING", sacct=f"echo {state} by 1000")
    assert status(tmp_path) == expected
    slurm(squeue=DOWN, sacct=f"echo {state}")
    assert status(tmp_path) == expected


def test_the_mark_of_a_job_counts_first(tmp_path, slurm):
    slurm(squeue="echo 7 RUNNING")
    mark = tmp_path / ".snakemake/slurm_logs/exit-7"
    for code, expected in (("0", "success"), ("1", "failed"), ("", "running")):
        mark.write_text(code)
        assert status(tmp_path) == expected


def test_the_reason_is_slurms_own_where_it_gave_one(tmp_path, slurm):
    slurm(squeue=DOWN)
    logs = tmp_path / ".snakemake/slurm_logs"
    (logs / "exit-7").write_text("1")
    assert "exit code 1" in program("slurm_status", "7", cwd=tmp_path).stderr
    (logs / "skip-7.log").write_text(
        "x\nslurmstepd-vm: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***\n"
    )
    assert (
        "7: JOB 7 CANCELLED DUE TO TIME LIMIT;" in program("slurm_status", "7", cwd=tmp_path).stderr
    )


def test_nobody_answers(tmp_path, slurm):
    """The job goes on, for all that is known, however long."""
    slurm(squeue=DOWN)
    assert status(tmp_path, "--grace", "0") == "running"
    assert status(tmp_path, "--grace", "0") == "running"


def test_a_job_that_nobody_knows_has_failed_after_a_while(tmp_path, slurm):
    slurm(squeue="echo 8 RUNNING")
    assert status(tmp_path) == "running"
    assert status(tmp_path) == "running"
    (tmp_path / ".snakemake/slurm_logs/queue.json").unlink()
    time.sleep(0.1)
    assert status(tmp_path, "--grace", "0.05") == "failed"


def test_an_answer_from_before_a_job_was_submitted_is_no_sign_that_it_is_gone(tmp_path, slurm):
    slurm(squeue="echo 8 RUNNING")
    assert status(tmp_path) == "running"
    time.sleep(0.1)
    assert status(tmp_path, "--grace", "0.05") == "running"  # still the answer of before
    queue = tmp_path / ".snakemake/slurm_logs/queue.json"
    queue.unlink()
    assert status(tmp_path, "--grace", "0.05") == "failed"


def test_slurm_is_asked_once_for_all_jobs(tmp_path, slurm):
    slurm(squeue="echo 7 RUNNING")
    for _ in range(5):
        assert status(tmp_path) == "running"
    assert (tmp_path / "calls").read_text().count("squeue") == 1


def submit(folder, *words, check=True):
    (folder / "snakejob.skip.3.sh").write_text("#!/bin/sh\nexit 3\n")
    words = ("--pause", "0.1", *words, "--", "--time=5", folder / "snakejob.skip.3.sh")
    return program("slurm_submit", *words, check=check, cwd=folder)


def test_a_job_is_submitted_and_leaves_its_exit_code(tmp_path, slurm):
    slurm(sbatch="cat > batch; echo '12;cluster'")
    assert submit(tmp_path).stdout == "12\n"
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert "--job-name=skip" in call
    assert "--time=5" in call
    done = os.system(f"cd /; SLURM_JOB_ID=12 sh {tmp_path}/batch")
    assert os.waitstatus_to_exitcode(done) == 3
    assert (tmp_path / ".snakemake/slurm_logs/exit-12").read_text() == "3\n"


def test_submission_waits_for_the_controller(tmp_path, slurm):
    slurm(sbatch=f"test -e once && echo 13 && exit; touch once; {DOWN}", squeue=DOWN)
    assert submit(tmp_path).stdout == "13\n"
    slurm(sbatch=DOWN, squeue=DOWN)
    done = submit(tmp_path, "--patience", "0", check=False)
    assert done.returncode == 1
    assert "Unable to contact" in done.stderr


def test_a_job_whose_number_was_lost_is_not_submitted_twice(tmp_path, slurm):
    comment = "sed -n 's/.*--comment=\\([0-9a-f]*\\).*/\\1/p' calls"
    slurm(sbatch=DOWN, squeue=f"echo 14 $({comment})")
    assert submit(tmp_path).stdout == "14\n"
    assert (tmp_path / "calls").read_text().count("sbatch") == 1


def test_what_slurm_refuses_is_said_at_once(tmp_path, slurm):
    slurm(sbatch="echo 'sbatch: error: invalid partition specified: x' >&2; exit 1")
    done = submit(tmp_path, check=False)
    assert done.returncode == 1
    assert "invalid partition" in done.stderr


def test_the_profile_calls_these_programs():
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    assert "selfcal slurm_submit --" in text
    assert "selfcal slurm_status" in text
