"""`<base_path>/ledger/`: a journal for every open Ledger. Who holds the lock on it is alive."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.file_locks import is_lock_name, is_locked, lock_for_life, new_lock_name
from hivecost.errors import StoreCorruptError
from hivecost.private_files import make_own_folder, make_private_folder

#: macOS tells it so.
_BOOT_SESSION: Final = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: A process of 0.1.0 locks a file of its own, later ones the journal.
_SUFFIXES: Final = (".journal", ".lock")


def boot_id() -> str:
    """Return what changes when the machine starts anew; "" where no such thing is known."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return _boot_session() if sys.platform == "darwin" else ""


def how_restarted(then: str, now: str) -> str:
    """Say why what a process mapped into memory may be lost; "" when the machine surely runs as it did then."""
    if then == now:
        return "" if now else "this system does not tell whether it was started anew"
    return "the machine was started anew"


def _boot_session() -> str:
    try:
        return subprocess.check_output(_BOOT_SESSION, text=True, timeout=5).strip()  # noqa: S603  # a fixed command
    except (OSError, subprocess.SubprocessError):
        return ""


class LedgerPaths:
    """The files; their names are random. Made and cleared away under the OS write lock.

    Whatever takes a name raises StoreCorruptError for one that `make_name` cannot have given.
    """

    def __init__(self, base_path: Path) -> None:
        self.path = base_path / "ledger"

    def make_name(self) -> str:
        """Return a name for a new journal, in a folder that exists."""
        self._make()
        return new_lock_name()

    def journal(self, name: str) -> Path:
        """Return the path of the journal of this name."""
        return self._file(name, ".journal")

    def lock(self, name: str) -> list[int] | None:
        """Return descriptors that hold the locks of a process until they are closed; None: it lives."""
        held: list[int] = []
        try:
            for suffix in _SUFFIXES:
                with suppress(FileNotFoundError):
                    descriptor = lock_for_life(self._file(name, suffix))
                    if descriptor is None:
                        close_all(held)
                        return None
                    held.append(descriptor)
        except BaseException:
            close_all(held)
            raise
        return held

    def is_alive(self, name: str) -> bool:
        """Tell whether the journal's process lives. Make no file."""
        return any(is_locked(self._file(name, suffix)) for suffix in _SUFFIXES)

    def remove(self, name: str) -> None:
        """Remove both files, if they are there."""
        for suffix in _SUFFIXES:
            self._file(name, suffix).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Remove what belongs to no process of the ledger: its opening or its recovery was cut short.

        Files with names of another form, and whatever is no regular file, are left alone.
        """
        for name in self._names() - set(known):
            held = self.lock(name)
            if held is not None:
                self.remove(name)
                close_all(held)

    def _names(self) -> set[str]:
        with os.scandir(self.path) as entries:
            files = [Path(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)]
        return {file.stem for file in files if file.suffix in _SUFFIXES and is_lock_name(file.stem)}

    def _file(self, name: object, suffix: str) -> Path:
        if not isinstance(name, str) or not is_lock_name(name):
            raise StoreCorruptError(
                f"{self.path.parent}: its ledger names a journal {name!r:.100}, which no hivecost made; "
                "move the folder away (a new one is made), or restore a backup"
            )
        return self.path / f"{name}{suffix}"

    def _make(self) -> None:
        make_private_folder(self.path.parent)
        make_own_folder(self.path)


def close_all(descriptors: list[int]) -> None:
    """Close them, and let go of what they lock."""
    while descriptors:
        os.close(descriptors.pop())
