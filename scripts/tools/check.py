"""Say from the headers of the exposures, before any work, what would fail and what is doubtful."""

import time

from badpix_selfcal.files import state
from badpix_selfcal.headers import find, read_hdus
from badpix_selfcal.paths import SKIPPED
from badpix_selfcal.program import Fault, parser
from badpix_selfcal.tables import COMBINED, read_planned, write_table

COLUMNS = ("file", "kind", "what")
# As of the stage pedestal; what must agree in a stack, and what is only doubtful.
MUST_AGREE = ("INSTRUME", "DETECTOR", "EXP_TYPE", "DISPAXIS", "shape")
SHOULD_AGREE = ("FILTER", "GRATING", "READPATT")


def of_exposure(path):
    """
    Check an exposure by itself.

    Returns
    -------
    values : dict
        Its cards, SCI's where the primary header has none, and its shape; empty if it is at fault.
    rows : list of (str, str, str)
        Of COLUMNS; the kind is "fault" or "warning".
    """
    try:
        hdus = read_hdus(path)
    except Fault as fault:
        return {}, [(path, "fault", str(fault).removeprefix(f"{path}: "))]
    science = find(hdus, "SCI")
    if science is None:
        return {}, [(path, "fault", "no SCI extension; give a rate or assign_wcs exposure")]
    values = {**science.values, **hdus[0].values, "shape": science.shape}
    rows = []
    if len(science.shape) != 2:
        rows.append((path, "fault", f"SCI has {len(science.shape)} dimensions; give a rate file"))
    if not isinstance(values.get("DETECTOR"), str) or not values["DETECTOR"]:
        rows.append((path, "fault", "no DETECTOR in the primary header; give a JWST exposure"))
    if values.get("DISPAXIS") is None and values.get("EXP_TYPE") not in ("MIR_MRS", "NRS_IFU"):
        rows.append((path, "warning", "neither DISPAXIS nor EXP_TYPE; set dispersion_axis"))
    if values.get("S_BPXSLF") == "COMPLETE":
        rows.append((path, "warning", "self-calibrated already; give what that was made from"))
    if state(path)[1] > time.time_ns():
        rows.append((path, "warning", "its date is in the future; it is followed all the same"))
    return ({} if any(kind == "fault" for _, kind, _ in rows) else values), rows


def of_stack(stack, exposures):
    """
    Check that the exposures of a stack belong together.

    Parameters
    ----------
    stack : str
    exposures : list of (str, dict)
        Path and values of each.

    Yields
    ------
    row : (str, str, str)
    """
    for keys, kind in ((MUST_AGREE, "fault"), (SHOULD_AGREE, "warning")):
        for key in keys:
            first = None
            for path, values in exposures:
                value = values.get(key)
                value = value.upper() if isinstance(value, str) else value
                if value is None:
                    continue
                first = value if first is None else first
                if value != first:
                    yield path, kind, f"{key} {value} against {first} in the stack {stack}"


def check(rows):
    """
    Check all members.

    Parameters
    ----------
    rows : iterable
        The members table, of the columns in `tables.COLUMNS`.

    Returns
    -------
    found : list of (str, str, str)
        Of COLUMNS.
    """
    stacks, skipped = {}, []
    for association, product, exposure, exptype, path, stack in rows:
        if exptype in COMBINED:
            stacks.setdefault(stack, {})[exposure] = path
        if exptype == "science" and stack == SKIPPED:
            skipped.append((f"{association}.json", "warning", f"product {product} is skipped"))
    values, found = {}, []
    for path in sorted({path for exposures in stacks.values() for path in exposures.values()}):
        values[path], faults = of_exposure(path)
        found += faults
    for stack, exposures in stacks.items():
        if stack != SKIPPED:
            paths = [path for _, path in sorted(exposures.items()) if values[path]]
            found += of_stack(stack, [(path, values[path]) for path in paths])
    return found + skipped


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("planned", help="the members as the run was planned, JSON")
    options.add_argument("output", help="check.csv")
    return options


def main(arguments):
    """Write ``check.csv``; fail where a run would."""
    found = check(read_planned(arguments.planned))
    write_table(arguments.output, [COLUMNS, *found])
    faults = [f"{path}: {what}" for path, kind, what in found if kind == "fault"]
    for path, kind, what in found[:20]:
        if kind == "warning":
            print(f"warning: {path}: {what}")
    print(f"{len(faults)} faults, {len(found) - len(faults)} warnings; see {arguments.output}")
    if faults:
        more = [f"... and {len(faults) - 20} more in {arguments.output}"] * (len(faults) > 20)
        raise Fault("\n".join([*faults[:20], *more]))
