"""Rows that hivecost never wrote so are named, whatever SQLite thinks of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from hivecost.backends import Ledger, open_backend, open_log
from hivecost.errors import StoreCorruptError
from hivecost.events import LLMTurnComplete, Usage
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio


def damage(base_path, statement):
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize("change", ["cost_status = 'prhced'", "input_tokens = -5", "tags = '{'", "raw_usage = '['"])
async def test_a_turn_that_cannot_be(tmp_path, write, change):
    """A status that none is, counts below zero, and what is no JSON."""
    await write(LLMTurnComplete(session_id="s", usage=Usage(1, 1)))
    damage(tmp_path, f"UPDATE turns SET {change}")
    with pytest.raises(StoreCorruptError, match="restore a backup"):
        open_log(tmp_path).turns()


async def test_a_budget_that_cannot_be(tmp_path):
    """Its attributes are JSON."""
    async with Ledger.open(tmp_path, budgets=[Budget("b", "$1", per="user", mode="hard")]):
        pass
    damage(tmp_path, "UPDATE ledger_budgets SET attributes = '[\"user'")
    with pytest.raises(StoreCorruptError, match="restore a backup"):
        open_backend(tmp_path).ledger_reader().budgets()
