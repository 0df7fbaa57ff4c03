"""Write a MASK reference file of each detector from the flags of its stacks, and what changed."""

import os
from collections import defaultdict, namedtuple

import numpy as np
import pandas as pd

from badpix_selfcal.associations import COMBINED, read_members_table
from badpix_selfcal.atomic_io import write_text
from badpix_selfcal.cli import parser
from badpix_selfcal.dq import DO_NOT_USE, OTHER_BAD_PIXEL, REFERENCE_PIXEL
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_dq, read_image, read_primary, save_model
from badpix_selfcal.paths import SKIPPED, find_prefix, path_of
from badpix_selfcal.processing import describe_processing

# How a detector is read out: FASTAXIS, SLOWAXIS of its images.
READOUT = {"MIRIFUSHORT": (1, 2), "MIRIFULONG": (1, 2), "NRS1": (2, 1), "NRS2": (-2, -1)}
COLUMNS = ("date", "stacks", "exposures", "flagged", "in DQ", "stable", "new", "recovered")

# flagged: what a stack flags; judged: what it might have flagged; exposures: their paths.
Stack = namedtuple("Stack", "name header flagged judged exposures")


def find_often_flagged(flagged, min_fraction):
    """
    Find the pixels that enough stacks flag.

    Parameters
    ----------
    flagged : sequence of ndarray of bool, [ny, nx]
        A plane for each stack.
    min_fraction : float
        Of the stacks, above 0.

    Returns
    -------
    often : ndarray of bool, [ny, nx]
    """
    return np.sum(flagged, axis=0, dtype=np.int32) >= min_fraction * len(flagged)


def count_changes(flagged, judged, known):
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


def read_stacks(path, folder):
    """
    Read the stacks of a run.

    Parameters
    ----------
    path : str
        Its members.csv, beside which its other results lie.
    folder : str
        Its working directory, to which the paths of exposures are relative.

    Returns
    -------
    stacks : dict of str to list of Stack
        By detector.
    """
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file; name folders in which the workflow has run")
    members, prefix = read_members_table(path), find_prefix(path, "members")
    members = members[members["exptype"].isin(COMBINED) & (members["stack"] != SKIPPED)]
    stacks = defaultdict(list)
    for name, paths in members.groupby("stack")["path"]:
        files = (path_of(stage, stack=name) for stage in ("minimum", "median", "threshold"))
        (minimum, _), (median, _), (flags, header) = (read_image(prefix + file) for file in files)
        judged = ~np.isnan(minimum) & ~np.isnan(median)
        exposures = {os.path.join(folder, path) for path in paths}
        stacks[header["DETECTOR"]].append(Stack(name, header, flags > 0, judged, exposures))
    return stacks


def count_by_date(stacks, headers, min_fraction):
    """
    Count by date what the stacks of a detector flag, and what the DQ of their exposures says.

    Parameters
    ----------
    stacks : list of Stack
    headers : dict of str to mapping
        Primary header of each exposure, by its path.
    min_fraction : float
        As of `find_often_flagged`.

    Returns
    -------
    table : DataFrame
        Of COLUMNS; a stack counts on each date on which one of its exposures was taken.
    """
    paths = defaultdict(set)
    for path, header in headers.items():
        paths[header.get("DATE-OBS", "unknown")].add(path)
    rows = []
    for date, exposures in sorted(paths.items()):
        # Reference pixels are never flagged, so they do not recover.
        bits = (read_dq(path) & (DO_NOT_USE | REFERENCE_PIXEL) for path in exposures)
        known = np.logical_and.reduce([dq == DO_NOT_USE for dq in bits])
        of_date = [stack for stack in stacks if stack.exposures & exposures]
        flagged = find_often_flagged([stack.flagged for stack in of_date], min_fraction)
        judged = np.any([stack.judged for stack in of_date], axis=0)
        counts = count_changes(flagged, judged, known)
        rows.append((date, len(of_date), len(exposures), *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def write_mask(path, flagged, header, dates, merged=None):
    """
    Write a mask, for ``--steps.dq_init.user_supplied_dq``, which adds it to the official MASK.

    ``--steps.dq_init.override_mask`` takes it in place of the official one.

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
    from stdatamodels.jwst import datamodels  # 0.9 s

    dq = np.where(flagged, np.uint32(DO_NOT_USE | OTHER_BAD_PIXEL), np.uint32(0))
    if merged:
        with datamodels.MaskModel(merged) as known:
            if known.dq.shape != dq.shape or known.meta.instrument.detector != header["DETECTOR"]:
                raise InputError(f"{merged}: not a MASK of {header['DETECTOR']}; give one that is")
            dq |= known.dq
    model = datamodels.MaskModel(dq=dq, strict_validation=True, validate_on_assignment=True)
    # The standard bits, which user_supplied_dq takes as they are.
    names = {value: name for name, value in datamodels.dqflags.pixel.items()}
    bits = [bit for bit in range(32) if np.any(dq & np.uint32(1 << bit))]
    definitions = [(bit, 1 << bit, names[1 << bit], "") for bit in bits or [0]]
    model.dq_def = np.array(definitions, dtype=model.get_dtype("dq_def"))
    (ny, nx), (fast, slow) = dq.shape, READOUT[header["DETECTOR"]]
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
    save_model(model, path)


def options():
    """Return the argument parser."""
    options = parser(__doc__, members="members.csv", output="folder for {detector}.fits and .csv")
    options.add_argument("--runs", nargs="*", default=[], help="working directories of other runs")
    options.add_argument("--min-fraction", type=float, default=0.5, help="of a detector's stacks")
    options.add_argument("--merge", nargs="*", default=[], help="MASK files whose flags are kept")
    return options


def main(arguments):
    """Write ``{detector}.fits`` and ``{detector}.csv`` for each detector."""
    if not 0 < arguments.min_fraction <= 1:
        raise InputError(f"--min-fraction {arguments.min_fraction}: not above 0 and at most 1")
    stacks = defaultdict(list)
    runs = {run: os.path.join(run, path_of("members")) for run in arguments.runs}
    for folder, members in {".": arguments.members, **runs}.items():
        for detector, found in read_stacks(members, folder).items():
            stacks[detector] += found
    merge = {read_primary(path).get("DETECTOR"): path for path in arguments.merge}
    for detector, found in stacks.items():
        shapes = {stack.flagged.shape for stack in found}
        if detector not in READOUT or len(shapes) > 1:
            text = f"{detector} of shapes {shapes}; give stacks of one kind"
            raise InputError(f"{found[0].name}: {text}")
        paths = set.union(*(stack.exposures for stack in found))
        headers = {path: read_primary(path) for path in paths}
        table = count_by_date(found, headers, arguments.min_fraction)
        flagged = find_often_flagged([stack.flagged for stack in found], arguments.min_fraction)
        path = os.path.join(arguments.output, f"{detector.lower()}.fits")
        write_mask(path, flagged, found[0].header, list(table["date"]), merge.get(detector))
        write_text(path.removesuffix("fits") + "csv", table.to_csv(index=False))
        print(f"{path}: {np.count_nonzero(flagged)} pixels, from {len(found)} stacks")
        if len(found) == 1:
            print(f"mask: warning: {detector} has one stack: mask_min_fraction has no effect")
        depths = {describe_processing(header)["depth"] or "unknown" for header in headers.values()}
        if len(depths) > 1:
            kinds = ", ".join(sorted(depths))
            print(f"mask: warning: {detector}: exposures of mixed depth ({kinds}) share a mask")
