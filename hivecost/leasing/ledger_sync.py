"""The one task of a ledger that goes to its bank: everybody who waits is served by the same sync."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Any, Final, TypeVar

import anyio

from hivecost.clock import Clock
from hivecost.errors import HiveCostError, LedgerUnavailableError, StoreError, StoreMovedError, StoreVersionError
from hivecost.leasing.bank import LeaseBank, LeasePolicy
from hivecost.leasing.batch import Committed, LeaseRequest
from hivecost.leasing.local_ledger import LocalLedger
from hivecost.leasing.operations import Operation
from hivecost.ledger import Refusal
from hivecost.loops import current_loop, run_on

R = TypeVar("R")

_log = logging.getLogger(__name__)

#: What is leased is not this process's own any more.
_LOST: Final = (StoreMovedError, StoreVersionError)

#: A clock that differs from the bank's by more is told of: the periods of budgets begin at other times there.
CLOCK_DIFFERENCE_MAX_S: Final = 5.0

#: Done once an operation was, before anything else is decided by what was committed with it.
Then = Callable[[Committed], None]


class _Waiting:
    """Somebody who waits for the next sync, until a deadline where others have leases that they may return."""

    def __init__(self, wish: LeaseRequest | Operation[Any], timeout_s: float, then: Then | None = None) -> None:
        self.wish = wish
        self.then = then
        self.done = anyio.Event()
        self.result: Any = None
        self.deadline = anyio.current_time() + timeout_s

    def finish(self, result: Any) -> None:
        self.result = result
        self.done.set()


class LedgerSync:
    """Runs in a task of its own until `stop`. Whoever waits may be cancelled; the sync never is."""

    def __init__(self, bank: LeaseBank, local: LocalLedger, policy: LeasePolicy, clock: Clock) -> None:
        self._bank = bank
        self._local = local
        self._policy = policy
        self._clock = clock
        self._loop = current_loop()
        self._waiting: list[_Waiting] = []
        self._wakeup = anyio.Event()
        self._stopping = False
        self._scope: anyio.CancelScope | None = None
        self._has_changed = False
        self._failing = False
        self._is_clock_told = False
        self._has_requested = False
        self._last_change = -1
        self._ticks = 0

    async def request(self, request: LeaseRequest) -> Refusal | None:
        """Return None once leases cover the reservation, or did for a moment. Raise LedgerUnavailableError."""
        refusal: Refusal | None = await self._wait(request)
        return refusal

    async def do(self, operation: Operation[R], then: Then | None = None) -> R:
        """Return what the operation gives, once it is durable and `then` was called.

        It is done also when nobody waits any more. Raise the operation's HiveCostError, or LedgerUnavailableError.
        """
        result: R = await self._wait(operation, then)
        return result

    def wake(self) -> None:
        """Sync now. From any thread."""
        if self._loop.is_here():
            self._wakeup.set()
        else:
            self._loop.call_threadsafe(self.wake)

    def stop(self, timeout_s: float) -> None:
        """Make `run` return after the sync that is on its way, or without it after `timeout_s`."""
        self._stopping = True
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + timeout_s
        self.wake()

    def orphan(self) -> None:
        """Refuse whoever waits, because nobody runs it in a forked child."""
        self._stopping = True

    async def run(self) -> None:
        """Sync whenever there is a reason. Whoever cancels its surroundings may still settle, and wait for it."""
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                woken = await self._rest()
                while not self._stopping:
                    await self._tick(woken=woken)
                    woken = await self._rest()
        finally:
            self._stopping = True
            self._fail(LedgerUnavailableError("the ledger was closed meanwhile"))

    async def _wait(self, wish: LeaseRequest | Operation[Any], then: Then | None = None) -> Any:
        """Return the answer, also to whoever asks on another event loop."""
        if self._stopping:
            raise LedgerUnavailableError("the ledger is not open")
        if not self._loop.is_here():
            return await run_on(self._loop, lambda: self._wait(wish, then))
        waiting = _Waiting(wish, self._policy.return_timeout_s, then)
        self._waiting.append(waiting)
        self.wake()
        try:
            await waiting.done.wait()
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        if isinstance(waiting.result, HiveCostError):
            raise waiting.result
        return waiting.result

    async def _rest(self) -> bool:
        """Return at the next tick; True when woken before it."""
        is_busy = (
            self._has_changed
            or self._local.has_leases
            or self._local.has_news
            or self._local.has_unread_limits
            or self._waiting
            or self._has_requested
        )
        with anyio.move_on_after(self._policy.tick_s if is_busy else self._policy.idle_s):
            await self._wakeup.wait()
        woken = self._wakeup.is_set()
        self._wakeup = anyio.Event()
        return woken

    async def _tick(self, *, woken: bool) -> None:
        try:
            if woken:
                await self._sync()
            elif (contested := await self._reasons()) is not None:
                await self._sync(contested)
        except LedgerUnavailableError as error:
            self._fail(error)
        except Exception as error:
            # The edge: a fault of ours costs those who wait, never the ledger.
            _log.exception("%s: the ledger's sync failed", self._bank.name)
            self._fail(LedgerUnavailableError(f"{self._bank.name}: {error!r}; this is a fault of hivecost, report it"))

    async def _reasons(self) -> set[int] | None:
        """Return the leases to give back at this tick; None when there is no reason to sync."""
        self._ticks += 1
        try:
            contested, last_change = await self._bank.poll()
        except _LOST as error:
            raise self._unavailable(error) from error
        except StoreError:
            return set()  # a sync works all the same, or says what is wrong
        if self._is_time(self._policy.idle_s):
            contested |= self._local.idle_rows()
        if self._has_changed or last_change != self._last_change:
            # Under another limit nobody keeps more than it needs.
            contested |= self._local.leased_rows()
        reasons = (
            contested,
            last_change != self._last_change,
            self._waiting,
            self._has_requested,
            self._local.has_unread_limits,
            self._local.has_news and (self._is_time(self._policy.settle_s) or self._local.is_crowded),
        )
        return contested if any(reasons) else None

    def _is_time(self, every_s: float) -> bool:
        """Return whether this is a tick at which to do what is done so often."""
        return self._ticks % max(1, round(every_s / self._policy.tick_s)) == 0

    async def _sync(self, contested: Container[int] = ()) -> None:
        """Sync all that is new, for all who wait."""
        requests = [(waiting, waiting.wish) for waiting in self._waiting if isinstance(waiting.wish, LeaseRequest)]
        operations = [(waiting, waiting.wish) for waiting in self._waiting if isinstance(waiting.wish, Operation)]
        batch = self._local.collect([request for _, request in requests], contested)
        asked_ns = self._clock.now_ns()
        try:
            committed = await self._bank.sync(batch, [operation for _, operation in operations])
        except BaseException as error:
            self._local.put_back(batch)
            if not isinstance(error, StoreError):
                raise
            raise self._unavailable(error) from error
        self._compare_clocks(committed.now_ns, asked_ns, self._clock.now_ns())
        self._has_changed = committed.last_change != self._last_change
        self._failing, self._last_change, self._has_requested = False, committed.last_change, False
        self._local.apply(batch, committed)
        for (waiting, _), result in zip(operations, committed.results, strict=True):
            if waiting.then is not None and not isinstance(result, HiveCostError):
                waiting.then(committed)
            self._finish(waiting, result)
        for (waiting, _), reply in zip(requests, committed.replies, strict=True):
            self._has_requested |= reply.worth_waiting
            if not reply.worth_waiting or anyio.current_time() >= waiting.deadline:
                self._finish(waiting, reply.refusal)

    def _compare_clocks(self, bank_ns: int, asked_ns: int, answered_ns: int) -> None:
        """Tell once of a clock that differs from the bank's, whose time lies between asking and the answer."""
        behind_s = max(bank_ns - answered_ns, 0) / 1e9
        ahead_s = max(asked_ns - bank_ns, 0) / 1e9
        differs = max(behind_s, ahead_s) > CLOCK_DIFFERENCE_MAX_S
        if differs and not self._is_clock_told:
            _log.warning(
                "%s: this clock is %.0f s %s that of the ledger, so that periods of budgets begin here that much "
                "%s than for others; set it right",
                *(self._bank.name, max(behind_s, ahead_s)),
                *(("behind", "later") if behind_s else ("ahead of", "earlier")),
            )
        self._is_clock_told = differs

    def _finish(self, waiting: _Waiting, result: Any) -> None:
        waiting.finish(result)
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _fail(self, error: LedgerUnavailableError) -> None:
        for waiting in list(self._waiting):
            self._finish(waiting, error)

    def _unavailable(self, error: StoreError) -> LedgerUnavailableError:
        if not self._failing:
            _log.error("the ledger cannot be reached, nothing more is granted: %s", error)
        self._failing = True
        if isinstance(error, _LOST):
            self._local.poison(str(error))
        return LedgerUnavailableError(str(error))
