"""`<base_path>/ledger/`: a journal and a lock file for every open Ledger. Who holds the lock is alive."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Final

from hivecost.store.os_lock import lock_for_life

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Changes when the machine starts anew; "" where no such thing is known."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class LedgerFolder:
    """The files; their names are random. Made and cleared away under the OS write lock."""

    def __init__(self, base_path: Path) -> None:
        self.path = base_path / "ledger"

    def make_name(self) -> str:
        """A name for a new journal."""
        self.path.mkdir(parents=True, exist_ok=True)
        return secrets.token_hex(8)

    def journal(self, name: str) -> Path:
        return self.path / f"{name}.journal"

    def lock(self, name: str) -> int | None:
        """A descriptor that holds the lock until it is closed; None: its process lives."""
        self.path.mkdir(parents=True, exist_ok=True)
        return lock_for_life(self._lock_path(name))

    def remove(self, name: str) -> None:
        """Both files, if they are there."""
        self.journal(name).unlink(missing_ok=True)
        self._lock_path(name).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Remove what belongs to no process of the ledger: its opening or its recovery was cut short."""
        for name in {file.stem for file in self.path.glob("*.*")} - set(known):
            descriptor = self.lock(name)
            if descriptor is not None:
                self.remove(name)
                os.close(descriptor)

    def _lock_path(self, name: str) -> Path:
        return self.path / f"{name}.lock"
