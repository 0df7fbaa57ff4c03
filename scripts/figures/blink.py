"""Write the page on which a stack's images are compared, and a thumbnail of its flags."""

import base64
import os
import zlib

import numpy as np

from badpix_selfcal.dq import DO_NOT_USE
from badpix_selfcal.files import atomic_write
from badpix_selfcal.flags import HIGH, LOW, difference
from badpix_selfcal.images import read_exposure, read_image
from badpix_selfcal.labels import settings, title
from badpix_selfcal.program import log, parser
from badpix_selfcal.spread import limits, scatter
from badpix_selfcal.templates import environment
from badpix_selfcal.wavelengths import wavelengths_at

IMAGES = {
    "minimum": "minimum",
    "median": "median",
    "difference": "difference",
    "flags": "flags",
    "before": "exposure before",
    "after": "exposure after",
}
LINEAR = 128  # steps from zero over which values are coded in equal steps; beyond, in equal ratio
BYTES = 2_200_000  # that a page may fill, so that 24 of them stay below 60 MB
# In units of the noise, the finest first.
STEPS = (0.5, 0.7, 1, 1.4, 1.7, 2, 2.25, 2.5, 3, 4, 6, 8, 12, 16)
NO_MINIMUM, NO_MEDIAN, NO_BEFORE, NO_AFTER, KNOWN = 4, 8, 16, 32, 64  # bits of the mask
WIDTH = 352  # of the thumbnail, at most, in pixels
COLOURS = {HIGH: (255, 120, 30), LOW: (86, 180, 233)}  # told apart by the colour-blind
NO_DATA = (207, 195, 224)


def coded(values, step):
    """
    Code values by 16-bit numbers.

    Parameters
    ----------
    values : ndarray of float
        NaN is taken for 0.
    step : float
        Of the codes near zero, in the units of `values`.

    Returns
    -------
    codes : ndarray of int32
        Whose values, by `decoded`, are right to half a step near zero, to 0.4 % far from it.
    """
    codes = np.rint(LINEAR * np.arcsinh(np.nan_to_num(values) / (LINEAR * step)))
    return np.clip(codes, -32767, 32767).astype(np.int32)


def decoded(codes, step):
    """Return the values [float32] that codes stand for; what the page does, in one line."""
    return (LINEAR * step * np.sinh(codes / LINEAR)).astype(np.float32)


def packed(codes, along=None):
    """
    Deflate codes [ny, nx], as text.

    Parameters
    ----------
    codes : ndarray of int32, [ny, nx]
    along : {1, 2, None}
        The axis, as in DISPAXIS, along which neighbours are alike, and differences are stored.

    Returns
    -------
    text : str
        The lowest four bits of each code, two codes to a byte, as most have no others; then
        bits 4 to 11 of each, then bits 12 to 19.
    """
    if along:
        codes = np.diff(codes, axis=1 if along == 1 else 0, prepend=0)
    folded = ((codes << 1) ^ (codes >> 31)).ravel()  # 0, -1, 1, -2, ...: what is likely is small
    pairs = np.resize(folded & 15, (-(-folded.size // 2), 2))
    parts = (pairs[:, 0] | pairs[:, 1] << 4, folded >> 4 & 255, folded >> 12 & 255)
    return text_of(np.concatenate(parts).astype(np.uint8))


def text_of(array):
    """Deflate an array's bytes, as base64; runs alone are sought, as noise has no other pattern."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return base64.b64encode(deflate.compress(array.tobytes()) + deflate.flush()).decode()


def pack(minimum, median, exposure, step, axis):
    """
    Pack the images of a stack for the page.

    Parameters
    ----------
    minimum, median, exposure : ndarray of float32, [ny, nx]
    step : float
        To which values are right, in their units; the noisier exposure, to twice as much.
    axis : {1, 2, None}
        The dispersion axis.

    Returns
    -------
    planes : dict of str to str
        The median, the difference, and the exposure less the minimum that the page adds up.
    """
    along = axis or 1
    center = coded(median, step)
    away = coded(difference(minimum, median), step)
    # From the minimum as the page has it, so that errors do not add up.
    rest = coded(exposure - (decoded(center, step) + decoded(away, step)), 2 * step)
    return {
        "median": packed(center, along),
        "difference": packed(away),
        "exposure": packed(rest, along),
    }


def smallest(minimum, median, exposure, sigma, axis, room):
    """Return the finest step that fits, and the planes packed with it (as of `pack`)."""
    for factor in STEPS:
        step = factor * sigma
        planes = pack(minimum, median, exposure, step, axis)
        if sum(map(len, planes.values())) <= room:
            break
    return step, planes


def mask_of(flags, minimum, median, before, after, dq):
    """Return what is known of each pixel [ny, nx] as bits: its flag, and which images lack it."""
    mask = flags.astype(np.uint8)
    for bit, image in (
        (NO_MINIMUM, minimum),
        (NO_MEDIAN, median),
        (NO_BEFORE, before),
        (NO_AFTER, after),
    ):
        mask[~np.isfinite(image)] |= bit
    mask[(dq & DO_NOT_USE) > 0] |= KNOWN
    return mask


def thumbnail(minimum, flags, width=WIDTH):
    """
    Paint the flags on the minimum, small.

    Parameters
    ----------
    minimum : ndarray of float32, [ny, nx]
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high.
    width : int
        The most that it may have, in pixels.

    Returns
    -------
    picture : ndarray of uint8, [height, width, 3]
        The first row on top is the last of the detector; a flag is seen however small it is.
    """
    n = -(-minimum.shape[1] // width)
    ny, nx = (size // n * n for size in minimum.shape)
    blocks = minimum[:ny, :nx].reshape(ny // n, n, nx // n, n)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(1, 3))
    mean = np.where(valid, blocks, 0).sum(axis=(1, 3)) / np.maximum(count, 1)
    low, high = limits(minimum)
    # A root lifts what is faint; white is kept off, so that colours stand out.
    level = 25 + 190 * np.sqrt(np.clip((mean - low) / (high - low), 0, 1))
    picture = np.repeat(level[..., None], 3, axis=2)
    picture[count == 0] = NO_DATA
    small = flags[:ny, :nx].reshape(blocks.shape)
    for value, colour in COLOURS.items():
        picture[(small == value).any(axis=(1, 3))] = colour
    return picture[::-1].round().astype(np.uint8)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("minimum", help="minimum.fits of the stack")
    options.add_argument("median", help="its median.fits")
    options.add_argument("flags", help="its flags.fits")
    options.add_argument("exposure", help="one of its exposures")
    options.add_argument("flagged", help="the same, flagged")
    options.add_argument("output", help="the page")
    options.add_argument("thumbnail", help="a PNG")
    return options


def main(arguments):
    """Write the page and the thumbnail."""
    from matplotlib.image import imsave

    minimum, _ = read_image(arguments.minimum)
    median, _ = read_image(arguments.median)
    flags, header = read_image(arguments.flags)
    before, dq = read_exposure(arguments.exposure, flags.shape)
    after, _ = read_exposure(arguments.flagged, flags.shape)
    found = difference(minimum, median)
    sigma = scatter(found)
    places = np.nonzero(flags)
    wavelengths = wavelengths_at(arguments.exposure, *places)
    exact = np.stack([image[places] for image in (minimum, median, before)] + [wavelengths])
    axis = header.get("BPXAXIS") or None
    fixed = {
        "mask": text_of(mask_of(flags, minimum, median, before, after, dq)),
        "exact": text_of(exact.astype("<f4")),
    }
    room = BYTES - sum(map(len, fixed.values())) - 40_000  # for the page itself
    step, planes = smallest(minimum, median, before, sigma or 1e-3, axis, room)
    reach = max(10 * sigma, 1e-9)
    facts = {
        "stack": header["BPXSTACK"],
        "title": title(header),
        "settings": settings(header),
        "n_exposures": header["BPXNEXP"],
        "exposure": os.path.basename(arguments.exposure),
        "unit": header.get("BUNIT", "unknown unit"),
        "shape": flags.shape,
        "axis": axis,
        "linear": LINEAR,
        "step": step,
        "sigma": sigma,
        "low": header.get("BPXTHLO", 0),
        "high": header.get("BPXTHHI", 0),
        "limits": {
            "images": limits(minimum),
            "exposure": limits(before),
            "difference": [-reach, reach],
        },
        "wavelengths": bool(np.isfinite(wavelengths).any()),
    }
    page = environment().get_template("blink.html")
    with atomic_write(arguments.output) as part, open(part, "w", encoding="utf-8") as file:
        file.write(page.render(facts=facts, planes={**fixed, **planes}, images=IMAGES.items()))
    with atomic_write(arguments.thumbnail) as part:
        imsave(part, thumbnail(minimum, flags), format="png")
    log(f"step {step} {facts['unit']}, {os.path.getsize(arguments.output)} bytes")
