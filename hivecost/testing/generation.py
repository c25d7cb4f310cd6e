"""From a request and a Behaviour to what the model made and what it costs; nothing here knows a wire format."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.behaviour import Behaviour
from hivecost.testing.tokens import lorem, split_tokens

#: Tokens of an answer that nobody scripted.
DEFAULT_ANSWER_TOKENS: Final = 16


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request, whatever its dialect."""

    model: str
    prompt_tokens: int
    max_tokens: int | None = None
    #: How many answers are asked for (OpenAI's `n`); each costs its output, and `max_tokens` holds for each.
    choices: int = 1
    stream: bool = False
    include_usage: bool = True
    service_tier: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whatever its dialect."""

    request_id: str
    model: str
    created_s: int
    #: The text of each choice, one item per token: the chunks of a stream.
    pieces: list[str]
    choices: int
    usage: Usage
    #: It ended at `max_tokens`.
    is_cut_short: bool
    service_tier: str
    omit_usage: bool
    usage_override: dict[str, Any]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def report(self, usage: dict[str, Any]) -> dict[str, Any]:
        """`{"usage": …}` with the override laid over it, or nothing where it is to be omitted."""
        return {} if self.omit_usage else {"usage": usage | self.usage_override}


def generate(call: Call, behaviour: Behaviour, *, request_id: str, created_s: int) -> Generation:
    """The answer in full: text or usage as scripted, else derived from the request."""
    pieces = split_tokens(_wanted_text(behaviour))
    is_cut_short = call.max_tokens is not None and len(pieces) > call.max_tokens
    pieces = pieces[: call.max_tokens]
    usage = behaviour.usage or Usage(input_tokens=call.prompt_tokens, output_tokens=len(pieces) * call.choices)
    return Generation(
        request_id=request_id,
        model=behaviour.model or call.model,
        created_s=created_s,
        pieces=pieces,
        choices=call.choices,
        usage=usage,
        is_cut_short=is_cut_short,
        service_tier=behaviour.service_tier or call.service_tier,
        omit_usage=behaviour.omit_usage,
        usage_override=behaviour.usage_override,
    )


def _wanted_text(behaviour: Behaviour) -> str:
    if behaviour.text is not None:
        return behaviour.text
    scripted = DEFAULT_ANSWER_TOKENS if behaviour.usage is None else behaviour.usage.output_tokens
    return lorem(min(scripted, DEFAULT_ANSWER_TOKENS))


def billed_usage(generation: Generation, behaviour: Behaviour, *, stream: bool) -> Usage:
    """What is charged: nothing unless billed; a cut stream up to its last chunk, anything else in full."""
    if not behaviour.is_billed:
        return Usage()
    chunks = len(generation.pieces) * generation.choices
    cut = behaviour.cut_after_chunks
    if not stream or cut is None or cut >= chunks:
        return generation.usage
    usage = generation.usage
    generated = -(-usage.output_tokens * cut // chunks)
    return msgspec.structs.replace(
        usage,
        output_tokens=generated,
        reasoning_tokens=min(usage.reasoning_tokens, generated),
        output_audio_tokens=min(usage.output_audio_tokens, generated),
        output_image_tokens=min(usage.output_image_tokens, generated),
    )
