"""What a run says: on a terminal and without one, when it fails, is interrupted or mistyped."""

import os
import pty
import re
import subprocess
import sys

import pytest
from conftest import ROOT, wait_for
from disks import NotHereError, command

START = "Using workflow specific profile "


class Terminal:
    """A command that is run on a pseudo-terminal."""

    def __init__(self, command, folder, **environment):
        self.control, terminal = pty.openpty()
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=terminal, stderr=terminal, stdin=terminal,
            preexec_fn=lambda: os.login_tty(terminal),
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
        )  # fmt: skip
        os.close(terminal)

    def press(self, key):
        os.write(self.control, key)

    def read(self):
        """Return what it says to its end, and its exit code."""
        said = b""
        try:
            while part := os.read(self.control, 65536):
                said += part
        except OSError:  # the other end is closed
            pass
        os.close(self.control)
        # Ctrl-C drops what the terminal has not taken yet, in the middle of a character, too.
        return said.decode(errors="replace"), self.process.wait()


def test_a_line_for_each_job_and_what_comes_next(nods):
    """Without a terminal; Snakemake's log file has the rest."""
    said = nods.run().stdout.splitlines()
    assert said[0].startswith(START)
    jobs = [line for line in said if re.match(r"\d+ of \d+: ", line)]
    assert [int(line.split()[0]) for line in jobs] == list(range(1, len(jobs) + 1))
    assert any(re.fullmatch(r".*: threshold jw\S+_2exp-[0-9a-f]{12}", job) for job in jobs)
    assert said[1 : len(said) - 3] == jobs
    assert said[-2:] == [
        "associations: 2 done, 1 skipped; see results/status.csv",
        "next: the target report makes results/report.html",
    ]
    (log,) = nods.path(".snakemake/log").iterdir()
    assert "Removing temporary output" in log.read_text()
    assert said[-1] in log.read_text()
    assert nods.run().stdout.splitlines()[1:] == [
        "Nothing to be done (all requested files are present and up to date)."
    ]


def test_a_bar_on_a_terminal_and_plain_lines_without_the_plugin(nods, tmp_path_factory):
    said, code = Terminal(nods.command(), nods.folder).read()
    assert code == 0, said
    assert "━" in said
    assert " of 14" not in said
    # As after a plain `pip install snakemake`.
    hidden = tmp_path_factory.mktemp("site")
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util, pkgutil\n"
        "find, walk = importlib.util.find_spec, pkgutil.iter_modules\n"
        "importlib.util.find_spec = lambda n, *a: None if n.endswith('_selfcal') else find(n, *a)\n"
        "pkgutil.iter_modules = lambda *a: (m for m in walk(*a) if '_selfcal' not in m.name)\n"
    )
    nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits").write_text("no FITS")
    said, code = Terminal(nods.command(), nods.folder, PYTHONPATH=str(hidden)).read()
    assert code == 1
    assert "Error in rule " in said
    assert "pedestal: error: rate/jw01204001001_02101_00001_nrs1_rate.fits: not FITS" in said


def test_a_job_that_fails_is_one_line(nods):
    path = nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits")
    path.write_text("no FITS")
    said = nods.run("--cores", "1", check=False).stdout
    error = f"pedestal: error: {path.relative_to(nods.folder)}: not FITS, or gzipped"
    assert len([line for line in said.splitlines() if line.startswith(error)]) == 1
    for word in ("Error in rule", "RuleException", "Traceback", "selfcal pedestal", "At least one"):
        assert word not in said
    assert said.endswith("\nnext: mend what failed, then the same command goes on\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--config", "threshold=sigma", "plan"],
            r"ValueError: .*; targets come after --: .* -- plan",
        ),
        (["plna"], "No rule to produce plna; correct the target; .*"),
        (["--configfile", "globs.yaml"], "Config file is not valid .*; in YAML, globs are quoted"),
        (["--directory", "mine"], r"config.yaml: .*line 1, column 15.*; quote globs in YAML"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(nods, words, line):
    nods.path("mine").mkdir()
    for name in ("globs.yaml", "mine/config.yaml"):
        nods.path(name).write_text("associations: *_asn.json\n")
    nods.path("asn").rename(nods.path("associations"))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *words]
    done = subprocess.run(command, cwd=nods.folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    said = [x for x in done.stderr.splitlines() if not x.startswith((START, "associations: "))]
    assert len(said) == 1, said
    assert re.fullmatch(f"error: {line}", said[0])


def test_a_read_only_folder_is_one_line(nods):
    folder = str(nods.folder)
    try:
        command("mount", "--bind", folder, folder)
        command("mount", "-o", "remount,ro,bind", folder)
    except NotHereError as error:
        pytest.skip(str(error))
    done = nods.run(check=False)
    command("umount", folder)
    (line,) = (line for line in done.stdout.splitlines() if not line.startswith(START))
    assert done.returncode == 1
    assert re.fullmatch("error: .* Read-only file system: .*; name another run folder .*", line)


def test_ctrl_c_on_a_terminal(nods, slow):
    run = Terminal(nods.command(snakefile=slow), nods.folder)
    wait_for(nods.path("waits").exists, "median", 60)
    run.press(b"\x03")
    said, code = run.read()
    assert code == 1
    lines = [re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", line) for line in said.splitlines()]
    first, status, last = [line for line in lines if line][-3:]
    assert first == "interrupted: waiting for the jobs that run"
    assert re.fullmatch(r"associations: .*[23] not reached; see results/status.csv", status)
    assert last == "next: the same command goes on"
    assert "Traceback" not in said
