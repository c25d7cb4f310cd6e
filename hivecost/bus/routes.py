"""Which subscriptions an event goes to, found by index, not by a scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hivecost.bus.subscription import Subscription
from hivecost.events import Event, EventType

#: The attributes a subscription may filter by, the most selective first: it is the one that is indexed.
FILTER_FIELDS: Final = ("execution_id", "session_id", "node_id", "agent_id")


class Routes:
    """Subscriptions by event type and, where they filter, by the value of one attribute."""

    def __init__(self) -> None:
        #: By type, the `append` of every buffer without filters: all that a publisher needs while there are none.
        self.appends: dict[EventType, tuple[Callable[[Event], None], ...]] = dict.fromkeys(EventType, ())
        self._plain: dict[EventType, tuple[Subscription, ...]] = dict.fromkeys(EventType, ())
        self._keyed: dict[tuple[str, str], dict[str, tuple[Subscription, ...]]] = {}
        self._types: dict[str, frozenset[EventType]] = {}

    @property
    def has_filters(self) -> bool:
        return bool(self._keyed)

    def matching(self, event: Event) -> Sequence[Subscription]:
        """Every subscription that wants the event. Raises TypeError for what is no event."""
        try:
            plain = self._plain[event.type]
        except (AttributeError, KeyError, TypeError):
            raise TypeError(f"the bus carries hivecost events, got {event!r:.100}") from None
        if not self._keyed:
            return plain
        found = list(plain)
        for (event_type, field), by_value in self._keyed.items():
            if event_type == event.type:
                found += [s for s in by_value.get(getattr(event, field), ()) if s.wants(event)]
        return found

    def wake(self, event_type: EventType, sleepers: set[Subscription]) -> None:
        """Wake those without filters that sleep and want events of this type."""
        for subscription in self._plain[event_type]:
            if subscription in sleepers:
                subscription.wake()

    def add(self, subscription: Subscription, event_types: frozenset[EventType]) -> None:
        self._types[subscription.id] = event_types
        field = next((field for field in FILTER_FIELDS if field in subscription.filters), None)
        for event_type in event_types:
            if field is None:
                self._set_plain(event_type, (*self._plain[event_type], subscription))
            else:
                by_value = self._keyed.setdefault((event_type, field), {})
                value = subscription.filters[field]
                by_value[value] = (*by_value.get(value, ()), subscription)

    def remove(self, subscription: Subscription) -> None:
        field = next((field for field in FILTER_FIELDS if field in subscription.filters), None)
        for event_type in self._types.pop(subscription.id, ()):
            if field is None:
                self._set_plain(event_type, tuple(s for s in self._plain[event_type] if s is not subscription))
                continue
            by_value = self._keyed[event_type, field]
            value = subscription.filters[field]
            by_value[value] = tuple(s for s in by_value[value] if s is not subscription)
            if not by_value[value]:
                del by_value[value]
            if not by_value:
                del self._keyed[event_type, field]

    def _set_plain(self, event_type: EventType, subscriptions: tuple[Subscription, ...]) -> None:
        self._plain[event_type] = subscriptions
        self.appends[event_type] = tuple(subscription.buffer.append for subscription in subscriptions)
