"""The SDKs' own classes, and the other kinds of objects people hand over."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import anthropic.types as claude
import msgspec
import openai.types as gpt
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseCompletedEvent

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream, read_usage

CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o",
    "service_tier": "default",
    "choices": [
        {"index": 0, "finish_reason": "stop", "logprobs": None, "message": {"role": "assistant", "content": "hi"}}
    ],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 10},
    },
}
RESPONSE = {
    "id": "1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5",
    "status": "completed",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 150,
    },
}
MEANT = Usage(input_tokens=100, output_tokens=50, cache_read_tokens=20, reasoning_tokens=10)


def test_openais_chat_completion():
    """The object the client returns, and its usage alone."""
    completion = ChatCompletion.model_validate(CHAT)
    reading = read_usage(completion)
    assert (reading.usage, reading.model, reading.stop_reason) == (MEANT, "gpt-4o", "stop")
    assert read_usage(completion.usage).usage == MEANT


def test_a_gateways_cost_behind_openais_client():
    """Fields the SDK does not know are kept apart by pydantic; OpenRouter's bill is one."""
    completion = ChatCompletion.model_validate({**CHAT, "usage": {**CHAT["usage"], "cost": 0.25}})
    reading = read_usage(completion)
    assert (reading.flavor, reading.reported_nanousd) == ("openrouter", 250_000_000)


def test_openais_response_and_its_stream():
    """The Responses API, whole and as its last event."""
    response = Response.model_validate(RESPONSE)
    assert read_usage(response).usage == MEANT
    stream = UsageStream()
    stream.observe(ResponseCompletedEvent(type="response.completed", sequence_number=1, response=response))
    assert (stream.reading().status, stream.reading().usage) == (UsageStatus.OK, MEANT)


def test_openais_chunks():
    """The last chunk has the usage and no choices."""
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    stop = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}
    last = {**chunk, "choices": [], "usage": CHAT["usage"]}
    stream = UsageStream()
    stream.observe(ChatCompletionChunk.model_validate(stop))
    assert stream.reading().status is UsageStatus.MISSING
    stream.observe(ChatCompletionChunk.model_validate(last))
    reading = stream.reading()
    assert (reading.status, reading.usage, reading.stop_reason) == (UsageStatus.OK, MEANT, "stop")


def test_openais_embeddings():
    """Only a prompt."""
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    made = gpt.CreateEmbeddingResponse.model_validate(
        {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": usage}
    )
    assert read_usage(made).usage == Usage(input_tokens=8)


CLAUDE_USAGE = {
    "input_tokens": 10,
    "output_tokens": 1,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 50,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": CLAUDE_USAGE,
}


def test_anthropics_message():
    """Exclusive input becomes inclusive."""
    reading = read_usage(claude.Message.model_validate(MESSAGE))
    assert reading.usage == Usage(
        input_tokens=160, output_tokens=1, cache_read_tokens=100, cache_write_tokens=50, cache_write_1h_tokens=30
    )
    assert (reading.model, reading.hinted_provider) == ("claude-sonnet-4-5", "anthropic")


def test_anthropics_stream():
    """The start tells the input, the delta the output so far: replaced, never added."""
    stream = UsageStream()
    start = claude.RawMessageStartEvent.model_validate({"type": "message_start", "message": MESSAGE})
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    stream.observe(start)
    assert stream.reading().status is UsageStatus.ESTIMATED
    for output_tokens in (15, 40):
        event = {**delta, "usage": {"output_tokens": output_tokens, "input_tokens": 10}}
        stream.observe(claude.RawMessageDeltaEvent.model_validate(event))
    stream.observe(claude.RawMessageStopEvent(type="message_stop"))
    reading = stream.reading()
    assert (reading.status, reading.stop_reason) == (UsageStatus.OK, "end_turn")
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (160, 40)


@dataclass(slots=True)
class SlottedUsage:
    prompt_tokens: int
    completion_tokens: int


class StructUsage(msgspec.Struct):
    input_tokens: int
    output_tokens: int


def test_plain_objects_dataclasses_and_structs():
    """Anything with the right names."""
    assert read_usage(SimpleNamespace(usage=SlottedUsage(3, 4))).usage == Usage(input_tokens=3, output_tokens=4)
    assert read_usage(StructUsage(3, 4)).usage == Usage(input_tokens=3, output_tokens=4)
    assert read_usage({"usage": StructUsage(3, 4)}).usage == Usage(input_tokens=3, output_tokens=4)
