"""What a job on a cluster reads: the rows of its own stacks, as the run was planned."""

import json
import os
import sys

import pytest
from conftest import ROOT, Workflow, write_association, write_exposure

sys.path.append(str(ROOT / "workflow"))
from selfcal_rules import internals, planned

ROWS = [
    ("a_asn", "p", "e1", "science", "e1.fits", "s1"),
    ("a_asn", "p", "e2", "background", "e2.fits", "s1"),
    ("b_asn", "q", "e2", "science", "e2.fits", "s2"),
    ("b_asn", "q", "e3", "selfcal", "e3.fits", "s2"),
    ("c_asn", "r", "e4", "science", "e4.fits", "skipped"),
    ("d_asn", "t", "e1", "science", "e1.fits", "s1"),  # another product of the first stack
]
CONFIG = {"associations": "*.json"}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    planned.keep_rows(CONFIG, ROWS)


@pytest.mark.parametrize(
    ("wildcards", "exposures"),
    [
        ([{"stack": "s1"}], ["e1", "e2"]),
        ([{"stack": "s1"}, {"stack": "s1", "exposure": "e1"}], ["e1", "e2"]),
        ([{"stack": "s1"}, {"stack": "s2"}], ["e1", "e2", "e2", "e3"]),
        ([{"exposure": "e4"}], ["e4"]),
    ],
)
def test_a_job_has_the_rows_of_its_stacks(kept, wildcards, exposures):
    rows = planned.rows_of_job(CONFIG, wildcards)
    assert sorted(row[2] for row in rows) == exposures
    assert set(rows) <= set(ROWS)


@pytest.mark.parametrize(
    ("config", "wildcards"),
    [
        (CONFIG, None),
        (CONFIG, [{"stack": "s1"}, {}]),
        (CONFIG, [{"association": "a_asn"}]),
        (CONFIG, [{"stack": "s3"}]),
        ({"associations": "other/*.json"}, [{"stack": "s1"}]),
    ],
)
def test_what_is_not_found_is_read_from_the_associations(kept, config, wildcards):
    assert planned.rows_of_job(config, wildcards) is None


def test_a_broken_database_is_not_used(kept):
    with open(planned.rows_path(CONFIG), "w") as file:
        file.write("broken")
    assert planned.rows_of_job(CONFIG, [{"stack": "s1"}]) is None


def test_the_wildcards_of_a_job_are_read_from_its_command_line():
    words = ["--target-jobs", "pedestal:stack=s1", "x_write_back:stack=s1,exposure=e1", "members:"]
    assert internals.job_wildcards(["snakemake", *words, "--cores", "4"]) == [
        {"stack": "s1"},
        {"stack": "s1", "exposure": "e1"},
        {},
    ]
    assert internals.job_wildcards(["snakemake", "--cores", "4"]) is None


@pytest.mark.parametrize("prefix", [False, True])
def test_a_job_does_not_read_the_associations(tmp_path, prefix):
    """As on a cluster: another process that makes a stack alone; the tables are gone by then."""
    workflow = Workflow(tmp_path / "run")
    for i in range(3):
        write_exposure(workflow.path("asn", f"e{i}_nrs1_rate.fits"), seed=i)
    members = [("e0_nrs1_rate.fits", "science"), ("e1_nrs1_rate.fits", "background")]
    write_association(workflow.path("asn/one_asn.json"), ("p", members))
    write_association(
        workflow.path("asn/two_asn.json"), ("q", [*members, ("e2_nrs1_rate.fits", "selfcal")])
    )
    snakefile, name = ROOT / "Snakefile", "pedestal"
    if prefix:
        snakefile, name = tmp_path / "Snakefile", "mine_pedestal"
        snakefile.write_text(
            f'module m:\n    snakefile: "{ROOT}/Snakefile"\n    config: config\n'
            '    prefix: "sub"\n\nuse rule * from m as mine_*\n'
        )
    target = "mine_all" if prefix else "all"
    workflow.run("--dry-run", "--quiet", "--", target, snakefile=snakefile)
    (table,) = workflow.path(".snakemake/badpix_selfcal").glob("members-*.json")
    stack = json.loads(table.read_text())[0][5]
    os.rename(workflow.path("asn/two_asn.json"), workflow.path("asn/two_asn.json.gone"))
    workflow.path("asn/one_asn.json").write_text("broken")
    words = ("--target-jobs", f"{name}:stack={stack}", "--allowed-rules", name, "--mode", "remote")
    workflow.run(*words, "--force", "--nolock", snakefile=snakefile)
    made = workflow.path("sub" if prefix else "", "results/stacks", stack, "pedestal.fits")
    assert made.exists()


def test_a_job_on_a_cluster_ends_with_its_work(nods):
    """It has no limit of jobs, each selection of which starts a timer that a process waits for."""
    snakefile = nods.path("Snakefile")
    snakefile.write_text(
        f'include: "{ROOT}/Snakefile"\nfrom snakemake.scheduling import job_scheduler\n'
        'limit = job_scheduler.MaxJobsPerTimespan(100, "1s")\n'
        'print("LIMIT", job_scheduler.JobRateLimiter(limit), file=sys.stderr)\n'
    )
    words = ("--dry-run", "--quiet", "--nolock", "--target-jobs", "members:")
    assert "LIMIT None" in nods.run(*words, "--mode", "remote", snakefile=snakefile).stdout
    assert "LIMIT <" in nods.run(*words, snakefile=snakefile).stdout


def test_a_log_that_is_asked_for_is_that_of_its_job(nods):
    nods.run("--dry-run", "--quiet")
    (table,) = nods.path(".snakemake/badpix_selfcal").glob("members-*.json")
    stack = next(row[5] for row in json.loads(table.read_text()) if row[5] != "skipped")
    out = nods.run("--dry-run", "--", f"logs/minimum/{stack}.log").stdout
    assert [line.split() for line in out.splitlines() if line.startswith("rule ")] == [
        ["rule", "pedestal:"],
        ["rule", "minimum:"],
    ]
