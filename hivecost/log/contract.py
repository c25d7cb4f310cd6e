"""What a runtime log is: how it is read, how it is written, and what small state it keeps.

Readers are synchronous: async callers go through a worker thread, so that one reader serves every event loop, a
prompt, and a driver over a network. Every method raises StoreErrors. Cursors are opaque: "" is the beginning, any other
comes from a Page of the same log and method; one that does not raises ConfigError.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol, Self

from hivecost.log.rows import ALWAYS, EVERYTHING, AccountRow, CostRow, Filter, LatencyRow, Page, SumRow, TurnSum, Window

if TYPE_CHECKING:
    from types import TracebackType

    from hivecost.events import Event, EventType, LLMTurnComplete
    from hivecost.ledger import Budget, BudgetChange
    from hivecost.log.contexts import CarriedTotals, CompactionTotals
    from hivecost.log.records import (
        BudgetDefinition,
        NodeTotals,
        Pruned,
        RepricedTotals,
        Repricing,
        Run,
        SessionState,
        StoreStatistics,
    )
    from hivecost.log.steps import Step


class LogReader(Protocol):
    """Reads a runtime log. A log that is missing reads as an empty one; reading makes nothing and changes nothing."""

    def snapshot(self) -> AbstractContextManager[LogReader]:
        """Return a reader for `with`, whose answers are all of one instant, whatever is written meanwhile."""
        ...

    def version(self) -> str:
        """Return a text that is another one once the log has changed.

        Note it before reading: what is written in between then shows as a change. It says nothing to another reader.
        """
        ...

    def as_of(self) -> int | None:
        """Return the instant of the newest turn or event, in nanoseconds since 1970 UTC; None where there is none."""
        ...

    def session(self, session_id: str) -> SessionState:
        """Return a session and its sums. Raise SessionNotFoundError."""
        ...

    def sessions(
        self,
        after: str = "",
        *,
        window: Window = ALWAYS,
        status: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        limit: int = 50,
    ) -> Page[SessionState]:
        """Return the sessions that started in the window, the newest first."""
        ...

    def executions(
        self,
        after: str = "",
        *,
        window: Window = ALWAYS,
        session_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Return the executions that started in the window, the newest first.

        Of those whose starts name one instant, the start that was logged last comes first.
        """
        ...

    def nodes(self, session_id: str) -> list[NodeTotals]:
        """Return the sums of a session's nodes, by name; [] for an unknown session."""
        ...

    def steps(self, session_id: str, *, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        """Return a session's turns in the order they were logged, but for those that were pruned."""
        ...

    def turns(
        self, after: str = "", filter: Filter = EVERYTHING, window: Window = ALWAYS, *, limit: int = 200
    ) -> Page[LLMTurnComplete]:
        """Return the next turns of the window in the order they were logged, each once."""
        ...

    def turn_sums(self, after: str = "", dimensions: Sequence[str] = (), *, limit: int = 200) -> Page[TurnSum]:
        """Return what each of the next turns adds to the sums, in the order they were logged.

        Cursors are those of `turns`. Raise ConfigError for a dimension that is none.
        """
        ...

    def end(self) -> str:
        """Return the cursor of the newest turn: what is logged later comes after it."""
        ...

    def events(
        self, after: str = "", filter: Filter = EVERYTHING, *, types: Sequence[EventType] = (), limit: int = 200
    ) -> Page[Event]:
        """Return the next events that are no turns, in the order they were logged; of any type where none is named.

        An event has a session, a node, an agent, a user and an org. Raise ConfigError for another filter.
        """
        ...

    def sums(
        self,
        dimensions: Sequence[str] = (),
        window: Window = ALWAYS,
        zone: str = "UTC",
        filter: Filter = EVERYTHING,
        *,
        until: str | None = None,
    ) -> list[SumRow]:
        """Return what the turns of the window add up to, for each combination of values of the dimensions.

        With `until`, a cursor of `turns`, only what was logged up to there, and what was pruned since.
        Exact to the nanosecond; a turn that was pruned counts at the start of its quarter-hour. Quarter-hours, hours,
        days, weeks and months are those of `zone`, an IANA name. Periods come in the order of time, in each the other
        values in theirs; without dimensions there is one row, or none where no turn is. Raise ConfigError for a
        dimension or a zone that is none.
        """
        ...

    def latencies(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[LatencyRow]:
        """Return how long the calls in the log took, by model and bucket, in this order; pruned ones are not there."""
        ...

    def costs(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[CostRow]:
        """Return what the calls in the log cost, likewise; those whose cost is not known are not there."""
        ...

    def summed_tags(self) -> list[str]:
        """Return the tags that sums are kept by, sorted; what is asked by any other reads turn by turn."""
        ...

    def compactions(self, session_id: str) -> list[CompactionTotals]:
        """Return what compactions of a session came to, by node, in their order; nodes without any are left out.

        Of turns and events that were pruned, too.
        """
        ...

    def carried_results(self, session_id: str) -> list[CarriedTotals]:
        """Return what results of tools that were sent again came to in a session, by node and tool, in their order."""
        ...

    def budgets(self) -> list[BudgetDefinition]:
        """Return the budgets of every mode that were ever used here, as written down last, by name."""
        ...

    def accounts(self, at_ns: int, *, limit: int | None = None) -> list[AccountRow]:
        """Return the accounts of hard budgets whose period holds this instant, those that are used most first.

        Behind them come those of shadow budgets, which refuse nothing.
        """
        ...

    def audit(self, *, limit: int = 100) -> list[BudgetChange]:
        """Return who changed budgets and resolved holds, the newest first. Raise ConfigError for a limit below 1."""
        ...

    def alerts(self, *, types: Sequence[EventType] = (), budget: str | None = None, limit: int = 50) -> list[Event]:
        """Return the alerts, warnings and refusals that were logged, the newest first.

        Of these types, where any is named, and of this budget. Raise ConfigError for a type that is no such event.
        """
        ...

    def pruned_before(self) -> int | None:
        """Return up to which instant turns and events were pruned; None: none ever were."""
        ...

    def repriced(self, session_id: str) -> RepricedTotals | None:
        """Return a session at later rates; None when it was never priced again."""
        ...

    def close(self) -> None:
        """Close what is open; a second time changes nothing."""
        ...


class LogWriter(Protocol):
    """Writes a runtime log: the turns and events, and the sums in step with them.

    Open inside `async with`, once; what is not `write` or `flush` works without, too. Every method raises StoreErrors.
    """

    #: How long leaving the block waits for what is queued; then it is counted as lost.
    close_timeout_s: float

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def write(self, events: Sequence[Event]) -> int:
        """Commit the events and their sums; return how many were new. Known by their id, none counts twice.

        Events from before what was pruned are late, and not logged.
        """
        ...

    async def flush(self) -> None:
        """Return after the commit that holds all that was accepted before."""
        ...

    def statistics(self) -> StoreStatistics:
        """Return the counts of events since it was made."""
        ...

    async def prune(self, before_ns: int, *, dry_run: bool = False, compact: bool = False) -> Pruned:
        """Delete turns and events from before, and keep their sums; with `compact` give the room back.

        Raise ConfigError for an instant less than an hour ago: events may still be on their way to the log.
        """
        ...

    async def reprice(self, repricings: Sequence[Repricing]) -> None:
        """Keep what turns would cost at later rates beside what they did; those that are not logged are left out."""
        ...

    async def delete(self, session_id: str) -> bool:
        """Delete all that is logged of a session, and take it out of every sum; False where nothing was logged."""
        ...

    async def define(self, budgets: Sequence[Budget], at_ns: int) -> None:
        """Keep what these budgets are now, for `LogReader.budgets`."""
        ...

    async def sum_tags(self, names: Sequence[str]) -> None:
        """Keep sums by these tags too, from now on and of what was logged before; there are always some."""
        ...


StateTable = Literal["alerts", "outbox", "import_keys", "forward_cursors", "response_cache"]


class LogState(Protocol):
    """Small tables of keys and values beside a log: what must be known after a restart, and in other processes.

    Synchronous, as a reader is. A value whose time is over is not there, by the clock that it was opened with.
    """

    def get(self, table: StateTable, key: str) -> bytes | None:
        """Return the value; None where there is none."""
        ...

    def put(self, table: StateTable, key: str, value: bytes, *, until_ns: int | None = None) -> None:
        """Set the value, durably, whatever is there; without `until_ns` it stays for ever.

        Raise ConfigError for a table that is none, an empty key, and a value of more than 16 MiB.
        """
        ...

    def swap(
        self, table: StateTable, key: str, before: bytes | None, value: bytes | None, *, until_ns: int | None = None
    ) -> bool:
        """Set the value where the present one is `before`; True for exactly one of all who try at once.

        None is no value: `before=None` sets what is not there yet, `value=None` takes it away. Raise as `put` does.
        """
        ...

    def items(self, table: StateTable, after: str = "", *, limit: int = 200) -> Page[tuple[str, bytes]]:
        """Return the next keys and their values, by key."""
        ...
