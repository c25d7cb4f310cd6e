"""What a bus says, in the log and to the control plane, of failures and losses."""

from __future__ import annotations

import logging

from hivecost.bus.subscriber import CLOSED, Subscriber
from hivecost.errors import BudgetExceededError
from hivecost.events import Event
from hivecost.signals import events_dropped, subscriber_failed

_log = logging.getLogger("hivecost.bus")


def report_failure(bus: object, subscriber: Subscriber, event: Event | list[Event], error: Exception) -> None:
    """Report that a handler raised, in the log and by the signal; a repeated fault is logged at round numbers only."""
    if isinstance(error, BudgetExceededError):
        _log.warning("handler %s: %s", subscriber.name, error)  # a decision, not a fault
    else:
        count = subscriber.count_failures_like(error)
        if _reaches_round_number(count):  # a traceback for each would take the loop from everybody else
            text = "handler %s raised %r, %d times so far; it gets the next event"
            _log.error(text, subscriber.name, error, count, exc_info=error)
    subscriber_failed.announce(bus, subscription_id=subscriber.id, name=subscriber.name, event=event, error=error)


def report_loss(bus: object, subscriber: Subscriber, count: int, why: str) -> None:
    """Report that the subscriber lost so many more events."""
    total = subscriber.queue.dropped
    if why == CLOSED or _reaches_round_number(total, count):
        _log.warning("subscription %s has lost %d events (%s)", subscriber.name, total, why)
    events_dropped.announce(bus, subscription_id=subscriber.id, name=subscriber.name, count=count, why=why)


def report_end(subscriber: Subscriber) -> None:
    """Report that a handler cancelled the task that calls it, which nothing can undo."""
    _log.error("handler %s cancelled the task that called it: its subscription has ended", subscriber.name)


def report_inbox_loss(bus: object, total: int, why: str) -> None:
    """Report that one more event of another thread is lost, for every subscription."""
    if _reaches_round_number(total):
        _log.warning("%d events from other threads are lost (%s)", total, why)
    events_dropped.announce(bus, subscription_id="", name="inbox", count=1, why=why)


def _reaches_round_number(count: int, added: int = 1) -> bool:
    """Return True when adding so many made it 1, 10, 100, … or led past one: so that a flood is no flood of lines."""
    before = count - added
    return not before or len(str(count)) > len(str(before))
