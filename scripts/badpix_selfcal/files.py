"""Files that are written whole or not at all, and read with faults that name them."""

import contextlib
import os

from badpix_selfcal.program import Fault


@contextlib.contextmanager
def atomic_write(path):
    """
    Yield a name beside `path` to write to; `path` itself appears when all of it is written.

    A reader never sees half a file, and a failed or killed program leaves the old one.

    Raises
    ------
    Fault
        If it cannot be written, for want of space or permission. Errors of other files pass.
    """
    part = f"{path}.part"
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(folder):
            raise
        reason = error.strerror or str(error).splitlines()[0]
        raise Fault(
            f"{path}: cannot be written ({reason}); make room or allow it, then run again"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def state(path):
    """Return the size in bytes and the modification time in ns of a file; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@contextlib.contextmanager
def reading(path):
    """
    Name a file in the errors of reading it.

    Raises
    ------
    Fault
        If it cannot be opened or read.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise Fault(f"{path}: {reason}; check the path, its permissions and its disk") from error
