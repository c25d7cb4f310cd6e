"""Locks on files that the kernel frees when their holder dies: taken, asked about, and kept for a life."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from hivecost.private_files import open_private

#: The kernel's list of file locks, with the process ids of their holders. Linux alone has it.
_LOCKS: Final = Path("/proc/locks")
_UNSEEN: Final = "another process"
_NAME: Final = re.compile("[0-9a-f]{16}")


if sys.platform == "win32":
    import msvcrt

    #: Windows keeps others from reading what is locked, so that is a byte that no file has.
    _LOCKED_BYTE: Final = 2**30

    def _acquire(descriptor: int, *, wait: bool) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def release(descriptor: int) -> None:
        """Release the lock that this process holds on the file."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def _share(descriptor: int) -> None:
        _acquire(descriptor, wait=False)

else:
    import fcntl

    def _acquire(descriptor: int, *, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(descriptor: int) -> None:
        """Release the lock that this process holds on the file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _share(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def new_lock_name() -> str:
    """Return a name that no file has, for one that is locked for life."""
    return os.urandom(8).hex()


def is_lock_name(name: str) -> bool:
    """Tell whether `new_lock_name` can have given the name. Any other in a file is not ours, and may lead elsewhere."""
    return _NAME.fullmatch(name) is not None


def lock_for_life(path: Path) -> int | None:
    """Return a descriptor that holds a lock on the file until it is closed; None when somebody else has it.

    Close it in forked children, or they hold the lock too. Raise FileNotFoundError when there is no file.
    """
    return locked(path, wait=False, flags=os.O_RDWR)


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a lock for life on the file. Make and write nothing, and hinder nobody."""
    try:
        descriptor = open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        _share(descriptor)
        release(descriptor)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(descriptor)
    return False


def holder_of(path: Path) -> str:
    """Name whoever holds a lock on the file, as `process 4711`, or `another process` where that cannot be seen."""
    try:
        inode, lines = path.stat().st_ino, _LOCKS.read_text().splitlines()
    except OSError:
        return _UNSEEN
    for line in lines:
        # As in `1: FLOCK  ADVISORY  WRITE 4711 fe:00:2148673 0 EOF`; those who wait have an arrow before their kind.
        _, kind, _, _, process_id, where, *_ = line.split()
        if kind == "FLOCK" and where.rpartition(":")[2] == str(inode) and int(process_id) > 0:
            return f"process {process_id}"
    return _UNSEEN


def locked(path: Path, *, wait: bool, flags: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """Return a descriptor of the file that is there now, locked; None when somebody else has it.

    Raise OSError.
    """
    while True:
        descriptor = open_private(path, flags)
        try:
            held = _try_acquire(descriptor, wait=wait)
            if held and _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not held:
            return None


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether the locked file is still at its path; if it was removed meanwhile, the next lock is on another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _try_acquire(descriptor: int, *, wait: bool) -> bool:
    try:
        _acquire(descriptor, wait=wait)
    except (BlockingIOError, PermissionError):  # the second is how Windows says it
        if wait:
            raise
        return False
    return True
