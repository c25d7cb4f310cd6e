"""The event bus."""

from hivecost.bus.buffers import INBOX_MAX
from hivecost.bus.bus import MAX_QUEUE, EventBus, collect, refuse_in_handler
from hivecost.bus.overflow import Block, DropNewest, DropOldest, Overflow
from hivecost.bus.queue import LINE_MAX
from hivecost.bus.subscriber import BATCH_MAX
from hivecost.subscription import BusStatistics, Subscription, SubscriptionStatistics

__all__ = [
    "BATCH_MAX",
    "INBOX_MAX",
    "LINE_MAX",
    "MAX_QUEUE",
    "Block",
    "BusStatistics",
    "DropNewest",
    "DropOldest",
    "EventBus",
    "Overflow",
    "Subscription",
    "SubscriptionStatistics",
    "collect",
    "refuse_in_handler",
]
