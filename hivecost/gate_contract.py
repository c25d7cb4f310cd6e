"""What gate checks are asked before a turn is sent, and told when it has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Self

import msgspec
from msgspec.structs import replace

from hivecost.attribution import Attribution
from hivecost.frozen import EMPTY


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
    #: Whose sub-agent asks: the executions that this one is inside of, the nearest first.
    ancestors: tuple[Attribution, ...] = ()

    @property
    def executions(self) -> tuple[str, ...]:
        """The execution that asks and those that it is inside of, the nearest first."""
        return self.execution_id, *(ancestor.execution_id for ancestor in self.ancestors)

    @property
    def is_charge(self) -> bool:
        """Whether it is no call of a model: it has no tokens, cannot be shorter, and no other model will do."""
        return self.charge_nanousd is not None

    def for_model(self, model: str, provider: str = "") -> Self:
        """Return the request for another model: what this one's tokenizer counted is no count of that one's."""
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
#: Says at once whether a gate check would let a turn be sent as it is asked for; it may be asked in vain.
GatePass = Callable[[TurnRequest], bool]
