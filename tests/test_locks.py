"""Two commands in one folder, and what killed ones leave: the lock of a live run holds."""

import functools
import os
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, copy_workflow, wait_for

from badpix_selfcal import locks as system
from badpix_selfcal import parent
from badpix_selfcal.files import atomic_write
from badpix_selfcal.program import Fault
from selfcal_rules import internals, locks


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """Return a Snakefile whose median waits until the file `go` is there."""
    folder = tmp_path_factory.mktemp("slow")
    snakefile = copy_workflow(folder)
    script = folder / "scripts/stages/median.py"
    waits = """def main(arguments):
    import os, time
    open("waits", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.05)
"""
    script.write_text(script.read_text().replace("def main(arguments):", waits))
    return snakefile


def kill(process):
    process.kill_all()
    process.communicate()


@pytest.fixture
def live(nods, slow):
    """A run that has reached the median of a stack and waits there; its process."""
    process = nods.start(snakefile=slow)
    wait_for(nods.path("waits").exists, "median", 120)
    yield process
    nods.path("go").touch()
    kill(process)


def ended(processes, n=1):
    """Return the processes that have ended, if there are at least `n`."""
    found = [p for p in processes if p.poll() is not None]
    return found if len(found) >= n else []


def finish(workflow, process, slow):
    """Let a waiting run go on, and see that all of it is done."""
    workflow.path("go").touch()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "associations: 2 done, 1 skipped" in said
    assert workflow.jobs(snakefile=slow) == {}


def test_a_live_run_is_not_disturbed(nods, live, slow):
    """Neither by the same targets, nor by others, nor by --unlock, nor by prune_delete."""
    before = sorted(os.listdir(nods.path(".snakemake/locks")))
    done = nods.run(check=False)
    assert done.returncode != 0
    assert "LockException" in done.stdout
    # With other targets: one of no files, and one of its own files.
    nods.run("--", "plan")
    nods.run("--", "members", check=False)
    assert sorted(os.listdir(nods.path(".snakemake/locks"))) == before
    done = nods.run("--unlock", check=False)
    assert done.returncode != 0
    assert "a run is going on here; wait for its end" in done.stdout
    stray = nods.path("results/stacks/old_1exp-0123456789ab")
    stray.mkdir()
    done = nods.run("--", "prune_delete", check=False)
    assert done.returncode != 0
    assert "a run is going on here; wait for its end" in done.stdout
    assert stray.exists()
    assert sorted(os.listdir(nods.path(".snakemake/locks"))) == before
    assert nods.run(check=False).returncode != 0
    assert nods.run("--dry-run").returncode == 0  # which neither waits nor takes a lock
    finish(nods, live, slow)


def test_a_live_run_is_seen_from_another_namespace(nods, live, slow):
    """As from a container: there its process has no number, or is another's."""
    apart = ["unshare", "--pid", "--uts", "--fork", "--mount-proc"]
    possible = subprocess.run([*apart, "hostname", "another"], capture_output=True)
    if possible.returncode:
        pytest.skip(f"no namespaces here: {possible.stderr.decode().strip()}")
    other = nods.start_anew(before=[*apart, "sh", "-c", 'hostname another; exec "$@"', "sh"])
    said, _ = other.communicate(timeout=120)
    assert other.returncode != 0
    assert "LockException" in said
    finish(nods, live, slow)


@pytest.mark.parametrize("record", ["", "{", '{"host": 1}'])
def test_a_run_that_was_killed_leaves_no_lock(nods, live, record):
    """Whatever an older version has left as its record."""
    kill(live)
    assert os.listdir(nods.path(".snakemake/locks"))
    nods.path(".snakemake/badpix_selfcal_run.json").write_text(record)
    out = nods.run().stdout
    assert "had left its lock; removed" in out
    assert nods.jobs() == {}


def test_a_run_that_was_killed_before_it_began_leaves_no_lock(nods):
    """Between its lock and `onstart`, where no record of it could have been."""
    snakefile = nods.path("Snakefile")
    snakefile.write_text(
        f'include: "{ROOT}/Snakefile"\nimport os, signal\n'
        "onstart:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "rule everything:\n    default_target: True\n    input: rules.all.input\n"
    )
    process = nods.start(snakefile=snakefile)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert os.listdir(nods.path(".snakemake/locks"))
    assert "had left its lock; removed" in nods.run().stdout
    assert nods.jobs() == {}


def test_two_commands_started_together(nods, slow):
    """One runs, the other is refused; be there a lock of a killed run, too."""
    nods.path("go").touch()
    stale = nods.path(".snakemake/locks/0.output.lock")
    for turn in range(2):
        shutil.rmtree(nods.path("results"), ignore_errors=True)
        stale.parent.mkdir(parents=True, exist_ok=True)
        if turn:
            stale.write_text(f"{nods.folder}/x\nresults/summary.csv\n")
        nods.path("go").unlink(missing_ok=True)
        pair = [nods.start(snakefile=slow) for _ in range(2)]
        first = wait_for(functools.partial(ended, pair), "end", 120)[0]
        said, _ = first.communicate()
        assert first.returncode != 0
        assert "LockException" in said
        pair.remove(first)
        finish(nods, pair[0], slow)


def test_no_run_begins_while_results_are_deleted(nods, monkeypatch):
    monkeypatch.chdir(nods.folder)
    deleting = system.take(system.RUNS, exclusive=True)
    done = nods.run(check=False)
    os.close(deleting)
    assert done.returncode != 0
    assert "results are being deleted here; wait for the end, then run again" in done.stdout
    assert not nods.path("results/stacks").exists()


def test_one_at_a_time_goes_through_the_door(tmp_path, monkeypatch):
    """Of many processes at once, with a lock of a killed run, exactly one gets Snakemake's."""
    monkeypatch.chdir(tmp_path)
    program = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "scripts")!r}, {str(ROOT / "workflow")!r}]
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from selfcal_rules import locks
path = Path(".snakemake/locks/0.output.lock")

@contextmanager
def lock(persistence):
    if path.exists():
        sys.exit(3)
    time.sleep(0.02)
    path.write_text("x")
    yield

job = SimpleNamespace(rule=SimpleNamespace(name="median"))
persistence = SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: [job]))
with locks.guarded(lock)(persistence):
    print("in", flush=True)
    sys.stdin.read()
"""
    for _ in range(5):
        path = tmp_path / ".snakemake/locks/0.output.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of a killed run")
        many = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for _ in range(4)
        ]  # fmt: skip
        wait_for(functools.partial(ended, many, 3), "three refused", 60)
        assert sorted(str(p.poll()) for p in many) == ["3", "3", "3", "None"]
        for process in many:
            process.communicate("")


def test_where_locks_may_not_reach_they_are_kept(tmp_path, monkeypatch, capsys):
    """And the user is told what to do; --unlock then does it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".snakemake/locks/0.output.lock"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    monkeypatch.setattr(system, "file_system", lambda folder: "nfs")
    locks.remove_stale()
    assert path.exists()
    assert "say the same command with --unlock once" in capsys.readouterr().err
    with pytest.raises(Exception, match="say snakemake --unlock once"):
        system.alone()
    locks.unlock()
    assert not path.exists()
    os.close(system.alone())


def test_where_there_are_no_locks_at_all(tmp_path, monkeypatch):
    """A run goes on by Snakemake's own lock."""
    monkeypatch.chdir(tmp_path)

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(system.fcntl, "flock", none)
    with locks.door():
        locks.announce()
    locks.unlock()


def test_the_file_system_of_a_folder(tmp_path):
    assert system.file_system(tmp_path) in system.LOCAL | {"9p", "virtiofs", "fuse"}
    assert system.file_system("/proc") == "proc"


def test_snakemakes_lock_is_guarded():
    """What `guard_locks` replaces is there, in the Snakemake that is tested."""
    from snakemake.persistence import PersistenceBase
    from snakemake.persistence.file import FilePersistence

    kept = PersistenceBase.lock, PersistenceBase.cleanup_locks, FilePersistence._delete_locks
    try:
        internals.guard_locks()
        assert PersistenceBase.lock.guarded
        assert FilePersistence._delete_locks is internals.delete_own_locks
    finally:
        PersistenceBase.lock, PersistenceBase.cleanup_locks, FilePersistence._delete_locks = kept


def test_a_program_whose_run_was_killed_writes_nothing(nods, slow):
    """It would overwrite what the next run makes, by other parameters."""
    process = nods.start(snakefile=slow)
    wait_for(nods.path("waits").exists, "median", 120)
    process.kill()  # alone: its programs live on
    process.wait()
    (stack,) = (path.name for path in nods.path("results/stacks").iterdir())
    nods.path("go").touch()
    log = nods.path("logs/median", f"{stack}.log")
    wait_for(lambda: "the run has ended before its job" in log.read_text(), "word of it", 60)
    kill(process)
    assert not list(nods.path("results").rglob("median.fits"))
    assert not list(nods.path("results").rglob("*.part"))


def test_a_program_knows_its_run(tmp_path, monkeypatch):
    monkeypatch.delenv(parent.RUN, raising=False)
    parent.refuse_orphans()
    monkeypatch.setenv(parent.RUN, parent.this_process())
    parent.refuse_orphans()
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    for run in (f"{done.stdout.strip()} 5", f"{os.getpid()} 5", done.stdout.strip()):
        monkeypatch.setenv(parent.RUN, run)
        with pytest.raises(Fault, match="the run has ended"), atomic_write(str(tmp_path / "x")):
            pass
    assert os.listdir(tmp_path) == []


SIGTERM = f"""
import os, signal, sys, threading
sys.path[:0] = [{str(ROOT / "scripts")!r}, {str(ROOT / "workflow")!r}]
from types import SimpleNamespace
from selfcal_rules import internals

class Scheduler:
    lock, told = threading.Lock(), threading.Event()
    def exit_gracefully(self, *_):
        with self.lock:
            self.told.set()

scheduler = Scheduler()
signal.signal(signal.SIGTERM, scheduler.exit_gracefully)
internals.guard_sigterm(SimpleNamespace(scheduler=scheduler))
with scheduler.lock:
    os.kill(os.getpid(), signal.SIGTERM)
print(scheduler.told.wait(20))
"""


def test_sigterm_while_the_scheduler_holds_its_lock():
    """Where Snakemake's own handler waits for ever."""
    done = subprocess.run([sys.executable, "-c", SIGTERM], capture_output=True, timeout=60)
    assert done.stdout == b"True\n", done.stderr


def test_sigterm_ends_a_run(nods, live):
    """After the jobs that are running; the lock goes with it, and what is done stays."""
    live.send_signal(signal.SIGTERM)
    nods.path("go").touch()
    said, _ = live.communicate(timeout=120)
    assert live.returncode != 0
    assert "Will exit after finishing currently running jobs" in said
    assert not os.path.exists(nods.path(".snakemake/locks/0.output.lock"))
