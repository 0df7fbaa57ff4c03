"""The pool: a row for each exposure of a folder tree, from its headers."""

import fnmatch
import glob
import math
import os
from datetime import datetime

from badpix_selfcal.headers import read_hdus
from badpix_selfcal.names import exposure_name, workdir_path
from badpix_selfcal.program import Fault, warn
from badpix_selfcal.tables import is_name

# Column of the pool: keyword of the primary header.
KEYWORDS = {
    "exp_type": "EXP_TYPE",
    "program": "PROGRAM",
    "observation": "OBSERVTN",
    "visit": "VISIT",
    "target": "TARGPROP",
    "detector": "DETECTOR",
    "channel": "CHANNEL",
    "band": "BAND",
    "filter": "FILTER",
    "grating": "GRATING",
    "subarray": "SUBARRAY",
    "readpatt": "READPATT",
    "ngroups": "NGROUPS",
    "patttype": "PATTTYPE",
    "patt_num": "PATT_NUM",
}
COLUMNS = ("name", "path", *KEYWORDS, "bkgdtarg", "is_imprt", "date", "roles", "stack", "reason")
# What exposures of one group share, apart from the program, and what the recipes need of a header.
GROUP = {"MIR_MRS": ("exp_type", "detector"),
         "NRS_IFU": ("exp_type", "detector", "grating", "filter")}  # fmt: skip
NEEDED = {"MIR_MRS": ("program", "detector", "band"),
          "NRS_IFU": ("program", "detector", "grating", "filter")}  # fmt: skip


def find_exposures(patterns):
    """
    List the exposures that the config names.

    Parameters
    ----------
    patterns : list of str
        Folders, which are searched through for ``*_rate.fits``, files and globs.

    Returns
    -------
    paths : list of str
        Sorted; a file that is reached by several links is listed once.
    notes : list of str
        Patterns that match nothing, or directories.
    """
    found, notes = {}, []
    for pattern in map(os.path.expanduser, patterns):
        if os.path.isdir(pattern):
            paths = rate_files(pattern)
        elif os.path.isfile(pattern):  # brackets in it mean themselves
            paths = [pattern]
        else:
            matches = filter(os.path.isfile, glob.glob(pattern, recursive=True))
            paths = [path for path in matches if ".fits" in os.path.basename(path)]
        if not paths and not os.path.isdir(pattern) and glob.glob(pattern):
            notes.append(
                f"{pattern}: matches no FITS file, but directories or others; name the folder that "
                "is to be searched, or end the glob in /*_rate.fits"
            )
        elif not paths:
            notes.append(f"{pattern}: no exposure (*_rate.fits) found; correct exposures")
        for path in sorted(paths):
            found.setdefault(os.path.realpath(path), workdir_path(path))
    return sorted(found.values()), notes


def rate_files(folder):
    """Find the rate files in a folder tree, links to folders included, hidden folders not."""
    found, seen = [], set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else [name for name in folders if name[0] != "."]
        if real not in seen:
            found += [os.path.join(root, name) for name in files if name.endswith("_rate.fits")]
        seen.add(real)
    return found


def read_exposure(path, match=()):
    """
    Read the row of an exposure from its headers.

    Parameters
    ----------
    path : str
        The exposure; no data are read.
    match : iterable of str
        Further keywords that selfcal exposures must share.

    Returns
    -------
    row : dict
        Of the columns in COLUMNS as texts, the booleans bkgdtarg and is_imprt, and what the recipes
        need besides: ``days`` (its start, MJD; NaN if unknown), ``tilt`` (of the grating wheel) and
        ``match`` (the values of those keywords). Its reason is empty if it plays a part.
    """
    row = dict.fromkeys(COLUMNS, "")
    row.update(name=exposure_name(path), path=path, bkgdtarg=False, is_imprt=False)
    try:
        primary, *others = read_hdus(path)
    except Fault as fault:
        return {**row, "reason": f"unreadable: {str(fault).removeprefix(f'{path}: ')}"}
    header = primary.values
    row.update({column: header.get(keyword, "") for column, keyword in KEYWORDS.items()})
    row.update(
        program=row["program"] and row["program"].zfill(5),
        target=row["target"] or header.get("TARGNAME", ""),
        bkgdtarg=header.get("BKGDTARG") == "T",
        is_imprt=header.get("IS_IMPRT") == "T",
        date="T".join(filter(None, (header.get("DATE-OBS"), header.get("TIME-OBS")))),
        days=start(header),
        tilt=(number(header.get("GWA_XTIL")), number(header.get("GWA_YTIL"))),
        match=tuple(header.get(keyword) for keyword in match),
    )
    shapes = [hdu.shape for hdu in others if hdu.name == "SCI"]
    return {**row, "reason": reason_against(row, header, shapes)}


def reason_against(row, header, shapes):
    """
    Say why an exposure plays no part.

    Parameters
    ----------
    row : dict
        As of `read_exposure`.
    header : dict of str to str
        Its primary header.
    shapes : list of tuple
        The shapes of its SCI extensions.

    Returns
    -------
    reason : str
        Empty if it plays one.
    """
    exp_type = row["exp_type"]
    if header.get("TELESCOP", "JWST") != "JWST":
        return f"of another telescope ({header['TELESCOP']})"
    if not exp_type:
        return "no EXP_TYPE in its header"
    if exp_type not in GROUP:
        kinds = {"TACQ": "target acquisition", "TACONFIRM": "target acquisition",
                 "WATA": "target acquisition", "MSATA": "target acquisition", "IMAGE": "imaging",
                 "CONFIRM": "imaging"}  # fmt: skip
        return f"{kinds.get(exp_type.partition('_')[2], 'another mode')} ({exp_type})"
    if any(len(shape) != 2 for shape in shapes) or header.get("DATAMODL") == "CubeModel":
        return "rateints, of several integrations"
    if header.get("S_PHOTOM") == "COMPLETE":
        return "calibrated (S_PHOTOM), not a rate file"
    if not shapes or header.get("DATAMODL", "ImageModel") not in ("ImageModel", "IFUImageModel"):
        return f"not a rate file ({header.get('DATAMODL', 'no SCI')})"
    if missing := [KEYWORDS[column] for column in NEEDED[exp_type] if not row[column]]:
        return f"no {', '.join(missing)} in its header"
    if not is_name(row["name"]):
        return "its name holds other than letters, digits and . _ + -, or is too long"
    return ""


def start(header):
    """Return when an exposure began, as an MJD; NaN if its header does not tell."""
    days = number(header.get("EXPSTART"))
    if days == days:
        return days
    try:
        text = f"{header['DATE-OBS']}T{header.get('TIME-OBS', '00:00:00')}"
        return (datetime.fromisoformat(text[:26]) - datetime(1858, 11, 17)).total_seconds() / 86400
    except (KeyError, ValueError):
        return math.nan


def number(text):
    """Return the number of a card, NaN if it has none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def read_pool(paths, backgrounds=(), match=()):
    """
    Read the rows of all exposures.

    Parameters
    ----------
    paths : list of str
        As of `find_exposures`.
    backgrounds : list of str
        Exposures that are dedicated backgrounds whatever their headers say: patterns as for
        `find_exposures`, or without a folder of file names.
    match
        As of `read_exposure`.

    Returns
    -------
    rows : list of dict
        In the order of their names.
    notes : list of str
        Patterns of `backgrounds` that are no exposure's.
    """
    rows = []
    for i, path in enumerate(paths, start=1):
        rows.append(read_exposure(path, match))
        if i % 1000 == 0:
            warn(f"{i} of {len(paths)} headers read")
    notes = []
    for pattern in backgrounds:
        known = {os.path.realpath(path) for path in find_exposures([pattern])[0]}
        chosen = [
            row
            for row in rows
            if os.path.realpath(row["path"]) in known
            or fnmatch.fnmatch(os.path.basename(row["path"]), pattern)
        ]
        for row in chosen:
            row["bkgdtarg"] = True
        if not chosen:
            notes.append(f"{pattern}: none of the exposures; correct backgrounds")
    return sorted(rows, key=lambda row: (row["name"], row["path"])), notes


def same_names(rows):
    """Return a fault for each exposure of which two files would play a part."""
    first, faults = {}, []
    for row in rows:
        if not row["reason"]:
            other = first.setdefault(row["name"], row)
            if other is not row:
                faults.append(
                    f"{row['path']}: {other['path']} is of the same exposure name; keep one, or "
                    "name one of them in exposures"
                )
    return faults
