"""Which subscriptions an event goes to, found by index, not by a scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hivecost.bus.subscriber import Subscriber
from hivecost.events import Event, EventType

#: The attributes a subscription may filter by, the most selective first: it is the one that is indexed.
FILTER_FIELDS: Final = ("execution_id", "session_id", "node_id", "agent_id")

_ByValue = dict[str, tuple[Subscriber, ...]]
#: Where a subscriber is found: the type of the event, the attribute that is indexed ("": none is), and its value.
_Place = tuple[EventType, str, str]


class Routes:
    """Subscribers by event type and, where they filter or want custom events by name, by the value of one attribute."""

    def __init__(self) -> None:
        self._plain: dict[EventType, tuple[Subscriber, ...]] = dict.fromkeys(EventType, ())
        self._keyed: dict[EventType, dict[str, _ByValue]] = {event_type: {} for event_type in EventType}
        self._places: dict[str, tuple[_Place, ...]] = {}

    def matching(self, event: Event) -> Sequence[Subscriber]:
        """Return every subscription that wants the event."""
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

    def add(self, subscriber: Subscriber, event_types: frozenset[EventType], custom_names: frozenset[str]) -> None:
        """Give it the events of these types, and the CustomEvents of these names; EventType.CUSTOM is all of them."""
        places = self._places[subscriber.id] = _places(subscriber, event_types, custom_names)
        for event_type, field, value in places:
            if not field:
                self._plain[event_type] = (*self._plain[event_type], subscriber)
            else:
                by_value = self._keyed[event_type].setdefault(field, {})
                by_value[value] = (*by_value.get(value, ()), subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Give the subscriber no more events."""
        for event_type, field, value in self._places.pop(subscriber.id, ()):
            if not field:
                self._plain[event_type] = tuple(s for s in self._plain[event_type] if s is not subscriber)
                continue
            by_value = self._keyed[event_type][field]
            by_value[value] = tuple(s for s in by_value[value] if s is not subscriber)
            if not by_value[value]:
                del by_value[value]
            if not by_value:
                del self._keyed[event_type][field]


def _places(
    subscriber: Subscriber, event_types: frozenset[EventType], custom_names: frozenset[str]
) -> tuple[_Place, ...]:
    field = next((field for field in FILTER_FIELDS if field in subscriber.filters), "")
    value = subscriber.filters.get(field, "")
    by_type = ((event_type, field, value) for event_type in event_types)
    names = () if EventType.CUSTOM in event_types else custom_names
    return (*by_type, *((EventType.CUSTOM, "name", name) for name in names))


def _matching(keyed: dict[str, _ByValue], event: Event) -> Iterator[Subscriber]:
    for field, by_value in keyed.items():
        try:
            filtering = by_value.get(getattr(event, field, ""), ())
        except TypeError:  # what has no hash is no text, and filters name texts only
            continue
        for subscriber in filtering:
            if subscriber.wants(event):
                yield subscriber
