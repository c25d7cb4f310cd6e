from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream
from hivecost.usage.streams import CUT_REASON


def streamed(chunks, **options) -> UsageStream:
    stream = UsageStream(**options)
    for chunk in chunks:
        stream.observe(chunk)
    return stream


GEMINI = [
    {
        "modelVersion": "gemini-2.5-flash",
        "candidates": [{"content": {}}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 5, "thoughtsTokenCount": 7},
    },
    {
        "modelVersion": "gemini-2.5-flash",
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 25, "thoughtsTokenCount": 7},
    },
]
BEDROCK = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "hi"}}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 10, "outputTokens": 5}, "metrics": {"latencyMs": 1}}},
]
COHERE = [
    {"type": "content-delta", "delta": {"message": {"content": {"text": "hi"}}}},
    {
        "type": "message-end",
        "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}},
    },
]
XAI = [
    {
        "model": "grok-4",
        "choices": [{"delta": {}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": n, "reasoning_tokens": 20, "total_tokens": 30 + n},
    }
    for n, reason in [(1, None), (2, None), (5, "stop")]
]
RESPONSES = [
    {"type": "response.created", "response": {"model": "gpt-5", "usage": None}},
    {"type": "response.output_text.delta", "delta": "hi"},
    {
        "type": "response.incomplete",
        "response": {
            "model": "gpt-5",
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
        },
    },
]


@pytest.mark.parametrize(
    ("chunks", "usage", "stop_reason"),
    [
        (GEMINI, Usage(input_tokens=100, output_tokens=32, reasoning_tokens=7), "STOP"),
        (BEDROCK, Usage(input_tokens=10, output_tokens=5), "end_turn"),
        (COHERE, Usage(input_tokens=3, output_tokens=4), "COMPLETE"),
        (XAI, Usage(input_tokens=10, output_tokens=25, reasoning_tokens=20), "stop"),
        (RESPONSES, Usage(input_tokens=9, output_tokens=4), "max_output_tokens"),
    ],
    ids=["gemini", "bedrock", "cohere", "xai", "responses"],
)
def test_a_whole_stream_is_read_like_a_whole_answer(chunks, usage, stop_reason):
    """Running totals replace each other; the last chunk makes it final."""
    reading = streamed(chunks).reading()
    assert (reading.status, reading.usage, reading.stop_reason) == (UsageStatus.OK, usage, stop_reason)
    lines = [f"data: {json.dumps(chunk)}" for chunk in chunks]
    assert streamed(["event: x", *lines, "data: [DONE]"]).reading() == reading


@pytest.mark.parametrize("chunks", [GEMINI, XAI], ids=["gemini", "xai"])
def test_a_cut_stream_is_an_estimate_of_what_is_known(chunks):
    """The counts so far, and the status that says so."""
    reading = streamed(chunks[:-1]).reading()
    assert (reading.status, reading.reason) == (UsageStatus.ESTIMATED, CUT_REASON)
    assert reading.usage.input_tokens > 0
    assert reading.raw


def test_a_stream_cut_before_any_usage_is_missing():
    """Nothing is known, and nothing is made up."""
    assert streamed(RESPONSES[:-1]).reading().status is UsageStatus.MISSING
    assert UsageStream().reading().status is UsageStatus.MISSING


def test_an_impossible_stream_is_invalid():
    """A stream's counts are checked like any others."""
    chunk = {"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}}}
    assert streamed([chunk]).reading().status is UsageStatus.INVALID


def test_a_flavor_can_be_named():
    """For shapes that cannot be told apart."""
    chunk = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert streamed([chunk], flavor="mistral").reading().provider == "mistral"


def test_reading_early_changes_nothing():
    """The reading may be asked for at any time."""
    stream = UsageStream()
    for chunk in GEMINI:
        stream.observe(chunk)
        stream.reading()
    assert stream.reading() == streamed(GEMINI).reading()


class _EachInFull(UsageStream):
    """Looks for everything in each event."""

    def _only_goes_on(self, event: Mapping[str, Any]) -> bool:
        return False


_DELTAS = st.sampled_from(
    [
        {"content": "word "},
        {"content": "ä", "role": "assistant"},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]},
        {"reasoning_content": "hm", "content": None},
        {"status": "odd", "content": "x"},
        "no object",
        None,
    ]
)
_CHOICES = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 1), "delta": _DELTAS},
        optional={"finish_reason": st.sampled_from([None, "stop", "", 7]), "text": st.just("more")},
    ),
    max_size=2,
)
_CHUNKS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "a", "a", "b", ""]), "object": st.just("chat.completion.chunk"), "choices": _CHOICES},
    optional={
        "model": st.sampled_from(["gpt-4o", "gpt-4o", "gpt-4o-mini", None]),
        "service_tier": st.sampled_from(["default", "flex", None]),
        "usage": st.sampled_from([None, {}, {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}]),
        "obfuscation": st.just("xyz"),
        "x_groq": st.just({"id": "c"}),
        "error": st.just({"message": "no"}),
    },
)


@given(st.lists(_CHUNKS, max_size=6))
def test_a_chunk_that_only_goes_on_changes_nothing_else(chunks: list[dict[str, Any]]) -> None:
    """Whatever stands between such chunks, each is counted as if it had been looked at in full."""
    quick, full = UsageStream(), _EachInFull()
    for chunk in chunks:
        assert (quick.observe(chunk).answers(), quick.is_finished) == (full.observe(chunk).answers(), full.is_finished)
        assert (quick.output_bound, quick.counted) == (full.output_bound, full.counted)
