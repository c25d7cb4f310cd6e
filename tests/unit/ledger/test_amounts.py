"""Amounts as they are given: by name, and nothing but those."""

from __future__ import annotations

import pytest

from hivecost.errors import ConfigError
from hivecost.ledger import Budget, amounts_of


@pytest.mark.parametrize(
    ("usd", "more", "expected"),
    [
        ("$0.01", {}, {"usd": 10_000_000}),
        (None, {"nanousd": 5, "tokens": 0, "calls": 2}, {"usd": 5, "tokens": 0, "calls": 2}),
        (None, {"nanousd": None, "tokens": 7, "calls": None}, {"tokens": 7}),
    ],
)
def test_only_what_is_given_counts(usd, more, expected):
    """In nano-USD, tokens and calls; None is not given."""
    assert amounts_of(usd, **more) == expected


def test_another_name_is_a_mistake():
    """As that of any argument that a function does not have: what is misspelt is not left out in silence."""
    with pytest.raises(TypeError, match="'token'"):
        amounts_of("$0.01", token=5)
    with pytest.raises(ConfigError):
        amounts_of("$0.01", nanousd=5)


def test_thousands_and_millions_are_short():
    """`200k tokens` is written everywhere as a limit."""
    assert Budget("day", limit="200k tokens").limit_amount == 200_000
    assert Budget("day", limit="1.5M tokens").limit_amount == 1_500_000
    assert Budget("day", limit="$2k").limit_amount == 2_000 * 10**9
    for nonsense in ("2kk tokens", "2 kilo", "k", "0.0001k tokens"):
        with pytest.raises(ConfigError):
            Budget("day", limit=nonsense)
