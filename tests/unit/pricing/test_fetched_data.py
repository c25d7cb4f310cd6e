from __future__ import annotations

import json

import pytest

from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook

DATA = [
    {
        "id": "acme",
        "name": "Acme",
        "api_pattern": "https://acme",
        "model_match": {"starts_with": "acme-"},
        "models": [
            {
                "id": "acme-1",
                "match": {"equals": "acme-1"},
                "prices": [
                    {"prices": {"input_mtok": 1, "output_mtok": 2}},
                    {
                        "constraint": {"start_date": "2026-01-01"},
                        "prices": {"input_mtok": {"base": 3, "tiers": [{"start": 100, "price": 4}]}, "output_mtok": 5},
                    },
                ],
            }
        ],
    }
]


def test_fetched_rates_price_like_shipped_ones(clock):
    """genai-prices' published JSON, as an update brings it, with a snapshot of its own."""
    book = PriceBook(clock=clock, data=json.dumps(DATA).encode())
    assert book.price("acme-1", Usage(input_tokens=100, output_tokens=1)).nanousd == 100 * 3000 + 5000
    assert book.price("acme-1", Usage(input_tokens=101)).nanousd == 101 * 4000
    assert book.price("acme-1", Usage(input_tokens=101), at_ns=0).nanousd == 101 * 1000
    assert list(book.models()) == [("acme", "acme-1")]
    assert book.snapshot != PriceBook(clock=clock).snapshot


def test_a_catalog_without_the_usual_providers_still_answers(clock):
    """A name nobody lists is unpriced there too, whichever providers the data brings."""
    book = PriceBook(clock=clock, data=json.dumps(DATA).encode())
    for name in ("gpt-4o", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "openai/gpt-4o"):
        assert book.price(name, Usage(input_tokens=1)).status is CostStatus.UNPRICED


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"[1]", b'[{"id": "x"}]'])
def test_data_that_is_none_is_refused(clock, data):
    """An update checks what it fetched by making a book of it."""
    with pytest.raises(ValueError, match=r"."):
        PriceBook(clock=clock, data=data).models().__next__()
