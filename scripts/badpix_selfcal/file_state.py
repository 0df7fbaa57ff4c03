"""Whether files have changed: size and modification time, or content."""

import contextlib
import functools
import hashlib
import os

from badpix_selfcal.atomic_io import reading
from badpix_selfcal.errors import InputError


def read_state(path):
    """Return the size in bytes and the modification time in ns of a file; None if it is missing."""
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return found.st_size, found.st_mtime_ns
    return None


def read_recorded(header):
    """
    Read which files the exposures of a stack were when the stage pedestal read them.

    Parameters
    ----------
    header : FITSHDR or mapping
        Of a stack or of a flagged exposure: BPXE0001 a name, BPXS0001 bytes, BPXT0001 ns, ...

    Returns
    -------
    states : dict of str to (int, int)
        Size and modification time by exposure name.
    """
    numbers = [key[4:] for key in header if key.startswith("BPXE") and key[4:].isdigit()]
    return {header[f"BPXE{n}"]: (header[f"BPXS{n}"], header[f"BPXT{n}"]) for n in numbers}


@contextlib.contextmanager
def unchanged(path, known=None):
    """
    Check that a file is the same before and after it is read.

    Parameters
    ----------
    path : str
    known : (int, int), optional
        Size and modification time when the stack read it.

    Yields
    ------
    state : (int, int)
        Its size in bytes and its modification time in ns.

    Raises
    ------
    InputError
    """
    with reading(path):
        os.stat(path)
    found = read_state(path)
    if known not in (None, found):
        raise InputError(f"{path}: replaced or changed after the stage pedestal read it; run again")
    yield found
    if read_state(path) != found:
        raise InputError(f"{path}: replaced or changed while it was read; run again")


def hash_text(text):
    """Return a hash of a text, 12 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def hash_states(paths):
    """Return a hash of the sizes and modification times of files, 12 hexadecimal digits."""
    return hash_text(repr([(path, read_state(path)) for path in paths]))


@functools.cache
def hash_content(path):
    """Return a hash of the content of a small file, 12 hexadecimal digits; "" if it is missing."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]
    return ""


def read_digest(path):
    """Return a file's path, size in bytes, modification time in ns and SHA-256."""
    with reading(path), unchanged(path) as (size, modified), open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path, size, modified, digest


DIGEST_COLUMNS = ("path", "size", "modified", "sha256")  # of `read_digest`
