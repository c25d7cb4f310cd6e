"""Which subscriptions an event goes to, found by index, not by a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hivecost.bus.subscriber import Subscriber
from hivecost.events import Event, EventType

#: The attributes a subscription may filter by, the most selective first: it is the one that is indexed.
FILTER_FIELDS: Final = ("execution_id", "session_id", "node_id", "agent_id")

_ByValue = dict[str, tuple[Subscriber, ...]]


class Routes:
    """Subscriptions by event type and, where they filter, by the value of one attribute."""

    def __init__(self) -> None:
        self._plain: dict[EventType, tuple[Subscriber, ...]] = dict.fromkeys(EventType, ())
        self._keyed: dict[EventType, dict[str, _ByValue]] = {event_type: {} for event_type in EventType}
        self._types: dict[str, frozenset[EventType]] = {}

    def require_event(self, event: Event) -> None:
        """Raises TypeError for what is no event."""
        if getattr(type(event), "type", None) not in self._plain:
            raise TypeError(f"the bus carries hivecost events, got {event!r:.100}")

    def matching(self, event: Event) -> Sequence[Subscriber]:
        """Every subscription that wants the event."""
        plain, keyed = self._plain[event.type], self._keyed[event.type]
        return (*plain, *_matching(keyed, event)) if keyed else plain

    def spread(self, event_type: EventType, events: list[Event]) -> list[tuple[Subscriber, int]]:
        """Queue events of one type with every subscription that wants them; gives who lost how many, if any did."""
        wanted: dict[Subscriber, list[Event]] = {}
        keyed = self._keyed[event_type]
        if keyed:
            for event in events:
                for subscriber in _matching(keyed, event):
                    wanted.setdefault(subscriber, []).append(event)
        losses = [(subscriber, subscriber.queue.take_in(events)) for subscriber in self._plain[event_type]]
        losses += [(subscriber, subscriber.queue.take_in(some)) for subscriber, some in wanted.items()]
        return [(subscriber, lost) for subscriber, lost in losses if lost]

    def add(self, subscriber: Subscriber, event_types: frozenset[EventType]) -> None:
        self._types[subscriber.id] = event_types
        field = _indexed(subscriber)
        for event_type in event_types:
            if field is None:
                self._plain[event_type] = (*self._plain[event_type], subscriber)
            else:
                by_value = self._keyed[event_type].setdefault(field, {})
                value = subscriber.filters[field]
                by_value[value] = (*by_value.get(value, ()), subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        field = _indexed(subscriber)
        for event_type in self._types.pop(subscriber.id, ()):
            if field is None:
                self._plain[event_type] = tuple(s for s in self._plain[event_type] if s is not subscriber)
                continue
            by_value = self._keyed[event_type][field]
            value = subscriber.filters[field]
            by_value[value] = tuple(s for s in by_value[value] if s is not subscriber)
            if not by_value[value]:
                del by_value[value]
            if not by_value:
                del self._keyed[event_type][field]


def _indexed(subscriber: Subscriber) -> str | None:
    """The attribute by which it is found; None: it has no filters."""
    return next((field for field in FILTER_FIELDS if field in subscriber.filters), None)


def _matching(keyed: dict[str, _ByValue], event: Event) -> Iterator[Subscriber]:
    for field, by_value in keyed.items():
        for subscriber in by_value.get(getattr(event, field), ()):
            if subscriber.wants(event):
                yield subscriber
