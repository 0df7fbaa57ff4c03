"""Exposures written by stdatamodels, as the archive's are: with ASDF, WCS and history."""

import warnings

from astropy import units
from astropy.coordinates import ICRS
from astropy.modeling import models
from conftest import SHAPES, planes_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from gwcs import coordinate_frames
    from gwcs.wcs import WCS
    from jwst import datamodels

ATTRIBUTES = {
    "SCI": "data",
    "DQ": "dq",
    "ERR": "err",
    "VAR_POISSON": "var_poisson",
    "VAR_RNOISE": "var_rnoise",
    "VAR_FLAT": "var_flat",
}


def simple_wcs():
    """Return a WCS from pixels to sky and wavelength, such as assign_wcs leaves in the ASDF."""
    detector = coordinate_frames.Frame2D(name="detector", unit=(units.pix, units.pix))
    sky = coordinate_frames.CelestialFrame(reference_frame=ICRS(), axes_order=(0, 1), name="sky")
    spectral = coordinate_frames.SpectralFrame(axes_order=(2,), unit=units.um, name="wave")
    world = coordinate_frames.CompositeFrame([sky, spectral], name="world")
    scale = models.Scale(1e-5) & models.Scale(1e-5) & models.Polynomial1D(1, c0=5, c1=1e-3)
    return WCS(
        [(detector, models.Mapping((0, 1, 1)) | scale), (world, None)],
    )


def write_model(path, detector, seed, planes=None):
    """Write an exposure by way of stdatamodels, WCS and history included."""
    planes = planes or planes_of(SHAPES[detector], seed)
    miri = detector.upper().startswith("MIRI")
    with datamodels.IFUImageModel(
        **{ATTRIBUTES[name]: plane for name, plane in planes.items()}
    ) as model:
        model.meta.instrument.name = "MIRI" if miri else "NIRSPEC"
        model.meta.instrument.detector = detector
        model.meta.exposure.type = "MIR_MRS" if miri else "NRS_IFU"
        model.meta.subarray.xstart = model.meta.subarray.ystart = 1
        model.meta.subarray.ysize, model.meta.subarray.xsize = model.data.shape
        model.meta.observation.date = "2026-10-01"
        model.meta.observation.time = "12:00:00"
        model.meta.cal_step.assign_wcs = "COMPLETE"
        model.meta.wcsinfo.dispersion_direction = 2 if miri else 1
        model.meta.wcs = simple_wcs()
        model.add_history_entry("made for a test")
        model.save(str(path))
    return str(path)
