"""Disks to break: an ext4 in a file, whose power can be cut, and a small one. For root."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time

SHUTDOWN = 0x8004587D  # the ioctl EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2  # what is not on the disk is lost, and so is what the journal has not written


class NotHereError(Exception):
    """The machine does not allow it: no root, no loop device, another kernel."""


class Disk:
    """An ext4 file system in a file of some MB, mounted at a folder."""

    def __init__(self, folder, megabytes=64):
        self.image, self.folder = folder / "disk.img", folder / "disk"
        self.folder.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        command("mkfs.ext4", "-q", "-F", self.image)
        self.mount()

    def mount(self):
        command("mount", "-o", "loop", self.image, self.folder)

    def unmount(self):
        """Wait for killed processes, which may hold it for a moment."""
        for last in (*[False] * 100, True):
            try:
                return command("umount", self.folder)
            except NotHereError:
                if last:
                    raise
                time.sleep(0.1)

    def cut_power(self):
        """Lose whatever has not reached the disk, then mount it again, as a computer starts."""
        place = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(place, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            raise NotHereError(f"no power to cut: {error}") from error
        finally:
            os.close(place)
        self.unmount()
        # A copy: another mount namespace (a browser's sandbox) may still hold the dead file system.
        self.image = shutil.copyfile(self.image, self.image.with_suffix(f".{time.time_ns()}.img"))
        self.mount()


def command(*words):
    """Run a command; return what it prints, or raise a NotHereError with what it says."""
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotHereError(f"{words[0]} is not installed") from error
    if done.returncode:
        raise NotHereError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a disk of so many bytes at a folder, empty; yield a function that sets another size."""
    command("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield lambda size: command("mount", "-o", f"remount,size={size}", folder)
    finally:
        command("umount", folder)


@contextlib.contextmanager
def disk(folder, megabytes=64):
    """
    Yield a `Disk`.

    Raises
    ------
    NotHereError
    """
    made = Disk(folder, megabytes)
    try:
        yield made
    finally:
        made.unmount()
