"""
The numbers of the real jwst: its step on the same exposures, to the bit.

The flagged files come from the programs of the workflow; the reference from BadpixSelfcalStep.
"""

import os
import warnings

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


def reference(science, background=(), selfcal=(), **parameters):
    """Run jwst's step; return the science model and the background models."""
    step = BadpixSelfcalStep()
    step.skip = False
    for key, value in parameters.items():
        setattr(step, key, value)
    return step.run(science, list(selfcal) or None, list(background) or None)


def check_same(model, path):
    """Check that a flagged file has the arrays of the reference's model, to the bit."""
    with fits.open(path) as hdus:
        names = {hdu.name for hdu in hdus}
        for name, attribute in ATTRIBUTES.items():
            expected = getattr(model, attribute)
            if expected is None or not model.hasattr(attribute):
                assert name not in names
                continue
            data = hdus[name].data
            expected = expected.astype(expected.dtype.newbyteorder("="))
            data = data.astype(data.dtype.newbyteorder("="))
            assert data.dtype == expected.dtype
            assert data.tobytes() == expected.tobytes(), name


def check_case(tmp_path, detector, n_background, n_selfcal, planes=None, dispaxis=True, **params):
    n = 1 + n_background + n_selfcal
    # More than one exposure of the same adversarial planes would only repeat them.
    paths = [
        write_model(tmp_path / f"e{i}_rate.fits", detector, i, dispaxis, planes if i == 0 else None)
        for i in range(n)
    ]
    outputs = {p: str(tmp_path / f"out{i}.fits") for i, p in enumerate(paths[: 1 + n_background])}
    flag(tmp_path, paths, outputs, **{k: v for k, v in params.items() if k != "force_single"})
    science, background = reference(
        paths[0], paths[1 : 1 + n_background], paths[1 + n_background :], **params
    )
    for model, path in zip([science, *background], outputs.values(), strict=True):
        check_same(model, path)
    n_flagged = np.count_nonzero(science.dq & (1 << 30))
    return n_flagged, outputs


DETECTORS = ("MIRIFUSHORT", "MIRIFULONG", "NRS1")


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize(("n_background", "n_selfcal"), [(1, 0), (0, 2), (2, 1)])
def test_every_role(tmp_path, detector, n_background, n_selfcal):
    assert check_case(tmp_path, detector, n_background, n_selfcal)[0] > 0


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("kernel_size", [3, 51, 151])
def test_kernels(tmp_path, detector, kernel_size):
    assert check_case(tmp_path, detector, 1, 0, kernel_size=kernel_size)[0] > 0


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 0.0), (0.5, 0.5), (0.0, 0.01), (0.02, 0.0)])
def test_fractions(tmp_path, lower, upper):
    n, _ = check_case(tmp_path, "MIRIFULONG", 1, 0, flagfrac_lower=lower, flagfrac_upper=upper)
    assert (n > 0) == (lower + upper > 0)


def test_alone_with_force_single(tmp_path):
    assert check_case(tmp_path, "MIRIFUSHORT", 0, 0, force_single=True)[0] > 0


def test_axis_unknown_to_header_and_exposure_type(tmp_path):
    """The reference takes both axes whenever DISPAXIS is missing; we only without EXP_TYPE too."""
    paths = [
        write_model(tmp_path / f"e{i}_rate.fits", "MIRIFULONG", i, dispaxis=False) for i in range(2)
    ]
    science, _ = reference(paths[0], paths[1:])
    for path in paths:
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["EXP_TYPE"] = "MIR_IMAGE"
    outputs = {paths[0]: str(tmp_path / "out.fits")}
    flag(tmp_path, paths, outputs)
    check_same(science, outputs[paths[0]])
    assert fits.getval(outputs[paths[0]], "BPXAXIS") == 0


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
    planes = adversarial(kind, SHAPES[detector])
    check_case(tmp_path, detector, 1, 0, planes, flagfrac_lower=0.01, flagfrac_upper=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_adversarial_exposures_alone(tmp_path, kind):
    planes = adversarial(kind, SHAPES["MIRIFULONG"])
    check_case(tmp_path, "MIRIFULONG", 0, 0, planes, force_single=True)


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "MIRIFULONG"])
def test_full_size(tmp_path, detector):
    """A whole MRS detector, with all of its unilluminated region."""
    planes = planes_of((1024, 1032), 3)
    assert check_case(tmp_path, detector, 0, 0, planes, force_single=True)[0] > 2000


@pytest.mark.parametrize("detector", ["MIRIFULONG", "NRS1"])
def test_products_open_as_strict_models(tmp_path, detector):
    """Strictly validated, with the WCS, the steps, the history that the exposure had."""
    _, outputs = check_case(tmp_path, detector, 1, 0)
    exposure, output = next(iter(outputs.items()))
    with (
        datamodels.open(exposure) as before,
        datamodels.IFUImageModel(
            output, strict_validation=True, pass_invalid_values=False
        ) as after,
    ):
        after.validate()
        assert type(datamodels.open(output)) is type(before)
        assert after.meta.cal_step.badpix_selfcal == "COMPLETE"
        assert after.meta.cal_step.assign_wcs == "COMPLETE"
        assert after.meta.filename == os.path.basename(output)
        assert after.meta.wcsinfo.dispersion_direction == before.meta.wcsinfo.dispersion_direction
        assert after.meta.wcs(3.0, 4.0) == before.meta.wcs(3.0, 4.0)
        descriptions = [entry["description"] for entry in after.history]
        assert "made for a test" in descriptions
        assert any("badpix_selfcal workflow" in text for text in descriptions)
        assert np.isnan(after.data[(after.dq & 1 << 30) > 0]).all()


def test_skipped_products_open_as_strict_models(tmp_path):
    exposure = write_model(tmp_path / "e_rate.fits", "MIRIFULONG", 0)
    output = str(tmp_path / "out.fits")
    call("skip", exposure, output)
    skipped, _ = reference(exposure)
    assert skipped.meta.cal_step.badpix_selfcal == "SKIPPED"
    check_same(skipped, output)
    with datamodels.IFUImageModel(output, strict_validation=True) as model:
        assert model.meta.cal_step.badpix_selfcal == "SKIPPED"
        assert model.meta.filename == "out.fits"
