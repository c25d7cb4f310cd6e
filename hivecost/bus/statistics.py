"""What can be read off a bus at any moment."""

from __future__ import annotations

import msgspec


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
