from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
