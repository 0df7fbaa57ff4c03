"""Write a MASK reference file of each detector from the flags of its stacks, and what changed."""

import csv
import os
from collections import Counter, defaultdict, namedtuple

import numpy as np

from badpix_selfcal.files import atomic_write
from badpix_selfcal.headers import read_hdus
from badpix_selfcal.images import read_dq, read_image
from badpix_selfcal.models import datamodels
from badpix_selfcal.paths import SKIPPED, path_of
from badpix_selfcal.program import Fault, log, parser
from badpix_selfcal.tables import COMBINED, write_table

DO_NOT_USE, OTHER_BAD_PIXEL = 1, 1 << 30
# How a detector is read out: FASTAXIS, SLOWAXIS of its images.
READOUT = {"MIRIFUSHORT": (1, 2), "MIRIFULONG": (1, 2), "NRS1": (2, 1), "NRS2": (-2, -1)}
COLUMNS = ("date", "stacks", "exposures", "flagged", "in DQ", "stable", "new", "recovered")

# flagged: what a stack flags; judged: what it might have flagged; exposures: their paths.
Stack = namedtuple("Stack", "name header flagged judged exposures")


def often_flagged(flagged, share):
    """
    Find the pixels that enough stacks flag.

    Parameters
    ----------
    flagged : sequence of ndarray of bool, [ny, nx]
        A plane for each stack.
    share : float
        Of the stacks, above 0.

    Returns
    -------
    often : ndarray of bool, [ny, nx]
    """
    return np.sum(flagged, axis=0, dtype=np.int32) >= share * len(flagged)


def changes(flagged, judged, known):
    """
    Compare flags with what the DQ of the exposures says.

    Parameters
    ----------
    flagged, judged, known : ndarray of bool, [ny, nx]
        Pixels that are flagged, that might have been, and that are DO_NOT_USE.

    Returns
    -------
    counts : tuple of int
        Flagged; known; stable: both; new: flagged alone; recovered: known, judged and not flagged.
    """
    kinds = (flagged, known, flagged & known, flagged & ~known, known & judged & ~flagged)
    return tuple(int(np.count_nonzero(kind)) for kind in kinds)


def read_stacks(folder):
    """Read the stacks of a working directory: its members table and their flags, by detector."""
    path = os.path.join(folder, path_of("members"))
    if not os.path.exists(path):
        raise Fault(f"{path}: no such file; name folders in which the workflow has run")
    exposures = defaultdict(set)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["exptype"] in COMBINED and row["stack"] != SKIPPED:
                exposures[row["stack"]].add(os.path.join(folder, row["path"]))
    stacks = defaultdict(list)
    for name, paths in sorted(exposures.items()):
        files = [os.path.join(folder, path_of(s, stack=name)) for s in ("minimum", "median")]
        flags, header = read_image(os.path.join(folder, path_of("threshold", stack=name)))
        judged = ~np.isnan(read_image(files[0])[0]) & ~np.isnan(read_image(files[1])[0])
        stacks[header["DETECTOR"]].append(Stack(name, header, flags > 0, judged, sorted(paths)))
    return stacks


def history(stacks, share):
    """
    List by date what the stacks of a detector flag, and what the DQ of their exposures says.

    Returns
    -------
    rows : list of tuple
        Of COLUMNS; a stack counts on each date on which one of its exposures was taken.
    """
    known, dates, n_exposures = {}, defaultdict(list), Counter()
    for path in sorted({path for stack in stacks for path in stack.exposures}):
        hdus = read_hdus(path)
        date = hdus[0].values.get("DATE-OBS", "unknown")
        n_exposures[date] += 1
        bad = read_dq(path, hdus) & DO_NOT_USE > 0
        known[date] = bad & known.get(date, True)
        for stack in stacks:
            if path in stack.exposures and stack not in dates[date]:
                dates[date].append(stack)
    rows = []
    for date, of_date in sorted(dates.items()):
        flagged = often_flagged([stack.flagged for stack in of_date], share)
        judged = np.any([stack.judged for stack in of_date], axis=0)
        counts = changes(flagged, judged, known[date])
        rows.append((date, len(of_date), n_exposures[date], *counts))
    return rows


def write_mask(path, flagged, header, dates, merged=None):
    """
    Write a MASK reference file, for ``--steps.dq_init.override_mask``.

    Parameters
    ----------
    path : str
    flagged : ndarray of bool, [ny, nx]
        Pixels that become DO_NOT_USE and OTHER_BAD_PIXEL.
    header : mapping
        Cards of one of the stacks.
    dates : sequence of str
        On which the exposures were taken, in order.
    merged : str, optional
        A MASK reference file whose flags are kept.
    """
    models = datamodels()
    from stdatamodels.jwst.datamodels.dqflags import pixel  # slow to import

    dq = np.where(flagged, np.uint32(DO_NOT_USE | OTHER_BAD_PIXEL), np.uint32(0))
    if merged:
        with models.MaskModel(merged) as known:
            if known.dq.shape != dq.shape or known.meta.instrument.detector != header["DETECTOR"]:
                raise Fault(f"{merged}: not a MASK of {header['DETECTOR']}; give one that is")
            dq |= known.dq
    used = [
        (name, value)
        for name, value in pixel.items()
        if value and value & (value - 1) == 0 and np.any(dq & np.uint32(value))
    ]
    used = used or [("DO_NOT_USE", DO_NOT_USE)]
    model = models.MaskModel(dq=dq, strict_validation=True, validate_on_assignment=True)
    definitions = [(bit, 1 << bit, name, "") for bit, (name, _) in enumerate(used)]
    model.dq_def = np.array(definitions, dtype=model.get_dtype("dq_def"))
    ny, nx = dq.shape
    fast, slow = READOUT[header["DETECTOR"]]
    meta = {
        "instrument.name": header["INSTRUME"], "instrument.detector": header["DETECTOR"],
        "reftype": "MASK", "author": "badpix_selfcal", "useafter": f"{dates[0]}T00:00:00",
        "pedigree": f"INFLIGHT {dates[0]} {dates[-1]}",
        "description": "Pixels flagged by self-calibration" + (" and a MASK" if merged else ""),
        "subarray.name": "FULL", "subarray.xstart": 1, "subarray.ystart": 1,
        "subarray.xsize": nx, "subarray.ysize": ny,
        "subarray.fastaxis": fast, "subarray.slowaxis": slow,
    }  # fmt: skip
    for key, value in meta.items():
        model[f"meta.{key}"] = value
    with atomic_write(path) as part:
        model.save(part + ".fits")  # stdatamodels knows a format by its suffix
        os.replace(part + ".fits", part)


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("output", help="folder for {detector}.fits and {detector}.csv")
    options.add_argument("folders", nargs="+", help="working directories of runs")
    options.add_argument(
        "--share", type=float, default=0.5, help="share of the stacks that flag a pixel, at least"
    )
    options.add_argument("--merge", nargs="*", default=[], help="MASK files whose flags are kept")
    return options


def main(arguments):
    """Write ``{detector}.fits`` and ``{detector}.csv`` for each detector."""
    if not 0 < arguments.share <= 1:
        raise Fault(f"share {arguments.share}: not above 0 and at most 1; correct it")
    stacks = defaultdict(list)
    for folder in arguments.folders:
        for detector, found in read_stacks(folder).items():
            stacks[detector] += found
    merge = {read_hdus(path)[0].values.get("DETECTOR"): path for path in arguments.merge}
    for detector, found in stacks.items():
        shapes = {stack.flagged.shape for stack in found}
        if detector not in READOUT or len(shapes) > 1:
            raise Fault(f"{found[0].name}: {detector} of shapes {shapes}; give stacks of one kind")
        rows = history(found, arguments.share)
        flagged = often_flagged([stack.flagged for stack in found], arguments.share)
        path = os.path.join(arguments.output, f"{detector.lower()}.fits")
        dates = [row[0] for row in rows]
        write_mask(path, flagged, found[0].header, dates, merge.get(detector))
        write_table(path.removesuffix("fits") + "csv", [COLUMNS, *rows])
        log(f"{path}: {np.count_nonzero(flagged)} pixels of {len(found)} stacks")
