"""What the parts of a running agent need of whoever they are part of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from hivecost.clock import Clock
from hivecost.events import Event
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.caps import Cap
from hivecost.pricing import PriceBook
from hivecost.runtime.admission import Admission
from hivecost.runtime.gate import Gate
from hivecost.runtime.specs import GraphSpec

T = TypeVar("T")


class TurnHost(Protocol):
    """What a turn, a charge and a stream need: an execution, or whatever else asks the gate."""

    @property
    def clock(self) -> Clock:
        """The clock of the runtime."""
        ...

    @property
    def prices(self) -> PriceBook:
        """The price book of the runtime."""
        ...

    @property
    def gate(self) -> Gate:
        """Is told how each admission ended; `pass_gate` and `extend` ask it."""
        ...

    @property
    def is_forked(self) -> bool:
        """Whether this process is a child of the one that asked the gate."""
        ...

    async def pass_gate(self, request: TurnRequest, caps: Sequence[Cap]) -> Admission:
        """Return when the turn may be sent; raise when it may not. On the runtime's loop."""
        ...

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what so many tokens can cost, from any loop; raise when no budget can pay for that."""
        ...

    def run_at_home(self, function: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Await an async function on the runtime's loop, from any loop."""
        ...

    def call_from_thread(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for an async function on the runtime's loop, from any thread."""
        ...

    def publish_as_is(self, event: Event) -> None:
        """Publish without waiting, from any thread; a loss is counted, never raised."""
        ...


class ExecutionHost(Protocol):
    """What an execution needs of its runtime."""

    @property
    def graph(self) -> GraphSpec | None:
        """What the loops of its nodes obey; None where nobody said."""
        ...

    @property
    def summarizer(self) -> Callable[..., Any] | None:
        """Who writes summaries of conversations; None: nobody does."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock of the runtime."""
        ...

    @property
    def prices(self) -> PriceBook:
        """The price book of the runtime."""
        ...

    @property
    def gate(self) -> Gate:
        """The gate of the runtime."""
        ...

    def publish(self, event: Event) -> None:
        """Publish without waiting, from any thread; a loss is counted, never raised into the agent."""
        ...
