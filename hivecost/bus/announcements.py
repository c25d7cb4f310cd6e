"""What a bus says, in the log and to the control plane, of failures and losses."""

from __future__ import annotations

import logging

from hivecost.bus.rounding import reaches_round_number
from hivecost.bus.subscriber import CLOSED, Subscriber
from hivecost.errors import BudgetExceededError
from hivecost.events import Event
from hivecost.signals import events_dropped, subscriber_failed

_log = logging.getLogger("hivecost.bus")


def announce_failure(bus: object, subscriber: Subscriber, event: Event | list[Event], error: Exception) -> None:
    """A handler raised."""
    if isinstance(error, BudgetExceededError):
        _log.warning("handler %s: %s", subscriber.name, error)  # a decision, not a fault
    else:
        count = subscriber.count_failures_like(error)
        if reaches_round_number(count):  # a traceback for each would take the loop from everybody else
            text = "handler %s raised %r, %d times so far; it gets the next event"
            _log.error(text, subscriber.name, error, count, exc_info=error)
    subscriber_failed.announce(bus, subscription_id=subscriber.id, name=subscriber.name, event=event, error=error)


def announce_loss(bus: object, subscriber: Subscriber, count: int, why: str) -> None:
    """So many more events are lost to it."""
    total = subscriber.queue.dropped
    if why == CLOSED or reaches_round_number(total, count):
        _log.warning("subscription %s has lost %d events (%s)", subscriber.name, total, why)
    events_dropped.announce(bus, subscription_id=subscriber.id, name=subscriber.name, count=count, why=why)
