"""The workflow as its users run it: by the snakemake command, in a folder of theirs."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import ROOT, copy_workflow, write_association, write_exposure
from models import write_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from jwst.associations.load_as_asn import LoadAsLevel2Asn
    from jwst.badpix_selfcal import BadpixSelfcalStep

OTHER_BAD_PIXEL = 1 << 30


def table(workflow, name):
    return pd.read_csv(workflow.path("results", f"{name}.csv"))


def flagged_files(workflow):
    return sorted(p.name for p in workflow.path("results", "flagged").glob("*-*/*.fits"))


def test_from_associations_to_results(nods):
    """One run: each (stack, exposure) once, tables, associations, views; then nothing to do."""
    assert nods.jobs() == {
        **dict.fromkeys(("pedestal", "minimum", "median", "threshold"), 1),
        "write_back": 2,
        "skip": 1,
        "associate": 3,
        "members": 1,
        "summary": 1,
        "checksums": 1,
        "provenance": 1,
    }
    out = nods.run().stdout
    assert "1 of 3 products were not flagged: no background or selfcal exposure" in out
    found = {str(p.relative_to(nods.folder)) for p in nods.folder.rglob("results/**/*")}
    (stack,) = {p.name for p in nods.path("results/stacks").iterdir()}
    one, two, three = (f"jw01204001001_02101_0000{i}_nrs1_badpix_selfcal.fits" for i in (1, 2, 3))
    files = {
        *(f"results/{n}" for n in ("members.csv", "summary.csv", "status.csv", "checksums.csv")),
        "results/provenance.json",
        *(f"results/stacks/{stack}/{f}.fits" for f in ("minimum", "median", "flags")),
        *(f"results/flagged/{stack}/{f}" for f in (one, two)),
        f"results/flagged/skipped/{three}",
        *(f"results/associations/{a}_asn.json" for a in ("one", "two", "alone")),
        *(f"results/by_association/{a}_asn/{p}/{f}.fits" for a, p in (("one", "p1"), ("two", "p2"))
          for f in ("minimum", "median", "flags")),
        *(f"results/by_association/{a}_asn/{p}/{f}" for a, p in (("one", "p1"), ("two", "p2"))
          for f in (one, two)),
        f"results/by_association/alone_asn/p3/{three}",
    }  # fmt: skip
    mine = {f for f in found if nods.path(f).is_file() and not f.endswith(".snakemake_timestamp")}
    assert mine == files
    for link in nods.path("results/by_association").rglob("*.fits"):
        assert link.is_symlink()
        assert not os.path.isabs(os.readlink(link))
    assert not list(nods.folder.rglob("pedestal.fits"))
    for name in ("pedestal", "minimum", "median", "threshold"):
        assert nods.path("logs", name, f"{stack}.log").exists()
    assert "Nothing to be done" in nods.run().stdout


def test_members_and_summary(nods):
    nods.run("--quiet", "all", config=["flagfrac_upper=0.01", "kernel_size=5"])
    members = table(nods, "members")
    assert list(members) == ["association", "product", "exposure", "exptype", "path", "stack"]
    assert len(members) == 5
    summary = table(nods, "summary").set_index("association")
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "COMPLETE"]
    row = summary.loc["one_asn"]
    with fits.open(nods.path("results/stacks", row["stack"], "flags.fits")) as hdus:
        flags, header = hdus[0].data, hdus[0].header
    rate = nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits")
    dq = fits.getdata(rate, "DQ")
    assert row["n_low"] == np.count_nonzero(flags == 1)
    assert row["n_high"] == np.count_nonzero(flags == 2)
    assert row["n_new"] == np.count_nonzero((flags > 0) & (dq & 1 == 0))
    assert row["n_new"] < row["n_low"] + row["n_high"]
    assert row["high_threshold"] == pytest.approx(header["BPXTHHI"], rel=1e-12)
    assert (row["flagfrac_lower"], row["flagfrac_upper"]) == (0.001, 0.01)
    assert (row["kernel_size"], row["edge_mode"], row["dispersion_axis"]) == (5, "zero", 1)
    assert (row["science"], row["n_exposures"]) == ("jw01204001001_02101_00001_nrs1", 2)
    assert "nothing flagged" in summary.loc["alone_asn", "warnings"]
    assert summary["warnings"].isna().sum() == 2
    assert summary.loc["alone_asn", ["n_low", "high_threshold", "kernel_size"]].isna().all()


def test_many_products_of_one_stack_share_everything(workflow):
    """24 science exposures that all list the same 36: one minimum, one median, one flags."""
    names = [f"jw01204001001_02101_{i:05}_nrs1" for i in range(36)]
    selfcal = [(f"{name}_rate.fits", "selfcal") for name in names]
    backgrounds = [(f"{name}_rate.fits", "background") for name in names[24:]]
    for name in names:
        workflow.path(f"{name}_rate.fits").touch()
    for i, name in enumerate(names[:24]):
        science = (f"{name}_rate.fits", "science")
        write_association(workflow.path(f"{i}_asn.json"), (name, [science, *backgrounds, *selfcal]))
    assert workflow.jobs(associations="*_asn.json") == {
        **dict.fromkeys(("pedestal", "minimum", "median", "threshold"), 1),
        "write_back": 36,
        "associate": 24,
        "members": 1,
        "summary": 1,
        "checksums": 1,
        "provenance": 1,
    }


def test_one_association_alone(nods):
    """Its flagged association as the target makes its stacks and no other."""
    jobs = nods.jobs("results/associations/alone_asn.json")
    assert jobs == {"skip": 1, "associate": 1}
    jobs = nods.jobs("results/associations/one_asn.json")
    assert jobs["write_back"] == 2
    assert jobs["associate"] == 1
    assert "skip" not in jobs


def test_flagged_files_can_be_made_one_by_one(done):
    path = next(done.path("results/flagged").glob("jw*/*_00001_*.fits"))
    path.unlink()
    assert done.jobs(str(path.relative_to(done.folder))) == {"write_back": 1}


def test_force_single(nods):
    nods.run("--quiet", "all", config=["force_single=true"])
    assert set(table(nods, "summary")["status"]) == {"COMPLETE"}
    assert not nods.path("results/flagged/skipped").exists()


def test_the_reference_on_the_same_associations(workflow):
    """Every product and background, against jwst's step run on the association file itself."""
    groups = {"MIRIFULONG": ("background", "selfcal"), "NRS1": ("selfcal", "background")}
    for detector, roles in groups.items():
        names = [f"jw01204001001_02101_0000{i}_{detector.lower()}_rate.fits" for i in range(3)]
        for i, name in enumerate(names):
            write_exposure(workflow.path("asn", name), detector, seed=i)
        members = list(zip(names, ("science", *roles), strict=True))
        write_association(workflow.path("asn", f"{detector}_asn.json"), (detector, members))
    workflow.run("--quiet", "all")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for detector in groups:
            step = BadpixSelfcalStep()
            step.skip = False
            science, backgrounds = step.run(str(workflow.path("asn", f"{detector}_asn.json")))
            assert science.meta.cal_step.badpix_selfcal == "COMPLETE"
            view = workflow.path("results/by_association", f"{detector}_asn", detector)
            results = [p.name for p in view.glob("*_badpix_selfcal.fits")]
            assert len(results) == 2
            # The reference renames backgrounds after the science product: tell them by their data.
            for model in (science, *backgrounds):
                assert any(same_arrays(view / name, model) for name in results)


def same_arrays(path, model):
    with fits.open(path) as hdus:
        return np.array_equal(hdus["DQ"].data, model.dq) and np.array_equal(
            hdus["SCI"].data, model.data, equal_nan=True
        )


@pytest.mark.filterwarnings("ignore")
def test_spec2_takes_flagged_associations(workflow, monkeypatch):
    """calwebb_spec2 subtracts the flagged background from the flagged science."""
    names = [f"jw01204001001_02101_0000{i}_mirifulong_rate.fits" for i in (1, 2)]
    for i, name in enumerate(names):
        write_model(workflow.path(name), "MIRIFULONG", i)
    members = list(zip(names, ("science", "background"), strict=True))
    write_association(workflow.path("one_asn.json"), ("p1", members))
    workflow.run("--quiet", "all", associations="one_asn.json")
    # Where it is run, calwebb_spec2 looks for members whose expname holds a folder.
    monkeypatch.chdir(workflow.path("results/associations"))
    assert LoadAsLevel2Asn.load("one_asn.json")["products"][0]["name"] == "p1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jwst.pipeline import Spec2Pipeline  # two seconds, for which no other test waits
    pipeline = Spec2Pipeline()
    pipeline.prefetch_references = False
    for step in pipeline.step_defs:
        getattr(pipeline, step).skip = step != "bkg_subtract"

    # What asks for the archive's reference files and their version has to be left out here.
    monkeypatch.setattr(pipeline, "finalize_result", lambda *_: None)

    def assign_wcs(model):
        model.meta.cal_step.assign_wcs = "COMPLETE"
        return model

    monkeypatch.setattr(pipeline.assign_wcs, "run", assign_wcs)
    (result,) = pipeline.run("one_asn.json")
    assert result.meta.cal_step.bkg_subtract == "COMPLETE"
    flags = fits.getdata(next(workflow.path("results/stacks").glob("*/flags.fits")))
    assert np.array_equal(result.dq & OTHER_BAD_PIXEL > 0, flags > 0)


def test_another_working_directory(nods, tmp_path_factory):
    """Inputs and results far from each other, with spaces and brackets in the folders' names."""
    archive = tmp_path_factory.mktemp("archive") / "my data [1] (copy)"
    shutil.move(nods.path("rate"), archive / "rate")
    shutil.move(nods.path("asn"), archive / "asn")
    pattern = str(archive).replace("[", "[[]") + "/asn/*.json"
    nods.run("--quiet", "all", associations=pattern)
    assert len(flagged_files(nods)) == 2
    flagged = json.loads(nods.path("results/associations/one_asn.json").read_text())
    for member in flagged["products"][0]["members"]:
        assert nods.path("results/associations", member["expname"]).exists()
    assert sorted(os.listdir(archive)) == ["asn", "rate"]
    assert set(os.listdir(nods.folder)) == {".snakemake", "logs", "results"}


def test_results_on_another_disk(nods, tmp_path_factory):
    """`results` may be a link; members that lie elsewhere are found all the same."""
    disk = tmp_path_factory.mktemp("disk") / "deep" / "down"
    disk.mkdir(parents=True)
    nods.path("results").symlink_to(disk)
    nods.path("rate/leak.fits").touch()
    pairs = [(f"../rate/jw01204001001_02101_0000{i}_nrs1_rate.fits", role)
             for i, role in ((1, "science"), (2, "background"))]  # fmt: skip
    write_association(
        nods.path("asn/one_asn.json"), ("NA", [*pairs, ("../rate/leak.fits", "imprint")])
    )
    nods.run("--quiet", "all")
    flagged = json.loads((disk / "associations/one_asn.json").read_text())
    for member in flagged["products"][0]["members"]:
        assert (disk / "associations" / member["expname"]).exists()
    # A product may be called NA, which pandas would take for nothing.
    assert "one_asn,NA," in (disk / "summary.csv").read_text()


def test_prune_lists_and_on_a_second_word_deletes(done):
    """Of the associations as they are now; what it takes in each case is tested by itself."""
    done.path("asn/two_asn.json").unlink()
    pairs = [("../rate/jw01204001001_02101_00001_nrs1_rate.fits", "science")]
    write_association(done.path("asn/one_asn.json"), ("p1", pairs))
    kept = {"results/flagged/skipped/jw01204001001_02101_00003_nrs1_badpix_selfcal.fits"}
    (stack,) = (p.name for p in done.path("results/stacks").iterdir())
    done.path("results/figures", stack).mkdir(parents=True)
    done.path("results/figures", stack, "numbers.csv").touch()
    out = done.run("--", "prune").stdout
    left = {line for line in out.splitlines() if line.startswith("results/")}
    assert left == {
        "results/associations/two_asn.json",
        "results/by_association/two_asn",
        f"results/stacks/{stack}",
        f"results/figures/{stack}",
        *(f"results/flagged/{stack}/jw01204001001_02101_0000{i}_nrs1_badpix_selfcal.fits"
          for i in (1, 2)),
    }  # fmt: skip
    assert all(done.path(path).exists() for path in left | kept)
    assert "\n6 results" in done.run("--", "prune_delete").stdout
    assert not any(done.path(path).exists() for path in left)
    assert all(done.path(path).exists() for path in kept)
    assert not done.path("results/flagged", stack).exists()


def test_backgrounds_are_not_written_if_not_wanted(workflow):
    """The flagged association then points to the original ones, and plan says what is spared."""
    names = [f"e{i}_nrs1_rate.fits" for i in range(3)]
    for i, name in enumerate(names):
        write_exposure(workflow.path("rate", name), seed=i)
    roles = ("science", "background", "background")
    members = [(f"../rate/{name}", role) for name, role in zip(names, roles, strict=True)]
    write_association(workflow.path("asn/one_asn.json"), ("p1", members))
    off = ["save_flagged_bkg=false"]
    spared = 2 * workflow.path("rate", names[0]).stat().st_size / 1e6
    said = f"2 flagged backgrounds of {spared:.0f} MB"
    assert f"{said} among the results" in workflow.run("--", "plan").stdout
    assert f"would write {said}, too" in workflow.run("--", "plan", config=off).stdout
    workflow.run("--quiet", "all", config=off)
    assert len(flagged_files(workflow)) == 1
    asn = json.loads(workflow.path("results/associations/one_asn.json").read_text())
    paths = [m["expname"] for m in asn["products"][0]["members"]]
    assert "results" not in paths[1]
    folder = workflow.path("results/associations")
    found = [
        os.path.relpath((folder / path).resolve(), workflow.folder.resolve()) for path in paths
    ]
    assert found[1:] == [f"rate/{name}" for name in names[1:]]
    assert found[0].endswith("e0_nrs1_badpix_selfcal.fits")
    # The science exposure has the same flags with and without.
    (flagged,) = workflow.path("results/flagged").glob("*/e0_nrs1_badpix_selfcal.fits")
    one = fits.getdata(flagged, "DQ")
    flagged.unlink()
    workflow.run("--quiet", "all")
    assert len(flagged_files(workflow)) == 3
    assert (fits.getdata(flagged, "DQ") == one).all()
    assert "\n2 results" in workflow.run("--", "prune", config=off).stdout


def test_plan_says_what_a_run_makes(nods, done):
    out = nods.run("--", "plan").stdout
    assert "products:  3, in 3 associations" in out
    assert "jobs:      14 (" in out
    size = nods.path("rate/jw01204001001_02101_00001_nrs1_rate.fits").stat().st_size
    pixels = 48 * 64
    expected = 3 * size + 9 * pixels + 2 * 4 * pixels
    assert f"space:     {expected / 1e6:.0f} MB more" in out
    assert not nods.path("results").exists()
    found = [p for p in done.path("results").rglob("*.fits") if not p.is_symlink()]
    assert len(found) == 3 + 3
    assert "jobs:      0\n" in done.run("--", "plan").stdout
    changed = done.run("--", "plan", config=["flagfrac_upper=0.01"]).stdout
    assert "jobs:      7 (" in changed


def test_a_configfile_holds_what_differs(nods):
    nods.path("mine.yaml").write_text("associations: asn/one_asn.json\nkernel_size: 7\n")
    nods.run("--quiet", "all", "--configfile", "mine.yaml", associations=None)
    assert list(table(nods, "summary")["kernel_size"]) == [7]


def test_memory_does_not_grow_with_the_number_of_exposures(workflow):
    """pedestal and minimum hold two planes, be they of 3 exposures or of 15."""
    plane = np.ones((1500, 1500), np.float32)
    path = write_exposure(workflow.path("x_rate.fits"), planes={"SCI": plane})
    peaks = []
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    for n in (3, 15):
        for program, inputs in (("pedestal", [path] * n), ("minimum", ["pedestal.fits"])):
            output = ["--output"] * (program == "pedestal") + [f"{program}.fits"]
            command = [ROOT / "scripts" / "selfcal", program, *inputs, *output]
            done = subprocess.run(
                [sys.executable, "-c", watch, sys.executable, "-Es", *command],
                stdout=subprocess.PIPE,
                cwd=workflow.folder,
                check=True,
            )
            peaks.append(int(done.stdout.split()[-1]))
    plane_kb = plane.nbytes / 1024
    assert max(peaks[2:]) < max(peaks[:2]) + 0.5 * plane_kb
    assert max(peaks) < 60_000 + 5 * plane_kb


def test_resources_follow_the_size_and_the_number_of_exposures(workflow):
    """From the exposures, as they are known before anything has run, as in groups of jobs."""

    def resources(side, n):
        plane = np.ones((side, side), np.float32)
        paths = [f"s{side}n{n}e{i}_rate.fits" for i in range(n)]
        write_exposure(workflow.path(paths[0]), planes={"SCI": plane})
        for path in paths[1:]:
            os.link(workflow.path(paths[0]), workflow.path(path))
        pairs = [(path, "selfcal" if i else "science") for i, path in enumerate(paths)]
        write_association(workflow.path(f"s{side}n{n}_asn.json"), ("p", pairs))
        plain = ("--workflow-profile", "none", "--dry-run")  # says the resources of every job
        out = workflow.run(*plain, associations=f"s{side}n{n}_asn.json").stdout
        stages = re.findall(r"^rule (\w+):(?:\n    .*)*?\n    resources: (.*)", out, re.M)
        found = {rule: dict(re.findall(r"(mem_mb|runtime)=(\d+)", text)) for rule, text in stages}
        names = ("pedestal", "minimum", "median", "threshold", "write_back")
        return {name: (int(found[name]["mem_mb"]), int(found[name]["runtime"])) for name in names}

    small, large, many = resources(64, 2), resources(2000, 2), resources(2000, 100)
    # One exposure, and no more than its copy: the same for all.
    assert small.pop("write_back") == large["write_back"] == many["write_back"] == (700, 5)
    assert set(small.values()) == {(600, 5)}
    megabytes = 4 * 2000**2 / 1e6
    for stage in small:
        assert large[stage][0] == pytest.approx(600 + 2 * megabytes, abs=2)
        assert many[stage] == (large[stage][0], large[stage][1] + 2)


def test_each_retry_is_given_as_much_memory_and_time_once_more(nods, tmp_path_factory):
    snakefile = copy_workflow(tmp_path_factory.mktemp("broken"))
    (snakefile.parent / "scripts" / "selfcal").write_text("#!/bin/sh\nexit 1\n")
    plain = ("--workflow-profile", "none", "--retries", "1", "--keep-going")
    targets = ("results/summary.csv", "results/checksums.csv")
    nods.run(*plain, *targets, check=False, snakefile=snakefile)
    (log,) = nods.path(".snakemake/log").iterdir()  # which says all of every job
    attempts = re.findall(
        r"^localrule (\w+):(?:\n    .*)*?\n    resources: (.*)", log.read_text(), re.M
    )
    found = {"pedestal": [], "checksums": []}
    for rule, text in attempts:
        if rule in found:
            limits = dict(re.findall(r"(mem_mb|runtime)=(\d+)", text))
            found[rule].append((int(limits["mem_mb"]), int(limits["runtime"])))
    assert found == {"pedestal": [(600, 5), (1200, 10)], "checksums": [(700, 5), (700, 10)]}


def test_the_largest_case_keeps_to_its_memory(workflow):
    """NIRSpec's 2048 x 2048 pixels and a kernel of 151: each stage with no more than its mem_mb."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2048, 2048)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.02] = np.nan
    planes = {"SCI": plane, "ERR": plane, "DQ": np.zeros(plane.shape, np.uint32)}
    paths = [write_exposure(workflow.path(f"e{i}_rate.fits"), planes=planes) for i in range(3)]
    roles = ("science", "background", "background")
    members = [(f"e{i}_rate.fits", role) for i, role in enumerate(roles)]
    write_association(workflow.path("x_asn.json"), ("p", members))
    plain = ("--workflow-profile", "none", "--dry-run")
    out = workflow.run(*plain, associations="x_asn.json").stdout
    stages = re.findall(r"^rule (\w+):(?:\n    .*)*?\n    resources:.* mem_mb=(\d+)", out, re.M)
    programs = {
        "pedestal": [*paths, "--output", "pedestal.fits"],
        "minimum": ["pedestal.fits", "minimum.fits"],
        "median": ["minimum.fits", "median.fits", "--kernel-size", "151"],
        "threshold": ["minimum.fits", "median.fits", "flags.fits"],
        "write_back": [paths[0], "flags.fits", "out.fits"],
    }
    for name, words in programs.items():
        limit = int(dict(stages)[name]) * 10**6
        done = subprocess.run(
            [sys.executable, "-Es", ROOT / "scripts" / "selfcal", name, *words],
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # as Snakemake sets it
            cwd=workflow.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert fits.getdata(workflow.path("flags.fits")).any()


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (("--scheduler", "greedy"), 4),
        (("--scheduler", "ilp"), 4),
        (("--scheduler", "greedy", "--cores", "8", "--resources", "disk_mb=2"), 2),
    ],
)
def test_temporary_files_do_not_pile_up(workflow, words, most):
    """A stack is finished before the next begins, so few of 12 pedestal.fits exist at a time."""
    first = write_exposure(workflow.path("e0_rate.fits"))
    for i in range(12):
        if i:
            os.link(first, workflow.path(f"e{i}_rate.fits"))
        pairs = [(f"e{i}_rate.fits", "science"), (f"e{i}_rate.fits", "selfcal")]
        write_association(workflow.path(f"e{i}_asn.json"), (f"p{i}", pairs))
    running = threading.Event()
    counts = []

    def watch():
        while not running.wait(0.02):
            counts.append(len(list(workflow.folder.glob("results/stacks/*/pedestal.fits"))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    workflow.run("--quiet", "all", *words, associations="e*_asn.json")
    running.set()
    watcher.join()
    assert len(flagged_files(workflow)) == 12
    assert 1 <= max(counts) <= most
