"""What is kept of a payload beside a turn, and said of it in a reason: counts, no prompt, and no id of a customer."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from hivecost.events import LLMTurnComplete
from hivecost.log.turn_rows import TURN_COLUMNS, turn_row
from hivecost.usage import UsageStatus, UsageStream, read_usage
from hivecost.usage.raw import raw_of

CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 198,
        "total_tokens": 623,
        "prompt_tokens_details": {"cached_tokens": 4, "new_kind_tokens": 3},
        "service_tier": "flex",
    },
}
CLAUDE = {
    "type": "message",
    "model": "claude-sonnet-4-6",
    "usage": {
        "input_tokens": 5,
        "output_tokens": 1.5,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
        "server_tool_use": {"web_search_requests": 1},
        "iterations": [{"type": "message", "input_tokens": 1, "output_tokens": 1}],
    },
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {
        "promptTokenCount": 9,
        "candidatesTokenCount": 2,
        "totalTokenCount": 50,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        "newKindTokenCount": 4,
        "trafficType": "ON_DEMAND",
    },
}
FAILED = {
    "custom_id": "line 7",
    "response": None,
    "error": {"code": "batch_expired", "type": "invalid_request_error", "message": "this is what was asked for"},
}
SPAN = {
    "name": "chat",
    "attributes": [
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
        {"key": "gen_ai.usage.new_kind_tokens", "value": {"intValue": "3"}},
    ],
}
AGENT = {
    "attributes": {"gen_ai.operation.name": "a task", "gen_ai.usage.input_tokens": 3, "traceloop.span.kind": "agent"}
}
GROK = {"model": "grok-4", "usage": {"prompt_tokens": 3, "completion_tokens": 1, "server_side_tools_used": ["A", "B"]}}
BY_MODEL = {"gpt-4o": {"input_tokens": 5, "output_tokens": 2}, "haiku": {"input_tokens": 1, "output_tokens": 1}}
RESPONSES = {
    "object": "response",
    "model": "gpt-4o",
    "output": [{"type": "image_generation_call", "action": {"type": "search"}}],
    "tools": [{"type": "web_search_preview", "container": {"memory_limit": "4g"}}],
    "usage": {"input_tokens": 5, "output_tokens": 2, "search_context_size": "low"},
}
PAYLOADS: list[Any] = [CHAT, CLAUDE, GEMINI, FAILED, SPAN, AGENT, GROK, BY_MODEL, RESPONSES]

#: What a prompt, an answer or a customer's id may look like; no word of them is in the code.
ID = "zyxwvuts_4711qponm"
PLANTS = ["Zyxw vutsr: dear doctor, my name is", ID, "Zyxw" * 20]
#: Here a provider's own short words are kept.
WORDS = {"type", "code", "service_tier", "modality", "traffictype", "search_context_size", "memory_limit"}
WORDS |= {"server_side_tools_used", "gen_ai.operation.name", "traceloop.span.kind"}


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is in a payload."""
    inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


KINDS = ("value", "list", "key", "part", "beside", "inside")
BESIDE = ("metadata", "user", "new_kind_tokens", "prompt", "tokens", "details", "response")


def planted(payload: Any, where: tuple[Any, ...], kind: str, text: str) -> Iterator[Any]:
    """The payload with somebody's text in this place, as a value, a key, in a list, or in a part."""
    payload = copy.deepcopy(payload)
    *path, last = where
    holder = payload
    for key in path:
        holder = holder[key]
    if kind == "value":
        holder[last] = text
    elif kind == "list":
        holder[last] = [text, {"text": text, "tokens": [1, 2, text]}]
    elif kind == "inside":
        holder[last] = {"count": SimpleNamespace(count=text, text=text), "cached_tokens": text}
    elif isinstance(holder, list):
        return
    elif kind == "key":
        holder[text] = holder.pop(last)
    elif kind == "part":
        holder[text] = {"input_tokens": 5, "prompt_tokens": text, text: 7}
    else:
        for name, value in product(BESIDE, (text, {"user": text}, {text: 3}, {text: {"new_tokens": 3}})):
            before = dict(holder)
            holder[name] = value
            yield payload
            holder.clear()
            holder.update(before)
    yield payload


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_no_text_of_anybody_is_kept(payload):
    """Wherever it stands, as a whole or in part: in `raw`, in a reason, or in the log of who publishes a payload."""
    count = 0
    for text in PLANTS:
        for where, kind in product(places(payload), KINDS):
            if text == ID and not WORDS.isdisjoint(str(key).lower() for key in where):
                continue
            for odd in planted(payload, where, kind, text):
                count += 1
                row = turn_row(LLMTurnComplete(raw_usage={"usage": odd}))
                told = [row[TURN_COLUMNS.index("raw_usage")]]
                for reading in (read_usage(odd), *(one.reading for one in UsageStream().observe(odd).answers())):
                    told += [json.dumps(reading.raw), reading.reason, reading.unbilled]
                assert not [words for words in told if "zyxw" in words.lower() or "dear doctor" in words], odd
    assert count > 100


@pytest.mark.parametrize(
    ("payload", "raw"),
    [
        (CHAT, CHAT["usage"]),
        (CLAUDE, CLAUDE["usage"]),
        (GEMINI, GEMINI["usageMetadata"]),
        (FAILED, {"response": None, "error": {"code": "batch_expired", "type": "invalid_request_error"}}),
        (BY_MODEL, {"models": list(BY_MODEL.values())}),
    ],
)
def test_counts_are_kept_as_they_came(payload, raw):
    """With the provider's own names, and the words that say what a count is of: enough to see what was not read."""
    reading = read_usage(payload)
    assert (reading.status, reading.raw) != (UsageStatus.OK, None)
    assert reading.raw == raw


def test_what_stands_for_a_count_is_named_by_its_kind():
    """A text says that there was one, and an odd number stays."""
    usage = {"input_tokens": "a lot", "output_tokens": "12", "total_tokens": 1.5, "service_tier": "as fast as it goes"}
    assert raw_of(usage) == {**usage, "input_tokens": "<str>", "service_tier": "<str>"}
    reading = read_usage({"usage": {"prompt_tokens": "a lot", "completion_tokens": 7}})
    assert reading.reason == "prompt_tokens must be a whole number, got <str>"


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], [0.5, -0.25]])
def test_lists_of_numbers_are_not_kept(tokens):
    """They are tokens, which is the prompt, or its embedding."""
    assert raw_of({"tokens": tokens, "context": tokens, "input_tokens": 3}) == {"input_tokens": 3}
