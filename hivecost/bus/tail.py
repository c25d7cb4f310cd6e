"""What was published last, kept once for all subscriptions until one of them looks."""

from __future__ import annotations

from hivecost.events import Event, EventType


class Tail:
    """Runs of events of one class, in the order in which they were published. Loop thread only, but for `close()`.

    A publisher appends to one list, however many subscribe, and subscriptions share it when it is handed on.
    """

    __slots__ = ("kind", "room", "run", "runs")

    def __init__(self) -> None:
        self.runs: list[tuple[EventType, list[Event]]] = []
        #: The class of the events of the last run; None: there is none.
        self.kind: type[Event] | None = None
        self.run: list[Event] = []
        #: How long the last run may grow before somebody looks at the queues.
        self.room = 0

    def begin(self, event: Event) -> None:
        """The event, and the next ones, are of another class than those before."""
        self.room -= len(self.run)
        self.kind, self.run = type(event), [event]
        self.runs.append((event.type, self.run))

    def take(self) -> list[tuple[EventType, list[Event]]]:
        """All runs; there are none any more."""
        runs = self.runs
        self.room -= len(self.run)
        self.runs, self.run, self.kind = [], [], None
        return runs

    def close(self) -> None:
        """Whoever comes next looks at the queues first. From any thread."""
        self.room = 0
