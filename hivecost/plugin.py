"""What a plugin is, and what the runtime that it attaches to offers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hivecost.clock import Clock
from hivecost.errors import PluginError
from hivecost.events import Event, EventType
from hivecost.gate_contract import GateCheck, TurnRequest
from hivecost.subscription import BusStatistics, Subscription

Handler = Callable[[Any], Any]


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
        """No more calls after this; False when the id is not known."""
        ...

    async def drain(self, subscription_id: str | None = None) -> None:
        """Return when everything published so far is handled (by this subscription, or by all)."""
        ...

    async def publish(self, event: Event) -> None:
        """Hand the event to every matching subscription, at the call; only room in a full queue is waited for."""
        ...

    def publish_nowait(self, event: Event) -> None:
        """The same from anywhere, other threads included, without waiting."""
        ...

    def statistics(self) -> BusStatistics:
        """Return the counts of the bus and of each of its subscriptions: queued, handled, failed, dropped."""
        ...


class PluginHost(Protocol):
    """What a runtime offers to its plugins. All of it belongs to the runtime's event loop, unless it says otherwise."""

    @property
    def bus(self) -> Bus: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def base_path(self) -> Path: ...

    def cancel_execution_nowait(
        self, execution_id: str, reason: str | BaseException | None = None, *, after_turn: bool = False
    ) -> bool:
        """Ask an execution to stop, from any thread; True if it was running.

        With `after_turn` what it does just now may finish, and its next turn is refused.
        """
        ...

    def resolved(self, request: TurnRequest) -> TurnRequest:
        """The request with the model and the provider as the runtime's price book understands them."""
        ...

    def for_model(self, request: TurnRequest, model: str) -> TurnRequest:
        """The request as another model would be asked, at the host that was named for it if that has the model."""
        ...

    def add_gate_check(self, check: GateCheck) -> Callable[[], None]:
        """Await `check` before each turn is sent: it may wait, or refuse by raising. Call the result to remove it."""
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
    def name(self) -> str: ...

    def attached(self, host: PluginHost) -> AbstractAsyncContextManager[None]: ...


def require_plugin(candidate: object) -> Plugin:
    """The candidate itself. Raises PluginError, saying what is missing, when it is no plugin."""
    if isinstance(candidate, type):
        raise PluginError(candidate.__name__, f"is a class; register an instance: {candidate.__name__}()")
    name = getattr(candidate, "name", None)
    if not isinstance(name, str) or not name:
        raise PluginError(type(candidate).__name__, "has no `name`; a plugin has a name and `attached(host)`")
    if not callable(getattr(candidate, "attached", None)):
        raise PluginError(name, "has no `attached(host)` that gives an async context manager")
    return candidate  # type: ignore[return-value]  # both members are checked above
