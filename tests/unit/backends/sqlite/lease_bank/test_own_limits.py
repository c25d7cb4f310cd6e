"""Limits of single values, by the hundred thousand: each is found by its key, and only when it is asked for."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite.database import begin, open_reader
from hivecost.backends.sqlite.lease_bank import budget_rows, database, own_limits
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

USD = 10**9
BUDGET = Budget("customer day", "$1", window="day", per="org", mode="hard")
RUN = Budget("run", "$1", window="execution", per="org", mode="hard")


def give_own_limits(base_path, count):
    """Limits of their own to so many customers, as an operator would."""
    rows = [(name, f'["{org}"]' if name == BUDGET.name else f'[null, "{org}"]', 2 * USD)
            for name in (BUDGET.name, RUN.name) for org in range(count)]  # fmt: skip
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection, connection:
        connection.executemany("INSERT INTO ledger_own_limits VALUES (?, ?, ?, NULL)", rows)


@pytest.fixture
def steps(monkeypatch):
    """Thousands of steps that SQLite took for the ledger, one by one: `steps.clear()` begins anew."""
    taken = []

    def counted(connection):
        connection.set_progress_handler(lambda: taken.append(1), 1)
        begin(connection)

    monkeypatch.setattr(database, "begin", counted)
    return taken


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_hundred_thousand_own_limits_cost_what_ten_cost(base_path, steps, anyio_backend):
    """Opening, turns of new customers and runs, syncs and changes take as many steps in the database."""
    costs = {}
    for count in (10, 100_000):
        place = base_path / str(count)
        async with Ledger.open(place, budgets=[BUDGET, RUN]):
            pass
        give_own_limits(place, count)
        steps.clear()
        async with Ledger.open(place, budgets=[BUDGET, RUN]) as ledger:
            for number in range(5):
                who = {"org": str(number), "execution": f"e{number}"}
                (await ledger.reserve(who, usd="1.50")).settle()
                (await ledger.reserve(who, usd="0.50")).settle()
            await ledger.set_limit("customer day", "$3", scope={"org": "4"}, by="eve")
            (await ledger.reserve({"org": "4", "execution": "other"}, usd=1)).settle()
            known = [
                account.scope for name in (BUDGET.name, RUN.name) for account in ledger._opened[0]._state.accounts(name)
            ]
            assert len(known) == 11
        costs[count] = len(steps)
    assert costs[100_000] < 1.2 * costs[10], costs


@pytest.mark.parametrize(
    ("sql", "step"),
    [
        (budget_rows.LOAD_BUDGET_ROWS, "SEARCH ledger_own_limits USING PRIMARY KEY (budget=?)"),
        (own_limits.LOAD_OWN_LIMIT, "SEARCH ledger_own_limits USING PRIMARY KEY (budget=? AND account_values=?)"),
        (own_limits.LOAD_CONFIGURED, "SEARCH ledger_own_limits USING INDEX ledger_own_limits_configured (budget=?)"),
        (
            own_limits.LOAD_OVERRULED,
            "SCAN own USING INDEX ledger_own_limits_overruled",
        ),  # its first few, in their order
    ],
)
async def test_own_limits_are_found_by_their_keys(base_path, sql, step):
    """No statement walks through those of all customers."""
    async with Ledger.open(base_path, budgets=[BUDGET]):
        pass
    names = {"budget": "b", "account_values": "[]", "limit": 1}
    with closing(open_reader(base_path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", names)]
    assert [one for one in plan if one.startswith(step)], plan
    assert not any("TEMP B-TREE" in one for one in plan)


async def test_a_running_execution_goes_by_another_limit_at_once(base_path):
    """Its account is in memory alone: both what was raised and what was lowered reach it, from any process."""
    who = {"org": "acme", "execution": "e"}
    async with Ledger.open(base_path, budgets=[RUN]) as ledger, Ledger.open(base_path) as other:
        hold = await ledger.reserve(who, usd=1)
        await other.raise_limit("run", "$2", scope=who, by="eve")
        await hold.extend(usd=1)
        assert [(row.limit, row.has_own_limit) for row in await ledger.status()] == [(3 * USD, True)]
        await ledger.set_limit("run", "$2", scope=who, by="eve")
        assert ledger.reserve_nowait(who, usd="0.50") is None
        assert [row.limit for row in await ledger.status()] == [2 * USD]
        assert await ledger.unset_limit("run", scope=who, by="eve") == USD
        hold.settle(usd="0.90")
        assert await ledger.remaining(who) == {"usd": USD // 10}


async def test_warnings_go_with_the_limit_of_the_value(base_path):
    """At fractions of its own limit, also when that is set while the account is open."""
    async with Ledger.open(
        base_path, budgets=[Budget("b", "$1", per="org", limits={"acme": "$10"}, mode="hard")]
    ) as ledger:
        hold = await ledger.reserve({"org": "acme"}, usd=8)
        assert [(one.limit, one.fraction) for one in hold.settle().crossings] == [(10 * USD, 0.8)]
        await ledger.set_limit("b", "$20", scope={"org": "acme"}, by="eve")
        hold = await ledger.reserve({"org": "acme"}, usd=8)
        assert [(one.limit, one.fraction) for one in hold.settle().crossings] == [(20 * USD, 0.8)]


def added_since(number, pattern):
    for migration in sorted(files("hivecost.backends.sqlite.migrations").iterdir(), key=lambda file: file.name):
        if migration.name[:4].isdigit() and int(migration.name[:4]) >= number:
            yield from re.findall(pattern, migration.read_text())


async def test_an_older_folder_gets_limits_of_values(base_path):
    """Accounts and limits of before stay as they are."""
    async with Ledger.open(base_path, budgets=[BUDGET]) as ledger:
        (await ledger.reserve({"org": "acme"}, usd="0.50")).settle()
        await ledger.set_limit("customer day", "$2", by="eve")
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection:
        for table in added_since(9, r"CREATE TABLE (\w+)"):
            connection.execute(f"DROP TABLE {table}")
        for table, column in added_since(9, r"ALTER TABLE (\w+) ADD COLUMN (\w+)"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 8")
    async with Ledger.open(base_path, budgets=[BUDGET]) as ledger:
        assert [(row.limit, row.settled) for row in await ledger.status()] == [(2 * USD, USD // 2)]
        await ledger.set_limit("customer day", "$3", scope={"org": "acme"}, by="eve")
        (await ledger.reserve({"org": "acme"}, usd="2.50")).settle()
