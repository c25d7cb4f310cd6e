from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.ledger import Budget


@pytest.mark.parametrize(
    ("limit", "unit", "expected"),
    [
        ("$0.50", "", (500_000_000, "usd")),
        ("$ 1,200.25", "", (1_200_250_000_000, "usd")),
        ("5 USD", "", (5_000_000_000, "usd")),
        (0.5, "", (500_000_000, "usd")),
        (Decimal("0.000000001"), "", (1, "usd")),
        ("1_000_000 tokens", "", (1_000_000, "tokens")),
        ("1,000 Tokens", "tokens", (1_000, "tokens")),
        ("200 calls", "", (200, "calls")),
        ("1 call", "", (1, "calls")),
        (1_000, "tokens", (1_000, "tokens")),
        ("1000", "calls", (1_000, "calls")),
        (2e3, "tokens", (2_000, "tokens")),
    ],
)
def test_limits_as_people_write_them(limit, unit, expected):
    """In USD, tokens or calls; the amount is an integer of nano-USD, tokens or calls."""
    budget = Budget("b", limit=limit, unit=unit)
    assert (budget.limit_amount, budget.unit) == expected


@pytest.mark.parametrize(
    ("limit", "unit"),
    [
        (0, ""),
        ("$0", ""),
        (-1, ""),
        ("$-1", ""),
        ("$0.0000000001", ""),
        (math.nan, ""),
        (math.inf, "tokens"),
        (True, ""),
        (None, ""),
        ("", ""),
        ("plenty", ""),
        ("$5 tokens", ""),
        ("5 apples", ""),
        (5, "apples"),
        ("5 calls", "tokens"),
        (1.5, "tokens"),
        (10**19, "tokens"),
        ([5], ""),
    ],
)
def test_a_limit_that_cannot_be_is_refused(limit, unit):
    """The error names the budget, the field and what was expected."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.limit: expected"):
        Budget("b", limit=limit, unit=unit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("window", "fortnight"),
        ("window", None),
        ("timezone", "Mars/Olympus"),
        ("match", ["org"]),
        ("match", {"org": []}),
        ("match", {"org": 5}),
        ("match", {"": "acme"}),
        ("match", {"org": [""]}),
        ("per", ""),
        ("per", ["user", 5]),
        ("per", {"user": "ada"}),
        ("mode", "strict"),
        ("warn", (0,)),
        ("warn", (1.0,)),
        ("warn", (80,)),
        ("warn", 0.8),
        ("warn", (math.nan,)),
        ("on_short", "beg"),
        ("on_short", "downgrade:"),
        ("on_short", None),
        ("on_exceed", "explode"),
        ("cancel", "later"),
        ("shadow", "no"),
    ],
)
def test_a_field_that_cannot_be_is_refused(field, value):
    """The error names the budget and the field."""
    with pytest.raises(ConfigError, match=rf"budget 'b'\.{field}"):
        Budget("b", limit="$1", **{field: value})


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_a_budget_has_a_name(name):
    """Every report and error speaks of it by that name."""
    with pytest.raises(ConfigError, match=r"budget\.name"):
        Budget(name, limit="$1")


def test_fields_are_put_in_one_form():
    """A single name is a list of one, warnings are in order, and an execution is an account of its own."""
    budget = Budget("b", "$0.50", window="execution", per="user", match={"org": "acme"}, warn=[0.9, 0.5, 0.9])
    assert budget.per == ("user",)
    assert budget.match == {"org": ("acme",)}
    assert budget.warn == (0.5, 0.9)
    assert budget.account_attributes == ("execution", "user")
    assert Budget("b", "$1", window="session", per="session").account_attributes == ("session",)
    assert Budget("b", "$1", on_short="downgrade:gpt-4o-mini").on_short == "downgrade:gpt-4o-mini"


@given(st.decimals("0.000000001", "1000000", places=9), st.sampled_from(["usd", "tokens", "calls"]))
def test_a_budget_survives_its_own_form(amount, unit):
    """Replacing a field, or a trip through JSON, changes nothing else: no limit is scaled twice."""
    budget = Budget("b", amount if unit == "usd" else max(1, int(amount)), unit=unit, match={"org": ["a", "b"]})
    assert msgspec.structs.replace(budget, shadow=False) == budget
    assert msgspec.json.decode(msgspec.json.encode(budget), type=Budget) == budget
    assert budget.with_limit(7).unit == unit


def test_a_new_limit_may_not_change_the_unit():
    """Dollars spent cannot be measured in tokens."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.limit"):
        Budget("b", "$1").with_limit("5 tokens")


@pytest.mark.parametrize(("mode", "on_exceed"), [("stop_after", "pause"), ("observe", "pause"), ("hard", "alert")])
def test_what_a_mode_cannot_do_is_refused(mode, on_exceed):
    """Only what holds money before a turn can pause it, and what holds it always refuses."""
    with pytest.raises(ConfigError, match="on_exceed"):
        Budget("b", "$1", mode=mode, on_exceed=on_exceed)
