"""The catalog: a row for each exposure of a folder tree, from its headers."""

import fnmatch
import functools
import math
import os
import re
from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from astropy.io.fits.card import Card, Undefined

from badpix_selfcal.associations import exposure_name, is_name
from badpix_selfcal.atomic_io import open_unzipped
from badpix_selfcal.errors import InputError
from badpix_selfcal.exposures import find_exposures
from badpix_selfcal.fits_io import open_fits, read_raw_header, shape_of, split_header
from badpix_selfcal.pedestal import find_error
from badpix_selfcal.processing import describe_mode, describe_processing, identify, is_unlit

# Column of the catalog: keyword of the header.
KEYWORDS = {
    "exp_type": "EXP_TYPE", "program": "PROGRAM", "observation": "OBSERVTN", "visit": "VISIT",
    "target": "TARGPROP", "detector": "DETECTOR", "channel": "CHANNEL", "band": "BAND",
    "filter": "FILTER", "grating": "GRATING", "subarray": "SUBARRAY", "readpatt": "READPATT",
    "ngroups": "NGROUPS", "patttype": "PATTTYPE", "patt_num": "PATT_NUM", "tile": "MOSTILNO",
    "cal_ver": "CAL_VER", "crds_ctx": "CRDS_CTX",
}  # fmt: skip
COLUMNS = ("name", "path", *KEYWORDS, "bkgdtarg", "is_imprt", "date", "roles", "stack", "reason")
# What the exposures of a group share, and what the grouping needs of a header besides.
GROUP = {"MIR_MRS": ("detector",), "NRS_IFU": ("detector", "grating", "filter")}
NEEDED = {"MIR_MRS": ("program", "band"), "NRS_IFU": ("program",)}
ORIGINAL = re.compile(r"jw\d{11}_\d{5}_\d{5}_[a-z0-9]+")  # name of an exposure in the archive


def read_catalog(paths, config, tell=print):
    """
    Read the catalog of exposures.

    Parameters
    ----------
    paths : list of str
        As of `find_exposures`.
    config : dict
        The keys selfcal_match (a list) and keep_unlit.
    tell : callable
        Is told the progress, of thousands of exposures.

    Returns
    -------
    catalog : DataFrame
        In the order of the names. The columns in COLUMNS as texts, the booleans bkgdtarg and
        is_imprt, and what the grouping needs besides: group (what selfcal exposures share), days
        (start, MJD; NaN if unknown), xtil and ytil (of the grating wheel), named (False),
        processing, and the keywords of selfcal_match. The reason is empty if an exposure is used.
    """
    rows = []
    for i, path in enumerate(paths, start=1):
        rows.append(read_row(path, config))
        if i % 1000 == 0:
            tell(f"{i} of {len(paths)} headers read")
    catalog = pd.DataFrame(rows).sort_values(["name", "path"], ignore_index=True)
    leave_out_second_files(catalog)
    return catalog


def read_row(path, config):
    """Return the row of an exposure in the catalog, as a dict; see `read_catalog`."""
    row = dict.fromkeys((*COLUMNS, "group", "identity"), "") | {"name": exposure_name(path)}
    row |= {
        "path": path,
        "processing": {},
        "derived": (),
        "days": math.nan,
        "xtil": math.nan,
        "ytil": math.nan,
    }
    row |= dict.fromkeys(("bkgdtarg", "is_imprt", "named"), False)
    try:
        header, shape = read_header(path)
    except InputError as error:
        return {**row, "reason": f"unreadable: {str(error).removeprefix(f'{path}: ')}"}
    wanted = {**KEYWORDS, **{keyword: keyword for keyword in config["selfcal_match"]}}
    row |= {column: read_text(header, keyword) for column, keyword in wanted.items()}
    row |= {
        "program": row["program"] and row["program"].zfill(5),
        "target": row["target"] or read_text(header, "TARGNAME"),
        "bkgdtarg": header.get("BKGDTARG") is True,
        "is_imprt": header.get("IS_IMPRT") is True,
        "date": "T".join(filter(None, (read_text(header, f"{k}-OBS") for k in ("DATE", "TIME")))),
        "xtil": read_number(header, "GWA_XTIL"),
        "ytil": read_number(header, "GWA_YTIL"),
        "group": " ".join(row[column] for column in GROUP.get(row["exp_type"], ())),
        "identity": identify(header),
        "derived": (
            header.get("FILENAME") != os.path.basename(path).removesuffix(".gz"),
            ORIGINAL.fullmatch(row["name"]) is None,
            len(row["name"]),
        ),
        "processing": describe_processing(header),
    }
    row["days"] = read_start(header, row["date"])
    return {**row, "reason": find_reason(row, header, shape, config["keep_unlit"])}


def read_header(path):
    """Read the header of an exposure and the shape of SCI, () without SCI; raises `InputError`."""
    with open_fits(path) as hdus, open_unzipped(path) as file:
        science = [hdus["SCI"]] if "SCI" in hdus else []
        cards = [c for hdu in (hdus[0], *science) for c in split_header(read_raw_header(file, hdu))]
        return LazyHeader(cards), shape_of(science[0]) if science else ()


class LazyHeader(Mapping):
    """A header that parses the cards that are asked for: 60 of 400, in a tenth of the time."""

    def __init__(self, cards):
        self.cards = {card[:8]: card for card in reversed(cards)}  # the first counts

    def __getitem__(self, keyword):
        return parse_value(self.cards[keyword.upper().ljust(8).encode()])

    def __iter__(self):
        return iter(self.cards)

    def __len__(self):
        return len(self.cards)


@functools.cache  # as most cards are those of many exposures
def parse_value(card):
    """Return the value of a card, None if it has none."""
    value = Card.fromstring(card).value
    return None if isinstance(value, Undefined) else value


def find_reason(row, header, shape, keep_unlit=False):
    """
    Say why an exposure is not used.

    Parameters
    ----------
    row : dict
        As of `read_row`.
    header : Header
    shape : tuple of int
        Of SCI.
    keep_unlit : bool
        As of the config.

    Returns
    -------
    reason : str
        Empty if it is used.
    """
    exp_type, model = row["exp_type"], header.get("DATAMODL", "ImageModel")
    if header.get("TELESCOP", "JWST") != "JWST":
        return f"of another telescope ({header['TELESCOP']})"
    if not exp_type:
        return "no EXP_TYPE in its header"
    if exp_type not in GROUP:
        return describe_mode(exp_type)
    if len(shape) > 2 or model == "CubeModel":
        return "rateints, of several integrations"
    needed = (*GROUP[exp_type], *NEEDED[exp_type])
    if missing := [KEYWORDS[column] for column in needed if not row[column]]:
        return f"no {', '.join(missing)} in its header"
    if error := find_error(header):
        return error.partition(";")[0]
    if not shape or model not in ("ImageModel", "IFUImageModel"):
        return f"not a rate file ({model if shape else 'no SCI'})"
    if not is_name(row["name"]):
        return "its name holds other than letters, digits and . _ + -, or is too long"
    if is_unlit(header) and not keep_unlit:
        return f"without light (NRS2 with {row['grating']})"
    return ""


def read_text(header, keyword):
    """Return the value of a card as text, "" if it has none."""
    value = header.get(keyword)
    return "" if value is None else str(value)


def read_number(header, keyword):
    """Return the number of a card, NaN if it has none."""
    try:
        return float(header.get(keyword))
    except (TypeError, ValueError):
        return math.nan


def read_start(header, date):
    """Return when an exposure began, as an MJD; NaN if its header does not tell."""
    days = read_number(header, "EXPSTART")
    if math.isnan(days) and "DATE-OBS" in header:
        try:
            begin = datetime.fromisoformat(date[:26])
        except ValueError:
            return math.nan
        return (begin - datetime(1858, 11, 17)).total_seconds() / 86400
    return days


def leave_out_second_files(catalog):
    """
    Use one of several files of an exposure: the original, not what was derived from it.

    The original is the file whose FILENAME agrees with its name, which has a name of the archive's,
    then the one with the shortest name. Files of one name are left to `find_same_names`.
    """
    used = catalog[(catalog["reason"] == "") & (catalog["identity"] != "")]
    used = used.sort_values("derived", kind="stable")
    originals = used.groupby("identity")["name"].transform("first")
    second = used.index[used["name"] != originals]
    catalog.loc[second, "reason"] = "second file of an exposure (" + originals[second] + " is used)"


def find_same_names(catalog):
    """Return an error for each exposure of which two files would be used."""
    used = catalog[catalog["reason"] == ""]
    return [
        f"{' and '.join(paths)}: the same exposure name; keep one, or name one of them in exposures"
        for _, paths in used[used["name"].duplicated(keep=False)].groupby("name")["path"]
    ]


def mark_backgrounds(catalog, patterns):
    """
    Mark the dedicated backgrounds that the config names, in the columns bkgdtarg and named.

    Parameters
    ----------
    catalog : DataFrame
    patterns : list of str
        As of `find_exposures`, or of file names.

    Returns
    -------
    marked : dict of str to Index
        The labels of the exposures, by pattern.
    """
    marked = {}
    names, real = catalog["path"].map(os.path.basename), catalog["path"].map(os.path.realpath)
    for pattern in patterns:
        known = {os.path.realpath(path) for path in find_exposures([pattern])[0]}
        chosen = real.isin(known) | names.isin(fnmatch.filter(names, pattern))
        catalog.loc[chosen, ["bkgdtarg", "named"]] = True
        marked[pattern] = catalog.index[chosen]
    return marked
