from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack, structs

from hivecost.events import TOKENS_PER_TURN_MAX, Usage, usage_problem
from hivecost.usage import FLAVORS, UsageStatus, UsageStream, read_usage

IMPOSSIBLE = [True, -1, 1.5, math.nan, math.inf, -math.inf, "1e2", "", [], {}, 10**9 + 1, 10**30, b"1"]


@pytest.mark.parametrize("bad", IMPOSSIBLE, ids=repr)
def test_an_impossible_count_is_invalid_and_the_others_are_kept(bad):
    """The reason names the field; the sound count stays, and so does the payload."""
    usage = {"prompt_tokens": bad, "completion_tokens": 7}
    reading = read_usage({"model": "gpt-4o", "usage": usage})
    assert reading.status is UsageStatus.INVALID
    assert reading.reason.startswith("prompt_tokens must be")
    assert reading.usage == Usage(output_tokens=7)
    assert reading.raw["completion_tokens"] == 7
    assert reading.model == "gpt-4o"


def test_more_cached_than_read_is_invalid():
    """The part is cut to its whole, never the other way round."""
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}}
    reading = read_usage({"usage": usage})
    assert reading.status is UsageStatus.INVALID
    assert "cache_read_tokens (50)" in reading.reason
    assert reading.usage == Usage(input_tokens=10, output_tokens=1, cache_read_tokens=10)
    assert reading.raw == usage


def test_a_whole_float_is_a_count():
    """JSON has one number type, and some gateways write 10.0."""
    assert read_usage({"usage": {"prompt_tokens": 10.0}}).usage == Usage(input_tokens=10)


@pytest.mark.parametrize(
    "payload", [None, {}, [], 0, "{}", "[]", "null", {"usage": None}, {"usage": {}}, object(), 1.5]
)
def test_nothing_about_usage_is_missing(payload):
    """Missing is not zero: the status says so."""
    reading = read_usage(payload)
    assert (reading.status, reading.usage) == (UsageStatus.MISSING, Usage())
    assert reading.reason


@pytest.mark.parametrize("payload", ["no json", b"\xff\xfe", "{", "{" * 100_000])
def test_text_that_is_no_json_is_invalid(payload):
    """Said with a reason, never raised."""
    reading = read_usage(payload)
    assert reading.status is UsageStatus.INVALID
    assert "cannot be read" in reading.reason


class Hostile:
    """Raises from every property."""

    @property
    def usage(self):
        raise RuntimeError("closed")


def test_a_property_that_raises_is_told_and_not_raised():
    """A stranger's object may do anything."""
    reading = read_usage(Hostile())
    assert reading.status is UsageStatus.INVALID
    assert reading.reason == "cannot be read: RuntimeError"


def test_an_endless_payload_ends():
    """A structure that contains itself neither hangs nor overflows."""
    loop: dict = {"prompt_tokens": -1}
    loop["self"] = loop
    assert read_usage({"usage": loop}).status is UsageStatus.INVALID
    outer: dict = {}
    outer["response"] = outer
    assert read_usage(outer).status is UsageStatus.MISSING


NAMES = st.sampled_from(
    [
        "usage", "usageMetadata", "model", "prompt_tokens", "completion_tokens", "total_tokens", "cost", "is_byok",
        "prompt_tokens_details", "cached_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens",
        "cache_creation", "ephemeral_1h_input_tokens", "promptTokenCount", "thoughtsTokenCount", "inputTokens",
        "promptTokensDetails", "modality", "tokenCount", "cacheDetails", "ttl", "billed_units", "choices", "delta",
        "finish_reason", "reasoning_tokens", "cost_in_usd_ticks", "citation_tokens", "message", "response", "type",
        "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "_hidden_params", "response_cost",
        "server_tool_use", "web_search_requests", "cost_details", "output", "service_tier", "incomplete_details",
    ]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 1000)
    | st.floats()
    | st.sampled_from(["AUDIO", "1h", "message_start", "message_stop", "response.completed", "claude", "grok", ""])
)
PAYLOADS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=25
)


@given(PAYLOADS, st.none() | st.sampled_from(sorted(FLAVORS)))
@settings(max_examples=300, deadline=None)
def test_no_payload_raises_and_every_reading_is_sound(payload, flavor):
    """Whatever comes in, what goes out can be stored, added up and encoded."""
    reading = read_usage(payload, flavor=flavor)
    assert usage_problem(structs.astuple(reading.usage)) == ""
    assert reading.reason or reading.status is UsageStatus.OK
    assert reading.reported_nanousd is None or 0 <= reading.reported_nanousd < 2**63
    assert reading.usage.input_tokens <= TOKENS_PER_TURN_MAX
    assert msgpack.decode(msgpack.encode(reading), type=type(reading)) == reading
    json.dumps(reading.raw, allow_nan=False)


@given(st.lists(PAYLOADS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_stream_raises(chunks):
    """A stream of anything has a reading, at its end and before."""
    stream = UsageStream()
    for chunk in chunks:
        stream.observe(chunk)
        assert usage_problem(structs.astuple(stream.reading().usage)) == ""
