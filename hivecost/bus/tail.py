"""What was published last, kept once for all subscriptions until one of them looks."""

from __future__ import annotations

from hivecost.events import Event, EventType


class Tail:
    """Runs of events of one class, in the order in which they were published. Loop thread only.

    A publisher appends to one list, however many subscribe; handing the list on is one `extend` a subscription.
    """

    __slots__ = ("kind", "run", "runs")

    def __init__(self) -> None:
        self.runs: list[tuple[EventType, list[Event]]] = []
        #: The class of the events of the last run; None: there is none.
        self.kind: type[Event] | None = None
        self.run: list[Event] = []

    def begin(self, kind: type[Event]) -> None:
        """The next events are of another class than those before."""
        self.kind, self.run = kind, []
        self.runs.append((kind.type, self.run))

    def take(self) -> list[tuple[EventType, list[Event]]]:
        """All runs; there are none any more."""
        runs, self.runs, self.kind = self.runs, [], None
        return runs
