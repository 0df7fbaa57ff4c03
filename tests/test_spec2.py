"""
The unmodified calwebb_spec2 on real MRS geometry: our flagged associations, its step skipped,
against the original ones with its step on.

It needs the geometry of sub-band 12A (`crds_cache`), which is not part of the repository.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import crds_cache
import numpy as np
import pytest
from astropy.io import fits
from conftest import SHARED, Workflow, planes_of, write_association
from jwst.master_background import MasterBackgroundStep
from jwst.master_background.create_master_bkg import create_background
from models import ATTRIBUTES

GEOMETRY = SHARED / "mrs_geometry"
pytestmark = pytest.mark.skipif(
    not GEOMETRY.is_dir(), reason=f"no {GEOMETRY}: the geometry of MRS 12A is not in the repository"
)
ROLES = ("science", "background", "background", "selfcal")
# The settings that are compared: of the workflow, and of jwst's step.
SETTINGS = {
    "default": {},
    "other": {
        "flagfrac_lower": 0.0005, "flagfrac_upper": 0.005, "kernel_size": 21,
        "save_flagged_bkg": True,
    },
}  # fmt: skip
PLANES = ("SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")


def write_inputs(folder):
    """Write a reference cache, four exposures of 12A, and the association that lists them."""
    crds_cache.write_cache(GEOMETRY, folder / "crds")
    members = []
    (folder / "rate").mkdir()
    for i, role in enumerate(ROLES):
        background = role == "background"
        name = f"jw0900300{1 + background}001_02101_0000{i + 1}_mirifushort_rate.fits"
        planes = {ATTRIBUTES[k]: plane for k, plane in planes_of(crds_cache.SHAPE, i).items()}
        crds_cache.write_exposure(folder / "rate" / name, planes, i + 1, (0.4 * i, 0.0), background)
        members.append((name, role))
    return write_association(folder / "rate" / "one_asn.json", ("one", members), asn_type="spec2")


def start_spec2(folder, calls):
    """Start calwebb_spec2, far from its associations; return the process."""
    return subprocess.Popen(
        [sys.executable, Path(__file__).parent / "spec2.py", json.dumps(calls)],
        cwd=folder / "elsewhere",
        env={**os.environ, **crds_cache.environment(folder / "crds")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Return the folder of spec2's products: reference/{setting}, flagged/{setting}, master."""
    folder = tmp_path_factory.mktemp("spec2")
    (folder / "elsewhere").mkdir()
    association = write_inputs(folder)
    calls = [
        (association, f"reference/{name}", {"badpix_selfcal": {"skip": False, **values}})
        for name, values in SETTINGS.items()
    ]
    started, calls, skip = [start_spec2(folder, calls)], [], {"skip": True}
    for name, values in SETTINGS.items():
        run = Workflow(folder / "runs" / name)
        run.folder.mkdir(parents=True)
        config = [f"{key}={value}" for key, value in values.items()]
        run.run("--quiet", "all", associations=association, config=config)
        # The results of a run can be moved, and spec2 be started anywhere.
        moved = shutil.move(run.path("results"), folder / "moved" / name)
        flagged = str(moved / "associations" / "one_asn.json")
        calls.append((flagged, f"flagged/{name}", {"badpix_selfcal": skip}))
    calls.append((flagged, "master", {"badpix_selfcal": skip, "bkg_subtract": skip}))
    started.append(start_spec2(folder, calls))
    for process in started:
        out = process.communicate()[0]
        assert process.returncode == 0, out[-3000:]
    return folder / "elsewhere"


def read_planes(path):
    """Read the planes of a product as bytes, to be compared to the bit."""
    with fits.open(path) as hdus:
        return {name: hdus[name].data.tobytes() for name in PLANES if name in hdus}


@pytest.mark.parametrize("product", ["one_bsub.fits", "one_cal.fits"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_products_equal_those_of_the_step(products, setting, product):
    """With backgrounds unflagged (default) and flagged: NaN in the science exposure stays NaN."""
    found = read_planes(products / "flagged" / setting / product)
    assert found == read_planes(products / "reference" / setting / product)
    assert set(found) == set(PLANES)


def test_the_settings_differ(products):
    counts = [
        np.count_nonzero(fits.getdata(products / "flagged" / name / "one_cal.fits", "DQ") & 1 << 30)
        for name in SETTINGS
    ]
    assert 2000 < counts[0] < 2200
    assert counts[1] > 2.5 * counts[0]


def test_what_tells_of_the_flags(products):
    """As docs/outputs.md says: cards and HISTORY, not S_BPXSLF; and the log of spec2."""
    path = products / "flagged" / "default" / "one_cal.fits"
    header = fits.getheader(path)
    assert header["S_BPXSLF"] == "SKIPPED"
    assert header["BPXSTACK"] in str(header["HISTORY"])
    tag = header["BPXSTACK"].rpartition("-")[2]
    assert f"_00001_mirifushort_badpix_selfcal_{tag}.fits".encode() in path.read_bytes()


def test_master_background(products):
    """Is subtracted from exposures whose own background spec2 left in them, and no others."""
    spectrum = str(products / "spectrum.fits")
    create_background(np.linspace(4, 10, 50), np.full(50, 2.0)).save(spectrum)
    for folder, subtracted in (("flagged/other", False), ("master", True)):
        path = str(products / folder / "one_cal.fits")
        with MasterBackgroundStep.call(path, user_background=spectrum) as result:
            steps, after = result.meta.cal_step, result.data.copy()
        done = (steps.bkg_subtract, steps.master_background)
        assert done == (("SKIPPED", "COMPLETE") if subtracted else ("COMPLETE", "SKIPPED"))
        before = fits.getdata(path)
        assert np.nanmax(before - after) == pytest.approx(2 if subtracted else 0, abs=1e-5)
    (rate,) = (products.parent / "rate").glob("*_00001_*")
    assert np.isfinite(before).mean() > 0.9
    assert np.array_equal(np.where(np.isnan(before), before, fits.getdata(rate)), before, True)
