"""Errors: one line each that names the file, the fault and the remedy; the rest goes on."""

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from conftest import SHAPES, planes_of, write_association, write_exposure

import run_status
from badpix_selfcal.associations import COLUMNS, list_flagged

STACK = "s-0123456789ab"


def list_errors(done):
    """Return the lines of Snakemake's message."""
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


# ---- before any work -----------------------------------------------------------------------------


def test_all_errors_of_the_config_at_once(nods):
    """As they are given, wherever; what each line says is tested by test_validate."""
    nods.path("mine.yaml").write_text("flagfrac_upper: 1e-3\nedge_mod: zero\n")
    entries = ["kernel_size=-3", "force_single=maybe"]
    done = nods.run("--dry-run", "--configfile", "mine.yaml", config=entries, check=False)
    assert sorted(list_errors(done)) == [
        "config: flagfrac_upper: '1e-3' is not a number from 0 to 0.5; "
        "YAML reads it as a text, write 0.001",
        "config: force_single: 'maybe' is not true or false; correct it",
        "config: kernel_size: -3 is not an odd number from 1 to 9999; correct it",
        "config: unknown key edge_mod; known is edge_mode",
    ]


def test_all_errors_of_the_associations_at_once(workflow):
    """Nothing is made then, not even a log."""
    write_exposure(workflow.path("rate/a_rate.fits"))
    write_exposure(workflow.path("other/a_rate.fits"))
    science, gone = ("../rate/a_rate.fits", "science"), "../rate/gone_rate.fits"
    asn = workflow.path("asn")
    associations = {
        "missing": [science, (gone, "background"), ("no.fits", "imprint")],
        "missing2": [(gone, "science")],
        "two": [science],
        "twice": [science, science],
        "none": [("x", "imprint")],
        "twin": [("../other/a_rate.fits", "science"), ("../rate/a_rate.fits", "self_cal")],
    }
    for name, pairs in associations.items():
        write_association(asn / f"{name}_asn.json", (name, pairs))
    write_association(workflow.path("again/two_asn.json"), ("p", [science]))
    (asn / "broken_asn.json").write_text('{"products": [')
    (asn / "type_asn.json").write_text(json.dumps({"products": [{"name": "p"}]}))
    done = workflow.run(associations="[a*/*.json,none/*.json]", check=False)
    lines = list_errors(done)
    assert sorted(line.split(": ")[0] for line in lines) == [
        "asn/broken_asn.json",
        "asn/none_asn.json",
        "asn/twice_asn.json",
        "asn/two_asn.json",  # of the same file name as again/two_asn.json
        "asn/type_asn.json",
        "none/*.json",
        "other/a_rate.fits and rate/a_rate.fits",
        "rate/gone_rate.fits",
    ]
    (line,) = [line for line in lines if line.startswith("rate/gone")]
    assert "missing2_asn.json, missing_asn.json" in line
    assert all(";" in line for line in lines)
    assert "twin_asn.json: exptype self_cal is ignored; is selfcal meant?" in done.stdout
    assert set(os.listdir(workflow.folder)) <= {"rate", "other", "asn", "again", ".snakemake"}


# ---- during a run --------------------------------------------------------------------------------

BAD = {
    "not FITS": lambda path: path.write_text("no FITS"),
    "DETECTOR NRS2 against NRS1": lambda path: write_exposure(
        path, planes=planes_of(SHAPES["NRS1"]), primary={"DETECTOR": "NRS2"}
    ),
    "shape (48, 60) against (48, 64)": lambda path: write_exposure(
        path, planes=planes_of((48, 60))
    ),
}


def write_doubtful(workflow):
    """Write stacks of another grating, without a pedestal, of which one sets the minimum."""
    usual = {"GRATING": "G395H", "FILTER": "F290LP"}
    dark, low = planes_of(SHAPES["MIRIFULONG"]), planes_of(SHAPES["NRS1"], seed=1)
    dark["SCI"][50:, 474:507] = np.nan
    low["SCI"] -= 2
    exposures = {
        "a": {"primary": usual},
        "grating": {"primary": usual | {"GRATING": "PRISM"}, "seed": 1},
        "lit": {"detector": "MIRIFULONG"},
        "dark": {"detector": "MIRIFULONG", "planes": dark},
        "also": {"detector": "MIRIFULONG", "seed": 2},
        "low": {"planes": low},
        "other": {"seed": 2},
        "more": {"seed": 3},
    }
    for name, keywords in exposures.items():
        write_exposure(workflow.path(f"asn/{name}_rate.fits"), **keywords)
    for names in (("a", "grating"), ("lit", "dark", "also"), ("more", "other", "low")):
        roles = ("science", "selfcal", "selfcal")
        pairs = [(f"{name}_rate.fits", role) for name, role in zip(names, roles, strict=False)]
        write_association(workflow.path(f"asn/{names[1]}_asn.json"), (names[1], pairs))


def test_a_bad_exposure_stops_only_its_stack(nods):
    """It is in status.csv; the summary is of what exists; corrected, the plain command goes on."""
    write_doubtful(nods)
    bad = {}
    for i, (error, spoil) in enumerate(BAD.items()):
        path = nods.path(f"rate/jw01204001001_02101_0001{i}_nrs1_rate.fits")
        spoil(path)
        pairs = [
            ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science"),
            (f"../rate/{path.name}", "background"),
        ]
        write_association(nods.path(f"asn/bad{i}_asn.json"), (f"b{i}", pairs))
        bad[f"bad{i}_asn"] = error, path
    done = nods.run("--keep-going", check=False)
    assert done.returncode != 0
    status = pd.read_csv(nods.path("results/status.csv")).set_index("association")
    good = status[~status.index.isin(bad)]["status"]
    assert good.pop("alone_asn") == "skipped"
    assert list(good) == ["done"] * 5
    said = done.stdout.splitlines()
    for association, (error, path) in bad.items():
        (line,) = {x for x in said if x.startswith(f"pedestal: error: rate/{path.name}: ")}
        assert error in line
        line, _, log = line.partition(" (log: ")
        assert list(status.loc[association]) == ["failed", "pedestal", line]
        assert line in nods.path(log.removesuffix(")")).read_text()
        assert f"{association} failed at pedestal: {line.partition(' (log')[0]}" in said
        assert not nods.path(f"results/associations/{association}.json").exists()
    for name in good.index:
        assert nods.path(f"results/associations/{name}.json").exists()
    assert not list(nods.folder.rglob("*.part"))

    summary = pd.read_csv(nods.path("results/summary.csv")).set_index("association")["warnings"]
    assert set(summary.index) == {*good.index, "alone_asn"}
    warning = "GRATING PRISM against G395H"
    assert f"pedestal: warning: grating: {warning}" in done.stdout
    assert summary["grating_asn"].startswith(f"grating: {warning}")
    assert summary["dark_asn"].startswith("dark: left out")
    share = int(re.match(r"low: sets (\d+)% of the minimum", summary["other_asn"])[1])
    assert 90 < share <= 100

    for i, (_, path) in enumerate(bad.values()):
        write_exposure(path, seed=4 + i)
    nods.run("--quiet", "all")
    status = pd.read_csv(nods.path("results/status.csv"))["status"]
    assert dict(status.value_counts()) == {"done": 8, "skipped": 1}
    assert len(pd.read_csv(nods.path("results/summary.csv"))) == 9


# ---- the end of a run ----------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROWS = pd.DataFrame(
    [
        ("x_asn", "p", "e", "science", "e.fits", STACK),
        ("x_asn", "p", "f", "background", "f.fits", STACK),
        ("x_asn", "q", "g", "science", "g.fits", "skipped"),
        ("y_asn", "r", "g", "science", "g.fits", "skipped"),
    ],
    columns=COLUMNS,
)
FLAGGED = list_flagged(ROWS)


def test_the_first_step_with_a_log_of_this_run_is_the_one_that_failed(here):
    """A job that did not begin leaves no log, or that of an earlier run."""
    steps = [(name, f"{name}.fits", f"{name}.log") for name in "abcd"]
    now = 1_000_000_000
    for name, when in (("a", now + 5), ("b", now - 1), ("c", now)):
        (here / f"{name}.log").write_text(f"{name} begins\n{name}: error: broken\n")
        os.utime(f"{name}.log", (when, when))
    unfinished = {"b.fits", "c.fits", "d.fits"}

    def status(unfinished, started=now, stacks=(STACK, "skipped")):
        return run_status.find_status(steps, unfinished, started, set(stacks))

    assert status(unfinished) == ("failed", "c", "c: error: broken")
    assert status(unfinished, now + 1) == ("not reached", "", "")
    assert status({"d.fits"}) == ("not reached", "", "")
    assert status({"other.fits"}) == ("done", "", "")
    assert status(set(), stacks=["skipped"])[0] == "skipped"
    (here / "c.log").write_text("")
    assert status(unfinished) == ("failed", "c", "its log is empty: it was probably killed")


def report(left_out=(), asked=(), unfinished=(), prefix=""):
    outputs = {f"{prefix}{path}" for path in asked}, {f"{prefix}{path}" for path in unfinished}
    run_status.report(ROWS, FLAGGED, dict(left_out), outputs, 0.0, prefix)


def test_the_status_is_a_table_and_a_few_lines(here, caplog):
    caplog.set_level("INFO")
    asked = [f"results/associations/{name}_asn.json" for name in "xy"]
    report(asked=asked, unfinished=asked[:1], left_out={"z_asn": "gone.fits: no such file"})
    assert caplog.messages == [
        "associations: 1 skipped, 1 not reached, 1 left out; see results/status.csv",
        "next: the same command goes on",
    ]
    caplog.clear()
    assert (here / "results/status.csv").read_text().splitlines() == [
        "association,status,stage,message",
        "x_asn,not reached,,",
        "y_asn,skipped,,no background or selfcal exposure",
        "z_asn,left out,,gone.fits: no such file",
    ]
    assert os.listdir("results") == ["status.csv"]
    # Of a run for one association, the others are no matter.
    report(asked=["results/report.html", asked[1]], prefix="sub/")
    assert caplog.messages == [
        "associations: 1 skipped; see sub/results/status.csv",
        "next: open sub/results/report.html in a browser",
    ]


def test_a_run_that_asked_for_no_association_leaves_the_table_of_the_last(here, caplog):
    caplog.set_level("INFO")
    report(asked=["results/figures/s/flags.png"])
    assert caplog.messages == ["next: look at the pictures in results/figures/"]
    caplog.clear()
    report()
    run_status.report(ROWS, FLAGGED, {}, (None, None), 0, "")  # of a Snakemake unlike ours
    assert caplog.messages == []
    assert os.listdir(here) == []


def test_the_status_never_fails_a_run(here, caplog):
    caplog.set_level("INFO")
    (here / "results" / "status.csv").mkdir(parents=True)
    report(asked=["results/associations/y_asn.json"])
    assert "status: warning: " in caplog.text
