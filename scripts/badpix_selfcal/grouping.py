"""
Who goes with whom: the recipes of the official notebooks, for the rows of a pool.

MIRI MRS: the dedicated backgrounds of the same program, detector and band as background, every
other exposure of the program and detector as selfcal. NIRSpec IFU: the other nods of the
observation, else the dedicated backgrounds, as background; imprints of the observation as imprint;
every other exposure of the same program, detector, grating and filter, imprints included, as
selfcal.
"""

import math
from collections import defaultdict

from badpix_selfcal.pool import GROUP

TILT = 1e-8  # of the grating wheel, as in the notebooks


def is_nod(row):
    """Tell whether an exposure is one of a nod pattern, as the notebooks tell it."""
    return row["exp_type"] == "NRS_IFU" and "NOD" in row["patttype"].split("-")


def backgrounds_of(row, group):
    """
    List the background exposures of a science exposure.

    Parameters
    ----------
    row : dict
        The exposure. A dedicated background, as science of its own, has none.
    group : list of dict
        The exposures of its program and group.

    Returns
    -------
    rows : list of dict
        The other nods of its observation; without them, the dedicated backgrounds of its band.
    """
    if row["bkgdtarg"]:
        return []
    others = [other for other in group if not other["is_imprt"]]
    nods = [
        other
        for other in others
        if is_nod(row)
        and other["observation"] == row["observation"]
        and other["patt_num"] != row["patt_num"]
    ]
    return nods or [o for o in others if o["bkgdtarg"] and o["band"] == row["band"]]


def imprints_of(exposures, group):
    """List the imprints of the observations of exposures where both grating-wheel tilts agree."""
    return [
        imprint
        for imprint in group
        if imprint["is_imprt"]
        and any(
            imprint["observation"] == exposure["observation"]
            and all(
                abs(a - b) <= TILT for a, b in zip(imprint["tilt"], exposure["tilt"], strict=True)
            )
            for exposure in exposures
        )
    ]


def selfcal_of(row, group, days=0, most=0):
    """
    List the selfcal exposures of an exposure: all others of its group, less what the config says.

    Parameters
    ----------
    row : dict
        The exposure.
    group : list of dict
        The exposures of its group, of its program or of all.
    days : float
        Largest distance in time; 0: any.
    most : int
        So many at most, the nearest in time; 0: all.

    Returns
    -------
    rows : list of dict
        In the order of the group.
    """

    def distance(other):
        gap = abs(other["days"] - row["days"])
        return gap if gap == gap else math.inf  # of unknown date: as far as can be

    found = [other for other in group if other is not row and other["match"] == row["match"]]
    if days:
        found = [other for other in found if distance(other) <= days]
    if most and most < len(found):
        nearest = sorted(found, key=lambda other: (distance(other), other["name"]))[:most]
        names = {other["name"] for other in nearest}
        found = [other for other in found if other["name"] in names]
    return found


class Recipes:
    """
    The recipes, for the exposures of a pool.

    Parameters
    ----------
    rows : list of dict
        The exposures that play a part, as of `read_pool`.
    days, most
        As of `selfcal_of`.
    programs : {"same", "any"}
        Whether exposures of other programs may be selfcal.
    """

    def __init__(self, rows, days=0, most=0, programs="same"):
        self.days, self.most, self.any_program = days, most, programs == "any"
        self.of_program, self.of_any = defaultdict(list), defaultdict(list)
        for row in rows:
            self.of_program[row["program"], self.group(row)].append(row)
            self.of_any[self.group(row)].append(row)

    @staticmethod
    def group(row):
        """Return what the exposures of a group share."""
        return tuple(row[column] for column in GROUP[row["exp_type"]])

    def selfcal(self, row):
        """List the selfcal exposures of an exposure."""
        group = self.of_program[row["program"], self.group(row)]
        if self.any_program:
            group = self.of_any[self.group(row)]
        return selfcal_of(row, group, self.days, self.most)

    def members(self, row):
        """List who goes with an exposure, itself first: pairs of exposure and role."""
        group = self.of_program[row["program"], self.group(row)]
        backgrounds = backgrounds_of(row, group)
        roles = {
            "science": [row],
            "background": backgrounds,
            "imprint": imprints_of([row, *backgrounds], group),
            "selfcal": self.selfcal(row),
        }
        return [(member, role) for role, found in roles.items() for member in found]
