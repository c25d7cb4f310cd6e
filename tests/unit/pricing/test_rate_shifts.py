"""What a new price table takes away or moves many times over is found, however it is hidden."""

from __future__ import annotations

import copy
import json
from datetime import timedelta

import pytest

from hivecost.clock import to_datetime
from hivecost.pricing import PriceBook, rate_shifts

PRICES = {"input_mtok": 2, "output_mtok": 8, "cache_read_mtok": 1}
MODEL = {"id": "gpt-7", "match": {"or": [{"equals": "gpt-7"}, {"starts_with": "gpt-7-2"}]}, "prices": PRICES}
OTHER = {"id": "mini", "match": {"equals": "mini"}, "prices": PRICES}
TABLE = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": "x",
        "model_match": {"contains": "gpt"},
        "models": [MODEL, OTHER],
    },
    {"id": "acme", "name": "Acme", "api_pattern": "y", "model_match": {"equals": "acme"}, "models": []},
]
FREE = {"input_mtok": 0, "output_mtok": 0}


@pytest.fixture
def shifts(clock):
    """(provider, model, kind, unit) of what a change of the table does."""
    before = PriceBook(clock=clock, data=json.dumps(TABLE).encode())

    def shifts(change=lambda models, providers: None):
        table = copy.deepcopy(TABLE)
        change(table[0]["models"], table)
        after = PriceBook(clock=clock, data=json.dumps(table).encode())
        found = rate_shifts(before, after, at_ns=clock.now_ns())
        return [(shift.provider, shift.model, shift.kind, shift.unit) for shift in found]

    return shifts


def priced(prices):
    return lambda models, _: models[0].update(prices=prices)


def test_what_changes_little_is_nothing(shifts):
    """The same table, threefold up and down, a new free model, a price that was not there before."""
    assert shifts() == []
    assert shifts(priced({"input_mtok": 6, "output_mtok": 2.7, "cache_read_mtok": 3})) == []
    assert shifts(lambda models, _: models.append({"id": "new", "match": {"equals": "new"}, "prices": FREE})) == []
    assert shifts(priced(PRICES | {"output_audio_mtok": 20})) == []


@pytest.mark.parametrize(
    ("prices", "kind", "unit"),
    [
        (FREE, "free", "input"),
        (PRICES | {"output_mtok": 0}, "free", "output"),
        (PRICES | {"cache_read_mtok": 0}, "free", "cache_read"),
        (PRICES | {"cache_read_mtok": 0.3}, "changed", "cache_read"),
        (PRICES | {"output_reasoning_mtok": 0}, "free", "reasoning"),
        (PRICES | {"input_audio_mtok": 0}, "free", "input_audio"),
        (PRICES | {"input_mtok": 6.1}, "changed", "input"),
        (PRICES | {"input_mtok": {"base": 2, "tiers": [{"start": 200_000, "price": 0}]}}, "free", "long input"),
        (PRICES | {"input_mtok": 1e-9}, "free", "input"),
    ],
)
def test_each_kind_of_tokens_counts(shifts, prices, kind, unit):
    """A price that moved is not hidden behind those that did not."""
    found = shifts(priced(prices))
    assert ("openai", "gpt-7", kind, unit) in found
    assert ("openai", "mini", kind, unit) not in found


@pytest.mark.parametrize("days", [1, 400, 4_000])
def test_a_price_that_begins_later_counts(shifts, clock, days):
    """Tomorrow is soon enough to be asked about."""
    start = f"{to_datetime(clock.now_ns()) + timedelta(days=days):%Y-%m-%d}"
    later = [{"prices": PRICES}, {"constraint": {"start_date": start}, "prices": FREE}]
    assert ("openai", "gpt-7", "free", "input") in shifts(priced(later))


def test_a_price_of_some_hours_counts(shifts):
    """Each day, at night."""
    at_night = {"constraint": {"start_time": "01:00:00Z", "end_time": "02:00:00Z"}, "prices": FREE}
    assert ("openai", "gpt-7", "free", "input") in shifts(priced([{"prices": PRICES}, at_night]))


def test_a_name_that_is_led_elsewhere_counts(shifts):
    """To a free model before it, by a dated name of it only, or to another provider when none is named."""
    decoy = {"id": "decoy", "match": {"starts_with": "gpt"}, "prices": FREE}
    assert ("openai", "gpt-7", "free", "input") in shifts(lambda models, _: models.insert(0, decoy))
    dated = {"id": "decoy", "match": {"equals": "gpt-7-2026-01-01"}, "prices": FREE}
    assert shifts(lambda models, _: models.insert(0, dated)) == [("openai", "gpt-7-2026-01-01", "free", "input")]

    def divert(_models, providers):
        providers[1]["model_match"] = {"equals": "mini"}
        providers[1]["models"] = [{"id": "mini", "match": {"equals": "mini"}, "prices": FREE}]

    assert shifts(divert) == [("", "mini", "free", "input")]


def test_a_model_that_is_gone_counts(shifts):
    """By its name, and by those that its rules spell out; the gravest come first."""
    found = shifts(lambda models, _: (models.pop(0), models[0].update(prices=FREE)))
    assert [shift[:3] for shift in found] == [
        ("openai", "mini", "free"),
        ("openai", "gpt-7", "lost"),
        ("openai", "gpt-7-2", "lost"),
    ]


def test_it_says_so_in_a_line(clock):
    """With what the same turn costs before and after; a name from the table moves no cursor."""
    table = copy.deepcopy(TABLE)
    table[0]["models"][1] = {"id": "\x1b[2J", "match": {"equals": "\x1b[2J"}, "prices": PRICES}
    before = PriceBook(clock=clock, data=json.dumps(table).encode())
    table[0]["models"] = [MODEL | {"prices": PRICES | {"input_mtok": 20}}]
    after = PriceBook(clock=clock, data=json.dumps(table).encode())
    assert [str(shift) for shift in rate_shifts(before, after, at_ns=clock.now_ns())] == [
        r"openai \x1b[2J: input has no price any more, it was $0.2000 for the same turn",
        "openai gpt-7: input is $2.0000, it was $0.2000 for the same turn",
        "openai gpt-7-2: input is $2.0000, it was $0.2000 for the same turn",
    ]
