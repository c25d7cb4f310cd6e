"""Fetched rates are refused, with the reason, unless they can be believed."""

from __future__ import annotations

import json

import pytest

from hivecost.errors import PriceUpdateError
from hivecost.events import Usage
from hivecost.pricing import PriceBook, believable_book


def catalog(models: int, usd: float = 1.0, **prices) -> bytes:
    listed = [
        {
            "id": f"acme-{number}",
            "match": {"equals": f"acme-{number}"},
            "prices": {"input_mtok": usd, "output_mtok": 2 * usd, **prices},
        }
        for number in range(models)
    ]
    return json.dumps([{"id": "acme", "name": "Acme", "api_pattern": "x", "models": listed}]).encode()


@pytest.fixture(scope="module")
def in_use(clock) -> PriceBook:
    return PriceBook(clock=clock, data=catalog(10))


def refused(data: bytes, in_use: PriceBook, clock) -> str:
    with pytest.raises(PriceUpdateError) as caught:
        believable_book(data, in_use, at_ns=clock.now_ns())
    return str(caught.value)


@pytest.mark.parametrize("models", [5, 10, 20])
def test_rates_that_look_like_the_last_ones_are_taken(in_use, clock, models):
    """Half the models are enough, and prices may move."""
    book = believable_book(catalog(models, 9.0), in_use, at_ns=clock.now_ns())
    assert book.price("acme-1", Usage(input_tokens=1), provider="acme").nanousd == 9000


def test_fewer_than_half_of_the_models_are_refused(in_use, clock):
    """A table that lost most of its models is a fault of its publisher."""
    assert "prices 4 models, fewer than half of the 10" in refused(catalog(4), in_use, clock)


@pytest.mark.parametrize("usd", [10.1, 0.09, 0])
def test_prices_that_all_moved_tenfold_are_refused(in_use, clock, usd):
    """A unit slipped; and free is ten times less, too."""
    assert "10 of 10 models cost ten times more" in refused(catalog(10, usd), in_use, clock)


@pytest.mark.parametrize("usd", [-1, 1_000_001])
def test_a_rate_that_cannot_be_is_refused(in_use, clock, usd):
    """It names the model and the unit."""
    assert f"acme acme-0 costs {usd} USD for cache_read" in refused(catalog(10, cache_read_mtok=usd), in_use, clock)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"{}", b"[]", b"[1]", b'[{"id": "x"}]', catalog(10)[:-9], b"\xff\xfe", b"[" * 10**5]
)
def test_what_is_no_table_is_refused(in_use, clock, data):
    """Whatever came instead; the reason is one line."""
    reason = refused(data, in_use, clock)
    assert reason.startswith("it is not genai-prices' data: ")
    assert "\n" not in reason
