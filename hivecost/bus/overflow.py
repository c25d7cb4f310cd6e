"""What a subscription does with one event too many."""

from __future__ import annotations

import msgspec


class Block(msgspec.Struct, frozen=True):
    """`await publish()` waits for room, at most `timeout_s`; after that the new event is dropped.

    Only the first publisher pays the wait: until the subscriber moves again, further events are dropped at once.
    `publish_nowait()`, and a handler that publishes into its own full queue, never wait.
    """

    timeout_s: float = 5.0


class DropOldest(msgspec.Struct, frozen=True):
    """The longest-queued event makes room: for live views, where the newest matters."""


class DropNewest(msgspec.Struct, frozen=True):
    """The new event is dropped: what was accepted is kept, for logs."""


Overflow = Block | DropOldest | DropNewest
