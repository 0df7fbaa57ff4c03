"""
Who goes with whom: the grouping of the official notebooks, for the exposures of a catalog.

MIRI MRS: the dedicated backgrounds of the same program, detector and band as background, every
other exposure of the program and detector as selfcal. NIRSpec IFU: the other nods of the
observation, else the dedicated backgrounds, as background; imprints of the observation as imprint;
every other exposure of the same program, detector, grating and filter, imprints included, as
selfcal. In a mosaic, nods and imprints are those of the tile. Backgrounds that the config names
come before all others.
"""

import numpy as np
import pandas as pd

TILT = 1e-8  # of the grating wheel, as in the notebooks


def find_members(exposure, group, config):
    """
    Find who goes with an exposure.

    Parameters
    ----------
    exposure : Series
        Its row of the catalog.
    group : DataFrame
        The exposures that are used of its group, of all programs.
    config : dict
        The keys selfcal_match (a list), selfcal_max_days, selfcal_max_exposures, selfcal_programs.

    Returns
    -------
    paths : dict of str to Series of str
        By role; science is the exposure itself.
    """
    science, backgrounds = group.index == exposure.name, find_backgrounds(exposure, group)
    imprints = find_imprints(science | backgrounds, group)
    masks = {"science": science, "background": backgrounds, "imprint": imprints}
    paths = {role: group["path"][mask] for role, mask in masks.items()}
    return {**paths, "selfcal": find_selfcal(exposure, group, config)}


def find_backgrounds(exposure, group):
    """
    Find the background exposures of a science exposure in its group.

    Returns
    -------
    found : Series of bool
        Those of its band that the config names; else, of its program, the other nods of its
        observation and tile; else the dedicated backgrounds of its band. A dedicated background,
        as science of its own, has none.
    """
    others = ~group["is_imprt"] & (not exposure["bkgdtarg"])
    dedicated = others & group["bkgdtarg"] & (group["band"] == exposure["band"])
    if (group["named"] & dedicated).any():
        return group["named"] & dedicated
    nods = others & (group["patt_num"] != exposure["patt_num"])
    for column in ("program", "observation", "tile"):
        nods &= group[column] == exposure[column]
    is_nod = exposure["exp_type"] == "NRS_IFU" and "NOD" in exposure["patttype"].split("-")
    if is_nod and nods.any():
        return nods
    return dedicated & (group["program"] == exposure["program"])


def find_imprints(exposures, group):
    """
    Find the imprints of exposures of a group.

    Parameters
    ----------
    exposures : Series of bool
    group : DataFrame

    Returns
    -------
    found : Series of bool
        Those of their observations and tiles where both tilts of the grating wheel agree.
    """
    found = pd.Series(False, group.index)
    if not group["is_imprt"].any():
        return found
    columns = ["program", "observation", "tile", "xtil", "ytil"]
    for exposure in group.loc[exposures, columns].drop_duplicates().itertuples():
        found |= (
            group["is_imprt"]
            & (group["program"] == exposure.program)
            & (group["observation"] == exposure.observation)
            & (group["tile"] == exposure.tile)
            & ((group["xtil"] - exposure.xtil).abs() <= TILT)
            & ((group["ytil"] - exposure.ytil).abs() <= TILT)
        )
    return found


def find_selfcal(exposure, used, config):
    """
    Find the selfcal exposures of an exposure: all others of its group that the config admits.

    Returns
    -------
    paths : Series of str
        In the order of the catalog.
    """
    shared = ["group", *config["selfcal_match"]]
    shared += ["program"] if config["selfcal_programs"] == "same" else []
    found = used.index != exposure.name
    for column in shared:
        found &= used[column] == exposure[column]
    # Of unknown date: as far as can be.
    distance = (used["days"][found] - exposure["days"]).abs().fillna(np.inf)
    if config["selfcal_max_days"]:
        distance = distance[distance <= config["selfcal_max_days"]]
    if config["selfcal_max_exposures"]:
        distance = distance.sort_values(kind="stable")[: config["selfcal_max_exposures"]]
    return used["path"][distance.index.sort_values()]


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
        rows = rows.sort_values(["visit", "days", "name"])
        n_visits = rows.groupby(["is_imprt", "patt_num"])["visit"].nunique().max()
        visits = rows["visit"] if n_visits > 1 else rows["visit"].str[:0]
        passes = visits + pd.concat([find_passes(own) for _, own in rows.groupby(visits)])
        unclear = passes.str.endswith("?")
        tile = passes.rank(method="dense").astype(int).astype(str)
        rows = rows.assign(tile=tile.mask(unclear, tile + "?"))
        catalog.loc[rows.index, "tile"] = rows["tile"]
        repeated = unclear & rows.duplicated(["tile", "is_imprt", "patt_num"], keep=False)
        if repeated.any() and (rows["is_imprt"] | rows["patttype"].str.contains("NOD")).any():
            notes.append(
                f"observation {observation}, {group}: PATT_NUM repeats, and neither MOSTILNO nor "
                f"the order tells the tiles of a mosaic: {', '.join(rows['name'][repeated])}; "
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
        Their numbers; "?" for all if the passes are not of the same positions.
    """
    positions = rows["patt_num"] + rows["is_imprt"].map({True: " imprint", False: ""})
    for kinds in (rows["is_imprt"] | True, rows["is_imprt"]):
        numbers = positions.groupby(kinds).transform(count_passes)
        found = positions.groupby([kinds, numbers]).agg(frozenset).groupby(level=0)
        if found.nunique().max() == 1 and found.size().nunique() == 1:
            return numbers.map("{:04}".format)
    return pd.Series("?", rows.index)


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
