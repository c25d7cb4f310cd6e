"""Fetched rates on disk: `<base_path>/prices/current.json`, and the ones before them."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import Final

from hivecost.backends.contract import RATES_BYTES_MAX
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.os_lock import do_locked
from hivecost.private_files import make_own_folder, make_private_folder, open_private, read_bounded

_FOLDER: Final = "prices"
_CURRENT: Final = "current.json"
_PREVIOUS: Final = "previous.json"


class FolderRates:
    """A `hivecost.backends.Rates` in a folder."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self.name = str(current_rates_path(base_path))

    def current(self) -> bytes | None:
        return read_rates(current_rates_path(self._base_path))

    def previous(self) -> bytes | None:
        return read_rates(previous_rates_path(self._base_path))

    def save(self, data: bytes) -> bool:
        return save_rates(self._base_path, data)


def current_rates_path(base_path: Path) -> Path:
    """Return where the rates of the last update are."""
    return base_path / _FOLDER / _CURRENT


def previous_rates_path(base_path: Path) -> Path:
    """Return where the rates of the update before the last are."""
    return base_path / _FOLDER / _PREVIOUS


def read_rates(path: Path) -> bytes | None:
    """Return the file's content; None when there is none. Raise StoreError for one that cannot be read."""
    with named_faults(path):
        try:
            return read_bounded(path, RATES_BYTES_MAX)
        except FileNotFoundError:
            return None


def save_rates(base_path: Path, data: bytes) -> bool:
    """Make these rates the current ones and keep those before them; False when they are the current ones already.

    At every instant both files are whole, also when the machine stops. Raise StoreError.
    """
    current = current_rates_path(base_path)
    with named_faults(current):
        make_private_folder(base_path)
        make_own_folder(current.parent)
        return do_locked(base_path, partial(_replace_rates, base_path, data))


def _replace_rates(base_path: Path, data: bytes) -> bool:
    current = current_rates_path(base_path)
    before = read_rates(current)
    if before == data:
        return False
    if before is not None:
        _write_whole(previous_rates_path(base_path), before)
    _write_whole(current, data)
    return True


def _write_whole(path: Path, data: bytes) -> None:
    """Replace the file by one with this content, which is on the disk before it has the name."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        draft.unlink(missing_ok=True)  # of a process that had the same id and died
        with open(draft, "xb", opener=open_private) as file:  # Path.open takes no opener
            if path.exists():
                draft.chmod(stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
