"""What an answer does not count, or counts as nothing, is not nothing."""

from __future__ import annotations

import pytest

from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.usage import UsageStatus, UsageStream, each_request, read_usage

BOOK = PriceBook()


def chat(answer_id="a", text="x" * 600, **usage):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": answer_id, "model": "gpt-4o", "choices": [choice], "usage": usage}


ANSWERS = {
    "chat": chat(prompt_tokens=100),
    "chat, null": chat(prompt_tokens=100, completion_tokens=None),
    "responses": {
        "object": "response",
        "model": "gpt-5",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "x" * 600}]}],
        "usage": {"input_tokens": 100},
    },
    "messages": {
        "type": "message",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "x" * 600}],
        "usage": {"input_tokens": 100},
    },
    "gemini": {
        "modelVersion": "gemini-2.5-pro",
        "candidates": [{"content": {"parts": [{"text": "x" * 600}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 100},
    },
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_output_that_is_not_counted_is_estimated(answer):
    """By what the answer brought."""
    reading = read_usage(answer)
    assert reading.status is UsageStatus.ESTIMATED
    assert "no output was counted" in reading.reason
    assert reading.usage.input_tokens == 100
    assert reading.usage.output_tokens >= 200


def test_an_answer_of_zeros_counts_nothing():
    """Nobody answers for nothing: it is as if the usage were not there."""
    reading = read_usage(chat(prompt_tokens=0, completion_tokens=0, total_tokens=0))
    assert (reading.status, reading.usage) == (UsageStatus.MISSING, Usage())
    assert BOOK.price_reading(reading, model="gpt-4o").nanousd is None


@pytest.mark.parametrize(
    "answer",
    [
        chat(text="", prompt_tokens=0, completion_tokens=0),
        {"text": "as it was said", "usage": {"type": "duration", "seconds": 12}},
        {"model": "text-embedding-3-small", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8}},
    ],
)
def test_what_has_no_output_needs_no_count_of_it(answer):
    """An empty answer, speech that is billed by the second, embeddings."""
    assert read_usage(answer).status is UsageStatus.OK


def test_a_streams_count_is_not_taken_back_by_a_zero():
    """Anthropic's counts are cumulative; some gateways leave them out of the last event, as zeros."""
    stream = UsageStream()
    started = {"input_tokens": 1_000, "cache_read_input_tokens": 5_000, "output_tokens": 1}
    stream.observe({"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": started}})
    usage = {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9}
    stream.observe({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
    stream.observe({"type": "message_stop"})
    assert stream.reading().usage == Usage(6_000, 9, cache_read_tokens=5_000)


@pytest.mark.parametrize(
    ("usage", "status", "tokens"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}, UsageStatus.ESTIMATED, 102),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, UsageStatus.MISSING, 0),
    ],
)
def test_a_streams_output_that_is_not_counted_is_estimated(usage, status, tokens):
    """As that of a whole answer."""
    stream = UsageStream()
    stream.observe({"id": "a", "model": "gpt-4o", "choices": [{"delta": {"content": "hello"}, "finish_reason": None}]})
    stream.observe({"id": "a", "model": "gpt-4o", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    stream.observe({"id": "a", "model": "gpt-4o", "choices": [], "usage": usage})
    reading = stream.reading()
    assert (reading.status, reading.usage.total_tokens) == (status, tokens)


def test_a_list_of_answers_is_all_of_them():
    """Each is a turn, at its own model's rate."""
    dear = chat("a", prompt_tokens=1_000_000, completion_tokens=1, total_tokens=1_000_001)
    cheap = chat("b", prompt_tokens=5, completion_tokens=1, total_tokens=6) | {"model": "gpt-4o-mini"}
    reading = read_usage([dear, cheap])
    assert (reading.usage.input_tokens, reading.requests) == (1_000_005, 2)
    assert [one.model for one in each_request(reading)] == ["gpt-4o", "gpt-4o-mini"]
    costs = [BOOK.price_reading(read_usage(answer)).nanousd for answer in (dear, cheap)]
    assert BOOK.price_reading(reading).nanousd == sum(costs)


@pytest.mark.parametrize("count", ["500", 500.0, 500])
def test_a_count_that_nobody_knows_is_said_however_it_is_written(count):
    """OTLP writes integers as text."""
    reading = read_usage({"gen_ai.usage.input_tokens": 5, "gen_ai.usage.novel_tokens": count})
    assert reading.reason == "unread: gen_ai.usage.novel_tokens=500"


@pytest.mark.parametrize(
    ("model", "provider", "status"),
    [
        ("gpt-4o", "azure", CostStatus.ESTIMATED),
        ("gpt-4o", "", CostStatus.ESTIMATED),
        ("openai/gpt-4o", "openrouter", CostStatus.REPORTED),
        ("grok-4", "xai", CostStatus.REPORTED),
    ],
)
def test_a_bill_of_nothing_is_believed_of_those_who_name_bills(model, provider, status):
    """Of others, it is what somebody's field is when nobody fills it in."""
    answer = {"model": model, "usage": {"prompt_tokens": 1_000, "completion_tokens": 10, "cost": 0}}
    cost = BOOK.price_reading(read_usage(answer), model=model, provider=provider)
    assert cost.status is status
    assert (cost.nanousd == 0) == (status is CostStatus.REPORTED)


def test_items_that_only_came_by_themselves_are_billed():
    """Some servers leave the output out of the last event."""
    stream = UsageStream()
    call = {"type": "web_search_call", "action": {"type": "search"}}
    stream.observe({"type": "response.output_item.done", "item": call})
    response = {"id": "r", "model": "gpt-5", "output": [], "usage": {"input_tokens": 10, "output_tokens": 5}}
    stream.observe({"type": "response.completed", "response": response})
    assert stream.reading().usage.web_search_requests == 1


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ({"type": "web_search_preview"}, "does not reason"),
        ({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "64g"}}, "container of 64g"),
        ({"type": "web_search"}, ""),
    ],
)
def test_a_dearer_tool_is_said(tool, reason):
    """The answer lists the tools that it was given."""
    answer = {"object": "response", "model": "gpt-4o", "tools": [tool], "output": []}
    reading = read_usage(answer | {"usage": {"input_tokens": 10, "output_tokens": 5}})
    assert reason in reading.reason
    assert bool(reading.reason) == bool(reason)
