"""What only the Snakefile uses: the check of config and tables, the status, what is handed over."""

import asyncio
import json
import os
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from snakemake.io import IOFile, is_flagged, temp
from snakemake.jobs import Job
from snakemake.scheduling import job_scheduler

from badpix_selfcal.parameters import SETTING
from selfcal_rules import internals, status
from selfcal_rules.checks import (
    complete,
    config_faults,
    member_faults,
    member_warnings,
    own_config,
    read_schema,
    read_settings,
)
from selfcal_rules.planned import hand_over

SCHEMA = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
MEMBERS = read_schema(ROOT / "workflow" / "schemas" / "members.schema.yaml")
STACK = "s-0123456789ab"
OWN_MINTIME = Job.output_mintime.fget
OTHERWISE = "name its folder in exposures, or set missing to leave_out"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- config --------------------------------------------------------------------------------------


def test_a_config_is_filled_in_and_what_people_write_is_understood():
    config = {"kernel_size": 21.0, "force_single": "True", "flagfrac_lower": 0, "edge_mode": "no"}
    complete(config, SCHEMA)
    defaults = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert config == {**defaults, "kernel_size": 21, "force_single": True, "flagfrac_lower": 0,
                      "edge_mode": "no"}  # fmt: skip
    assert isinstance(config["kernel_size"], int)
    assert [f.split(":")[1] for f in config_faults(config, SCHEMA)] == [" edge_mode"]
    for text, truth in (("false", False), ("TRUE", True), ("maybe", "maybe")):
        other = {"force_single": text}
        complete(other, SCHEMA)
        assert other["force_single"] == truth


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("kernal_size", 5, "unknown key kernal_size; known is kernel_size"),
        ("zzz", 5, "unknown key zzz; known is associations, "),
        ("kernel_size", -3, "kernel_size: -3 is not an odd number from 1 to 9999; correct it"),
        ("flagfrac_upper", 0.6, "flagfrac_upper: 0.6 is not a number from 0 to 0.5; correct it"),
        ("flagfrac_lower", "few", "flagfrac_lower: 'few' is not a number from 0 to 0.5; correct"),
        ("edge_mode", "none", "edge_mode: 'none' is not one of zero, shrink; correct it"),
        ("kernel_size", 4, "kernel_size: 4 is not an odd number from 1 to 9999; correct it"),
        (
            "kernel_size",
            "5.0.0",
            "kernel_size: '5.0.0' is not an odd number from 1 to 9999; correct",
        ),
        ("kernel_size", "17", "YAML reads it as a text, write 17"),
        ("kernel_size", float("nan"), "kernel_size: nan is not"),
        ("flagfrac_upper", float("nan"), "flagfrac_upper: nan is not a number from 0 to 0.5"),
        ("flagfrac_upper", "1e-3", "YAML reads it as a text, write 0.001"),
        ("dispersion_axis", 3, "dispersion_axis: 3 is not one of auto, 1, 2"),
        ("force_single", "maybe", "force_single: 'maybe' is not true or false"),
        ("associations", 3, "associations: 3 is not a path, a glob or a list of them; correct"),
        ("tune", 3, "tune: 3 is not a path; correct it"),
    ],
)
def test_a_fault_of_the_config_says_what_is_wanted(key, value, fault):
    (found,) = config_faults({key: value}, SCHEMA)
    assert found.startswith("config: ")
    assert fault in found


def test_a_config_of_the_working_directory_is_its_own_unless_it_is_the_workflows(here):
    defaults = here / "workflow.yaml"
    defaults.write_text("")
    assert own_config(defaults, False) is None
    (here / "config.yaml").symlink_to(defaults)
    assert own_config(defaults, False) is None
    (here / "config.yaml").unlink()
    (here / "config.yaml").write_text("")
    assert own_config(defaults, False) == "config.yaml"
    assert own_config(defaults, True) is None


def test_settings_are_read_in_any_order_of_columns_and_once_each(here):
    row = {name: SCHEMA["properties"][name]["default"] for name in SETTING}
    table = pd.DataFrame([row, row, {**row, "kernel_size": 17}])
    table[list(SETTING)[::-1]].to_csv("grid.csv", index=False)
    found, faults = read_settings("grid.csv", SCHEMA)
    assert faults == []
    assert list(found) == list(SETTING)
    assert list(found["kernel_size"]) == [15, 17]
    table.assign(kernel_size=[14, 14, 16]).to_csv("grid.csv", index=False)
    found, faults = read_settings("grid.csv", SCHEMA)
    assert found is None
    assert [fault.split(" is not")[0] for fault in faults] == [
        "grid.csv: row 1: config: kernel_size: 14",
        "grid.csv: row 2: config: kernel_size: 14",
        "grid.csv: row 3: config: kernel_size: 16",
    ]
    for faulty in (table[:0], table.drop(columns="edge_mode"), table.assign(more=1)):
        faulty.to_csv("grid.csv", index=False)
        found, (fault,) = read_settings("grid.csv", SCHEMA)
        assert found is None
        assert fault.startswith("grid.csv: a table of kernel_size, edge_mode, ")
        assert fault.endswith(" is needed; correct the columns")
    assert read_settings("none.csv", SCHEMA)[1][0].startswith("none.csv: not a readable table")
    (here / "empty.csv").write_text("")
    assert read_settings("empty.csv", SCHEMA)[1][0].startswith("empty.csv: not a readable table")


# ---- members -------------------------------------------------------------------------------------


def members(*rows):
    """Return a members table: rows of association, exposure, exptype, path."""
    columns = ("association", "exposure", "exptype", "path")
    return pd.DataFrame(rows, columns=columns).assign(product="p", stack=STACK)


def test_only_exposures_that_play_a_part_must_be_there(here):
    (here / "a.fits").touch()
    table = members(
        ("x", "a", "science", "a.fits"),
        ("x", "b", "background", "b.fits"),
        ("x", "c", "selfcal", "c.fits"),
        ("y", "c", "selfcal", "c.fits"),
        ("x", "d", "imprint", "d.fits"),
    )
    assert member_faults(table, MEMBERS) == [
        f"b.fits: no such file, a member of x.json; fetch it, {OTHERWISE}",
        f"c.fits: no such file, a member of x.json, y.json; fetch it, {OTHERWISE}",
    ]
    assert member_faults(table, MEMBERS, {"b.fits", "c.fits"}) == []


def test_one_exposure_name_is_one_file(here):
    for name in ("a.fits", "b.fits"):
        (here / name).touch()
    rows = [(f"x{i}", "a", "science", "ab"[i % 2] + ".fits") for i in range(5)]
    assert member_faults(members(*rows), MEMBERS) == [
        "a.fits and b.fits: two files of one exposure name, "
        "members of x0.json, x1.json, x2.json and 2 more; keep one"
    ]
    imprint = members(rows[0], ("x", "a", "imprint", "b.fits"))
    assert member_faults(imprint, MEMBERS) == []


def test_only_a_role_that_looks_misspelt_is_warned_of():
    names = ("science", "backgroud", "imprint", "target_acquisition", "sciense")
    table = members(*((f"x{i}", "a", name, "a.fits") for i, name in enumerate(names)))
    assert member_warnings(table) == [
        "x1.json: exptype backgroud plays no part; is background meant?",
        "x4.json: exptype sciense plays no part; is science meant?",
    ]


# ---- what became of a run ------------------------------------------------------------------------


def test_the_steps_of_an_association():
    flagged = [f"results/flagged/{STACK}/e_badpix_selfcal.fits",
               "results/flagged/skipped/f_badpix_selfcal.fits"]  # fmt: skip
    found = list(status.steps("x_asn", [STACK, "skipped", STACK], flagged))
    stages = ("pedestal", "minimum", "unusable", "median", "noise", "threshold")
    assert [stage for stage, _, _ in found] == [*stages, "write_back", "skip", "associate"]
    assert found[5] == ("threshold", f"results/stacks/{STACK}/flags.fits",
                        f"logs/threshold/{STACK}.log")  # fmt: skip
    assert [log for _, _, log in found[6:]] == [
        f"logs/write_back/{STACK}/e.log",
        "logs/skip/f.log",
        "logs/associate/x_asn.log",
    ]


def test_the_first_step_with_a_log_of_this_run_is_the_one_that_failed(here):
    """A job that did not begin leaves no log, or that of an earlier run."""
    steps = [(name, f"{name}.fits", f"{name}.log") for name in ("a", "b", "c", "d")]
    for name in ("a", "b", "c"):
        (here / f"{name}.log").write_text(f"{name} begins\n{name}: error: broken\n")
    now = 1_000_000_000
    for name, when in (("a", now + 5), ("b", now - 1), ("c", now)):
        os.utime(f"{name}.log", (when, when))
    unfinished = {"b.fits", "c.fits", "d.fits"}
    assert status.status(steps, unfinished, now) == ("failed", "c", "c: error: broken")
    assert status.status(steps, unfinished, now + 1) == ("not reached", "", "")
    assert status.status(steps, {"d.fits"}, now) == ("not reached", "", "")
    assert status.status(steps, {"other.fits"}, now) == ("done", "", "")
    (here / "c.log").write_text("")
    killed = ("failed", "c", "its log is empty: it was probably killed")
    assert status.status(steps, unfinished, now) == killed


def test_the_status_is_a_table_and_a_few_lines(here, capsys):
    rows = [(f"a{i}", "failed", "median", "median: error: x") for i in range(23)]
    rows += [("b", "done", "", ""), ("c", "not reached", "", "")]
    status.report(lambda started: (rows if started == 5.0 else [], ["a line"]), 5.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:20] == [f"a{i} failed at median: median: error: x" for i in range(20)]
    assert lines[20:] == [
        "... and 3 more",
        "a line",
        "associations: 1 done, 23 failed, 1 not reached; see results/status.csv",
    ]
    table = pd.read_csv("results/status.csv", keep_default_na=False)
    assert list(table) == ["association", "status", "stage", "message"]
    assert list(table.itertuples(index=False, name=None)) == rows


def test_a_run_that_asked_for_no_association_leaves_the_table_of_the_last(here, capsys):
    status.report(lambda _: ([], ["figures: see there"]), 0)
    assert capsys.readouterr().err == "figures: see there\n"
    status.report(lambda _: ([], []), 0)
    assert capsys.readouterr().err == ""
    assert os.listdir(here) == []


# ---- what is handed over -------------------------------------------------------------------------


def test_a_table_is_handed_over_by_a_path_that_changes_with_it_alone(here):
    rows = [["a", 1], ["b\u00e9", 2]]
    path = hand_over("members", rows)
    assert path.startswith(".snakemake/badpix_selfcal/members-")
    assert json.loads((here / path).read_text(encoding="utf-8")) == rows
    before = os.stat(path)
    assert hand_over("members", [list(row) for row in rows]) == path
    assert os.stat(path).st_ino == before.st_ino  # not written again
    assert hand_over("members", rows[:1]) != path
    assert len(os.listdir(".snakemake/badpix_selfcal")) == 2


# ---- private interfaces of Snakemake -------------------------------------------------------------


class Nothing:
    """A Snakemake that has none of what is private today."""


def test_a_scheduler_that_has_no_limit_of_jobs_is_left_alone():
    workflow = Nothing()
    workflow.local_exec, workflow.scheduler = True, Nothing()
    internals.lift_job_rate(workflow)
    assert not hasattr(workflow.scheduler, "job_rate_limiter")


def test_the_rate_of_jobs_is_limited_where_a_cluster_is_asked():
    for local in (True, False):
        workflow = Nothing()
        workflow.local_exec, workflow.scheduler = local, Nothing()
        workflow.scheduler.job_rate_limiter = "a limit"
        internals.lift_job_rate(workflow)
        assert workflow.scheduler.job_rate_limiter == (None if local else "a limit")


def test_a_job_on_a_cluster_waits_for_no_limit_of_jobs(monkeypatch):
    """Each selection of jobs would start a timer, and the process ends only after the last."""
    limiter = job_scheduler.JobRateLimiter
    monkeypatch.setattr(job_scheduler, "JobRateLimiter", limiter)  # and back at the end
    internals.lift_job_rate_of_jobs()
    assert job_scheduler.JobRateLimiter("100/1s") is None


def test_jobs_share_the_text_of_a_path_and_keep_its_flags():
    def job(*output):
        sets = {name: set() for name in internals.JOB_SETS}
        files = [IOFile("minimum.fits", rule=None).apply_wildcards({})]
        return SimpleNamespace(input=files, output=list(output), **sets)

    texts, flagged = {}, IOFile(temp("pedestal.fits"), rule=None).apply_wildcards({})
    first, second = job(), job(flagged)
    second.temp_output = {flagged}
    own = second.input[0]._file
    internals.spare_job(first, texts)
    internals.spare_job(second, texts)
    assert second.input[0]._file is first.input[0]._file is not own
    assert second.input == first.input == ["minimum.fits"]
    assert not first.input[0].flags
    assert is_flagged(second.output[0], "temp")
    assert (first.temp_output, second.temp_output) == (frozenset(), {flagged})
    second.input[0].clone_flags(flagged)  # as Snakemake may do later
    assert is_flagged(second.input[0], "temp")
    assert not is_flagged(first.input[0], "temp")


@pytest.mark.parametrize("times", [(), (3.0,), (5.0, 2.0), (5.0, None, 4.0)])
@pytest.mark.parametrize("benchmark", [None, 1.0, 9.0])
def test_the_time_of_outputs_is_that_of_snakemakes_own(times, benchmark):
    class File:
        def __init__(self, time):
            self.time = time

        async def exists(self):
            return self.time is not None

        async def mtime(self):
            return self

        def local_or_storage(self):
            return self.time

    job = Nothing()
    job.output = [File(time) for time in times]
    job.benchmark = File(benchmark) if benchmark else None
    assert asyncio.run(internals.output_mintime(job)) == asyncio.run(OWN_MINTIME(job))
