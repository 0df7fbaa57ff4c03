"""A run folder of the user's own: its config.yaml, what arrives in it, what a run says there."""

import os
import pty
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT, write_association
from snakemake.exceptions import WorkflowError

from selfcal_rules import internals, status

SNAKEMAKE = (sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2")


def parameters_of(workflow):
    summary = pd.read_csv(workflow.path("results/summary.csv")).set_index("association")
    return summary.loc["one_asn", ["kernel_size", "flagfrac_upper", "edge_mode"]].to_list()


def test_its_config_is_all_that_a_run_needs(nods):
    """Named by --directory alone; --configfile and --config come above it."""
    nods.path("config.yaml").write_text("associations: asn/*.json\nkernel_size: 5\n")
    plain = {"associations": None}
    out = nods.run(**plain).stdout
    assert f"Config: {nods.path('config.yaml')} over the defaults" in out
    assert parameters_of(nods) == [5, 0.001, "zero"]
    assert nods.jobs(**plain) == {}
    nods.path("mine.yaml").write_text("kernel_size: 7\nflagfrac_upper: 0.01\n")
    nods.run("--configfile", "mine.yaml", config=["flagfrac_upper=0.02"], associations=None)
    assert parameters_of(nods) == [7, 0.02, "zero"]


def test_an_unknown_key_in_it_is_named(nods):
    nods.path("config.yaml").write_text("associations: asn/*.json\nkernelsize: 5\n")
    done = nods.run(check=False, associations=None)
    assert done.returncode != 0
    assert "unknown key kernelsize; known is kernel_size" in done.stdout


def test_a_module_does_not_take_its_parents_config(nods):
    nods.path("config.yaml").write_text("of_the_parent: 1\nassociations: nothing/*.json\n")
    nods.path("Snakefile").write_text(
        f'module selfcal:\n    snakefile: "{ROOT}/Snakefile"\n'
        '    config: {"associations": "asn/*.json"}\nuse rule * from selfcal\n'
    )
    jobs = nods.jobs("results/summary.csv", associations=None, snakefile=nods.path("Snakefile"))
    assert jobs["write_back"] == 2


def test_an_association_that_arrives_during_a_run_is_no_part_of_it(nods, tmp_path_factory):
    """Every job uses what was planned; the next run takes it in."""
    bin_folder = tmp_path_factory.mktemp("bin")
    arrival = [("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science")]
    late = write_association(bin_folder / "late_asn.json", ("p9", arrival))
    # The launcher, but the first stage brings an association along.
    launcher = bin_folder / "selfcal"
    launcher.write_text(
        f'#!/bin/sh\n[ "$1" = pedestal ] && cp {late} asn/\n'
        f'exec {sys.executable} -Es {ROOT}/scripts/selfcal "$@"\n'
    )
    launcher.chmod(0o755)
    snakefile = nods.path("Snakefile")
    snakefile.write_text(
        f'include: "{ROOT}/Snakefile"\n'
        f'os.environ["PATH"] = "{bin_folder}:" + os.environ["PATH"]\n'
        "rule everything:\n    default_target: True\n    input: rules.all.input\n"
    )
    nods.run("--quiet", "all", snakefile=snakefile)
    assert nods.path("asn/late_asn.json").exists()
    assert len(pd.read_csv(nods.path("results/summary.csv"))) == 3
    assert nods.jobs(snakefile=snakefile)["associate"] == 1


def test_without_a_terminal_a_line_for_each_finished_job(nods):
    out = nods.run().stdout
    lines = out.splitlines()
    (stack,) = (path.name for path in nods.path("results/stacks").iterdir())
    for rule in ("pedestal", "minimum", "median", "threshold"):
        assert sum(line.endswith(f" {rule} {stack}") for line in lines) == 1
    assert sum("steps (" in line for line in lines) == 15
    assert "input:" not in out  # of all, it would name every file


def test_on_a_terminal_progress_bars(nods):
    """By the rich logger, where it is installed."""
    pytest.importorskip("snakemake_logger_plugin_rich")
    control, terminal = pty.openpty()
    command = [*SNAKEMAKE, "--config", "associations=asn/*.json"]
    process = subprocess.Popen(
        command, cwd=nods.folder, stdout=terminal, stderr=terminal, stdin=terminal,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    said = b""
    try:
        while part := os.read(control, 65536):
            said += part
    except OSError:  # the other end is closed
        pass
    os.close(control)
    assert process.wait() == 0, said.decode()
    assert "━".encode() in said


def test_it_starts_without_the_rich_logger(nods, tmp_path_factory):
    """As after a plain `pip install snakemake`, on a terminal, too."""
    hidden = tmp_path_factory.mktemp("site")
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util, pkgutil\n"
        "find, walk = importlib.util.find_spec, pkgutil.iter_modules\n"
        "importlib.util.find_spec = lambda name, *a: None if 'rich' in name else find(name, *a)\n"
        "pkgutil.iter_modules = lambda *a: (m for m in walk(*a) if 'plugin_rich' not in m.name)\n"
    )
    control, terminal = pty.openpty()
    done = subprocess.run(
        [*SNAKEMAKE, "--config", "associations=asn/*.json", "--dry-run"],
        cwd=nods.folder, stdout=subprocess.PIPE, stderr=terminal, text=True,
        env={**os.environ, "PYTHONPATH": str(hidden)},
    )  # fmt: skip
    os.close(terminal)
    os.close(control)
    assert done.returncode == 0


# ---- the end of a run, and Snakemake's private interfaces ----------------------------------------


def test_the_status_never_fails_a_run(tmp_path, monkeypatch, capsys):
    """A full disk, a folder in its place, a fault of its own: a line, and no more."""
    monkeypatch.chdir(tmp_path)
    rows = [("one_asn", "done", "", "")]
    (tmp_path / "results" / "status.csv").mkdir(parents=True)
    status.report(lambda started: (rows, []), 0)
    assert "results/status.csv: cannot be written" in capsys.readouterr().err
    status.report(lambda started: 1 / 0, 0)
    assert "status: warning: division by zero" in capsys.readouterr().err


def test_the_status_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status.report(lambda started: ([("one_asn", "done", "", "")], []), 0)
    (found,) = (tmp_path / "results").iterdir()
    assert found.read_text() == "association,status,stage,message\none_asn,done,,\n"


def test_another_snakemake_falls_back():
    """One that lacks what is private: each answer is the safe one, and nothing is raised."""
    other = object()
    assert internals.is_main_process(other) is True
    assert internals.is_module(other) is False
    assert internals.module_prefix(other) == ""
    assert internals.outputs_of_run(other) == (set(), set())
    assert internals.targets_of(other) == []
    internals.raise_unless_asked_for(other, "generate", [])
    with pytest.raises(WorkflowError, match="a fault"):
        internals.raise_unless_asked_for(other, "generate", ["a fault"])
    internals.lift_job_rate(other)
    internals.one_line_per_job()
