"""What the ledger of a folder has committed, as its log's reader tells it."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest

import hivecost as hc
from hivecost.clock import to_ns
from hivecost.testing import FakeClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MIDNIGHT_NS = to_ns(datetime(2026, 11, 23, tzinfo=UTC))
CENT = 10**7
BUDGETS = [
    hc.Budget("day", "$10", window="day", mode="hard"),
    hc.Budget("user", "$1", per="user", window="month", limits={"ada": "$4"}, mode="hard"),
    hc.Budget("trial", "$0.10", window="day", mode="hard", shadow=True),
    hc.Budget("talk", "$1", per="user", window="session", limits={"bob": "$2"}, mode="hard"),
]


@pytest.fixture
def spent(tmp_path):
    """Two users have spent, one hold is in doubt, and the day was frozen."""

    async def spend() -> None:
        async with hc.Ledger.open(tmp_path, budgets=BUDGETS, clock=FakeClock(NOON)) as ledger:
            for user, usd in (("ada", "0.40"), ("bob", "0.30")):
                (await ledger.reserve({"user": user, "session": "s"}, usd=usd)).settle()
            (await ledger.reserve({"user": "ada", "session": "s"}, usd="0.10")).doubt()
            await ledger.freeze("day", "a look", by="ada")

    anyio.run(spend)


def test_accounts_are_as_the_ledger_committed_them(log, spent):
    """With the limit that is theirs, those that are used most first; without those of another period."""
    rows = log.accounts(to_ns(NOON))
    found = [(row.budget, row.scope, row.limit // CENT, row.settled // CENT, row.in_doubt // CENT) for row in rows]
    assert found == [
        ("talk", "session=s,user=ada", 100, 40, 10),
        ("user", "user=bob", 100, 30, 0),
        ("talk", "session=s,user=bob", 200, 30, 0),
        ("user", "user=ada", 400, 40, 10),
        ("day", "", 1000, 70, 10),
        ("trial", "", 10, 70, 10),
    ]
    (day,) = [row for row in rows if row.budget == "day"]
    assert (day.frozen, day.reset_ns, day.unit, day.is_shadow) == ("a look", MIDNIGHT_NS, "usd", False)
    assert [row.budget for row in log.accounts(to_ns(NOON), limit=1)] == ["talk"]
    assert [row.budget for row in log.accounts(MIDNIGHT_NS)] == ["talk", "user", "talk", "user"]


def test_budgets_and_who_changed_them(log, spent):
    """Definitions by name, and the audit trail, the newest first."""
    assert [known.budget.name for known in log.budgets()] == ["day", "talk", "trial", "user"]
    assert (log.audit(limit=1)[0].what, log.audit(limit=1)[0].subject) == ("freeze", "day")
    assert len(log.audit()) > 1
