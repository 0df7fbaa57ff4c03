"""Tuning: count which injected pixels were found, and what else was flagged, for settings."""

import numpy as np

from badpix_selfcal.deviants import seem_good, significance_of
from badpix_selfcal.flags import HIGH, LOW, difference
from badpix_selfcal.images import read_image
from badpix_selfcal.injection import STRENGTHS
from badpix_selfcal.parameters import PARAMETERS, SETTING
from badpix_selfcal.program import parser
from badpix_selfcal.tables import write_table

COLUMNS = (*SETTING, "kind", "strength", "injected", "found", "others", "false")


def score(flags, excess, added, sigma, significance):
    """
    Count found and other flags by strength.

    Parameters
    ----------
    flags : ndarray of uint8, [ny, nx]
        0 good, 1 low, 2 high, of the exposures with `added`.
    excess : ndarray of float32, [ny, nx]
        Their minimum less its median.
    added : ndarray of float32, [ny, nx]
        What was added to each exposure, in the units of `excess`.
    sigma : float
        The noise, in the same units.
    significance : ndarray of float32, [ny, nx]
        As of `significance_of`, of the exposures with `added`.

    Returns
    -------
    rows : list of tuple
        Kind, strength (of STRENGTHS, in units of the noise), pixels injected with it, those of
        them that are flagged so, other flagged pixels: bad ones that were there before, or
        good ones, and how many of those seem good. They count where their excess lies, up to the
        next strength.
    """
    rows = []
    for kind, value, sign in (("high", HIGH, 1), ("low", LOW, -1)):
        injected = np.round(sign * added / sigma).astype(int) if sigma else np.zeros(added.shape)
        flagged = flags == value
        other = flagged & (added == 0)
        # What seems weaker than the weakest is counted with it.
        others, false = (
            np.histogram(
                np.clip(sign * excess[pixels] / (sigma or 1), STRENGTHS[0], np.finfo("f4").max),
                [*STRENGTHS, np.inf],
            )[0]
            for pixels in (other, seem_good(other, significance, sign))
        )
        for strength, n_others, n_false in zip(STRENGTHS, others, false, strict=True):
            here = injected == strength
            n_found = np.count_nonzero(here & flagged)
            rows.append(
                (kind, strength, np.count_nonzero(here), n_found, int(n_others), int(n_false))
            )
    return rows


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("added", help="added.fits")
    options.add_argument("minimum", help="minimum.fits of the exposures with it")
    options.add_argument("output", help="score.csv")
    options.add_argument("--medians", nargs="+", required=True, help="median.fits per setting")
    options.add_argument("--flags", nargs="+", required=True, help="flags.fits per setting")
    return options


def main(arguments):
    """Write ``score.csv``."""
    added, header = read_image(arguments.added)
    minimum, _ = read_image(arguments.minimum)
    _, cards = read_image(arguments.medians[0])
    significance = significance_of(minimum, cards["BPXAXIS"] or None)
    rows = []
    for median, flags in zip(arguments.medians, arguments.flags, strict=True):
        excess = difference(minimum, read_image(median)[0])
        found, cards = read_image(flags)
        # What plays no part in a setting has its default there.
        setting = [cards.get(p.card, p.default) for p in PARAMETERS if p.tuned]
        scores = score(found, excess, added, header["BPXSIGMA"], significance)
        rows += [(*setting, *row) for row in scores]
    write_table(arguments.output, [COLUMNS, *rows])
