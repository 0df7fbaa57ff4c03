"""Faults: one line each that names the file, the fault and the remedy; the rest goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from conftest import SHAPES, copy_workflow, planes_of, write_association, write_exposure


def faults(done):
    """Return the lines of snakemake's message."""
    assert done.returncode != 0
    lines = done.stdout.partition("WorkflowError")[2].splitlines()[1:]
    return [line for line in lines if not line.startswith("  File")]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("kernal_size=5", "config: unknown key kernal_size; known is kernel_size"),
        ("kernel_size=4", "config: kernel_size: 4 is not an odd number from 1 to 9999; correct it"),
        ("kernel_size=5.0.0", "config: kernel_size: '5.0.0' is not an odd number from 1"),
        ("kernel_size=-3", "config: kernel_size: -3 is not an odd number"),
        ("flagfrac_upper=0.6", "config: flagfrac_upper: 0.6 is not a number from 0 to 0.5"),
        ("flagfrac_lower=few", "config: flagfrac_lower: 'few' is not a number from 0 to 0.5"),
        ("edge_mode=none", "config: edge_mode: 'none' is not one of zero, shrink"),
        ("dispersion_axis=3", "config: dispersion_axis: 3 is not one of auto, 1, 2"),
        ("kernel_size=nan", "config: kernel_size: nan is not"),
        ("flagfrac_upper=nan", "config: flagfrac_upper: nan is not a number from 0 to 0.5"),
        ("force_single=maybe", "config: force_single: 'maybe' is not true or false"),
    ],
)
def test_config(nods, entry, line):
    (found,) = faults(nods.run("--dry-run", config=[entry], check=False))
    assert found.startswith(line)
    assert ";" in found


def test_yaml_takes_1e_3_for_a_text(nods):
    nods.path("mine.yaml").write_text("flagfrac_upper: 1e-3\nedge_mod: zero\n")
    found = faults(nods.run("--dry-run", "--configfile", "mine.yaml", check=False))
    assert found == [
        "config: flagfrac_upper: '1e-3' is not a number from 0 to 0.5; "
        "YAML reads it as a text, write 0.001",
        "config: unknown key edge_mod; known is edge_mode",
    ]


def test_numbers_and_truths_as_people_write_them(nods):
    nods.path("mine.yaml").write_text("kernel_size: 15.0\nforce_single: False\n")
    nods.run("--quiet", "all", config=["force_single=false"])
    assert nods.jobs("--configfile", "mine.yaml") == {}


def test_a_misspelt_role_is_warned_of(nods):
    name = "jw01204001001_02101_00003_nrs1_rate.fits"
    pairs = [(f"../rate/{name}", "science"), (f"../rate/{name}", "self_cal")]
    write_association(nods.path("asn/x_asn.json"), ("p", pairs))
    out = nods.run("--dry-run").stdout
    assert "warning: x_asn.json: exptype self_cal plays no part; is selfcal meant?" in out


def test_a_target_that_is_none(nods):
    done = nods.run("--dry-run", "results/associations/oen_asn.json", check=False)
    assert "oen_asn.json: not among the associations; correct the target" in done.stdout


def test_no_association_matches(nods):
    (line,) = faults(nods.run("--dry-run", associations="none/*.json", check=False))
    assert line == "none/*.json: no association file matches; set associations in the config"


def test_all_faults_of_tables_and_config_at_once(workflow):
    """Before any work: nothing is made, not even a log."""
    write_exposure(workflow.path("rate/a_rate.fits"))
    write_exposure(workflow.path("other/a_rate.fits"))
    science = ("../rate/a_rate.fits", "science")
    workflow.path("asn").mkdir()
    workflow.path("asn/broken_asn.json").write_text('{"products": [')
    write_association(
        workflow.path("asn/missing_asn.json"),
        ("p", [science, ("../rate/gone_rate.fits", "background"), ("no.fits", "imprint")]),
    )
    write_association(
        workflow.path("asn/missing2_asn.json"), ("p", [(("../rate/gone_rate.fits"), "science")])
    )
    write_association(workflow.path("asn/two_asn.json"), ("p", [science, science]))
    write_association(workflow.path("asn/none_asn.json"), ("p", [("x", "imprint")]))
    write_association(
        workflow.path("asn/twin_asn.json"), ("p", [("../other/a_rate.fits", "science")])
    )
    workflow.path("asn/empty_asn.json").write_text("{}")
    workflow.path("asn/type_asn.json").write_text(json.dumps({"products": [{"name": "p"}]}))
    write_association(workflow.path("again/two_asn.json"), ("p", [science]))
    done = workflow.run(
        associations="a*/*.json",
        config=["kernel_size=2"],
        check=False,
    )
    lines = faults(done)
    starts = sorted(line.split(": ")[0] for line in lines)
    assert starts == sorted(
        [
            "config",
            "asn/two_asn.json",  # of the same file name as again/two_asn.json
            "asn/broken_asn.json",
            "asn/empty_asn.json",
            "asn/type_asn.json",
            "asn/none_asn.json",
            "other/a_rate.fits and rate/a_rate.fits",
            "rate/gone_rate.fits",
        ]
    )
    (gone,) = [line for line in lines if line.startswith("rate/gone")]
    assert "missing_asn.json" in gone
    assert "missing2_asn.json" in gone
    assert all(";" in line for line in lines)
    assert set(os.listdir(workflow.folder)) <= {"rate", "other", "asn", "again", ".snakemake"}


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[:-3])


def bad_exposures():
    """Return what is written in place of a background exposure, by the fault it shows."""

    def as_cube(path):
        write_exposure(path, planes={"SCI": np.ones((2, 48, 64), "f4")})

    return {
        "not a readable FITS": lambda path: path.write_text("no FITS"),
        "truncated": cut,
        "no SCI": lambda path: write_exposure(
            path,
            planes={"ERR": np.ones((48, 64), "f4")},
            science={"BUNIT": None, "DISPAXIS": None},
        ),
        "3 dimensions": as_cube,
        "DETECTOR NRS2 against NRS1": lambda path: write_exposure(
            path, planes=planes_of(SHAPES["NRS1"]), primary={"DETECTOR": "NRS2"}
        ),
        "shape (48, 60) against (48, 64)": lambda path: write_exposure(
            path, planes=planes_of((48, 60))
        ),
    }


@pytest.mark.parametrize(
    "fault",
    [
        *("not a readable FITS", "truncated", "no SCI", "3 dimensions"),
        *("DETECTOR NRS2 against NRS1", "shape (48, 60) against (48, 64)"),
    ],
)
def test_a_faulty_file_stops_only_its_stack(nods, fault):
    """And leaves the reason in status.csv; mended, the plain command goes on."""
    bad = nods.path("rate/jw01204001001_02101_00004_nrs1_rate.fits")
    write_exposure(bad)
    bad_exposures()[fault](bad)
    pairs = [
        ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science"),
        (f"../rate/{bad.name}", "background"),
    ]
    write_association(nods.path("asn/bad_asn.json"), ("p4", pairs))
    done = nods.run("--keep-going", check=False)
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if line.startswith("pedestal: error: ")]
    assert f"rate/{bad.name}: " in lines[0]
    assert fault in lines[0]
    for name in ("one", "two", "alone"):
        assert nods.path(f"results/associations/{name}_asn.json").exists()
    assert not nods.path("results/associations/bad_asn.json").exists()
    assert not list(nods.folder.rglob("*.part"))
    status = pd.read_csv(nods.path("results/status.csv")).set_index("association")
    assert list(status.loc[["one_asn", "two_asn", "alone_asn"], "status"]) == ["done"] * 3
    assert list(status.loc["bad_asn", ["status", "stage"]]) == ["failed", "pedestal"]
    assert fault in status.loc["bad_asn", "message"]
    assert f"bad_asn failed at pedestal: pedestal: error: rate/{bad.name}" in done.stdout
    write_exposure(bad, seed=4)
    nods.run("--quiet", "all")
    status = pd.read_csv(nods.path("results/status.csv"))
    assert set(status["status"]) == {"done"}


def test_what_was_not_reached(nods):
    """Without --keep-going the first failure leaves others behind; they are said to be."""
    for i in range(5):
        name = f"jw01204001001_02101_1000{i}_nrs1_rate.fits"
        nods.path("rate", name).write_text("")
        pairs = [(f"../rate/{name}", "science"), (f"../rate/{name}", "selfcal")]
        write_association(nods.path(f"asn/s{i}_asn.json"), (f"s{i}", pairs))
    done = nods.run("--cores", "1", associations="asn/s*.json", check=False)
    assert done.returncode != 0
    found = list(pd.read_csv(nods.path("results/status.csv"))["status"])
    assert sorted(set(found)) == ["failed", "not reached"]
    assert found.count("failed") == 1
    assert "associations: 1 failed, 4 not reached; see results/status.csv" in done.stdout


@pytest.mark.parametrize(
    ("primary", "warning"),
    [({"GRATING": "PRISM"}, "GRATING PRISM against G395H"), ({"FILTER": "CLEAR"}, "FILTER CLEAR")],
)
def test_another_grating_is_a_warning_in_the_summary(workflow, primary, warning):
    usual = {"GRATING": "G395H", "FILTER": "F290LP"}
    write_exposure(workflow.path("asn/a_rate.fits"), primary=usual)
    write_exposure(workflow.path("asn/b_rate.fits"), seed=1, primary=usual | primary)
    pairs = [("a_rate.fits", "science"), ("b_rate.fits", "background")]
    write_association(workflow.path("asn/x_asn.json"), ("p", pairs))
    out = workflow.run().stdout
    assert f"pedestal: warning: asn/b_rate.fits: {warning}" in out
    (found,) = pd.read_csv(workflow.path("results/summary.csv"))["warnings"]
    assert found.startswith(f"b: {warning}")


def test_a_pedestal_without_pixels_is_a_warning_in_the_summary(workflow):
    planes = planes_of(SHAPES["MIRIFULONG"])
    planes["SCI"][50:, 474:507] = np.nan
    write_exposure(workflow.path("asn/a_rate.fits"), "MIRIFULONG")
    write_exposure(workflow.path("asn/b_rate.fits"), "MIRIFULONG", planes=planes)
    write_exposure(workflow.path("asn/c_rate.fits"), "MIRIFULONG", seed=2)
    pairs = [("a_rate.fits", "science"), ("b_rate.fits", "background")]
    pairs += [("c_rate.fits", "background")]
    write_association(workflow.path("asn/x_asn.json"), ("p", pairs))
    workflow.run("--quiet", "all")
    (found,) = pd.read_csv(workflow.path("results/summary.csv"))["warnings"]
    assert found.startswith("b: left out")


def test_an_exposure_that_sets_the_minimum_is_a_warning_in_the_summary(workflow):
    planes = planes_of(SHAPES["NRS1"], seed=1)
    planes["SCI"] -= 2
    write_exposure(workflow.path("asn/low_rate.fits"), planes=planes)
    write_exposure(workflow.path("asn/a_rate.fits"))
    write_exposure(workflow.path("asn/b_rate.fits"), seed=2)
    pairs = [("a_rate.fits", "science"), ("b_rate.fits", "selfcal"), ("low_rate.fits", "selfcal")]
    write_association(workflow.path("asn/x_asn.json"), ("p", pairs))
    workflow.run("--quiet", "all")
    (found,) = pd.read_csv(workflow.path("results/summary.csv"))["warnings"]
    share = int(re.fullmatch(r"low: sets (\d+)% of the minimum", found)[1])
    assert 90 < share <= 100


def test_after_kill_9_the_plain_command_goes_on(nods, tmp_path_factory):
    """No lock, no incomplete file, no leftover stops it; the results are those of a quiet run."""
    snakefile = copy_workflow(tmp_path_factory.mktemp("slow"))
    script = snakefile.parent / "scripts/stages/median.py"  # hangs when half of it is written
    hangs = """def main(arguments):
    import time
    open(arguments.output, "w").write("half")
    time.sleep(60)
"""
    script.write_text(script.read_text().replace("def main(arguments):", hangs))
    command = [
        *(sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", snakefile),
        *("--config", "associations=asn/*.json"),
    ]
    process = subprocess.Popen(
        command,
        cwd=nods.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 60
    while not list(nods.path("results/stacks").glob("*/median.fits")) and time.time() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    out = nods.run().stdout
    assert "had left its lock; removed" in out
    assert pd.read_csv(nods.path("results/summary.csv"))["n_high"].max() > 0
    assert nods.jobs() == {}
