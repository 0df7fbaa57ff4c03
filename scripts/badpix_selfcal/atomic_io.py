"""Files that are written whole or not at all."""

import contextlib
import errno
import gzip
import os

from badpix_selfcal.errors import InputError


@contextlib.contextmanager
def atomic_write(path):
    """
    Yield a temporary name beside `path`, which takes its name when all of it is on the disk.

    A reader never sees half a file; a failed program leaves the old one.

    Parameters
    ----------
    path : str

    Yields
    ------
    part : str

    Raises
    ------
    InputError
        If the file cannot be written: no space, no permission. Errors of other files pass.
    """
    folder = os.path.dirname(path)
    part = os.path.join(folder, f".{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        os.makedirs(folder or ".", exist_ok=True)
        yield part
        sync(part)
        os.replace(part, path)
        sync(folder or ".")
    except OSError as error:
        if error.filename not in (None, part, path, folder):
            raise
        raise InputError(
            f"{path}: cannot be written ({explain(error)}); make room on its disk or allow it, "
            "then run again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def write_text(path, text):
    """Write a text file whole or not at all; errors as of `atomic_write`."""
    with atomic_write(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)


def sync(path):
    """Wait until a file, or the names in a folder, are on the disk and survive a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some network file systems cannot, and say so.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(file)


@contextlib.contextmanager
def reading(path):
    """
    Name a file in the errors of reading it.

    Raises
    ------
    InputError
        If it cannot be opened or read.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: {explain(error)}; check the path, its permissions and its disk"
        ) from error


def open_unzipped(path):
    """Open a file to read its bytes, decompressed if it is gzipped by its name."""
    return gzip.open(path) if path.endswith(".gz") else open(path, "rb")


def measure_unzipped(path):
    """Return the size of a file in bytes, decompressed: the last four bytes of a gzipped one."""
    with reading(path), open(path, "rb") as file:
        size = file.seek(-4 if path.endswith(".gz") else 0, os.SEEK_END)
        return int.from_bytes(file.read(), "little") or size


def explain(error):
    """Return the text of an error in a line, without the file name of an OSError."""
    return getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
