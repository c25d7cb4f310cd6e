"""What a subscription does with one event too many."""

from __future__ import annotations

import msgspec


class Block(msgspec.Struct, frozen=True):
    """An event of `publish()` waits in line before the full queue; one of `publish_nowait()` is dropped.

    `await publish()` returns when there is room for its event, or drops it after `timeout_s`. Only the first publisher
    pays that: until the subscriber moves again, further events are dropped at once. At most `LINE_MAX` events are in
    line, awaited or not; those that come then, and what a handler publishes into its own full queue, are dropped.
    """

    timeout_s: float = 5.0


class DropOldest(msgspec.Struct, frozen=True):
    """The longest-queued event makes room: for live views, where the newest matters."""


class DropNewest(msgspec.Struct, frozen=True):
    """The new event is dropped: what was accepted is kept, for logs."""


Overflow = Block | DropOldest | DropNewest
