"""A run as its users start it: products, tables, links, associations, logs, resources."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from conftest import (
    ROOT,
    Workflow,
    copy_run,
    write_association,
    write_exposure,
    write_nods,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from jwst.associations.load_as_asn import LoadAsLevel2Asn
    from jwst.badpix_selfcal import BadpixSelfcalStep

NODS = [f"jw01204001001_02101_0000{i}_nrs1" for i in (1, 2, 3)]
MIRI = [f"jw01204002001_02101_0000{i}_mirifulong" for i in (1, 2, 3)]
PARAMETERS = {"flagfrac_upper": 0.01, "kernel_size": 5}
CONFIG = [*(f"{key}={value}" for key, value in PARAMETERS.items()), "save_flagged_bkg=true"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """
    Run the nods and an association of MIRI with members of all roles, two products in it.

    The inputs are far from the results, in a folder of an odd name; the results are a link to
    another disk.
    """
    archive = tmp_path_factory.mktemp("archive") / "my data (copy)"
    folder, disk = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("disk") / "deep" / "down"
    disk.mkdir(parents=True)
    (folder / "results").symlink_to(disk)
    write_nods(Workflow(archive))
    for i, name in enumerate(MIRI):
        write_exposure(archive / "rate" / f"{name}_rate.fits", "MIRIFULONG", seed=i)
    (archive / "rate" / "leak.fits").touch()
    roles = zip(MIRI, ("SCIENCE", "Background", "selfcal"), strict=True)
    pairs = [(f"../rate/{name}_rate.fits", role) for name, role in roles]
    pairs.append(("../rate/leak.fits", "imprint"))
    alone = [(f"../rate/{NODS[2]}_rate.fits", "science")]
    # A product may be called NA, which pandas would take for nothing.
    write_association(archive / "asn" / "miri_asn.json", ("NA", pairs), ("other", alone))
    workflow = Workflow(folder)
    pattern = f"{archive}/asn/*.json"
    jobs = workflow.jobs(associations=pattern, config=CONFIG)
    said = workflow.run(associations=pattern, config=CONFIG).stdout
    return SimpleNamespace(
        archive=archive, workflow=workflow, path=folder.joinpath, pattern=pattern, jobs=jobs,
        said=said,
    )  # fmt: skip


def read_table(run, name):
    return pd.read_csv(run.path("results", f"{name}.csv"), keep_default_na=False, na_values=[""])


def stack_of(run, association):
    return read_table(run, "summary").set_index("association").loc[association, "stack"]


def test_jobs_and_files(ran):
    """Each stack and each skipped exposure once; whole files, links, logs, and nothing else."""
    stages = dict.fromkeys(("pedestal", "minimum", "median", "threshold", "write_back"), 2)
    tables = dict.fromkeys(("members", "summary", "checksums", "provenance"), 1)
    assert ran.jobs == {**stages, "mark_skipped": 1, "associate": 4, **tables}
    nods, miri = (path.name for path in sorted(ran.path("results/stacks").iterdir()))
    flagged = "{}_badpix_selfcal.fits".format
    stage_files = ("minimum.fits", "median.fits", "flags.fits")
    views = {
        "one_asn/p1": [*stage_files, flagged(NODS[0]), flagged(NODS[1])],
        "two_asn/p2": [*stage_files, flagged(NODS[0]), flagged(NODS[1])],
        "alone_asn/p3": [flagged(NODS[2])],
        "miri_asn/NA": [*stage_files, flagged(MIRI[0]), flagged(MIRI[1])],
        "miri_asn/other": [flagged(NODS[2])],
    }
    links = {f"by_association/{view}/{name}" for view, names in views.items() for name in names}
    links |= {
        f"associations/{name}_badpix_selfcal_{stack.rpartition('-')[2]}.fits"
        for names, stack in ((NODS[:2], nods), (MIRI[:2], miri), (NODS[2:], "skipped"))
        for name in names
    }
    files = {
        *("members.csv", "summary.csv", "status.csv", "checksums.csv", "provenance.json"),
        *(f"stacks/{stack}/{name}" for stack in (nods, miri) for name in stage_files),
        *(f"flagged/{nods}/{flagged(name)}" for name in NODS[:2]),
        *(f"flagged/{miri}/{flagged(name)}" for name in MIRI[:2]),
        f"flagged/skipped/{flagged(NODS[2])}",
        *(f"associations/{name}_asn.json" for name in ("one", "two", "alone", "miri")),
    }
    root = ran.path("results").resolve()
    found = {p for p in root.rglob("*") if p.is_file() and p.name != ".snakemake_timestamp"}
    assert {str(p.relative_to(root)) for p in found} == files | links
    for link in links:
        assert (root / link).is_symlink()
        assert not os.path.isabs(os.readlink(root / link))
    for name in stages:
        assert sorted(os.listdir(ran.path("logs", name))) == [f"{nods}.log", f"{miri}.log"]
    assert set(os.listdir(ran.path())) == {".snakemake", "logs", "results"}
    assert sorted(os.listdir(ran.archive)) == ["asn", "rate"]
    assert ran.workflow.jobs(associations=ran.pattern, config=CONFIG) == {}


def test_tables(ran):
    members = read_table(ran, "members")
    assert list(members) == ["association", "product", "exposure", "exptype", "path", "stack"]
    assert len(members) == 10
    summary = read_table(ran, "summary").set_index(["association", "product"])
    assert list(summary["status"]) == ["SKIPPED", "COMPLETE", "SKIPPED", "COMPLETE", "COMPLETE"]
    row = summary.loc["miri_asn", "NA"]
    with fits.open(ran.path("results/stacks", row["stack"], "flags.fits")) as hdus:
        flags, header = hdus[0].data, hdus[0].header
    dq = fits.getdata(ran.archive / "rate" / f"{MIRI[0]}_rate.fits", "DQ")
    assert row["n_low"] == np.count_nonzero(flags == 1)
    assert row["n_high"] == np.count_nonzero(flags == 2)
    assert row["n_new"] == np.count_nonzero((flags > 0) & (dq & 1 == 0))
    assert row["n_new"] < row["n_low"] + row["n_high"]
    assert row["high_threshold"] == pytest.approx(header["BPXTHHI"], rel=1e-12)
    assert (row["flagfrac_lower"], row["flagfrac_upper"]) == (0.001, 0.01)
    assert (row["kernel_size"], row["edge_mode"], row["dispersion_axis"]) == (5, "zero", 2)
    assert (row["science"], row["n_exposures"]) == (MIRI[0], 3)
    alone = summary.loc["alone_asn", "p3"]
    assert "nothing flagged" in alone["warnings"]
    assert alone[["n_low", "high_threshold", "kernel_size"]].isna().all()
    status = read_table(ran, "status").set_index("association")["status"]
    assert dict(status) == {"alone_asn": "skipped", "miri_asn": "done", "one_asn": "done",
                            "two_asn": "done"}  # fmt: skip
    assert "2 of 5 products were not flagged: no background or selfcal exposure" in ran.said
    assert "associations: 3 done, 1 skipped; see results/status.csv" in ran.said


def test_flagged_associations(ran):
    """Their members are found from where they lie; those of other roles go with them."""
    folder = ran.path("results").resolve() / "associations"
    for path in folder.glob("*.json"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            association = LoadAsLevel2Asn.load(path)
        for product in association["products"]:
            assert all((folder / m["expname"]).is_file() for m in product["members"])
    product, _ = json.loads((folder / "miri_asn.json").read_text())["products"]
    assert (product["name"], product["stack"]) == ("NA", stack_of(ran, "miri_asn").iloc[0])
    assert [m["exptype"] for m in product["members"]] == ["SCIENCE", "Background", "imprint"]
    assert product["members"][2]["expname"] == str(ran.archive / "rate" / "leak.fits")


def test_the_reference_on_the_same_associations(ran, tmp_path):
    """Every product and background, against jwst's step run on the association file itself."""
    for name, product in (("one_asn", "p1"), ("miri_asn", "NA")):
        association = json.loads((ran.archive / "asn" / f"{name}.json").read_text())
        # The reference knows roles in lower case alone, and one product of a file.
        members = [
            (str(ran.archive / "rate" / os.path.basename(m["expname"])), m["exptype"].lower())
            for m in association["products"][0]["members"]
            if m["exptype"] != "imprint"
        ]
        path = write_association(tmp_path / f"{name}.json", (product, members))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step = BadpixSelfcalStep(**PARAMETERS)
            step.skip = False
            science, backgrounds = step.run(path)
        assert science.meta.cal_step.badpix_selfcal == "COMPLETE"
        results = list(ran.path("results/by_association", name, product).glob("*_selfcal.fits"))
        assert len(results) == 2
        # The reference renames backgrounds after the science product: tell them by their data.
        for model in (science, *backgrounds):
            assert any(has_arrays(path, model) for path in results)


def has_arrays(path, model):
    with fits.open(path) as hdus:
        return np.array_equal(hdus["DQ"].data, model.dq) and np.array_equal(
            hdus["SCI"].data, model.data, equal_nan=True
        )


def test_a_change_of_roles_or_of_what_is_written_rewrites_the_folder(ran, tmp_path):
    """No file is left that should not be there, and none is missing."""
    run = copy_run(ran.path(), tmp_path / "run")
    shutil.copytree(ran.path("results").resolve(), tmp_path / "disk", symlinks=True)
    run.path("results").unlink()
    run.path("results").symlink_to(tmp_path / "disk")
    pattern = f"{ran.archive}/asn/miri_asn.json"
    stack = stack_of(ran, "miri_asn").iloc[0]

    def flagged_after(**config):
        config = [*CONFIG, *(f"{key}={value}" for key, value in config.items())]
        run.run("--quiet", "all", associations=pattern, config=config)
        assert run.jobs(associations=pattern, config=config) == {}
        path = run.path("results").resolve() / "associations" / "miri_asn.json"
        product, _ = json.loads(path.read_text())["products"]
        assert all((path.parent / m["expname"]).is_file() for m in product["members"])
        names = sorted(p.name[:25] for p in run.path("results/flagged", stack).glob("*.fits"))
        files = [(path.parent / m["expname"]).resolve() for m in product["members"]]
        return names, [file.parent.name == stack for file in files]

    science, background = MIRI[0][:25], MIRI[1][:25]
    flagged = run.path("results/flagged", stack, f"{MIRI[0]}_badpix_selfcal.fits")
    before = fits.getdata(flagged, "DQ")
    assert flagged_after(save_flagged_bkg="false") == ([science], [True, False, False])
    assert flagged_after() == ([science, background], [True, True, False])
    path = ran.archive / "asn" / "miri_asn.json"
    text = path.read_text()
    try:
        path.write_text(text.replace("Background", "selfcal"))
        assert flagged_after() == ([science], [True, False])
    finally:
        path.write_text(text)
    assert np.array_equal(fits.getdata(flagged, "DQ"), before)


def test_a_stack_or_an_association_alone(finished):
    """As the target: what it needs, and no other."""
    workflow = Workflow(finished)
    (stack,) = os.listdir(finished / "results/stacks")
    words = ("--forceall", "--")
    assert workflow.jobs(*words, "results/associations/alone_asn.json") == {
        "mark_skipped": 1,
        "associate": 1,
    }
    stages = dict.fromkeys(("pedestal", "minimum", "median", "threshold", "write_back"), 1)
    assert workflow.jobs(*words, "results/associations/one_asn.json") == {**stages, "associate": 1}
    assert workflow.jobs(*words, f"results/flagged/{stack}") == stages


# ---- resources -----------------------------------------------------------------------------------


def test_resources_follow_the_size_and_the_number_of_exposures(workflow):
    """From the exposures, as they are known before anything has run, as in groups of jobs."""
    for side, n in ((64, 2), (2000, 2), (2000, 100)):
        paths = [f"s{side}n{n}e{i}_rate.fits" for i in range(n)]
        planes = {"SCI": np.ones((side, side), np.float32)}
        write_exposure(workflow.path(paths[0]), planes=planes)
        for path in paths[1:]:
            os.link(workflow.path(paths[0]), workflow.path(path))
        pairs = [(path, "selfcal" if i else "science") for i, path in enumerate(paths)]
        write_association(workflow.path(f"s{side}n{n}_asn.json"), ("p", pairs))
    plain = ("--workflow-profile", "none", "--dry-run")  # says the resources of every job
    out = workflow.run(*plain, associations="*_asn.json").stdout
    found = {}
    for rule, text in re.findall(r"^rule (\w+):\n((?:    .*\n)+)", out, re.M):
        if stack := re.search(r"stack=(s\d+n\d+)e", text):
            found[rule, stack[1]] = [
                int(re.search(rf"{name}=(\d+)", text)[1]) for name in ("mem_mb", "runtime")
            ]
    megabytes = 4 * 2000**2 / 1e6
    for stage in ("pedestal", "minimum", "median", "threshold", "write_back"):
        assert found[stage, "s64n2"] == [600, 5]
        assert found[stage, "s2000n2"] == [int(600 + 2 * megabytes), 5]
        assert found[stage, "s2000n100"] == [int(600 + 2 * megabytes), 7]


def test_memory_does_not_grow_with_the_number_of_exposures(workflow):
    """NIRSpec's 2048 x 2048 pixels; each stage takes less than its rule asks for."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2048, 2048)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.02] = np.nan
    planes = {"SCI": plane, "ERR": plane, "DQ": np.zeros(plane.shape, np.uint32)}
    paths = [write_exposure(workflow.path("e0_rate.fits"), planes=planes)]
    for i in range(1, 8):
        paths.append(str(workflow.path(f"e{i}_rate.fits")))
        os.link(paths[0], paths[-1])
    limit = 600 + 2 * os.path.getsize(paths[0]) / 1e6
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    peaks = {}
    for n in (2, 8):
        for name, *words in (
            ("pedestal", *paths[:n], "--output", "pedestal.fits", "--stack", "s"),
            ("minimum", "pedestal.fits", "minimum.fits"),
            ("median", "minimum.fits", "median.fits", "--kernel-size", "151"),
            ("threshold", "minimum.fits", "median.fits", "flags.fits"),
            ("write_back", "flags.fits", "flagged", *paths[:n]),
        ):
            command = [sys.executable, "-Es", ROOT / "scripts" / "selfcal", name, *words]
            done = subprocess.run(
                [sys.executable, "-c", watch, *command],
                stdout=subprocess.PIPE, cwd=workflow.folder, check=True,
            )  # fmt: skip
            peaks[name, n] = int(done.stdout.split()[-1]) * 1024 / 1e6
    plane_mb = plane.nbytes / 1e6
    for name in ("pedestal", "minimum", "write_back"):
        assert peaks[name, 8] < peaks[name, 2] + plane_mb
    assert max(peaks.values()) < limit


def test_temporary_files_do_not_pile_up(workflow):
    """A stack is finished before the next begins, as far as disk_mb tells; whatever the cores."""
    first = write_exposure(workflow.path("e0_rate.fits"))
    for i in range(6):
        if i:
            os.link(first, workflow.path(f"e{i}_rate.fits"))
        pairs = [(f"e{i}_rate.fits", "science"), (f"e{i}_rate.fits", "selfcal")]
        write_association(workflow.path(f"e{i}_asn.json"), (f"p{i}", pairs))
    words = ("--cores", "8", "--resources", "disk_mb=2")
    workflow.run(*words, associations="e*_asn.json")
    (log,) = workflow.path(".snakemake/log").iterdir()
    events = re.findall(r"^(localrule pedestal|Finished.*Rule: minimum)", log.read_text(), re.M)
    assert len(events) == 12
    counts = np.cumsum([1 if "pedestal" in event else -1 for event in events])
    assert max(counts) <= 2
