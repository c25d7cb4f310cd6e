"""What a plugin is, and what the runtime that it attaches to offers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from hivecost.clock import Clock
from hivecost.errors import PluginError
from hivecost.events import Cost, Event, EventType, Totals, Usage
from hivecost.gate_contract import GateCheck, GatePass, TurnRequest
from hivecost.subscription import BusStatistics, Subscription

Handler = Callable[[Any], Any]
#: An amount as people write it, such as `"$5"`, `"1_000_000 tokens"` or `5`, in the budget's own unit if it names none.
Amount = str | int | float | Decimal
#: ISO 8601 as text, too.
Moment = datetime | date | str
#: What sums in memory are told apart by; a day is `2026-11-22`, in UTC.
Dimension = Literal["execution", "session", "node", "agent", "model", "user", "org", "task", "day"]


class Bus(Protocol):
    """What a plugin may do with the bus."""

    def subscribe(
        self,
        *,
        event_types: Iterable[EventType | str] | None = None,
        handler: Handler,
        batch: bool = False,
        overflow: Any = None,
        max_queue: int = ...,
        session_id: str | None = None,
        execution_id: str | None = None,
        node_id: str | None = None,
        agent_id: str | None = None,
        name: str = "",
    ) -> Subscription:
        """Call `handler` with every event of these types (None: all), or with lists of them; return the subscription.

        `"custom:NAME"` is the type of the CustomEvents of that name. `overflow` (hivecost.Block, DropOldest,
        DropNewest) says what happens past `max_queue` waiting events.
        """
        ...

    def unsubscribe(self, subscription_id: str) -> bool:
        """Make no more calls of the handler; return False when the id is not known."""
        ...

    async def drain(self, subscription_id: str | None = None) -> None:
        """Return when everything published so far is handled (by this subscription, or by all)."""
        ...

    async def publish(self, event: Event) -> None:
        """Hand the event to every matching subscription, at the call; only room in a full queue is waited for."""
        ...

    def publish_nowait(self, event: Event) -> None:
        """Publish from anywhere, other threads included, without waiting."""
        ...

    def statistics(self) -> BusStatistics:
        """Return the counts of the bus and of each of its subscriptions: queued, handled, failed, dropped."""
        ...


class AccountView(Protocol):
    """How one account of a budget stands. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    @property
    def budget(self) -> str:
        """The name of the budget."""
        ...

    @property
    def scope(self) -> str:
        """Which account of the budget: `user=ada`, `execution=exec_…`, or "" for one account over all."""
        ...

    @property
    def period(self) -> str:
        """The name of the period, such as `2026-11-22` for a day."""
        ...

    @property
    def unit(self) -> Literal["usd", "tokens", "calls"]:
        """What the budget counts."""
        ...

    @property
    def limit(self) -> int:
        """The limit in force."""
        ...

    @property
    def settled(self) -> int:
        """What was billed."""
        ...

    @property
    def held(self) -> int:
        """What is set aside for turns that have not ended."""
        ...

    @property
    def in_doubt(self) -> int:
        """What is held by turns of which nobody knows the bill."""
        ...

    @property
    def remaining(self) -> int:
        """What is left of the limit: it is neither settled, held nor in doubt."""
        ...

    @property
    def reset_at(self) -> datetime | None:
        """When the period ends; None: it never does."""
        ...


class BudgetsView(Protocol):
    """How budgets stand, and changing their limits. `by` says who does, for the audit trail."""

    async def status(self) -> Sequence[AccountView]:
        """Return one row for each account. Raise LedgerUnavailableError."""
        ...

    async def set_limit(self, name: str, limit: Amount, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget, or the accounts that a scope such as `{"agent": "planner"}` names, another limit.

        Return it in what the budget counts. Raise ConfigError and LedgerUnavailableError.
        """
        ...

    async def raise_limit(
        self, name: str, by_amount: Amount, *, scope: Mapping[str, str] | None = None, by: str
    ) -> int:
        """Raise the limit that is in force by an amount above zero; of two that raise at once, both count.

        Return the new limit in what the budget counts. Raise ConfigError and LedgerUnavailableError.
        """
        ...


class UsageView(Protocol):
    """Exact sums, in memory, over what the runtime has seen."""

    @property
    def total(self) -> Totals:
        """The sums of all turns."""
        ...

    def by(self, dimension: Dimension) -> Mapping[str, Totals]:
        """Return the sums by the values of a dimension, such as `by("model")["gpt-4o"].cost_usd`."""
        ...


class SessionView(Protocol):
    """A session in the log, and its sums."""

    @property
    def session_id(self) -> str:
        """The id of the session."""
        ...

    @property
    def status(self) -> str:
        """Return `running`, `completed`, `failed`, `cancelled`, `interrupted` or `unknown`."""
        ...

    @property
    def metrics(self) -> Totals:
        """The sums of the session's turns."""
        ...


class LogView(Protocol):
    """What the runtime log can be asked: what is committed there, by every process that writes it.

    `since` and `until` are instants or dates; an `until` that is a date includes its day. All raise StoreErrors.
    """

    async def sums(
        self,
        *,
        by: Sequence[str] = ("model",),
        since: Moment | None = None,
        until: Moment | None = None,
        timezone: str = "UTC",
    ) -> Mapping[tuple[str, ...], Totals]:
        """Return the sums of each group that there is, by its values in the order of `by`.

        `by` holds any of hour, day, week, month (of `timezone`), model, provider, agent, user, org. Raise ConfigError.
        """
        ...

    async def sessions(
        self, *, since: Moment | None = None, until: Moment | None = None, limit: int = 100
    ) -> Sequence[SessionView]:
        """Return the sessions that started then, newest first."""
        ...

    async def flush(self) -> None:
        """Wait until everything that was published so far is committed."""
        ...


class PricesView(Protocol):
    """What a turn costs, from the runtime's own price book."""

    @property
    def snapshot(self) -> str:
        """The name of the table that is in force."""
        ...

    def resolve(self, asked: str, provider: str = "") -> tuple[str, str]:
        """Return (provider, model) as the book understands a name; "" is what it does not know."""
        ...

    def price(self, model: str, usage: Usage, *, provider: str = "", at_ns: int | None = None) -> Cost:
        """Return the cost of one turn. Never raise: an unknown model is `unpriced`, with near names in the reason."""
        ...

    def upper_bound_nanousd(
        self, model: str, *, input_tokens: int, output_tokens: int, provider: str = ""
    ) -> int | None:
        """Return what no turn with at most these counts can cost, in nano-USD; None when the model is unpriced."""
        ...


class HostStatistics(Protocol):
    """Counts since the runtime was made."""

    @property
    def running(self) -> int:
        """Executions that run now."""
        ...

    @property
    def started(self) -> int:
        """Executions that were started."""
        ...

    @property
    def foreign_turns(self) -> int:
        """Turns on the bus that belong to no execution running here."""
        ...

    @property
    def events_lost(self) -> int:
        """Events that agents reported when the bus was closed already."""
        ...


class PluginHost(Protocol):
    """What a runtime offers to its plugins. All of it belongs to the runtime's event loop, unless it says otherwise."""

    @property
    def bus(self) -> Bus:
        """The bus of the runtime."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of the runtime."""
        ...

    @property
    def base_path(self) -> str | Path:
        """Return the folder of the runtime log, or the URL of where else it is."""
        ...

    @property
    def budgets(self) -> BudgetsView:
        """How budgets stand, and changing their limits."""
        ...

    @property
    def usage(self) -> UsageView:
        """The sums of what the runtime has seen."""
        ...

    @property
    def log(self) -> LogView:
        """The runtime log."""
        ...

    @property
    def prices(self) -> PricesView:
        """The price book of the runtime."""
        ...

    def statistics(self) -> HostStatistics:
        """Return the runtime's counts."""
        ...

    def cancel_execution_nowait(
        self, execution_id: str, reason: str | BaseException | None = None, *, after_turn: bool = False
    ) -> bool:
        """Ask an execution to stop, from any thread; True if it was running.

        With `after_turn` what it does just now may finish, and its next turn is refused.
        """
        ...

    def resolved(self, request: TurnRequest) -> TurnRequest:
        """Return the request with the model and the provider as the runtime's price book understands them."""
        ...

    def for_model(self, request: TurnRequest, model: str) -> TurnRequest:
        """Return the request for another model, at the host that was named for it if that has the model."""
        ...

    def add_gate_check(self, check: GateCheck, *, passes: GatePass | None = None) -> Callable[[], None]:
        """Await `check` before each turn is sent: it may wait, or refuse by raising. Call the result to remove it.

        Where `passes` says at once that the check would do nothing about a turn, it is not awaited, which is quicker.
        """
        ...


@runtime_checkable
class Plugin(Protocol):
    """Attaches to a runtime for as long as its context is open.

    class Printer:
        name = "printer"

        @asynccontextmanager
        async def attached(self, host: PluginHost) -> AsyncIterator[None]:
            async with host.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=print):
                yield
    """

    @property
    def name(self) -> str:
        """The name by which the runtime knows it, unique in one runtime."""
        ...

    def attached(self, host: PluginHost) -> AbstractAsyncContextManager[None]:
        """Return a context that is entered when the runtime starts, and left when it stops."""
        ...


def require_plugin(candidate: object) -> Plugin:
    """Return the candidate itself. Raise PluginError, saying what is missing, when it is no plugin."""
    if isinstance(candidate, type):
        raise PluginError(candidate.__name__, f"is a class; register an instance: {candidate.__name__}()")
    name = getattr(candidate, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginError(type(candidate).__name__, "has no `name`; a plugin has a name and `attached(host)`")
    if not callable(getattr(candidate, "attached", None)):
        raise PluginError(name, "has no `attached(host)` that gives an async context manager")
    return candidate  # type: ignore[return-value]  # both members are checked above
