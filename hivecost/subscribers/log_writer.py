"""Writes every event to the runtime log; what it cannot write it counts."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

import anyio

from hivecost.backends import open_backend
from hivecost.bus import DropNewest
from hivecost.errors import StoreError, StoreLockedError
from hivecost.events import Event
from hivecost.log import contract
from hivecost.log.records import StoreStatistics
from hivecost.plugin import PluginHost

#: Events that may wait for the disk: minutes of a busy runtime, some 100 MB.
LOG_QUEUE_MAX: Final = 100_000
#: A commit takes as long as some ten turns. So one of fewer events than this comes no sooner after the one before than
#: `_REST_S`, unless somebody waits for it.
_FEW: Final = 64
_REST_S: Final = 0.005
#: How long stopping waits for the disk, where nobody says when the plugin is given up.
STOP_TIMEOUT_S: Final = 20.0

_log = logging.getLogger("hivecost.log")


class LogWriter:
    """Batches events into the runtime log.

    A log that cannot be opened or written never disturbs the agents: `error` says why, `lost` counts the events.
    """

    name = "log-writer"

    def __init__(self, *, max_queue: int = LOG_QUEUE_MAX) -> None:
        #: Why the log is not written now; None while it is.
        self.error: StoreError | None = None
        self._max_queue = max_queue
        self._store: contract.LogWriter | None = None
        self._host: PluginHost | None = None
        self._subscription = ""
        self._rests_until_s = 0.0
        #: How many wait for what is queued, and what ends a rest for them.
        self._waiting = 0
        self._wanted = anyio.Event()
        #: What the next flush has to say.
        self._loss: StoreError | None = None

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Write the events of the bus to the log while the runtime runs."""
        self._host = host
        self._store = open_backend(host.base_path).writer(clock=host.clock)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._store)
            except StoreError as error:  # it tries again with every batch
                self._note(error)
            self._subscription = host.bus.subscribe(
                handler=self._write, batch=True, overflow=DropNewest(), max_queue=self._max_queue, name=self.name
            )
            try:
                yield
            finally:
                deadline = _deadline()
                with anyio.CancelScope(deadline=deadline, shield=True), self._no_rest():
                    await host.bus.drain(self._subscription)
                host.bus.unsubscribe(self._subscription)
                self._store.close_timeout_s = max(deadline - anyio.current_time(), 0)

    async def flush(self) -> None:
        """Return when everything published so far is committed. Raise StoreError if the log cannot be written.

        The first flush after a loss raises, too, when the log can be written again.
        """
        before = self.error
        if self._host is not None:
            with self._no_rest():
                await self._host.bus.drain(self._subscription)
        if self._store is not None and self.error is before and isinstance(before, StoreLockedError):
            await self._store.flush()  # it raises the same again, or what waited is committed now
            self.error = None
        loss, self._loss = self.error or self._loss, None
        if loss is not None:
            raise loss.with_traceback(None)  # each flush would add its frames, and what those hold

    @property
    def lost(self) -> int:
        """Events that could not be written; those that its full queue dropped are in `bus.statistics()`."""
        return 0 if self._store is None else self._store.statistics().lost

    @property
    def statistics(self) -> StoreStatistics | None:
        """The store's own counts; None while there is none."""
        return None if self._store is None else self._store.statistics()

    @contextmanager
    def _no_rest(self) -> Iterator[None]:
        """Commit at once while somebody waits for it."""
        self._waiting += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._waiting -= 1

    async def _rest(self) -> None:
        left_s = self._rests_until_s - anyio.current_time()
        if left_s > 0 and not self._waiting:
            self._wanted = anyio.Event()
            with anyio.move_on_after(left_s):
                await self._wanted.wait()

    async def _write(self, events: list[Event]) -> None:
        if len(events) < _FEW:
            await self._rest()
        try:
            await self._commit(events)
        finally:
            self._rests_until_s = anyio.current_time() + _REST_S

    async def _commit(self, events: list[Event]) -> None:
        assert self._store is not None  # noqa: S101  # set before anything is subscribed
        lost_before = self.lost
        try:
            await self._store.write(events)
        except StoreError as error:
            if self.lost > lost_before:
                self._loss = error
            self._note(error)
        else:
            self.error = None

    def _note(self, error: StoreError) -> None:
        if self.error is None or str(self.error) != str(error):  # a broken disk says the same with every batch
            _log.error("the runtime log is not written: %s", error)
        self.error = error


def _deadline() -> float:
    given = anyio.current_effective_deadline()
    return given if math.isfinite(given) else anyio.current_time() + STOP_TIMEOUT_S
