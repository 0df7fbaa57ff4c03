"""
Who goes with whom: the grouping of the official notebooks, for the exposures of a catalog.

MIRI MRS: the dedicated backgrounds of the same program, detector and band as background, every
other exposure of the program and detector as selfcal. NIRSpec IFU: the other nods of the
observation, else the dedicated backgrounds, as background; imprints of the observation as imprint;
every other exposure of the same program, detector, grating and filter, imprints included, as
selfcal. In a mosaic, nods and imprints are those of the tile. Backgrounds that the config names
come before all others.
"""

import math
from operator import itemgetter

import pandas as pd

from badpix_selfcal.labels import name_first

MAX_TILT = 1e-8  # difference of the grating wheel's tilts, as in the notebooks
tile_of = itemgetter("program", "observation", "tile")
UNKNOWN = "?"  # tile of imprints where that of their science exposures is known


def find_members(exposure, group, config):
    """
    Find who goes with an exposure.

    Parameters
    ----------
    exposure : dict
        Its row of the catalog.
    group : list of dict
        The exposures that are used of its group, of all programs, in the order of the catalog.
    config : dict
        The keys selfcal_match (a list), selfcal_max_days, selfcal_max_exposures, selfcal_programs.

    Returns
    -------
    members : dict of str to list of dict
        By role; science is the exposure itself.
    """
    backgrounds = find_backgrounds(exposure, group)
    return {
        "science": [exposure],
        "background": backgrounds,
        "imprint": find_imprints([exposure, *backgrounds], group),
        "selfcal": find_selfcal(exposure, group, config),
    }


def find_backgrounds(exposure, group):
    """
    Find the background exposures of a science exposure in its group.

    Returns
    -------
    backgrounds : list of dict
        Those of its band that the config names; else, of its program, the other nods of its
        observation and tile; else the dedicated backgrounds of its band. A dedicated background,
        as science of its own, has none.
    """
    if exposure["bkgdtarg"]:
        return []
    others = [other for other in group if not other["is_imprt"]]
    dedicated = [o for o in others if o["bkgdtarg"] and o["band"] == exposure["band"]]
    if named := [other for other in dedicated if other["named"]]:
        return named
    if exposure["exp_type"] == "NRS_IFU" and "NOD" in exposure["patttype"].split("-"):
        nods = [o for o in others if o["patt_num"] != exposure["patt_num"]]
        if nods := [other for other in nods if tile_of(other) == tile_of(exposure)]:
            return nods
    return [other for other in dedicated if other["program"] == exposure["program"]]


def find_imprints(exposures, group):
    """
    Find the imprints of exposures of a group.

    Returns
    -------
    imprints : list of dict
        Those of their observations and tiles where both tilts of the grating wheel agree; those
        whose tile is unknown go with all tiles.
    """
    return [
        imprint
        for imprint in group
        if imprint["is_imprt"]
        and any(
            tile_of(imprint) in (tile_of(exposure), (*tile_of(exposure)[:2], UNKNOWN))
            and abs(imprint["xtil"] - exposure["xtil"]) <= MAX_TILT
            and abs(imprint["ytil"] - exposure["ytil"]) <= MAX_TILT
            for exposure in exposures
        )
    ]


def find_selfcal(exposure, used, config):
    """
    Find the selfcal exposures of an exposure: all others of its group that the config admits.

    A named background whose own program has no other exposures goes with the programs that it
    serves.

    Returns
    -------
    selfcal : list of dict
        In the order of the catalog.
    """
    shared = itemgetter("group", *config["selfcal_match"])
    wanted = shared(exposure)
    found = [other for other in used if shared(other) == wanted and other is not exposure]
    own = [other for other in found if other["program"] == exposure["program"]]
    serves_others = exposure["named"] and all(other["named"] for other in own)
    if config["selfcal_programs"] == "same" and not serves_others:
        found = own

    def distance(other):
        days = abs(other["days"] - exposure["days"])
        return math.inf if math.isnan(days) else days  # of unknown date: as far as can be

    if config["selfcal_max_days"]:
        found = [other for other in found if distance(other) <= config["selfcal_max_days"]]
    if config["selfcal_max_exposures"]:
        nearest = sorted(found, key=distance)[: config["selfcal_max_exposures"]]
        found = sorted(nearest, key=used.index)
    return found


def number_tiles(catalog):
    """
    Tell the mosaic tiles of NIRSpec observations apart, in the column tile of the catalog.

    By MOSTILNO where all exposures have it; else by visit, if positions of the pattern (PATT_NUM)
    repeat in several visits, and within a visit by the passes through the pattern.

    Returns
    -------
    notes : list of str
        A line for each observation whose nods or imprints repeat and whose tiles cannot be told.
    """
    notes, used = [], catalog[(catalog["reason"] == "") & (catalog["exp_type"] == "NRS_IFU")]
    for (_, observation, group), rows in used.groupby(["program", "observation", "group"]):
        if (rows["tile"] != "").all():
            continue
        if not rows.duplicated(["is_imprt", "patt_num"]).any():
            catalog.loc[rows.index, "tile"] = "1"
            continue
        rows = rows.sort_values(["visit", "days", "name"])
        science, imprints = rows[~rows["is_imprt"]], rows[rows["is_imprt"]]
        n_visits = rows.groupby(["is_imprt", "patt_num"])["visit"].nunique().max()
        # Imprints may have visits of their own.
        by_visit = n_visits > 1 and set(imprints["visit"]) <= set(science["visit"])
        visits = rows["visit"] if by_visit else rows["visit"].str[:0]
        passes = visits + pd.concat([find_passes(own) for _, own in rows.groupby(visits)])
        unclear = passes.str.endswith("?")
        tile = passes.rank(method="dense").astype(int).astype(str)
        tile = tile.mask(unclear, tile + "?")
        repeated = unclear & rows.assign(tile=tile).duplicated(
            ["tile", "is_imprt", "patt_num"], keep=False
        )
        if not unclear[science.index].any():
            tile, repeated = tile.mask(unclear, UNKNOWN), unclear
        catalog.loc[rows.index, "tile"] = tile
        if repeated.any() and (rows["is_imprt"] | rows["patttype"].str.contains("NOD")).any():
            names = name_first(list(rows["name"][repeated]), 6)
            notes.append(
                f"observation {observation}, {group}: PATT_NUM repeats, and neither MOSTILNO nor "
                f"the order tells the tiles of a mosaic: {names}; "
                "check their backgrounds and imprints"
            )
    return notes


def find_passes(rows):
    """
    Find the passes through the pattern of positions, of exposures in order of time.

    Imprints belong to a pass with their science exposures, or come in passes of their own.

    Returns
    -------
    passes : Series of str
        Their numbers; "?" if the passes are not of the same positions, or, of imprints, if they are
        fewer than those of the science exposures.
    """
    positions = rows["patt_num"] + rows["is_imprt"].map({True: " imprint", False: ""})
    for kinds in (rows["is_imprt"] | True, rows["is_imprt"]):
        numbers = positions.groupby(kinds).transform(count_passes)
        found = positions.groupby([kinds, numbers]).agg(frozenset).groupby(level=0)
        numbers = numbers.map("{:04}".format)
        if found.nunique().max() == 1 and found.size().nunique() == 1:
            return numbers
    clear = ~rows["is_imprt"] & (found.nunique().get(False) == 1)
    return numbers.where(clear, "?")


def count_passes(positions):
    """Count passes through a pattern: one ends where a position comes again, but not at once."""
    n, seen, previous, counts = 0, set(), None, []
    for position in positions:
        if position in seen and position != previous:
            n, seen = n + 1, set()
        seen.add(position)
        previous = position
        counts.append(n)
    return pd.Series(counts, positions.index)
