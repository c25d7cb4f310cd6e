"""An answer has an id by which it is told from another: the same in all its chunks, whoever sent it."""

from __future__ import annotations

import json

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream, read_usage

CHAT = {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
RESPONSES = {"id": "resp_1", "object": "response", "usage": {"input_tokens": 1, "output_tokens": 2}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}],
    "usage": {"input_tokens": 1, "output_tokens": 2},
}
CONVERSE = {
    "ResponseMetadata": {"RequestId": "aws-1", "HTTPStatusCode": 200},
    "usage": {"inputTokens": 1, "outputTokens": 2},
}
GEMINI = {"responseId": "gem-1", "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}}
#: A payload and the id of its answer.
PAYLOADS = {
    "chat": (CHAT, "chatcmpl-1"),
    "responses": (RESPONSES, "resp_1"),
    "responses event": ({"type": "response.completed", "response": RESPONSES}, "resp_1"),
    "anthropic": (MESSAGE, "msg_1"),
    "bedrock": (CONVERSE, "aws-1"),
    "gemini": (GEMINI, "gem-1"),
    "gemini sdk": (
        {"response_id": "gem-1", "usage_metadata": {"prompt_token_count": 1, "candidates_token_count": 2}},
        "gem-1",
    ),
    "cohere": ({"id": "co-1", "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 2}}}, "co-1"),
    "span": (
        {"gen_ai.response.id": "span-1", "gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2},
        "span-1",
    ),
    "json": (json.dumps(CHAT), "chatcmpl-1"),
    "batch line": ({"id": "batch_req_1", "custom_id": "c", "response": {"body": CHAT}}, "chatcmpl-1"),
    "usage alone": (CHAT["usage"], ""),
    "no id": ({**CHAT, "id": None}, ""),
    "an id that is none": ({**CHAT, "id": 7}, ""),
    "Usage": (Usage(1, 2), ""),
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_id_of_an_answer_is_read(payload):
    """From where each provider has it; "" where there is none."""
    given, expected = PAYLOADS[payload]
    reading = read_usage(given)
    assert (reading.status, reading.usage, reading.answer_id) == (UsageStatus.OK, Usage(1, 2), expected)


def test_an_answer_without_usage_has_its_id():
    """It was an answer, whatever it cost."""
    reading = read_usage({"id": "chatcmpl-1", "choices": []})
    assert (reading.status, reading.answer_id) == (UsageStatus.MISSING, "chatcmpl-1")


def test_the_id_of_the_sdks_objects_is_read():
    """As of their JSON."""
    assert read_usage(ChatCompletion.model_construct(**CHAT)).answer_id == "chatcmpl-1"
    assert read_usage(Message.model_construct(**MESSAGE)).answer_id == "msg_1"


def chat_chunks(answer_id, tokens, *, usage=True):
    """As OpenAI streams them, the usage last."""
    for text in ("a", "b"):
        yield {"id": answer_id, "model": "m", "choices": [{"delta": {"content": text}}]}
    yield {"id": answer_id, "model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    if usage:
        yield {"id": answer_id, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": tokens}}


def anthropic_events(answer_id, tokens):
    yield {"type": "message_start", "message": {"id": answer_id, "model": "m", "usage": {"input_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1"}}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens}}
    yield {"type": "message_stop"}


def responses_events(answer_id, tokens):
    yield {"type": "response.created", "response": {"id": answer_id, "model": "m", "usage": None}}
    yield {"type": "response.output_item.added", "item": {"id": "item_1", "type": "message"}}
    yield {"type": "response.output_text.delta", "item_id": "item_1", "delta": "text"}
    usage = {"input_tokens": 1, "output_tokens": tokens}
    yield {"type": "response.completed", "response": {"id": answer_id, "model": "m", "usage": usage}}


def gemini_chunks(answer_id, tokens):
    for text, stop in (("a", {}), ("b", {"finishReason": "STOP"})):
        yield {
            "responseId": answer_id,
            "candidates": [{"content": {"parts": [{"text": text}]}, **stop}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": tokens},
        }


STREAMS = [chat_chunks, anthropic_events, responses_events, gemini_chunks]


@pytest.mark.parametrize("chunks", STREAMS)
def test_the_id_of_a_stream_is_that_of_its_chunks(chunks):
    """One answer, one reading, cut or not."""
    stream = UsageStream()
    for chunk in chunks("first", 5):
        stream.observe(chunk)
        assert stream.reading().answer_id == "first"
    ((reading, _),) = stream.answers()
    assert (reading.status, reading.usage) == (UsageStatus.OK, Usage(1, 5))


@pytest.mark.parametrize("chunks", STREAMS)
def test_two_answers_one_after_the_other_are_two_readings(chunks):
    """Neither takes the counts of the other."""
    stream = UsageStream()
    for chunk in (*chunks("first", 5), *chunks("second", 7)):
        stream.observe(chunk)
    found = [(one.answer_id, one.status, one.usage) for one, _ in stream.answers()]
    assert found == [("first", UsageStatus.OK, Usage(1, 5)), ("second", UsageStatus.OK, Usage(1, 7))]
    assert stream.output_bound >= 12


def test_an_answer_that_said_no_usage_is_none_of_the_next():
    """It has ended, and what it cost is unknown."""
    stream = UsageStream()
    for chunk in (*chat_chunks("first", 0, usage=False), *chat_chunks("second", 7)):
        stream.observe(chunk)
    found = [(one.answer_id, one.status) for one, _ in stream.answers()]
    assert found == [("first", UsageStatus.MISSING), ("second", UsageStatus.OK)]


def test_ids_that_differ_in_each_chunk_make_one_answer():
    """As some servers send them."""
    stream = UsageStream()
    for number, chunk in enumerate(chat_chunks("x", 5)):
        stream.observe({**chunk, "id": f"chatcmpl-{number}"})
    ((reading, _),) = stream.answers()
    assert (reading.status, reading.usage) == (UsageStatus.OK, Usage(1, 5))
