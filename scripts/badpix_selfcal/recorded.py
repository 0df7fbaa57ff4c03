"""What the headers of a stack record of its exposures as the stage pedestal read them."""

import contextlib
import os

from badpix_selfcal.files import reading, state
from badpix_selfcal.program import Fault


def recorded(values):
    """
    Read from a header of a stack, or of a flagged exposure, which files its exposures were.

    Parameters
    ----------
    values : mapping
        Its cards: BPXE0001 a name, BPXS0001 bytes, BPXT0001 ns since 1970, and so on.

    Returns
    -------
    states : dict of str to (int, int)
        Size and modification time by exposure name.
    """
    return {
        name: (values[f"BPXS{key[4:]}"], values[f"BPXT{key[4:]}"])
        for key, name in values.items()
        if key.startswith("BPXE") and f"BPXS{key[4:]}" in values and f"BPXT{key[4:]}" in values
    }


@contextlib.contextmanager
def unchanged(path, known=None):
    """
    See that a file is the same one before and after it is read.

    Parameters
    ----------
    path : str
    known : (int, int), optional
        Size and modification time that it had when the stack read it.

    Yields
    ------
    state : (int, int)
        Its size in bytes and its modification time in ns.

    Raises
    ------
    Fault
    """
    with reading(path):
        os.stat(path)
    found = state(path)
    if known not in (None, found):
        raise Fault(f"{path}: replaced or changed after the stage pedestal read it; run again")
    yield found
    if state(path) != found:
        raise Fault(f"{path}: replaced or changed while it was read; run again")
