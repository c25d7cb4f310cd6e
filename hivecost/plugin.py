"""The contract between a runtime and what attaches to it, and how installed plugins are found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self, runtime_checkable

import msgspec
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import PluginError
from hivecost.events import Event, EventType
from hivecost.frozen import EMPTY

ENTRY_POINT_GROUP: Final = "hivecost.plugins"

Handler = Callable[[Any], Any]


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn is about to ask of a provider; seen by gate checks before it is sent."""

    model: str
    provider: str = ""
    #: What the prompt counts at most, as the caller said or as it was counted; 0 when unknown.
    input_tokens: int = 0
    #: The limit of output tokens to send; 0 when there is none.
    max_tokens: int = 0
    #: Of a stream only so much output is held at first, and then ahead of what was read; 0 holds `max_tokens` in full.
    stream_tokens: int = 0
    #: HTTP requests that the turn may take: an SDK that retries by itself sends, and may be billed for, each.
    attempts: int = 1
    #: Answers that it asks for at once, each as long as `max_tokens` and billed: OpenAI's `n`.
    answers: int = 1
    #: Calls of the provider's own tools, such as web searches, that it may make at a fee each; in steps, one is held.
    tool_calls: int = 0
    #: The prompt is known to be text: no image, no sound.
    is_text: bool = False
    #: The dearest cache write that it asks for, "" being none; None: nobody knows.
    cache_write: Literal["", "5m", "1h"] | None = None
    #: The tier that is asked for; "": the provider's standard one.
    service_tier: str = ""
    #: What `input_tokens` are for any model (0: unknown), where this one's tokenizer counted them; None: it did not.
    uncounted_tokens: int | None = None
    #: Not None: no call of a model, but something else, named by `model`, that costs at most this.
    charge_nanousd: int | None = None
    #: The model and the provider as the runtime's price book understands them; "": it does not.
    resolved_model: str = ""
    resolved_provider: str = ""
    session_id: str = ""
    execution_id: str = ""
    node_id: str = ""
    agent_id: str = ""
    user_id: str = ""
    org_id: str = ""
    task_id: str = ""
    tags: Mapping[str, str] = EMPTY
    #: Whose sub-agent asks: the attributes of the executions that this one is inside of, the nearest first.
    ancestors: tuple[Mapping[str, str], ...] = ()

    @property
    def executions(self) -> tuple[str, ...]:
        """The execution that asks and those that it is inside of, the nearest first."""
        return self.execution_id, *(ancestor.get("execution", "") for ancestor in self.ancestors)

    @property
    def is_charge(self) -> bool:
        """Whether it is no call of a model: it has no tokens, cannot be shorter, and no other model will do."""
        return self.charge_nanousd is not None

    def for_model(self, model: str, provider: str = "") -> Self:
        """The request as another model would be asked: what this one's tokenizer counted is no count of that one's."""
        tokens = self.input_tokens if self.uncounted_tokens is None else self.uncounted_tokens
        return replace(self, model=model, provider=provider, input_tokens=tokens, uncounted_tokens=None)


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended, as gate checks are told."""

    #: 0 when nothing was sent or the provider refused; None when nobody knows.
    total_tokens: int | None = None
    #: What the provider asked for with `Retry-After`.
    retry_after_s: float | None = None


#: Called once on the event loop when the turn is over.
TurnEnd = Callable[[TurnOutcome], None]
#: Awaited before a turn is sent: may wait, may raise, and may give what to call at the turn's end, or the request as
#: it shall be sent instead: with another model, or a lower `max_tokens`.
GateCheck = Callable[[TurnRequest], Awaitable[TurnEnd | TurnRequest | None]]


class Bus(Protocol):
    """What a plugin may do with the bus."""

    def subscribe(
        self,
        *,
        event_types: Sequence[EventType] | None = None,
        handler: Handler,
        batch: bool = False,
        overflow: Any = None,
        max_queue: int = ...,
        name: str = "",
    ) -> str:
        """Call `handler` with every event of these types (None: all), or with lists of them; gives an id.

        `overflow` (hivecost.Block, DropOldest, DropNewest) says what happens past `max_queue` waiting events.
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


class PluginHost(Protocol):
    """What a runtime offers to its plugins."""

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
            subscription = host.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=print)
            yield
            host.bus.unsubscribe(subscription)
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


def installed_plugins() -> dict[str, EntryPoint]:
    """The plugins that installed packages offer, by name; nothing is imported yet."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def load_plugin_class(name: str) -> Any:
    """The class or factory an installed package offers as `name`. Raises PluginError when it cannot be had."""
    entry = installed_plugins().get(name)
    if entry is None:
        known = ", ".join(sorted(installed_plugins())) or "none"
        raise PluginError(name, f"is not installed (installed: {known}); pip install hivecost-{name}")
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(name, f"cannot be imported from {entry.value}: {error!r}") from error
