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
from models import ATTRIBUTES

GEOMETRY = SHARED / "mrs_geometry"
pytestmark = pytest.mark.skipif(
    not GEOMETRY.is_dir(), reason=f"no {GEOMETRY}: the geometry of MRS 12A is not in the repository"
)
ROLES = ("science", "background", "background", "selfcal")
# The settings that are compared: of the workflow, and of jwst's step.
OTHER = {"flagfrac_lower": 0.0005, "flagfrac_upper": 0.005, "kernel_size": 21}
SETTINGS = {"default": {}, "other": OTHER}
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
    """Return the folder of spec2's products: reference/{setting}, flagged/{setting}."""
    folder = tmp_path_factory.mktemp("spec2")
    (folder / "elsewhere").mkdir()
    association = write_inputs(folder)
    calls = [
        {
            "association": association,
            "folder": f"reference/{name}",
            "steps": {"badpix_selfcal": {"skip": False, **values}},
        }
        for name, values in SETTINGS.items()
    ]
    started, calls = [start_spec2(folder, calls)], []
    for name, values in {**SETTINGS, "science alone": {"save_flagged_bkg": False}}.items():
        run = Workflow(folder / "runs" / name)
        run.folder.mkdir(parents=True)
        config = [f"{key}={value}" for key, value in values.items()]
        run.run("--quiet", "all", associations=association, config=config)
        # The results of a run can be moved, and spec2 be started anywhere.
        moved = shutil.move(run.path("results"), folder / "moved" / name)
        calls.append(
            {
                "association": str(moved / "associations" / "one_asn.json"),
                "folder": f"flagged/{name}",
                "steps": {"badpix_selfcal": {"skip": True}},
            }
        )
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
@pytest.mark.parametrize("setting", [*SETTINGS, "science alone"])
def test_products_equal_those_of_the_step(products, setting, product):
    """With unflagged backgrounds, too: NaN in the science exposure stays NaN."""
    expected = "default" if setting == "science alone" else setting
    found = read_planes(products / "flagged" / setting / product)
    assert found == read_planes(products / "reference" / expected / product)
    assert set(found) == set(PLANES)


def test_the_settings_differ(products):
    counts = [
        np.count_nonzero(fits.getdata(products / "flagged" / name / "one_cal.fits", "DQ") & 1 << 30)
        for name in SETTINGS
    ]
    assert 2000 < counts[0] < 2200
    assert counts[1] > 2.5 * counts[0]
