"""Files that are written whole or not at all, and read with faults that name them."""

import contextlib
import errno
import os

from badpix_selfcal.parent import refuse_orphans
from badpix_selfcal.program import Fault

waits = True  # until what is written is on the disk


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
    folder = os.path.dirname(path) or "."
    part = ""
    try:
        os.makedirs(folder, exist_ok=True)
        part = new_file(path)
        yield part
        to_disk(part)
        refuse_orphans()
        os.replace(part, path)
        to_disk(folder)
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(folder):
            raise
        reason = error.strerror or str(error).splitlines()[0]
        remedy = "make room or allow it, then run again" if error.errno else "see the log"
        raise Fault(f"{path}: cannot be written ({reason}); {remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(part)


def new_file(path):
    """
    Make an empty file beside `path`, under a name that nothing has: neither a link nor another job.

    Returns
    -------
    part : str
        A short name, as that of `path` may be as long as a name can be; it ends with ``.part``.
    """
    for _ in range(100):
        name = f".{os.getpid()}-{os.urandom(4).hex()}.part"
        part = os.path.join(os.path.dirname(path), name)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            return part
    raise FileExistsError(errno.EEXIST, "no new name", path)


@contextlib.contextmanager
def not_kept():
    """Do not wait for the disk within: what is written there is read and removed."""
    global waits
    waits = False
    try:
        yield
    finally:
        waits = True


def to_disk(path):
    """Wait until a file, or the names in a folder, are on the disk: a power cut leaves them so."""
    if not waits:
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some network file systems cannot, and say so.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(file)


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
