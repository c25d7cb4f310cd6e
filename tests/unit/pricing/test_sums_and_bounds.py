from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hivecost.clock import to_ns
from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook

MODELS = [
    "gpt-4o", "gpt-5.5", "claude-sonnet-4-5", "claude-haiku-5-5", "gemini-2.5-flash", "gemini-2.5-pro", "grok-4",
    "deepseek-chat", "gpt-4o-audio-preview", "sonar-deep-research",
]  # fmt: skip


@st.composite
def usages(draw) -> Usage:
    """Any usage a turn can have, overlaps between kinds of tokens included."""
    whole = st.integers(0, 700_000)
    input_tokens, output_tokens = draw(whole), draw(whole)
    read = draw(st.integers(0, input_tokens))
    written = draw(st.integers(0, input_tokens - read))
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        reasoning_tokens=draw(st.integers(0, output_tokens)),
        input_audio_tokens=draw(st.integers(0, input_tokens)),
        cache_audio_read_tokens=draw(st.integers(0, read)),
        output_audio_tokens=draw(st.integers(0, output_tokens)),
        input_image_tokens=draw(st.integers(0, input_tokens)),
        output_image_tokens=draw(st.integers(0, output_tokens)),
    )


@pytest.fixture(scope="module")
def shared(clock) -> PriceBook:
    return PriceBook(clock=clock)


@given(st.lists(st.tuples(st.sampled_from(MODELS), usages()), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_any_partition_of_turns_adds_up_to_the_same_integer(shared, turns, data):
    """Each turn is rounded once, so sums of sums are the sum."""
    costs = [shared.price(model, usage).nanousd for model, usage in turns]
    assert all(type(cost) is int for cost in costs)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(costs)), max_size=4)))
    edges = [0, *cuts, len(costs)]
    parts = [sum(costs[start:end]) for start, end in pairwise(edges)]
    assert sum(parts) == sum(costs)


@given(st.sampled_from(MODELS), usages())
@settings(max_examples=200, deadline=None)
def test_input_output_and_fees_make_up_the_turn(shared, model, usage):
    """Nothing is lost between the parts; without a request fee they are the whole."""
    cost = shared.price(model, usage)
    assert cost.input_nanousd >= 0
    assert cost.output_nanousd >= 0
    assert cost.input_nanousd + cost.output_nanousd == cost.nanousd


@given(st.sampled_from(MODELS), usages(), st.integers(0, 10_000), st.integers(0, 10_000))
@settings(max_examples=300, deadline=None)
def test_no_turn_exceeds_its_upper_bound(shared, model, usage, more_input, more_output):
    """A hold made from the bound covers every turn with at most these counts, whatever kinds its tokens are."""
    bound = shared.upper_bound_nanousd(
        model, input_tokens=usage.input_tokens + more_input, output_tokens=usage.output_tokens + more_output
    )
    assert shared.price(model, usage).nanousd <= bound


CACHING = ["claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4.5", "gpt-6-sol", "gpt-4o", "kimi-k3"]


@given(
    st.sampled_from([*MODELS, *CACHING]), usages(), st.sampled_from(["", "5m", "1h"]), st.booleans(), st.integers(0, 2)
)
@settings(max_examples=300, deadline=None)
def test_no_turn_exceeds_the_bound_of_what_its_request_asks_for(shared, model, usage, asked, is_text, writes):
    """A provider bills no media for a text, and of Claude no dearer cache write than was asked for."""
    if is_text:
        usage = replace(usage, input_audio_tokens=0, cache_audio_read_tokens=0, input_image_tokens=0)
    if "claude" in model and asked != "1h":
        usage = replace(usage, cache_write_1h_tokens=0)
    if "claude" in model and asked == "":
        usage = replace(usage, cache_write_tokens=0)
    bound = shared.upper_bound_nanousd(
        model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_write=asked,
        is_text=is_text,
    )
    assert shared.price(model, usage).nanousd <= bound


def test_input_is_bounded_at_the_rate_of_what_can_be_written(shared):
    """Nobody pays for an hour-long cache that was not asked for; of a model that writes unasked everybody may."""

    def usd_per_million(model: str, *, provider: str = "", **said: Any) -> float:
        bound = shared.upper_bound_nanousd(
            model, provider=provider, input_tokens=100_000, output_tokens=0, is_text=True, **said
        )
        return bound / 100_000 / 1_000

    assert [usd_per_million("claude-sonnet-4-5", cache_write=asked) for asked in ("", "5m", "1h", None)] == [
        3,
        3.75,
        6,
        6,
    ]
    assert usd_per_million("gpt-6-sol", cache_write="") == 2.5
    assert usd_per_million("claude-haiku-4-5", provider="quicksilverpro", cache_write="") == 0.3125
    assert usd_per_million("gpt-4o-audio-preview", cache_write="") == 2.5


def test_a_prompt_that_may_be_heard_is_bounded_as_audio(shared):
    """Audio costs more than three times as much as text."""
    counts: dict[str, Any] = {"input_tokens": 1_000, "output_tokens": 0, "cache_write": ""}
    assert shared.upper_bound_nanousd("gemini-2.5-flash", **counts, is_text=True) == 300_000
    assert shared.upper_bound_nanousd("gemini-2.5-flash", **counts) == 1_000_000


@given(usages(), st.sampled_from(["flex", "priority", "fast", "batch"]))
@settings(max_examples=100, deadline=None)
def test_a_tier_that_was_asked_for_may_be_served_or_not(shared, usage, tier):
    """The bound covers the tier and the standard one, because the provider decides which it serves."""
    bound = shared.upper_bound_nanousd(
        "gpt-5", input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, service_tier=tier
    )
    assert shared.price("gpt-5", usage, service_tier=tier).nanousd <= bound
    assert shared.price("gpt-5", usage).nanousd <= bound


def test_the_bound_sees_a_dearer_hour_coming(shared):
    """A request sent five minutes before DeepSeek's peak may be billed in it."""
    before_peak = to_ns(datetime(2026, 11, 19, 0, 55, tzinfo=UTC))
    in_peak = to_ns(datetime(2026, 11, 19, 1, 5, tzinfo=UTC))
    usage = Usage(input_tokens=1000, output_tokens=1000)
    bound = shared.upper_bound_nanousd("deepseek-flash", input_tokens=1000, output_tokens=1000, at_ns=before_peak)
    assert shared.price("deepseek-flash", usage, at_ns=before_peak).nanousd * 2 == bound
    assert shared.price("deepseek-flash", usage, at_ns=in_peak).nanousd == bound


def test_the_bound_knows_where_inference_is_kept(shared):
    """A turn kept in the US is held at its dearer rate."""
    here = {"input_tokens": 1000, "output_tokens": 1000}
    bound = shared.upper_bound_nanousd("claude-opus-4-6", **here, inference_geo="us")
    assert shared.price("claude-opus-4-6", Usage(**here), inference_geo="us").nanousd <= bound
    assert bound * 10 == shared.upper_bound_nanousd("claude-opus-4-6", **here) * 11


def test_there_is_no_bound_without_a_price(shared):
    """An unpriced model has no bound; zero would let everything pass."""
    assert shared.upper_bound_nanousd("nobody-knows-this", input_tokens=1, output_tokens=1) is None


def test_kinds_that_overlap_unreported_are_charged_as_both_and_said_so(shared):
    """60 cached and 80 audio of 100 tokens overlap somewhere: never too cheap, and marked as an estimate."""
    usage = Usage(input_tokens=100, cache_read_tokens=60, input_audio_tokens=80)
    cost = shared.price("gemini-2.5-flash", usage)
    assert cost.status is CostStatus.ESTIMATED
    assert "two kinds at once" in cost.reason
    exact = shared.price(
        "gemini-2.5-flash",
        Usage(input_tokens=100, cache_read_tokens=60, input_audio_tokens=80, cache_audio_read_tokens=40),
    )
    assert cost.nanousd >= exact.nanousd
    assert exact.status is CostStatus.PRICED
