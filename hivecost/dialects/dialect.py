"""What a dialect is, and the values that go in and out of it. One file beside this one for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from hivecost.dialects.framing import Event, Framing
from hivecost.dialects.json_body import KeyPath
from hivecost.events import Usage
from hivecost.frozen import EMPTY
from hivecost.prompts import CacheWrite, tools_in

#: Why a request is not sent: the budget is used up; others hold what is left of it, for now; nobody knows the price of
#: its model; something is set up wrongly.
RefusalKind = Literal["exhausted", "busy", "unpriced", "misconfigured"]

#: Says which of our refusals an answer is.
REFUSAL_HEADER = "x-hivecost-refusal"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes."""

    method: str
    #: In lower case, without its port.
    host: str
    port: str = ""
    #: Without `%` escapes, doubled slashes, a slash at its end, and the query.
    path: str
    query: Mapping[str, str] = EMPTY


class Match(msgspec.Struct, frozen=True):
    """What the target alone says of a request that a dialect recognises."""

    #: "" where the body says it.
    model: str = ""
    #: None where the body says it.
    stream: bool | None = None
    #: Whose API it is, where only one provider has such paths.
    provider: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a model, of which the body was not looked at yet."""

    dialect: Dialect
    target: Target
    match: Match
    #: Who bills it; "" where the host says nobody.
    provider: str = ""
    is_known_host: bool = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a body says, by the rules of one dialect."""

    model: str
    stream: bool = False
    #: Where a limit of output tokens stands; where none does, where one would.
    limit_keys: tuple[KeyPath, ...] = ()
    #: Such a limit as the request has: 0 for none, and for one that is no number above zero.
    max_tokens: int = 0
    #: No lower one is accepted.
    limit_min: int = 1
    #: Set in the request, so that its stream says its usage; () where it says so unasked.
    usage_key: KeyPath = ()
    #: "" for the provider's standard tier.
    service_tier: str = ""
    #: Of a prompt that came as tokens; else 0.
    input_tokens: int = 0
    #: Those that may answer instead, which a gateway chooses from.
    other_models: tuple[str, ...] = ()
    #: The answer comes later, to another request: nothing of its usage is in this one's.
    is_background: bool = False


class Body(Protocol):
    """What was sent: JSON, or the parameters of a client."""

    @property
    def value(self) -> Mapping[str, Any]:
        """What it says."""
        ...

    def part(self, key: str) -> Mapping[str, Any]:
        """Return the object at this key; empty where there is none. Raise ValueError for anything else."""
        ...

    def with_values(self, values: Mapping[KeyPath, Any]) -> Any:
        """Return a copy with these values, in the form to be sent."""
        ...


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of a model asks for."""

    route: Route
    body: Body
    asked: Asked
    #: What the model reads, and what else decides its price: as `ctx.turn(prompt=…)` takes it.
    prompt: Mapping[str, Any]
    #: How many answers at once, each as long as the limit and billed.
    answers: int = 1
    #: The dearest cache write that it asks for; "" for none.
    cache_write: CacheWrite = ""

    @property
    def model(self) -> str:
        """The model as the caller named it."""
        return self.asked.model

    @property
    def provider(self) -> str:
        """Who bills it; "" where the host says nobody."""
        return self.route.provider

    @property
    def tools(self) -> list[Any]:
        """The tools that it offers, the provider's own among them."""
        return list(tools_in(dict(self.prompt)))

    def to_send(self, max_tokens: int | None = None) -> Any:
        """Return the body with this limit of output tokens, and with the question for usage where its stream needs one.

        JSON changes in these places only, and keeps its very bytes where none is to change. What came compressed is not
        compressed any more where it changed. A dialect without limits sets none. Raise ValueError for a limit below
        `asked.limit_min`.
        """
        if max_tokens is not None and max_tokens < self.asked.limit_min:
            raise ValueError(f"{self.model} takes a limit of {self.asked.limit_min:,} tokens or more, not {max_tokens}")
        values: dict[KeyPath, Any] = {} if max_tokens is None else dict.fromkeys(self.asked.limit_keys, max_tokens)
        if self.asked.usage_key:
            values[self.asked.usage_key] = True
        return self.body.with_values(values)


class Unreadable(msgspec.Struct, frozen=True):
    """A call of a model of which nobody can say what it asks for."""

    route: Route
    #: In words that go on from "the request cannot be read:".
    reason: str


class Free(msgspec.Struct, frozen=True):
    """A request to somebody who bills, for what is not billed: a list of models, a count of tokens, a file."""

    provider: str


class Unmetered(msgspec.Struct, frozen=True):
    """A request to somebody who bills, by a path of which nobody here knows what it costs."""

    provider: str
    path: str


class Unknown(msgspec.Struct, frozen=True):
    """A request to a host that nobody knows, by a path that says nothing of a model."""

    host: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is not sent, to be said in its dialect."""

    kind: RefusalKind
    #: For people.
    message: str
    #: When it may be worth asking again; of `busy` only.
    retry_after_s: float | None = None


class RefusalAnswer(msgspec.Struct, frozen=True):
    """The answer that a client gets in place of its provider's."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Ending(Protocol):
    """Looks at the events of one stream, so that it can be ended as its provider does at the limit of output."""

    def observe(self, event: Event) -> None:
        """Note an event that was passed on."""
        ...

    def events(self, usage: Usage) -> list[Event]:
        """Return the events that end the stream here, with the usage so far."""
        ...


class Dialect(Protocol):
    """One API, as one or several providers speak it. Nothing here keeps state, or does I/O."""

    @property
    def name(self) -> str:
        """Such as `openai.chat`."""
        ...

    def recognise(self, target: Target) -> Match | None:
        """Return what the target says of a request in this dialect; None for any other."""
        ...

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the body asks for. Raise ValueError, with words for people, where that cannot be told."""
        ...

    def framing(self, route: Route) -> Framing:
        """Return how a stream is cut where its answer does not say so itself."""
        ...

    def ending(self, request: ModelRequest) -> Ending:
        """Return what knows how to end one stream."""
        ...

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer to a request with these headers that is not sent."""
        ...
