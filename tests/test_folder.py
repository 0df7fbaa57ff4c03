"""A run folder of the user's own: its config.yaml, and what a run says on a terminal."""

import re
import subprocess
import sys

import pandas as pd
from conftest import ROOT


def run_elsewhere(workflow, *arguments, **options):
    """Run in the folder as --directory names it, from another one."""
    command = workflow.command(*arguments, associations=None, **options)
    return subprocess.run(command, cwd="/", capture_output=True, text=True)


def test_its_config_is_all_that_a_run_needs(nods):
    """Named by --directory alone; --configfile and --config come above it."""
    nods.path("config.yaml").write_text(
        "associations: asn/*.json\nkernel_size: 5\nflagfrac_upper: 0.01\nforce_single: true\n"
    )
    nods.path("mine.yaml").write_text("kernel_size: 7\nflagfrac_upper: 0.02\n")
    mine = ("--configfile", str(nods.path("mine.yaml")))
    done = run_elsewhere(nods, *mine, config=["flagfrac_upper=0.03"])
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(nods.path("results/summary.csv"))
    row = summary.set_index("association").loc["one_asn"]
    assert (row["kernel_size"], row["flagfrac_upper"], row["edge_mode"]) == (7, 0.03, "zero")
    assert set(summary["status"]) == {"COMPLETE"}
    assert not nods.path("results/flagged/skipped").exists()
    nods.path("config.yaml").write_text("associations: asn/*.json\nkernelsize: 5\n")
    done = run_elsewhere(nods, "--dry-run")
    assert done.returncode != 0
    assert "unknown key kernelsize; known is kernel_size" in done.stdout


def test_nothing_need_be_said_after_generate(nods):
    """A folder with associations/*_asn.json needs no config, no cores; one without is told."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]

    def dry_run():
        words = [*command, "--dry-run", "report"]
        return subprocess.run(words, cwd=nods.folder, capture_output=True, text=True)

    done = dry_run()
    assert done.returncode != 0
    assert "associations/*_asn.json: no association file matches" in done.stdout + done.stderr
    nods.path("asn").rename(nods.path("associations"))
    done = dry_run()
    assert done.returncode == 0, done.stderr
    assert "associations: associations/*_asn.json\n" in done.stdout
    assert re.search(r"^write_back +1$", done.stdout, re.M)
