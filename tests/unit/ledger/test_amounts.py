"""Amounts as they are given: by name, and nothing but those."""

from __future__ import annotations

import pytest

from hivecost.errors import ConfigError
from hivecost.ledger import amounts_of


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
