"""A lock around steps that belong together, and the knowledge of whether they were ever torn apart."""

from __future__ import annotations

import threading
from types import TracebackType

from hivecost.errors import HiveCostError


class CriticalSection:
    """`with section:` one thread at a time. Torn, for good, when anything but a HiveCostError leaves it.

    Our own steps never fail halfway; KeyboardInterrupt, or a MemoryError, can end them anywhere.
    """

    __slots__ = ("_lock", "torn_by")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.torn_by: str | None = None

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None and not issubclass(kind, HiveCostError):
                self.torn_by = repr(error)
        finally:
            self._lock.release()
