"""Open flagged exposures as stdatamodels does, under strict validation."""

import os
import warnings

from badpix_selfcal.again import COLUMNS
from badpix_selfcal.models import datamodels
from badpix_selfcal.program import parser
from badpix_selfcal.tables import read_planned, write_table


def invalid(path):
    """
    Open a file under strict validation.

    Returns
    -------
    fault : str
        What stdatamodels says against it, empty if nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with datamodels().open(path, strict_validation=True):
                return ""
    except Exception as error:  # whatever its many libraries raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return " ".join(lines[:2]) or type(error).__name__


def verify(flagged):
    """
    Yield the faults of flagged exposures that are not those of the exposures themselves.

    Parameters
    ----------
    flagged : list of (str, str)
        The path of each exposure, and that of it flagged.

    Yields
    ------
    path, fault : str
    """
    for exposure, path in flagged:
        # What is not there is said by verify_stack.
        if os.path.isfile(path) and (fault := invalid(path)) and not invalid(exposure):
            yield path, f"is refused by stdatamodels: {fault}"


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the paths of each exposure and of it flagged, JSON")
    options.add_argument("output", help="table of faults")
    return options


def main(arguments):
    """Write the table of faults, empty but for its header if there are none."""
    faults = verify(read_planned(arguments.planned))
    write_table(arguments.output, [COLUMNS, *((path, fault, "") for path, fault in faults)])
