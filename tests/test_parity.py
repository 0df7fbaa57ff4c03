"""
The numbers of the real jwst: its step on the same exposures, to the bit.

The flagged files come from the programs of the workflow; the reference from BadpixSelfcalStep.
"""

import warnings
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from conftest import SHAPES, call, flag, planes_of
from models import ATTRIBUTES, write_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from jwst import datamodels
    from jwst.badpix_selfcal import BadpixSelfcalStep

pytestmark = pytest.mark.filterwarnings("ignore")  # jwst's own

DETECTORS = ("MIRIFUSHORT", "MIRIFULONG", "NRS1")


def run_reference(science, background=(), selfcal=(), **parameters):
    """Run jwst's step; return the science model and the background models."""
    step = BadpixSelfcalStep()
    step.skip = False
    for key, value in parameters.items():
        setattr(step, key, value)
    science, background = step.run(science, list(selfcal) or None, list(background) or None)
    return [science, *(background or ())]


def check_same(model, path):
    """Check that a flagged file has the arrays of the reference's model, to the bit."""
    with fits.open(path) as hdus:
        for name, attribute in ATTRIBUTES.items():
            expected = getattr(model, attribute)
            if expected is None or not model.hasattr(attribute):
                assert name not in hdus
                continue
            found, expected = (
                plane.astype(plane.dtype.newbyteorder("=")) for plane in (hdus[name].data, expected)
            )
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes(), name


def check_case(folder, detector, n_background=0, n_selfcal=0, planes=None, **parameters):
    """Flag exposures by both; return the number of flagged pixels."""
    # More than one exposure of the same adversarial planes would only repeat them.
    paths = [
        write_model(folder / f"e{i}_rate.fits", detector, i, planes if i == 0 else None)
        for i in range(1 + n_background + n_selfcal)
    ]
    flag(folder, paths, **{k: v for k, v in parameters.items() if k != "force_single"})
    roles = paths[0], paths[1 : 1 + n_background], paths[1 + n_background :]
    models = run_reference(*roles, **parameters)
    assert len(models) == 1 + n_background
    for i, model in enumerate(models):
        check_same(model, folder / "flagged" / f"e{i}_badpix_selfcal.fits")
    return np.count_nonzero(models[0].dq & (1 << 30))


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize(
    ("n_background", "n_selfcal", "kernel_size"), [(1, 0, 3), (0, 2, 15), (2, 1, 15), (1, 0, 151)]
)
def test_roles_and_kernels(tmp_path, detector, n_background, n_selfcal, kernel_size):
    assert check_case(tmp_path, detector, n_background, n_selfcal, kernel_size=kernel_size) > 0


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 0.0), (0.5, 0.5), (0.0, 0.01), (0.02, 0.0)])
def test_fractions(tmp_path, lower, upper):
    n = check_case(tmp_path, "MIRIFULONG", 1, flagfrac_lower=lower, flagfrac_upper=upper)
    assert (n > 0) == (lower + upper > 0)


def adversarial(kind, shape):
    planes = planes_of(shape)
    sci, rng = planes["SCI"], np.random.default_rng(5)
    if kind == "ties":
        sci[:] = rng.integers(0, 3, shape)
    elif kind == "infinities":
        sci[rng.random(shape) < 0.01] = np.inf
        sci[rng.random(shape) < 0.01] = -np.inf
    elif kind == "edges":
        sci[0] = sci[-1] = sci[:, 0] = sci[:, -1] = 1e4
    elif kind == "columns of NaN":
        sci[:, 5:25] = sci[10:40] = np.nan
    elif kind == "all NaN":
        sci[:] = np.nan
    elif kind == "constant":
        sci[:] = 1
    elif kind == "pedestal NaN":
        sci[50:, 474:516] = np.nan
    elif kind == "only SCI":
        return {"SCI": sci}
    return planes


KINDS = (
    *("ties", "infinities", "edges", "columns of NaN", "all NaN", "constant", "pedestal NaN"),
    "only SCI",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detector", ["MIRIFULONG", "NRS1"])
def test_adversarial_exposures(tmp_path, kind, detector):
    """With a background exposure, and alone."""
    planes = adversarial(kind, SHAPES[detector])
    check_case(tmp_path, detector, 1, planes=planes, flagfrac_lower=0.01, flagfrac_upper=0.01)
    (tmp_path / "alone").mkdir()
    check_case(tmp_path / "alone", detector, planes=planes, force_single=True)


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "MIRIFULONG"])
def test_full_size(tmp_path, detector):
    """A whole MRS detector, with all of its unilluminated region."""
    planes = planes_of((1024, 1032), 3)
    assert check_case(tmp_path, detector, planes=planes, force_single=True) > 2000


def read_asdf(path):
    with fitsio.FITS(str(path)) as hdus:
        place = hdus["ASDF"].get_offsets()
    return Path(path).read_bytes()[place["header_start"] : place["data_end"]]


@pytest.mark.parametrize("detector", ["MIRIFULONG", "NRS1"])
def test_products_open_as_strict_models(tmp_path, detector):
    """Strictly validated, with the WCS, steps and history of the exposure; the same ASDF."""
    exposure = write_model(tmp_path / "e_rate.fits", detector, 0)
    flag(tmp_path, [exposure])
    call("mark_skipped", exposure, tmp_path / "skipped.fits")
    (skipped,) = run_reference(exposure)
    assert skipped.meta.cal_step.badpix_selfcal == "SKIPPED"
    check_same(skipped, tmp_path / "skipped.fits")
    flagged = tmp_path / "flagged/e_badpix_selfcal.fits"
    for output, status in ((flagged, "COMPLETE"), (tmp_path / "skipped.fits", "SKIPPED")):
        assert read_asdf(output) == read_asdf(exposure)
        strict = {"strict_validation": True, "pass_invalid_values": False}
        with (
            datamodels.open(exposure) as before,
            datamodels.open(output) as opened,
            datamodels.IFUImageModel(str(output), **strict) as after,
        ):
            after.validate()
            assert type(opened) is type(before)
            assert after.meta.cal_step.badpix_selfcal == status
            assert after.meta.cal_step.assign_wcs == "COMPLETE"
            assert after.meta.filename == output.name
            axes = [m.meta.wcsinfo.dispersion_direction for m in (before, after)]
            assert axes[0] == axes[1] is not None
            assert after.meta.wcs(3.0, 4.0) == before.meta.wcs(3.0, 4.0)
            descriptions = [entry["description"] for entry in after.history]
            assert "made for a test" in descriptions
            assert any("badpix_selfcal workflow" in text for text in descriptions)
            bad = (after.dq & 1 << 30) > 0
            assert np.isnan(after.data[bad]).all()
            assert bad.any() == (status == "COMPLETE")
