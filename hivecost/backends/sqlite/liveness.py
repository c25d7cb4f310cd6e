"""`<base_path>/runtimes/`: a lock file for each runtime that keeps a log. Who holds the lock is alive."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.file_locks import is_lock_name, is_locked, lock_for_life, new_lock_name
from hivecost.forking import tell_children
from hivecost.private_files import make_own_folder, make_private_file, make_private_folder

_FOLDER: Final = "runtimes"


class _Lock:
    """Held until it is released, or its process is gone."""

    def __init__(self, base_path: Path) -> None:
        """Clear away the files of those that are gone, and make one. Raise OSError."""
        folder = base_path / _FOLDER
        make_private_folder(base_path)
        make_own_folder(folder)
        _sweep(folder)
        self.runtime_id = new_lock_name()
        self._path = folder / f"{self.runtime_id}.lock"
        # It is locked before it has its name, so that nobody clears it away in between. Windows renames no open file,
        # nor does it remove one.
        draft = self._path if sys.platform == "win32" else self._path.with_suffix(".new")
        make_private_file(draft)
        self._descriptor = lock_for_life(draft)
        if draft != self._path:
            draft.rename(self._path)
        tell_children(self)

    def _forked(self) -> None:
        self._close()

    def release(self) -> None:
        """Remove the file, and let go of it."""
        with suppress(OSError):
            self._path.unlink()
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        if path.suffix != ".lock" or not is_lock_name(path.stem):
            continue
        with suppress(OSError):  # another one was quicker
            descriptor = lock_for_life(path)
            if descriptor is not None:
                try:
                    path.unlink()
                finally:
                    os.close(descriptor)  # or we would keep it alive


@asynccontextmanager
async def living(base_path: Path) -> AsyncIterator[str]:
    """Give an id by which readers of the log can tell, until this ends, that the process lives.

    It is "" where no lock file can be made: then nobody can tell.
    """
    import anyio  # noqa: PLC0415  # readers are quicker without

    from hivecost.threads import run_in_thread  # noqa: PLC0415  # the same

    lock = None
    with suppress(OSError):
        lock = await run_in_thread(partial(_Lock, base_path))
    try:
        yield "" if lock is None else lock.runtime_id
    finally:
        if lock is not None:
            with anyio.CancelScope(shield=True):
                await run_in_thread(lock.release)


def gone_from(base_path: Path) -> Callable[[object], bool]:
    """Return a function that says of a runtime's id whether its process is gone: False where nobody can tell.

    Ask before the log is read: what a process logged in its life is then all there. Writes nothing and makes nothing.
    """
    folder = base_path / _FOLDER
    try:
        alive = {path.stem for path in folder.iterdir() if _may_live(path)}
    except OSError:  # a copy of the log alone, perhaps of what still runs
        return lambda _: False

    @cache
    def is_gone(runtime_id: object) -> bool:
        if not isinstance(runtime_id, str) or not is_lock_name(runtime_id):  # it comes from a file
            return False
        return runtime_id not in alive and not _may_live(folder / f"{runtime_id}.lock")

    return is_gone


def _may_live(lock: Path) -> bool:
    try:
        return is_locked(lock)
    except OSError:  # nobody can tell
        return True
