"""Write the page where the images of a stack are blinked, and a thumbnail of its flags."""

import base64
import os
import warnings
import zlib

import numpy as np

from badpix_selfcal.associations import exposure_name
from badpix_selfcal.atomic_io import atomic_write, write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.dq import DO_NOT_USE
from badpix_selfcal.fits_io import read_science
from badpix_selfcal.flags import HIGH, LOW
from badpix_selfcal.labels import format_settings, format_title
from badpix_selfcal.page_templates import load_template
from badpix_selfcal.paths import path_of
from badpix_selfcal.robust_stats import find_limits

from .stack import Stack, add_inputs

IMAGES = {name: name for name in ("minimum", "median", "residual", "flags")}
IMAGES |= {"before": "exposure before", "after": "exposure after"}
LINEAR = 128  # steps from zero over which values are coded in equal steps; beyond, in equal ratio
BYTES = 2_200_000  # of a page, so that 24 of them stay below 60 MB
PAGE = 40_000  # of them, without the images
# In units of the noise, the finest first.
STEPS = (0.5, 0.7, 1, 1.4, 1.7, 2, 2.25, 2.5, 3, 4, 6, 8, 12, 16)
MISSING, KNOWN = (4, 8, 16, 32), 64  # bits of the mask: no minimum, median, before, after; DQ
WIDTH = 352  # of the thumbnail, at most, in pixels
COLOURS = {HIGH: (255, 120, 30), LOW: (86, 180, 233)}  # told apart by the colour-blind
NO_DATA = (207, 195, 224)


def encode(values, step):
    """
    Code values by 16-bit numbers.

    Parameters
    ----------
    values : ndarray of float
        NaN is coded as 0.
    step : float
        Of the codes near zero, in the units of `values`.

    Returns
    -------
    codes : ndarray of int32
        With values, by `decode`, that are right to half a step near zero, to 0.4 % far from it.
    """
    codes = np.rint(LINEAR * np.arcsinh(np.nan_to_num(values) / (LINEAR * step)))
    return np.clip(codes, -32767, 32767).astype(np.int32)


def decode(codes, step):
    """Return the values [float32] of codes, as the page does."""
    return (LINEAR * step * np.sinh(codes / LINEAR)).astype(np.float32)


def pack(codes, axis=None):
    """
    Pack codes [ny, nx] as text.

    Parameters
    ----------
    codes : ndarray of int32, [ny, nx]
    axis : {1, 2}, optional
        Along which neighbours are alike, as in DISPAXIS: differences are stored.

    Returns
    -------
    text : str
        The lowest four bits of each code, two codes to a byte, as most have no others; then
        bits 4 to 11 of each, then bits 12 to 19.
    """
    if axis:
        codes = np.diff(codes, axis=2 - axis, prepend=0)
    folded = ((codes << 1) ^ (codes >> 31)).ravel()  # 0, -1, 1, -2, ...: likely ones are small
    pairs = np.resize(folded & 15, (-(-folded.size // 2), 2))
    parts = (pairs[:, 0] | pairs[:, 1] << 4, folded >> 4 & 255, folded >> 12 & 255)
    return deflate(np.concatenate(parts).astype(np.uint8))


def deflate(array):
    """Deflate an array's bytes, as base64; only runs are sought, as noise has no other pattern."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return base64.b64encode(deflater.compress(array.tobytes()) + deflater.flush()).decode()


def pack_images(median, residual, exposure, step, axis):
    """
    Pack the images of a stack.

    Parameters
    ----------
    median, residual, exposure : ndarray of float32, [ny, nx]
    step : float
        Precision, in their units; of the exposure, which is noisier, twice as much.
    axis : {1, 2}
        The dispersion axis.

    Returns
    -------
    planes : dict of str to str
        The median, the residual, and the exposure less the minimum that the page adds up.
    """
    median, residual = encode(median, step), encode(residual, step)
    # From the minimum as the page has it, so that errors do not add up.
    rest = exposure - (decode(median, step) + decode(residual, step))
    rest = pack(encode(rest, 2 * step), axis)
    return {"median": pack(median, axis), "residual": pack(residual), "exposure": rest}


def make_mask(flags, images, dq):
    """Return bits of each pixel [ny, nx]: its flag, images without a value (as MISSING), DQ."""
    mask = flags.astype(np.uint8)
    for bit, image in zip(MISSING, images, strict=True):
        mask[~np.isfinite(image)] |= bit
    mask[(dq & DO_NOT_USE) > 0] |= KNOWN
    return mask


def draw_thumbnail(minimum, flags, width=WIDTH):
    """
    Draw the flags on the minimum, small.

    Parameters
    ----------
    minimum : ndarray of float32, [ny, nx]
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    width : int
        At most, in pixels.

    Returns
    -------
    picture : ndarray of uint8, [height, width, 3]
        The first row on top is the last of the detector; every flag is visible.
    """
    n = -(-minimum.shape[1] // width)
    ny, nx = (size // n for size in minimum.shape)
    blocks, marks = (image[: ny * n, : nx * n].reshape(ny, n, nx, n) for image in (minimum, flags))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no value: NaN says it
        mean = np.nanmean(blocks, axis=(1, 3))
    low, high = find_limits(minimum)
    # A root brightens faint structure; white is avoided, so that colours stand out.
    level = 25 + 190 * np.sqrt(np.clip((mean - low) / (high - low), 0, 1))
    picture = np.repeat(level[..., None], 3, axis=2)
    picture[np.isnan(mean)] = NO_DATA
    for value, colour in COLOURS.items():
        picture[(marks == value).any(axis=(1, 3))] = colour
    return picture[::-1].round().astype(np.uint8)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    add_inputs(options)
    options.add_argument("folder", help="the flagged exposures of the stack")
    options.add_argument("output", help="the page")
    options.add_argument("thumbnail", help="a PNG")
    return options


def main(arguments):
    """Write the page and the thumbnail."""
    from matplotlib.image import imsave

    stack = Stack(arguments)
    header, before, sigma = stack.header, stack.before, stack.sigma
    name = os.path.basename(path_of("flagged", exposure=exposure_name(arguments.exposure)))
    after, _ = read_science(os.path.join(arguments.folder, name))
    images = stack.minimum, stack.median, before, after
    mask = make_mask(stack.flags, images, stack.dq)
    exact = [image[stack.flags > 0] for image in (*images[:3], stack.wavelengths)]
    fixed = {"mask": deflate(mask), "exact": deflate(np.array(exact, "<f4"))}
    room = BYTES - PAGE - sum(map(len, fixed.values()))
    for factor in STEPS:  # the finest that fits
        step = factor * (sigma or 1e-3)
        planes = pack_images(stack.median, stack.residual, before, step, stack.axis)
        if sum(map(len, planes.values())) <= room:
            break
    facts = {name: getattr(stack, name) for name in ("exposure", "target", "unit", "axis", "sigma")}
    facts |= {"title": format_title(header), "settings": format_settings(header)}
    facts |= {"stack": header["BPXSTACK"], "n_exposures": header["BPXNEXP"]}
    facts |= {"low": header.get("BPXTHLO", 0), "high": header.get("BPXTHHI", 0)}
    facts |= {"shape": stack.flags.shape, "linear": LINEAR, "step": step}
    reach = max(10 * sigma, 1e-9)
    facts["limits"] = {"images": find_limits(stack.minimum), "residual": (-reach, reach)}
    # Of good pixels near zero: the minimum is a sum of two codes, the exposure is coded by 2 steps.
    facts["errors"] = dict.fromkeys(IMAGES, step) | dict.fromkeys(("median", "residual"), step / 2)
    facts["wavelengths"] = bool(np.isfinite(stack.wavelengths).any())
    page, planes = load_template("blink.html"), {**fixed, **planes}
    write_text(arguments.output, page.render(facts=facts, planes=planes, images=IMAGES.items()))
    with atomic_write(arguments.thumbnail) as part:
        imsave(part, draw_thumbnail(stack.minimum, stack.flags), format="png")
