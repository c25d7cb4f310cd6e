"""Fetched rates on disk: `<base_path>/prices/current.json`, and the ones before them."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.os_lock import do_locked
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.pricing import PriceBook
from hivecost.private_files import make_own_folder, make_private_folder, open_private, read_bounded

_log = logging.getLogger(__name__)

_FOLDER: Final = "prices"
_CURRENT: Final = "current.json"
_PREVIOUS: Final = "previous.json"
#: The published data is about 3 MB.
RATES_BYTES_MAX: Final = 2**26


def current_rates_path(base_path: Path) -> Path:
    """Where the rates of the last update are."""
    return base_path / _FOLDER / _CURRENT


def previous_rates_path(base_path: Path) -> Path:
    """Where the rates of the update before it are."""
    return base_path / _FOLDER / _PREVIOUS


def read_rates(path: Path) -> bytes | None:
    """The file's content; None when there is none. Raises StoreError for one that cannot be read."""
    with named_faults(path):
        try:
            return read_bounded(path, RATES_BYTES_MAX)
        except FileNotFoundError:
            return None


def save_rates(base_path: Path, data: bytes) -> bool:
    """Make these rates the current ones and keep those before them; False when they are the current ones already.

    At every instant both files are whole, also when the machine stops. Raises StoreError.
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


def open_price_book(
    base_path: str | Path,
    table: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> PriceBook:
    """A price book of the fetched rates when there are any, else of the shipped ones; `table` wins over both.

    Fetched rates that cannot be read are logged and not used. Raises ConfigError for a table that cannot be used.
    """
    path = current_rates_path(Path(base_path))
    try:
        data = read_bounded(path, RATES_BYTES_MAX)
    except FileNotFoundError:
        return PriceBook(table, clock=clock)
    except OSError as error:
        _log.error("%s: %s; the shipped rates are used", path, error)
        return PriceBook(table, clock=clock)
    book = PriceBook(table, clock=clock, data=data)
    try:
        _ = book.snapshot  # reads all of it
    except Exception as error:  # a stranger's data may break its reader anywhere
        reason = str(error).partition("\n")[0]
        _log.error("%s: %s; the shipped rates are used, `hivecost prices update` renews it", path, reason)
        return PriceBook(table, clock=clock)
    return book


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
