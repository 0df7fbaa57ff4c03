"""The example from associations to cubes: what reruns, and a run with jwst on real MRS geometry."""

import os
import re

import crds_cache
import numpy as np
import pytest
from astropy.io import fits
from conftest import ROOT, SHARED, Workflow, planes_of, write_association, write_nods
from models import ATTRIBUTES

SNAKEFILE = ROOT / "examples" / "cubes" / "Snakefile"
GEOMETRY = SHARED / "mrs_geometry"
CUBES = """
context: {context}
sources: {sources}
spec2: --steps.straylight.skip=true --steps.cube_build.skip=true --steps.extract_1d.skip=true
spec3: {spec3}
badpix_selfcal:
  associations: asn/*.json
  flagfrac_upper: {flagfrac}
"""
DEFAULTS = {
    "context": crds_cache.CONTEXT,
    "spec3": "--steps.spectral_leak.skip=true",
    "sources": "{target: 'asn/[ot]*.json', other: asn/one_asn.json}",
    "flagfrac": 0.01,
}


def write_options(workflow, **changed):
    workflow.path("cubes.yaml").write_text(CUBES.format(**{**DEFAULTS, **changed}))


def count_jobs(workflow, snakefile="Snakefile"):
    """Count the jobs of each rule in a dry run."""
    path = workflow.path(snakefile)
    text = workflow.run("--dry-run", snakefile=path, associations=None).stdout
    rows = re.findall(r"^([a-z_0-9]+) +(\d+)$", text.partition("Job stats")[2], re.M)
    assert rows or "Nothing to be done" in text, text
    return {rule: int(n) for rule, n in rows if rule not in ("all", "total")}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Return a run folder where all is done, by a copy of the example that leaves jwst out."""
    workflow = write_nods(Workflow(tmp_path_factory.mktemp("cubes")))
    text = SNAKEFILE.read_text().replace("../../Snakefile", str(ROOT / "Snakefile"))
    text, n = re.subn(r"\b(strun|asn_from_list|python)\b", "true", text)
    assert n == 4
    workflow.path("Snakefile").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for key, value in crds_cache.environment(workflow.path("crds")).items():
            patch.setenv(key, value)
        write_options(workflow)
        workflow.run("--quiet", "all", snakefile=workflow.path("Snakefile"), associations=None)
        yield workflow


def test_nothing_changed_nothing_to_do(calibrated):
    write_options(calibrated)
    assert count_jobs(calibrated) == {}


def test_a_spec3_option_reruns_spec3_alone(calibrated):
    write_options(calibrated, spec3="--steps.outlier_detection.skip=true")
    assert count_jobs(calibrated) == {"spec3": 2}


def test_another_context_calibrates_again(calibrated):
    write_options(calibrated, context="jwst_0002.pmap")
    assert count_jobs(calibrated) == {"references": 1, "spec2": 2, "spec3": 2}


def test_another_fraction_flags_and_calibrates_again(calibrated):
    write_options(calibrated, flagfrac=0.02)
    jobs = count_jobs(calibrated)
    of_flags = {rule for rule in jobs if rule.startswith("badpix_selfcal_")}
    assert {rule: n for rule, n in jobs.items() if rule not in of_flags} == {
        "references": 1,
        "spec2": 2,
        "spec3": 2,
    }
    assert {rule.removeprefix("badpix_selfcal_") for rule in of_flags} == {
        *("threshold", "write_back", "associate", "summary", "provenance")
    }


def test_the_environment_of_crds_is_asked_for(calibrated, monkeypatch):
    monkeypatch.delenv("CRDS_PATH")
    path = calibrated.path("Snakefile")
    done = calibrated.run("--dry-run", snakefile=path, associations=None, check=False)
    assert done.returncode
    assert "CRDS_PATH" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not GEOMETRY.is_dir(), reason=f"no {GEOMETRY}: the geometry of MRS 12A is not in the repository"
)
def test_from_rates_to_a_cube(tmp_path, monkeypatch):
    """Two dithers and a background, through calwebb_spec2 and calwebb_spec3: some minutes."""
    workflow = Workflow(tmp_path)
    crds_cache.write_cache(GEOMETRY, tmp_path / "crds")
    for key, value in crds_cache.environment(tmp_path / "crds").items():
        monkeypatch.setenv(key, value)
    names = [f"jw0900300{i}001_02101_00001_mirifushort" for i in (1, 2, 3)]
    for i, name in enumerate(names):
        planes = planes_of(crds_cache.SHAPE, i)
        exposure = {ATTRIBUTES[key]: plane for key, plane in planes.items()}
        path = tmp_path / "asn" / f"{name}_rate.fits"
        path.parent.mkdir(exist_ok=True)
        crds_cache.write_exposure(path, exposure, i + 1, (0.4 * i, 0.2 * i), background=i == 2)
    for name, science, other in (("one", 0, 1), ("two", 1, 0)):
        roles = {science: "science", 2: "background", other: "selfcal"}
        members = [(f"{names[i]}_rate.fits", role) for i, role in roles.items()]
        write_association(tmp_path / "asn" / f"{name}_asn.json", (names[science], members))
    write_options(workflow, sources="{target: asn/*.json}")
    workflow.run("--quiet", "all", snakefile=SNAKEFILE, associations=None)
    listed = workflow.path("results/references.txt").read_text().split()
    assert listed[0] == crds_cache.CONTEXT
    assert "jwst_miri_cubepar_0001.fits" in listed
    for name in names[:2]:
        (path,) = workflow.path("results/spec2").glob(f"*/{name}_cal.fits")
        header = fits.getheader(path)
        assert (header["S_BKDSUB"], header["CRDS_CTX"]) == ("COMPLETE", crds_cache.CONTEXT)
        assert np.count_nonzero(fits.getdata(path, "DQ") & 1 << 30) > 8000
        tag = header["BPXSTACK"].rpartition("-")[2]
    products = sorted(os.listdir(workflow.path("results/spec3/target")))
    assert "target_ch1-short_s3d.fits" in products, products
    assert "target_ch1-short_x1d.fits" in products, products
    # What tells of the flags in a cube: the log of spec2, and the exposures.
    cube = workflow.path("results/spec3/target/target_ch1-short_s3d.fits")
    assert f"_badpix_selfcal_{tag}.fits".encode() in cube.read_bytes()
    assert [f"{name}_cal.fits" for name in names[:2]] == list(fits.getdata(cube, "HDRTAB").FILENAME)
    assert count_jobs(workflow, SNAKEFILE) == {}
