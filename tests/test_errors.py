"""Faults: one line each that names the file, the fault and the remedy; the rest goes on."""

import json
import os
import re
import time

import numpy as np
import pandas as pd
from conftest import SHAPES, copy_workflow, planes_of, write_association, write_exposure


def faults(done):
    """Return the lines of snakemake's message."""
    assert done.returncode != 0
    lines = done.stdout.partition("WorkflowError")[2].splitlines()[1:]
    return [line for line in lines if not line.startswith("  File")]


def test_config(nods):
    """All faults at once, as they are given on the command line; each value by test_checks."""
    entries = ["kernal_size=5", "kernel_size=5.0.0", "flagfrac_upper=nan", "flagfrac_lower=few"]
    entries += ["edge_mode=none", "dispersion_axis=3", "force_single=maybe"]
    lines = [
        "config: unknown key kernal_size; known is kernel_size",
        "config: kernel_size: '5.0.0' is not an odd number from 1 to 9999; correct it",
        "config: flagfrac_upper: nan is not a number from 0 to 0.5; correct it",
        "config: flagfrac_lower: 'few' is not a number from 0 to 0.5; correct it",
        "config: edge_mode: 'none' is not one of zero, shrink; correct it",
        "config: dispersion_axis: 3 is not one of auto, 1, 2; correct it",
        "config: force_single: 'maybe' is not true or false; correct it",
    ]
    assert sorted(faults(nods.run("--dry-run", config=entries, check=False))) == sorted(lines)
    (line,) = faults(nods.run("--dry-run", config=["kernel_size=-3"], check=False))
    assert line == "config: kernel_size: -3 is not an odd number from 1 to 9999; correct it"


def test_yaml_takes_1e_3_for_a_text(nods):
    nods.path("mine.yaml").write_text("flagfrac_upper: 1e-3\nedge_mod: zero\n")
    found = faults(nods.run("--dry-run", "--configfile", "mine.yaml", check=False))
    assert found == [
        "config: flagfrac_upper: '1e-3' is not a number from 0 to 0.5; "
        "YAML reads it as a text, write 0.001",
        "config: unknown key edge_mod; known is edge_mode",
    ]


def test_numbers_and_truths_as_people_write_them(done):
    done.path("mine.yaml").write_text("kernel_size: 15.0\nforce_single: False\n")
    assert done.jobs("--configfile", "mine.yaml") == {}
    assert done.jobs(config=["force_single=false"]) == {}


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
    fault = "none/*.json: no association file matches; set associations in the config, or make"
    assert line == f"{fault} some with the target generate"


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


def test_a_faulty_file_stops_only_its_stack(nods):
    """And leaves the reason in status.csv; mended, the plain command goes on."""
    bad = {}
    for i, (fault, spoil) in enumerate(bad_exposures().items()):
        path = nods.path(f"rate/jw01204001001_02101_0001{i}_nrs1_rate.fits")
        write_exposure(path)
        spoil(path)
        pairs = [
            ("../rate/jw01204001001_02101_00003_nrs1_rate.fits", "science"),
            (f"../rate/{path.name}", "background"),
        ]
        write_association(nods.path(f"asn/bad{i}_asn.json"), (f"b{i}", pairs))
        bad[f"bad{i}_asn"] = fault, path
    done = nods.run("--keep-going", check=False)
    assert done.returncode != 0
    status = pd.read_csv(nods.path("results/status.csv")).set_index("association")
    found = list(status.loc[["one_asn", "two_asn", "alone_asn"], "status"])
    assert found == ["done", "done", "skipped"]
    said = done.stdout.splitlines()
    for association, (fault, path) in bad.items():
        (line,) = {x for x in said if x.startswith(f"pedestal: error: rate/{path.name}: ")}
        assert fault in line
        assert list(status.loc[association]) == ["failed", "pedestal", line]
        assert f"{association} failed at pedestal: {line}" in said
        assert not nods.path(f"results/associations/{association}.json").exists()
    for name in ("one", "two", "alone"):
        assert nods.path(f"results/associations/{name}_asn.json").exists()
    assert not list(nods.folder.rglob("*.part"))
    for i, (_, path) in enumerate(bad.values()):
        write_exposure(path, seed=4 + i)
    nods.run("--quiet", "all")
    status = pd.read_csv(nods.path("results/status.csv"), index_col="association")["status"]
    assert status.pop("alone_asn") == "skipped"
    assert set(status) == {"done"}
    assert len(status) == 8


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


def test_what_is_doubtful_about_a_stack_is_a_warning_in_the_summary(workflow):
    """Another grating or filter, a pedestal without pixels, an exposure that sets the minimum."""
    usual = {"GRATING": "G395H", "FILTER": "F290LP"}
    dark, low = planes_of(SHAPES["MIRIFULONG"]), planes_of(SHAPES["NRS1"], seed=1)
    dark["SCI"][50:, 474:507] = np.nan
    low["SCI"] -= 2
    exposures = {
        "a": {"primary": usual},
        "grating": {"primary": usual | {"GRATING": "PRISM"}, "seed": 1},
        "filter": {"primary": usual | {"FILTER": "CLEAR"}, "seed": 1},
        "lit": {"detector": "MIRIFULONG"},
        "dark": {"detector": "MIRIFULONG", "planes": dark},
        "also": {"detector": "MIRIFULONG", "seed": 2},
        "low": {"planes": low},
        "other": {"seed": 2},
        "more": {"seed": 3},
    }
    for name, keywords in exposures.items():
        write_exposure(workflow.path(f"asn/{name}_rate.fits"), **keywords)
    stacks = (("a", "grating"), ("a", "filter"), ("lit", "dark", "also"),
              ("more", "other", "low"))  # fmt: skip
    for names in stacks:
        pairs = [(f"{name}_rate.fits", "selfcal" if i else "science")
                 for i, name in enumerate(names)]  # fmt: skip
        write_association(workflow.path(f"asn/{names[1]}_asn.json"), ("p", pairs))
    out = workflow.run().stdout
    assert "pedestal: warning: asn/grating_rate.fits: GRATING PRISM against G395H" in out
    assert "pedestal: warning: asn/filter_rate.fits: FILTER CLEAR against F290LP" in out
    summary = pd.read_csv(workflow.path("results/summary.csv")).set_index("association")
    found = summary["warnings"]
    assert found["grating_asn"].startswith("grating: GRATING PRISM against G395H")
    assert found["filter_asn"].startswith("filter: FILTER CLEAR")
    assert found["dark_asn"].startswith("dark: left out")
    share = int(re.fullmatch(r"low: sets (\d+)% of the minimum", found["other_asn"])[1])
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
    process = nods.start(snakefile=snakefile)
    deadline = time.time() + 60
    while not list(nods.path("results/stacks").glob("*/median.fits")) and time.time() < deadline:
        time.sleep(0.1)
    process.kill_all()
    process.communicate()
    out = nods.run().stdout
    assert "had left its lock; removed" in out
    assert pd.read_csv(nods.path("results/summary.csv"))["n_high"].max() > 0
    assert nods.jobs() == {}
