"""A logged turn at another table's rates: only what a table decides changes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.pricing import Kept, PriceBook, reprice_turn

OWN = {"mine": {"input": 1, "output": 2}}
DEARER = {"mine": {"input": 10, "output": 20}}


@dataclass
class Books:
    shipped: PriceBook
    own: PriceBook
    dearer: PriceBook


@pytest.fixture(scope="module")
def books(clock) -> Books:
    return Books(PriceBook(clock=clock), PriceBook(OWN, clock=clock), PriceBook(DEARER, clock=clock))


def turn(model: str, usage: Usage, cost: Cost | None, **fields) -> LLMTurnComplete:
    return LLMTurnComplete(model=model, usage=usage, cost=cost, **fields)


USAGE = Usage(input_tokens=1000, output_tokens=100)


def test_a_turn_that_had_no_price_gets_one(books):
    """And one that nobody tried to price."""
    for before in (books.shipped.price("mine", USAGE), None):
        cost = reprice_turn(turn("mine", USAGE, before), books.own)
        assert (cost.status, cost.nanousd, cost.snapshot) == (CostStatus.PRICED, 1_200_000, books.own.snapshot)


def test_what_the_provider_billed_stays(books):
    """A bill wins over any table."""
    before = books.own.price("mine", USAGE, reported_nanousd=5)
    assert reprice_turn(turn("mine", USAGE, before), books.dearer) is Kept.REPORTED


def test_unknown_usage_is_not_zero_usage(books):
    """A turn without tokens was cut, refused or never told: it keeps what it has."""
    unknown = Cost(status=CostStatus.UNPRICED, reason="the payload says nothing about usage")
    refused = Cost(status=CostStatus.PRICED, nanousd=0, reason="refused by the provider with 429, not billed")
    for before in (unknown, refused, None):
        assert reprice_turn(turn("mine", Usage(), before), books.own) is Kept.NO_USAGE
    impossible = Cost(status=CostStatus.INVALID, reason="input_tokens must include cache_read_tokens")
    assert reprice_turn(turn("mine", USAGE, impossible), books.own) is Kept.INVALID


def test_a_price_of_the_users_own_gives_way_to_another_of_their_own_only(books):
    """Forgetting the table does not replace its prices by the shipped ones."""
    before = books.own.price("mine", USAGE)
    assert reprice_turn(turn("mine", USAGE, before), books.shipped) is Kept.OWN_PRICE
    assert reprice_turn(turn("mine", USAGE, before), books.dearer).nanousd == 10 * before.nanousd


def test_what_a_subscription_paid_for_is_not_billed_later(clock, books):
    """Nor does forgetting the table that said so give it a price."""
    plan = PriceBook({"gpt-4o": {"billing": "subscription"}, "mine": {**OWN["mine"], "billing": "subscription"}})
    for model in ("gpt-4o", "mine"):
        before = plan.price(model, USAGE)
        assert reprice_turn(turn(model, USAGE, before), books.shipped) is Kept.OWN_PRICE
        assert reprice_turn(turn(model, USAGE, before), plan).nanousd == 0
    assert reprice_turn(turn("mine", USAGE, before), books.own).nanousd == books.own.price("mine", USAGE).nanousd


def test_an_estimate_stays_one(books):
    """Usage that was not final is not final later."""
    before = books.own.price("mine", USAGE, estimated=True)
    assert reprice_turn(turn("mine", USAGE, before), books.dearer).status is CostStatus.ESTIMATED


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(["gpt-4o", "gpt-5", "claude-sonnet-4-6", "deepseek-flash", "mine"]),
    input_tokens=st.integers(1, 400_000),
    cached=st.integers(0, 1000),
    tier=st.sampled_from(["", "flex", "priority", "batch"]),
    geography=st.sampled_from(["", "us"]),
    days=st.integers(-400, 0),
)
def test_the_same_table_gives_the_same_amount(books, clock, model, input_tokens, cached, tier, geography, days):
    """As of when the turn happened, at its tier and geography: repricing with the table it had changes nothing."""
    usage = Usage(input_tokens=input_tokens, output_tokens=7, cache_read_tokens=min(cached, input_tokens))
    at_ns = clock.now_ns() + days * 86_400 * 10**9
    before = books.own.price(model, usage, at_ns=at_ns, service_tier=tier, inference_geo=geography)
    after = reprice_turn(turn(model, usage, before, timestamp_ns=at_ns, service_tier=tier), books.own)
    assert (after.nanousd, after.rate, after.snapshot) == (before.nanousd, before.rate, before.snapshot)
