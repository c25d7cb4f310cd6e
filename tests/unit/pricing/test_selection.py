from __future__ import annotations

import pytest

from hivecost.errors import ConfigError, PriceUnknownError
from hivecost.pricing import PriceBook, select_model

TIERS = {"easy": "small", "medium": "middle", "hard": "large"}


@pytest.fixture(scope="module")
def prices(clock) -> PriceBook:
    """One, three and ten dollars for a task of a million tokens in and out."""
    rows = {"small": (0.5, 0.5), "middle": (1, 2), "large": (2, 8)}
    return PriceBook({name: {"input": i, "output": o} for name, (i, o) in rows.items()}, clock=clock)


TASK = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


@pytest.mark.parametrize(
    ("difficulty", "budget", "model", "downgraded", "affordable"),
    [
        ("hard", 10, "large", False, True),
        ("hard", "9.99", "middle", True, True),
        ("hard", 2.99, "small", True, True),
        ("hard", 0, "small", True, False),
        ("medium", 100, "middle", False, True),
        ("easy", 100, "small", False, True),
        ("easy", 0.5, "small", False, False),
    ],
)
def test_the_best_tier_that_fits_the_budget(prices, difficulty, budget, model, downgraded, affordable):
    """The tier asked for, else the hardest easier one; never a dearer one than asked for."""
    choice = select_model(difficulty, budget, TIERS, prices, **TASK)
    assert (choice.model, choice.downgraded, choice.affordable) == (model, downgraded, affordable)


def test_the_arithmetic_is_in_the_result(prices):
    """Why this model: each tier that was weighed with its cost."""
    choice = select_model("hard", 5, TIERS, prices, **TASK)
    assert choice.arithmetic == ("hard large $10.0000 > $5.0000", "medium middle $3.0000 <= $5.0000")
    assert (choice.estimated_nanousd, choice.available_nanousd, choice.tier) == (3 * 10**9, 5 * 10**9, "medium")


def test_what_cannot_be_weighed_raises(prices):
    """An unknown difficulty, a model without a price, a budget that is none."""
    with pytest.raises(ConfigError, match="easy, medium, hard"):
        select_model("insane", 1, TIERS, prices)
    with pytest.raises(PriceUnknownError):
        select_model("easy", 1, {"easy": "nobody-knows"}, prices)
    with pytest.raises(ConfigError, match="available_budget"):
        select_model("easy", -1, TIERS, prices)
