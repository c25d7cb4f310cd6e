"""What the emulator is told to do with a request."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any, Final, Literal

import msgspec

from hivecost.errors import ConfigError
from hivecost.events import Usage

#: A request that carries this header, a Behaviour as JSON, is treated so, whatever was scripted.
BEHAVIOUR_HEADER: Final = "x-hivecost-behaviour"


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that an answer asks its client to run. Its arguments are output, as JSON; its name is not counted."""

    name: str
    #: A text is the raw input of a custom tool of OpenAI's responses; elsewhere it is the argument `input`.
    arguments: dict[str, Any] | str = msgspec.field(default_factory=dict)


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one request is answered. The default: sixteen tokens of text, at once, with honest usage.

    Raises ConfigError for a status that is neither 200 nor an error, and for negative times and chunks.
    """

    #: The answer; None gives a text that is always the same. Cut off where the request's `max_tokens` ends.
    text: str | None = None
    #: What the answer asks for after its text, which is then empty unless it is given.
    tool_calls: tuple[ToolCall, ...] = ()
    #: Bill and report exactly this, whatever the prompt, the text and `max_tokens` say.
    usage: Usage | None = None
    #: Waits so long before the first byte.
    latency_s: float = 0.0
    #: Waits so long before each chunk of a stream, which is one token of text or of a tool's arguments.
    chunk_interval_s: float = 0.0
    #: What becomes of a stream whose client closes the connection: `write_on` generates to the end and bills that,
    #: `stop` bills the chunks that were sent until then. With `stop` it is billed when the stream has ended.
    on_hang_up: Literal["write_on", "stop"] = "write_on"
    #: Anything but 200 is answered as the provider's own error, and not billed.
    status: int = 200
    #: The `Retry-After` of an error.
    retry_after_s: float | None = None
    #: Closes the connection after so many chunks of a stream; 0, or no stream: without a single byte.
    #: A cut stream is billed up to its last chunk, with all reasoning, any other answer in full.
    cut_after_chunks: int | None = None
    #: Says nothing more after so many chunks until the emulator stops; 0, or no stream: never says a byte.
    #: Billed in full, as a provider goes on generating, unless `on_hang_up` is `stop`.
    stall_after_chunks: int | None = None
    #: The answer says nothing of its usage; it is billed all the same.
    omit_usage: bool = False
    #: Laid over the usage object of the answer, in the provider's own field names; the bill stays honest.
    usage_override: dict[str, Any] = msgspec.field(default_factory=dict)
    #: The tier served; "" serves the one that was asked for.
    service_tier: str = ""
    #: The model that answers and is billed; "" is the one that was asked for.
    model: str = ""
    #: Whether it is billed; None: all but errors are.
    billed: bool | None = None

    def __post_init__(self) -> None:
        if self.status != 200 and not 400 <= self.status <= 599:
            raise ConfigError("status", "200 or an error from 400 to 599", got=self.status)
        for name in ("latency_s", "chunk_interval_s", "retry_after_s", "cut_after_chunks", "stall_after_chunks"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ConfigError(name, "zero or more", got=number)

    @property
    def is_billed(self) -> bool:
        """`billed` where it is set; else whether the request succeeds."""
        return self.status == 200 if self.billed is None else self.billed

    def as_header(self) -> dict[str, str]:
        """Return the header that asks for this behaviour, for the SDKs' `extra_headers`."""
        return {BEHAVIOUR_HEADER: json.dumps(msgspec.to_builtins(self))}


class Script:
    """Who gets which Behaviour: the next in the queue, else the model's own, else the default. Safe over threads."""

    def __init__(self, default: Behaviour) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Behaviour] = deque()
        self._by_model: dict[str, Behaviour] = {}
        self._default = default

    def queue(self, *behaviours: Behaviour) -> None:
        """Queue one behaviour for each of the next requests, in the order of their arrival."""
        with self._lock:
            self._queue.extend(behaviours)

    def always(self, behaviour: Behaviour, *, model: str = "") -> None:
        """Set the behaviour from now on, for this model, or for all that have none of their own."""
        with self._lock:
            if model:
                self._by_model[model] = behaviour
            else:
                self._default = behaviour

    def next_for(self, model: str) -> Behaviour:
        """Return the behaviour that the request that just came meets with."""
        with self._lock:
            return self._queue.popleft() if self._queue else self._by_model.get(model, self._default)
