"""
Who is at work in a folder: each run holds a lock of the system's, which ends with its process.

No record of hosts, processes or dates is needed, so none can be wrong: in containers, after a clock
was set, or when a run was killed at any moment.
"""

import errno
import fcntl
import os
from glob import glob

from badpix_selfcal.program import Fault

FOLDER = ".snakemake/badpix_selfcal"
RUNS = f"{FOLDER}/runs.lock"  # shared by the runs, exclusive for who removes what a run may use
DOOR = f"{FOLDER}/door.lock"  # exclusive, while a run looks for others and announces itself
LOCK_FILES = ".snakemake/locks/*.lock"  # Snakemake's own
# Of these file systems it is known that all who see a file see its locks. Of others, such as NFS or
# Lustre, some have locks that reach no further than one computer, and nothing tells which.
LOCAL = {
    *("apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "overlay"),
    *("ramfs", "reiserfs", "tmpfs", "ufs", "xfs", "zfs"),
}


def take(path, exclusive=False, wait=False):
    """
    Take a lock, which ends when it is closed or the process ends, however it does.

    Parameters
    ----------
    path : str
        Made if it is not there.
    exclusive, wait : bool

    Returns
    -------
    lock : int or None
        A file descriptor, which programs that are started do not inherit; None where another
        process has it.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(lock, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    return lock


def file_system(folder):
    """Return the type of the file system that a folder is on, "" where it is not known."""
    import psutil

    path = os.path.join(os.path.realpath(folder), "")
    mounts = [
        (len(mount.mountpoint), mount.fstype)
        for mount in psutil.disk_partitions(all=True)
        if path.startswith(os.path.join(mount.mountpoint, ""))
    ]
    return max(mounts, default=(0, ""))[1]


def alone():
    """
    Take the lock that no other run may hold while results are deleted.

    Raises
    ------
    Fault
        If there is another run in this folder, or if that is not known.
    """
    try:
        lock, kind = take(RUNS, exclusive=True), file_system(".snakemake")
    except OSError as error:
        lock, kind = -1, error.strerror
    if lock is None:
        raise Fault(f"{os.getcwd()}: a run is going on here; wait for its end, then try again")
    if kind not in LOCAL and glob(LOCK_FILES):
        os.close(lock) if lock >= 0 else None
        raise Fault(
            f"{LOCK_FILES}: a run may be going on ({kind}: locks may not reach); wait for its end, "
            "or say snakemake --unlock once if there is none"
        )
    return lock
