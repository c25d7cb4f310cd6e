"""From a request and a Behaviour to what the model made and what it costs; nothing here knows a wire format."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.behaviour import Behaviour, ToolCall
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
    #: Those of the vectors that are asked for, one per choice, instead of text; 0 where it is text.
    dimensions: int = 0
    base64_vectors: bool = False
    #: A stream comes as one list.
    as_list: bool = False
    #: Whether tools can be called with a text.
    custom_tools: bool = False


class Block(msgspec.Struct, frozen=True):
    """A text, or what a tool is called with, one item per token."""

    pieces: list[str]
    #: The tool that is called; "" for a text.
    tool: str = ""
    #: It is called with a text; else with JSON.
    is_custom: bool = False

    @property
    def text(self) -> str:
        """The pieces together."""
        return "".join(self.pieces)


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whatever its dialect."""

    request_id: str
    call: Call
    model: str
    created_s: int
    #: Each choice: a text, then tool calls, or only one of both.
    blocks: list[Block]
    usage: Usage
    #: It ended at `max_tokens`.
    is_cut_short: bool
    service_tier: str
    omit_usage: bool
    usage_override: dict[str, Any]

    @property
    def text(self) -> str:
        """The text of all blocks that are no tool calls."""
        return "".join(block.text for block in self.blocks if not block.tool)

    @property
    def calls_tools(self) -> bool:
        """Whether any block is a tool call."""
        return any(block.tool for block in self.blocks)

    @property
    def chunks(self) -> int:
        """How many chunks a stream of it has."""
        return sum(len(block.pieces) for block in self.blocks) * self.call.choices

    def report(self, usage: dict[str, Any], key: str = "usage") -> dict[str, Any]:
        """Return `{key: …}` with the override laid over the usage, or nothing where it is to be omitted."""
        return {} if self.omit_usage else {key: usage | self.usage_override}


def generate(call: Call, behaviour: Behaviour, *, request_id: str, created_s: int) -> Generation:
    """Return the answer in full: blocks or usage as scripted, else derived from the request."""
    wanted = [] if call.dimensions else _wanted_blocks(call, behaviour)
    blocks = wanted if call.max_tokens is None else list(_cut(wanted, call.max_tokens))
    output_tokens = sum(len(block.pieces) for block in blocks) * call.choices
    return Generation(
        request_id=request_id,
        call=call,
        model=behaviour.model or call.model,
        created_s=created_s,
        blocks=blocks,
        usage=behaviour.usage or Usage(input_tokens=call.prompt_tokens, output_tokens=output_tokens),
        is_cut_short=blocks != wanted,
        service_tier=behaviour.service_tier or call.service_tier,
        omit_usage=behaviour.omit_usage,
        usage_override=behaviour.usage_override,
    )


def _wanted_blocks(call: Call, behaviour: Behaviour) -> list[Block]:
    tools = [_called(tool, custom_tools=call.custom_tools) for tool in behaviour.tool_calls]
    text = _wanted_text(behaviour)
    return [Block(split_tokens(text)), *tools] if text or not tools else tools


def _called(tool: ToolCall, *, custom_tools: bool) -> Block:
    given = tool.arguments
    if isinstance(given, str) and custom_tools:
        return Block(split_tokens(given), tool.name, is_custom=True)
    return Block(split_tokens(json.dumps({"input": given} if isinstance(given, str) else given)), tool.name)


def _wanted_text(behaviour: Behaviour) -> str:
    if behaviour.text is not None or behaviour.tool_calls:
        return behaviour.text or ""
    scripted = DEFAULT_ANSWER_TOKENS if behaviour.usage is None else behaviour.usage.output_tokens
    return lorem(min(scripted, DEFAULT_ANSWER_TOKENS))


def _cut(blocks: Iterable[Block], max_tokens: int) -> Iterable[Block]:
    """Yield the blocks up to `max_tokens`; the last one may end in the middle."""
    left = max_tokens
    for block in blocks:
        if left <= 0:
            return
        yield msgspec.structs.replace(block, pieces=block.pieces[:left])
        left -= len(block.pieces)


def billed_usage(generation: Generation, behaviour: Behaviour, *, sent_chunks: int | None = None) -> Usage:
    """Return what is charged: nothing unless billed; a cut stream up to its last chunk, anything else in full.

    Reasoning comes before the first chunk, so that is charged in full.
    `sent_chunks` are those of a stream that stopped when its client hung up.
    """
    if not behaviour.is_billed:
        return Usage()
    chunks = generation.chunks
    ends = (behaviour.cut_after_chunks, sent_chunks) if generation.call.stream else ()
    generated_chunks = min((end for end in ends if end is not None), default=chunks)
    if generated_chunks >= chunks:
        return generation.usage
    usage = generation.usage
    shown_tokens = max(0, usage.output_tokens - usage.reasoning_tokens)
    generated = usage.output_tokens - shown_tokens - (-shown_tokens * generated_chunks // chunks)
    return msgspec.structs.replace(
        usage,
        output_tokens=generated,
        reasoning_tokens=min(usage.reasoning_tokens, generated),
        output_audio_tokens=min(usage.output_audio_tokens, generated),
        output_image_tokens=min(usage.output_image_tokens, generated),
    )
