"""
Cubes of many versions of the same exposures, by jwst's cube_build.

Drizzling is linear: a spaxel is the sum of the fluxes of its pixels, times the overlaps, over the
sum of the overlaps. So the pixels are mapped to the cube once, by the step itself, and its compiled
function then adds up those alone in which two versions differ.
"""

import numpy as np
from jwst.cube_build import CubeBuildStep, ifu_cube
from jwst.datamodels import ModelContainer

# Of the arguments of the compiled function, those with a value for each pixel.
PER_PIXEL = (*range(9, 24), 29, 30)
FLUX, X, Y = 12, 29, 30


class Drizzle:
    """The cube of channel 1 of exposures with a WCS."""

    def __init__(self, models):
        """Map every pixel of the exposures to the cube; their data are replaced by ones."""
        for model in models:
            model.data[:], model.dq[:] = 1, 0
        self.calls, compiled = [], ifu_cube.cube_wrapper_driz

        def keep(*arguments):
            self.calls.append(list(arguments))
            return compiled(*arguments)

        ifu_cube.cube_wrapper_driz = keep
        try:
            cube = build_cube(models)
        finally:
            ifu_cube.cube_wrapper_driz = compiled
        scale = cube.meta.wcsinfo
        self.shape = cube.data.shape
        self.wavelengths = scale.crval3 + scale.cdelt3 * np.arange(self.shape[0])

    def add_up(self, planes, chosen=None):
        """
        Add up the fluxes and the overlaps of pixels in each spaxel.

        Parameters
        ----------
        planes : list of ndarray, [ny, nx]
            One for each exposure; NaN takes no part.
        chosen : list of ndarray of bool, [ny, nx], optional
            The pixels to add up; all by default.

        Returns
        -------
        flux, weight : ndarray, [n_wavelengths, ny, nx]
        """
        total = np.zeros((2, np.prod(self.shape)))
        for i, (call, plane) in enumerate(zip(self.calls, planes, strict=True)):
            place = call[Y], call[X]
            flux = plane[place].astype(float)
            used = np.isfinite(flux)
            if chosen is not None:
                used &= chosen[i][place]
            if not used.any():
                continue
            arguments = list(call)
            for k in PER_PIXEL:
                arguments[k] = call[k][used]
            arguments[FLUX], arguments[1] = flux[used], 0  # without its DQ of the field of view
            total += ifu_cube.cube_wrapper_driz(*arguments)[:2]
        return total.reshape(2, *self.shape)

    def change(self, total, before, after):
        """Return the sums of `add_up` for other planes, from those of the planes before."""
        chosen = [~np.isclose(a, b, 0, 0, True) for a, b in zip(before, after, strict=True)]
        return total - self.add_up(before, chosen) + self.add_up(after, chosen)


def build_cube(models):
    """Return the cube of channel 1 as the step makes it."""
    (cube,) = CubeBuildStep.call(
        ModelContainer(list(models)), output_type="band", channel="1", weighting="drizzle",
        save_results=False,
    )  # fmt: skip
    return cube


def divide(total, full):
    """Return the cube of sums of `add_up`, NaN where nothing is left of the overlap `full`."""
    flux, weight = total
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 1e-6 * full, flux / weight, np.nan)


def aperture(cube):
    """Return the spectrum in an aperture of 5 spaxels radius: the mean of what is covered."""
    y, x = np.mgrid[: cube.shape[1], : cube.shape[2]]
    near = np.hypot(y - cube.shape[1] // 2, x - cube.shape[2] // 2) <= 5
    return np.nanmean(cube[:, near], axis=1) * np.count_nonzero(near)
