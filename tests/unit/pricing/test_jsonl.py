from __future__ import annotations

import json
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.pricing import PriceBook, price_line

CALL = {
    "provider": "openai",
    "model": "gpt-4o",
    "timestamp": "2026-01-01T00:00:00Z",
    "service_tier": None,
    "batch": False,
    "usage": {"input_tokens": 1000, "output_tokens": 500, "cache_read_tokens": 100},
}
PARTS = {"input_usd", "output_usd", "cached_usd", "written_usd", "reasoning_usd", "fee_usd"}
KEYS = {"status", "cost_usd", *PARTS, "model", "rate_source", "snapshot"}


def test_a_line_in_a_line_out(book):
    """Exactly these keys, amounts as decimal strings exact to the nano-USD."""
    priced = price_line(json.dumps(CALL), book)
    assert priced == {
        "status": "priced",
        "cost_usd": "0.007375000",
        "input_usd": "0.002375000",
        "output_usd": "0.005000000",
        "cached_usd": "0.000125000",
        "written_usd": "0.000000000",
        "reasoning_usd": "0.000000000",
        "fee_usd": "0.000000000",
        "model": "gpt-4o",
        "rate_source": "genai-prices",
        "snapshot": book.snapshot,
    }
    assert json.loads(json.dumps(priced)) == priced


@pytest.mark.parametrize("form", [dict, lambda call: json.dumps(call).encode(), json.dumps])
def test_the_id_comes_back(book, form):
    """Whatever it was, from every form of a line; without one there is none."""
    assert price_line(form({**CALL, "id": [1, None]}), book)["id"] == [1, None]
    assert "id" not in price_line(form(CALL), book)


@pytest.mark.parametrize("form", [dict, lambda call: json.dumps(call).encode(), MappingProxyType])
def test_keys_that_are_not_read_are_named(book, form):
    """A slip must not pass for what it was meant to be; a call's own keys are none of them."""
    slips = {"service_teir": "flex", "note": {"usage": 3}}
    priced = price_line(form({**CALL, "id": 3, **slips}), book)
    assert (priced["status"], priced["cost_usd"]) == ("priced", "0.007375000")
    assert priced["ignored"] == [*slips]
    unpriced = price_line(form({"modle": "gpt-4o", "usage": {"input_tokens": 1}}), book)
    assert (unpriced["status"], unpriced["ignored"]) == ("unpriced", ["modle"])
    flavored = {"model": "gpt-4o", "raw_usage": {"prompt_tokens": 1}, "flavor": "openai", "reported_cost_usd": "1"}
    assert "ignored" not in price_line(form({**CALL, "id": 3, **flavored}), book)


def test_of_many_keys_that_are_not_read_some_are_named(book):
    """A line of the output does not grow with whatever stands in the input's."""
    priced = price_line({**CALL, **{f"key {number}" * 100: 1 for number in range(1_000)}}, book)
    assert (len(priced["ignored"]), {len(name) for name in priced["ignored"]}) == (20, {60})


def test_an_amount_of_one_nanousd_is_plain(book):
    """No exponent, whatever the size."""
    tiny = {**CALL, "model": "text-embedding-3-small", "usage": {"input_tokens": 1}}
    assert price_line(tiny, book)["cost_usd"] == "0.000000020"


@pytest.mark.parametrize("line", ["", "no json", b"\xff", "[]", "3", "null", "{" * 5000, "NaN"])
def test_a_line_that_is_no_object_is_invalid(book, line):
    """The run goes on: the line says what is wrong with it."""
    priced = price_line(line, book)
    assert priced["status"] == "invalid"
    assert priced["reason"].startswith("not")
    assert set(priced) == KEYS | {"reason"}
    assert priced["cost_usd"] is None


@pytest.mark.parametrize(
    "fault",
    [
        {"timestamp": "yesterday"},
        {"timestamp": 3},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"model": 3},
        {"batch": "yes"},
        {"batch": 1},
        {"batch": {}},
        {"service_tier": ["flex"]},
        {"raw_usage": {"usage": {}}, "flavor": "nobodys"},
        {"usage": {"input_tokens": 1, "cache_read_tokens": 2}},
        {"usage": {"input_tokens": -1}},
        {"usage": {"input_tokens": "1"}},
        {"usage": {"input_tokens": 100_000, "cached_tokens": 90_000}},
        {"usage": {"prompt_tokens": 1}},
    ],
)
def test_an_impossible_call_is_invalid_with_the_reason(book, fault):
    """And it keeps its id."""
    priced = price_line({**CALL, "id": "x", **fault}, book)
    assert (priced["status"], priced["cost_usd"], priced["id"]) == ("invalid", None, "x")
    assert priced["reason"]


def test_a_count_that_is_none_of_ours_is_named(book):
    """Passed over, it would be a cost that is too high or too low, and `priced`."""
    priced = price_line({**CALL, "usage": {"input_tokens": 100_000, "cached_tokens": 90_000}}, book)
    assert "cached_tokens" in priced["reason"]
    assert "raw_usage" in priced["reason"]


def test_what_a_subscription_pays_for_shows_what_it_would_have_cost(clock):
    """Beside nothing."""
    plan = PriceBook({"gpt-*": {"billing": "subscription"}}, clock=clock)
    priced = price_line(CALL, plan)
    assert (priced["status"], priced["cost_usd"], priced["rate_source"]) == ("priced", "0.000000000", "subscription")
    assert priced["notional_usd"] == "0.007375000"


def test_without_usage_or_price_a_line_is_unpriced(book):
    """Never zero."""
    assert price_line({"model": "gpt-4o"}, book)["status"] == "unpriced"
    unknown = price_line({**CALL, "model": "nobody-knows"}, book)
    assert (unknown["status"], unknown["cost_usd"], unknown["model"]) == ("unpriced", None, "nobody-knows")
    assert "nobody-knows" in unknown["reason"]


def test_a_providers_payload_is_read(book):
    """`raw_usage`, detected or with its flavor named."""
    raw = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50}
    line = {"provider": "anthropic", "model": "claude-sonnet-4-5", "raw_usage": raw}
    detected = price_line(line, book)
    assert Decimal(detected["cost_usd"]) * 10**9 == 10 * 3000 + 5 * 15_000 + 100 * 300 + 50 * 3750
    assert price_line({**line, "flavor": "anthropic"}, book) == detected


@pytest.mark.parametrize("reported", [0.5, "0.5", 1, 0])
def test_what_was_billed_wins(book, reported):
    """The provider's amount, from the provider."""
    priced = price_line({**CALL, "reported_cost_usd": reported}, book)
    assert (priced["status"], priced["rate_source"]) == ("reported", "provider")
    assert Decimal(priced["cost_usd"]) == Decimal(str(reported))


@pytest.mark.parametrize("reported", ["NaN", "inf", -1, True, False, "much", [], float("nan"), 10**30, None])
def test_a_bill_that_cannot_be_is_refused_and_the_card_used(book, reported):
    """The line is priced as if nothing had been reported."""
    assert price_line({**CALL, "reported_cost_usd": reported}, book) == price_line(CALL, book)


def test_batch_and_tier_change_the_rate(book):
    """As they are named on the line."""
    november = {**CALL, "timestamp": "2026-11-01T00:00:00Z"}
    assert price_line({**november, "batch": True}, book)["cost_usd"] == "0.003750000"
    assert price_line({**november, "service_tier": "priority"}, book)["cost_usd"] == "0.012537500"


def test_the_timestamp_decides_the_rate(book):
    """Old turns keep old prices; without a zone it is UTC."""
    line = {"provider": "deepseek", "model": "deepseek-v4-pro", "usage": {"input_tokens": 1_000_000}}
    assert price_line({**line, "timestamp": "2026-05-01T05:00:00"}, book)["cost_usd"] == "0.435000000"
    assert price_line({**line, "timestamp": "2026-11-20T13:00:00+08:00"}, book)["cost_usd"] == "0.660000000"


LINES = st.dictionaries(
    st.sampled_from(["id", *CALL, "raw_usage", "flavor", "reported_cost_usd"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.dictionaries(st.sampled_from(["input_tokens", "usage", "prompt_tokens"]), inner, max_size=3),
        max_leaves=4,
    ),
)


@given(LINES)
@settings(max_examples=200, deadline=None)
def test_no_line_raises(book, line):
    """Every line in gives a line out."""
    assert set(price_line(line, book)) >= KEYS
