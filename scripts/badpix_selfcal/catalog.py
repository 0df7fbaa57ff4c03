"""The pool: a row for each exposure of a folder tree, from its headers."""

import fnmatch
import math
import os
from datetime import datetime

from badpix_selfcal.exposures import find_exposures
from badpix_selfcal.headers import read_hdus
from badpix_selfcal.names import exposure_name
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
    row.update({column: text_of(header, keyword) for column, keyword in KEYWORDS.items()})
    row.update(
        program=row["program"] and row["program"].zfill(5),
        target=row["target"] or text_of(header, "TARGNAME"),
        bkgdtarg=header.get("BKGDTARG") is True,
        is_imprt=header.get("IS_IMPRT") is True,
        date="T".join(filter(None, (text_of(header, "DATE-OBS"), text_of(header, "TIME-OBS")))),
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
    header : dict
        The values of its primary header.
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


def text_of(header, keyword):
    """Return the value of a card as text, "" if it has none."""
    value = header.get(keyword)
    return "" if value is None else str(value)


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
