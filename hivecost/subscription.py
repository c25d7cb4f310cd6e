"""A subscription as who made it sees it, and what can be counted of it and of its bus."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import msgspec

from hivecost.plain_text import plain_str


class SubscriptionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the subscription was made: `published` is `handled` + `dropped` + `queued` + `in_line`."""

    subscription_id: str
    name: str
    #: Events that matched, dropped ones included.
    published: int
    handled: int
    #: Handler calls that raised.
    failed: int
    #: Lost to a full queue, to unsubscribing, or to a close that ran out of time.
    dropped: int
    #: Waiting or in the handler's hands just now.
    queued: int
    max_queue: int
    #: Published, and waiting for room in the full queue (`Block`).
    in_line: int = 0


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the bus was made."""

    #: Events that publish() accepted.
    published: int
    #: Events from other threads that found their inbox full, or could not be taken in.
    inbox_dropped: int
    #: Sum over all subscriptions, ended ones included.
    dropped: int
    failed: int
    subscriptions: tuple[SubscriptionStatistics, ...]


class Subscription(str):
    """The id of a subscription, a plain `str` to whoever wants one, and what can be done with the subscription.

        async with bus.subscribe(handler=print) as subscription:
            ...  # what is published here is printed
        print(subscription.statistics().handled)

    Leaving the block waits until what was published so far is handled, and unsubscribes. A block that raises or is
    cancelled unsubscribes at once. Copies and pickles of it are plain ids.
    """

    __slots__ = ("_bus", "_statistics", "handle_waiting")

    _bus: _Bus
    _statistics: Callable[[], SubscriptionStatistics]
    #: Calls the handler, a sync one with `batch`, at once with what was published before the loop's last turn; False
    #: where that has to be waited for: `await bus.drain(subscription)`. On the bus's loop only.
    handle_waiting: Callable[[], bool]

    def __new__(
        cls,
        subscription_id: str,
        *,
        bus: _Bus,
        statistics: Callable[[], SubscriptionStatistics],
        handle_waiting: Callable[[], bool],
    ) -> Self:
        """Return the id, which knows its bus and how to get its statistics."""
        subscription = super().__new__(cls, subscription_id)
        subscription._bus = bus
        subscription._statistics = statistics
        subscription.handle_waiting = handle_waiting
        return subscription

    def unsubscribe(self) -> bool:
        """Start no more handler calls; what still waits is counted as dropped. Return False if that was done before.

        A call that is under way goes on to its end.
        """
        return self._bus.unsubscribe(self)

    def statistics(self) -> SubscriptionStatistics:
        """Return the counts of this subscription, the last ones when it has ended."""
        return self._statistics()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._bus.drain(self)
        finally:
            self.unsubscribe()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (plain_str(self),)


class _Bus(Protocol):
    def unsubscribe(self, subscription_id: str) -> bool: ...

    async def drain(self, subscription_id: str | None = None) -> None: ...
