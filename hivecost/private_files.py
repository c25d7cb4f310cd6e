"""Files and folders that hivecost makes: for their owner alone, and never through a link that a stranger laid."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
#: Windows knows neither of the first two.
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """Open the file, and where `flags` make one, give it mode 0600; the mode of one that is there stays.

    Raise OSError, also for a symbolic link. To be used as `opener` of `open`.
    """
    return os.open(path, flags | _NO_FOLLOW | _BINARY | getattr(os, "O_CLOEXEC", 0), _FILE_MODE)


def make_private_file(path: Path) -> None:
    """Make an empty file with mode 0600, unless something is there already. Raise OSError."""
    try:
        os.close(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return


def make_private_folder(path: Path) -> None:
    """Make the folder, and those above it that are missing, with mode 0700. Raise OSError."""
    if not path.is_dir():
        if path.parent != path:
            make_private_folder(path.parent)
        path.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def make_own_folder(path: Path) -> None:
    """Make a private folder inside the base path. Raise OSError for a symbolic link: it may lead to files of others."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    make_private_folder(path)


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """Read a file in full. Raise OSError, also for a pipe or a device, and for a file of more than `bytes_max`."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        if status.st_size > bytes_max:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read()
