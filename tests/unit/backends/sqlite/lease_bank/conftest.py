from __future__ import annotations

import sqlite3

import pytest

from hivecost.ledger import Budget


@pytest.fixture
def budgets():
    return [
        Budget("all", "$1", mode="hard"),
        Budget("user day", "100 calls", window="day", per="user", mode="hard"),
        Budget("run", "$0.50", window="execution", mode="hard"),
    ]


@pytest.fixture
def tables(base_path):
    def tables(place=base_path):
        """What is wrong between the tables of the ledger."""
        connection = sqlite3.connect(place / "hivecost.db")
        found = connection.execute(
            "SELECT 'leased beyond the limit', budget FROM ledger_budgets JOIN ledger_accounts AS a ON budget = name"
            " WHERE settled + in_doubt + (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = a.id)"
            " > limit_amount + overrun AND NOT shadow"
            " UNION ALL SELECT 'in_doubt is not the sum of its holds', budget FROM ledger_accounts AS a"
            " WHERE in_doubt <> (SELECT coalesce(sum(amount), 0) FROM ledger_doubt_amounts JOIN ledger_doubts"
            " USING (hold_id) WHERE account_id = a.id AND resolved_ns IS NULL)"
        ).fetchall()
        connection.close()
        return found

    return tables


@pytest.fixture
def die():
    async def die(ledger):
        """What SIGKILL leaves of an open Ledger: its journal, without anybody who holds its lock."""
        _, sync = ledger._opened
        sync.stop(5.0)
        await ledger._tasks.__aexit__(None, None, None)
        ledger._bank._database.close()
        ledger._bank._database.let_go()

    return die


@pytest.fixture
def sums():
    async def sums(ledger, budget="all"):
        """(settled, held, in_doubt) of the one account of a budget; zeros when there is none."""
        rows = [row for row in await ledger.status() if row.budget == budget]
        return next(((row.settled, row.held, row.in_doubt) for row in rows), (0, 0, 0))

    return sums
