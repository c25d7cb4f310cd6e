"""How much a stream can have cost so far: never fewer tokens than were streamed, whatever the provider's shape."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.events import Usage
from hivecost.usage import UsageStream


def chat(text):
    return {"object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}


def responses(text):
    return {"type": "response.output_text.delta", "item_id": "msg_1", "delta": text, "logprobs": []}


def anthropic(text):
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def gemini(text):
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}], "modelVersion": "gemini"}


def bedrock(text):
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}


def cohere(text):
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}


def completions(text):
    return {"object": "text_completion", "choices": [{"text": text, "index": 0}]}


def helper(text):
    return {"type": "chunk", "chunk": chat(text), "snapshot": {"choices": [{"message": {"content": 99 * text}}]}}


SHAPES = [chat, responses, anthropic, gemini, bedrock, cohere, completions, helper]
texts = st.lists(st.text(max_size=20), max_size=10)


def bound(*chunks) -> int:
    stream = UsageStream()
    for chunk in chunks:
        stream.observe(chunk)
    return stream.output_bound


@pytest.mark.parametrize("shape", SHAPES)
@given(pieces=texts)
def test_text_counts_one_token_for_each_byte(shape, pieces):
    """As a dict, and as the JSON or the server-sent event that it came in; the frame around it counts nothing."""
    size = len("".join(pieces).encode(errors="surrogatepass"))
    chunks = [shape(piece) for piece in pieces]
    assert bound(*chunks) == size
    assert bound(*map(json.dumps, chunks)) == size
    assert bound("event: delta", *(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]") == size


@given(pieces=texts)
def test_bare_text_counts_too(pieces):
    """Some clients give nothing but the text, as str or bytes: every byte counts, also where it looks like JSON."""
    pieces = ["12", "[]", "null", '"quoted"', *pieces]
    assert bound(*pieces) == len("".join(pieces).encode(errors="surrogatepass"))
    raw = [piece.encode(errors="surrogatepass") for piece in pieces]
    assert bound(*raw) == sum(map(len, raw))


@pytest.mark.parametrize(
    ("chunk", "least"),
    [
        ({"choices": [{"delta": {"reasoning_content": "hmm"}}, {"delta": {"refusal": "no"}}]}, 5),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": "look", "arguments": '{"a":1}'}}]}}]}, 11),
        ({"type": "response.function_call_arguments.delta", "delta": '{"a":1}'}, 7),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hmm"}, 3),
        ({"type": "response.output_item.added", "item": {"type": "function_call", "name": "look"}}, 4),
        ({"type": "content_block_start", "content_block": {"type": "tool_use", "name": "look", "input": {}}}, 4),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}}, 7),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hmm"}}, 3),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "look", "args": {"n": 123_456}}}]}}]}, 15),
        ({"contentBlockStart": {"start": {"toolUse": {"name": "look", "toolUseId": "t"}}}}, 5),
        ({"contentBlockDelta": {"delta": {"toolUse": {"input": '{"a":1}'}}}}, 7),
        ({"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hmm"}}}}, 3),
        ({"model": "llama", "message": {"role": "assistant", "content": "hello"}, "done": False}, 5),
        (SimpleNamespace(content="hello", type="AIMessageChunk"), 5),
    ],
)
def test_everything_generated_counts(chunk, least):
    """Reasoning, refusals, tool calls with their arguments, and shapes that nobody told us of."""
    assert least <= bound(chunk) <= 6 * least


@pytest.mark.parametrize(
    "echo",
    [
        {"type": "response.output_text.done", "text": "hello"},
        {"type": "response.output_item.done", "item": {"content": [{"text": "hello"}]}},
        {"type": "response.completed", "response": {"output": [{"content": [{"text": "hello"}]}]}},
        {"type": "content_block_stop", "content_block": {"text": "hello"}},
        {"type": "text", "text": "hello", "snapshot": "hello"},
        {"type": "content.delta", "delta": "hello", "snapshot": "hello"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}},
        {"type": "ping"},
    ],
)
def test_what_is_said_again_counts_once(echo):
    """Final events and those that the SDKs' helpers derive repeat the answer."""
    assert bound(echo) == 0


def test_the_providers_count_takes_the_place_of_the_bytes():
    """A running count is believed for what came before it; what came with it and after it is bounded by its bytes."""
    counted = {**gemini("abcd"), "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}}
    stream = UsageStream()
    for chunk in (gemini("x" * 100), counted, gemini("yz")):
        stream.observe(chunk)
    assert stream.output_bound == 3 + 4 + 2
    assert stream.counted == Usage(9, 3)


def test_a_count_that_is_only_said_again_takes_no_place():
    """Text that came since the count was new is still counted; so is what came before a count that cannot be."""
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}}
    assert bound(start, anthropic("hello"), start, anthropic("you")) == 1 + 8
    broken = {**chat("abc"), "usage": {"prompt_tokens": -5, "completion_tokens": 1}}
    assert bound(chat("hello"), broken) == 8


def test_the_end_of_a_stream_is_known():
    """After the final counts there is nothing more to bound."""
    stream = UsageStream()
    stream.observe(chat("hello"))
    assert not stream.is_finished
    stream.observe({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    assert stream.is_finished
    assert (stream.output_bound, stream.counted) == (2, Usage(9, 2))


def test_chunks_that_cannot_be_read_disturb_nobody():
    """Whatever comes, observe() does not raise."""

    class Hostile:
        @property
        def choices(self):
            raise RuntimeError("no")

    nested: list = []
    for _ in range(100):
        nested = [nested, "x"]
    assert bound(Hostile(), None, 5, b"\xff\xfe", {"choices": nested}, {"delta": nested}) >= 2
