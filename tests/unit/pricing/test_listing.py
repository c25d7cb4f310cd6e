from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hivecost.clock import to_ns
from hivecost.errors import PriceUnknownError
from hivecost.pricing import PriceBook, RateChange, describe, diff_rates, list_rates


def test_a_model_is_described_by_tier_and_step(book):
    """One row per service tier and long-context step, with the rates as decimals."""
    rows = {(row.tier, row.above): row for row in describe(book, "gpt-5.5")}
    fees = {"web_search": "0.01", "file_search": "0.0025", "code_container": "0.03"}
    assert rows["", 0].rates == {"input": "5", "output": "30", "cache_read": "0.5", **fees}
    assert rows["", 272_000].rates["output"] == "45"
    assert rows["flex", 0].rates["input"] == "2.5"
    assert rows["priority", 0].valid_from == "2026-10-12T00:00:00Z"
    assert {row.source for row in rows.values()} == {"genai-prices"}


def test_a_model_is_described_at_a_date(book):
    """Prices of another day are that day's."""
    before = describe(book, "claude-sonnet-4-6", at_ns=to_ns(datetime(2026, 3, 12, tzinfo=UTC)))
    assert [row.above for row in before if not row.tier] == [0, 200_000]
    assert before[0].valid_until == "2026-03-13T00:00:00Z"
    after = describe(book, "claude-sonnet-4-6", at_ns=to_ns(datetime(2026, 3, 13, tzinfo=UTC)))
    assert [row.above for row in after if not row.tier] == [0]


def test_an_unknown_model_is_told_with_near_names(book):
    """As everywhere."""
    with pytest.raises(PriceUnknownError, match="gpt-4o"):
        describe(book, "gpt-4oo")


def test_the_list_has_everything_that_has_a_price(book):
    """Two thousand models, each with input and output or input alone."""
    rows = list(list_rates(book))
    assert len({(row.provider, row.model) for row in rows}) > 2000
    assert all("input" in row.rates for row in rows)


TINY = b'[{"id": "acme", "name": "Acme", "api_pattern": "x", "models": []}]'


def test_the_difference_of_two_tables_is_what_changed(clock):
    """Nothing between equal tables; each rate that differs otherwise."""
    before = PriceBook({"m": {"input": 1, "output": 2}}, clock=clock, data=TINY)
    after = PriceBook({"m": {"input": 1, "output": 3, "cache_read": 0}}, clock=clock, data=TINY)
    assert not list(diff_rates(before, before))
    change = {"provider": "", "model": "m", "tier": "", "above": 0}
    assert list(diff_rates(before, after)) == [
        RateChange(**change, unit="cache_read", before="", after="0"),
        RateChange(**change, unit="output", before="2", after="3"),
    ]
