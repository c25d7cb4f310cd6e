"""A ledger whose rows are damaged grants nothing, and keeps nobody else from the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from hivecost.backends import Ledger
from hivecost.errors import LedgerUnavailableError

pytestmark = pytest.mark.anyio


async def test_a_sync_that_fails_lets_go_of_the_database(base_path, budgets):
    """Also while somebody keeps the error, in whose traceback the cursor still is."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        (await ledger.reserve({"user": "ada", "execution": "e"}, usd="0.10")).doubt()
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection, connection:
        connection.execute("UPDATE ledger_accounts SET period = CAST(x'b3' AS TEXT)")
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        with pytest.raises(LedgerUnavailableError, match="move it away"):
            await ledger.status()
        with closing(sqlite3.connect(base_path / "hivecost.db", timeout=0, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
