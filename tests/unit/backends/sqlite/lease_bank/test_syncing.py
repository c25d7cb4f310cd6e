"""The one task that goes to the database: faults of the disk are named as such, and pass."""

from __future__ import annotations

import sqlite3

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank.database import LedgerDatabase

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fault", [sqlite3.OperationalError("disk I/O error"), OSError(5, "Input/output error")])
async def test_a_poll_that_fails_is_a_reason_to_sync(base_path, budgets, monkeypatch, caplog, fault):
    """What the disk does to a poll between two syncs is no fault of ours, and no news while syncs work."""
    failed, token = anyio.Event(), anyio.lowlevel.current_token()
    poll = LedgerDatabase.poll

    def failing(database):
        if failed.is_set():
            return poll(database)
        anyio.from_thread.run_sync(failed.set, token=token)
        raise fault

    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({"user": "ada", "execution": "e"}, usd="0.10")
        monkeypatch.setattr(LedgerDatabase, "poll", failing)
        with anyio.fail_after(30):
            await failed.wait()
        hold.settle(usd="0.05")
        assert {row.settled for row in await ledger.status() if row.budget == "all"} == {50_000_000}
    assert caplog.text == ""
