"""How much is lent at a time, and how often it is looked at, is for whoever opens the ledger to say."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from fractions import Fraction

import pytest

from hivecost.backends import Ledger
from hivecost.errors import ConfigError
from hivecost.leasing import LeasePolicy
from hivecost.ledger import Budget, lease_amount

LIMIT = 1_000_000_000


@pytest.mark.parametrize(
    ("needed", "remaining", "share", "contested", "lent"),
    [
        (1, 3_200, Fraction(1, 32), False, 100),
        (1, 3_200, Fraction(1, 32), True, 1),
        (200, 3_200, Fraction(1, 32), False, 200),
        (31, 31, Fraction(1, 32), False, 31),
        (1, 3_200, Fraction(0), False, 1),
        (1, 3_200, Fraction(1), False, 3_200),
        (1, 10**18, Fraction(1, 3), False, 10**18 // 3),
    ],
)
def test_a_part_of_what_remains_is_lent(needed, remaining, share, contested, lent):
    """Or what is needed, where that is more, and while others wait."""
    assert lease_amount(needed, remaining, share=share, contested=contested) == lent


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_s": 0},
        {"settle_s": -1.0},
        {"idle_s": float("inf")},
        {"return_timeout_s": float("nan")},
        {"share": Fraction(-1, 2)},
        {"share": Fraction(3, 2)},
    ],
)
def test_a_policy_that_cannot_be_is_an_error(wrong):
    """It names the field."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LeasePolicy(**wrong)


@pytest.mark.anyio
@pytest.mark.parametrize(("share", "lent"), [(Fraction(0), 10), (Fraction(1, 4), LIMIT // 4), (Fraction(1), LIMIT)])
async def test_a_ledger_leases_by_its_policy(tmp_path, share, lent):
    """As much as its share at a time."""
    budgets = [Budget("all", "$1", mode="hard")]
    async with Ledger.open(tmp_path, budgets=budgets, policy=LeasePolicy(share=share)) as ledger:
        await ledger.reserve({}, nanousd=10)
        with closing(sqlite3.connect(tmp_path / "hivecost.db")) as connection:
            assert connection.execute("SELECT amount FROM ledger_leases").fetchall() == [(lent,)]
