"""Rates that were rewritten without a date: old turns cost what they did."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from hivecost.clock import to_ns
from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.pricing.catalog import shipped_catalog
from hivecost.pricing.history import REWRITTEN, Rewritten, with_history
from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS

TURN = Usage(input_tokens=250_000, output_tokens=1000, cache_read_tokens=100_000)


def at(day: date) -> int:
    return to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))


@pytest.mark.parametrize("entry", REWRITTEN, ids=lambda entry: f"{entry.provider}-{entry.model}")
def test_each_is_still_undated_in_the_installed_edition(book: PriceBook, entry: Rewritten):
    """It differs from what the edition says of today, applies until its day, and says where it is from."""
    before = book.price(entry.model, TURN, provider=entry.provider, at_ns=at(entry.until) - 1)
    since = book.price(entry.model, TURN, provider=entry.provider, at_ns=at(entry.until))
    assert (before.source, since.source) == ("history", "genai-prices")
    assert before.nanousd != since.nanousd
    assert before.status in {CostStatus.PRICED, CostStatus.ESTIMATED}
    assert entry.source.startswith("https://")
    assert entry.edition
    assert set(entry.prices) <= {*INPUT_UNITS, *OUTPUT_UNITS, *FEE_UNITS}


def test_no_model_stands_twice():
    """One old rate for each."""
    assert len({(entry.provider, entry.model) for entry in REWRITTEN}) == len(REWRITTEN)


def test_an_old_turn_costs_what_it_did(book):
    """Gemini's cached tokens, before they fell from a quarter of the input's rate to a tenth."""
    usage = Usage(input_tokens=1000, cache_read_tokens=1000)
    assert book.price("gemini-2.5-flash", usage, at_ns=at(date(2025, 9, 1))).nanousd == 75_000
    assert book.price("gemini-2.5-flash", usage, at_ns=at(date(2025, 12, 1))).nanousd == 30_000
    batch = book.price("gemini-2.5-flash", Usage(input_tokens=1000), at_ns=at(date(2025, 9, 1)), batch=True)
    assert batch.nanousd == 150_000


def test_an_edition_that_dates_the_change_wins():
    """What the table itself says of a day is not overruled."""
    today, old = Price(Decimal("0.6")), Price(Decimal("0.7"))
    dated = ModelRates(
        "groq",
        "openai/gpt-oss-120b",
        (Offer({"output": old}), Offer({"output": today}, Validity(from_ns=day_ns(date(2025, 11, 1))))),
    )
    assert with_history(dated) == dated
    undated = ModelRates("groq", "openai/gpt-oss-120b", (Offer({"output": today}),))
    assert [offer.prices["output"].base for offer in with_history(undated).offers] == [Decimal("0.75"), today.base]


def test_models_without_a_history_are_left_alone():
    """As they are in the data."""
    rates = shipped_catalog().find("openai", "gpt-4o")
    assert with_history(rates) is rates
