"""A ledger whose system has no thread or descriptor left, or whose disk fails for a moment."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import file_locks
from hivecost.backends.sqlite.file_locks import is_locked
from hivecost.backends.sqlite.lease_bank import paths as ledger_paths
from hivecost.backends.sqlite.lease_bank.paths import LedgerPaths
from hivecost.errors import LedgerUnavailableError

pytestmark = pytest.mark.anyio

WHO = {"user": "ada"}


def no_thread(_):
    raise RuntimeError("can't start new thread")


def no_descriptor(path, flags):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))


@pytest.mark.parametrize(
    ("owner", "name", "fault"), [(threading.Thread, "start", no_thread), (file_locks, "open_private", no_descriptor)]
)
async def test_what_cannot_be_closed_is_recovered(base_path, budgets, sums, caplog, owner, name, fault):
    """Its block ends without an error, and whoever opens the ledger next takes it for dead, in the same process too."""
    with pytest.MonkeyPatch.context() as patch:
        async with Ledger.open(base_path, budgets=budgets) as ledger:
            (await ledger.reserve(WHO, nanousd=100)).settle(nanousd=30)
            hold = await ledger.reserve(WHO, nanousd=10)
            patch.setattr(owner, name, fault)
    assert "could not be closed in order, and will be recovered" in caplog.text
    assert hold.state == "in_doubt"
    async with Ledger.open(base_path) as again:
        assert await sums(again) == (30, 0, 10)
        assert [doubt.reason for doubt in await again.in_doubt()] == ["its process died"]


async def test_a_disk_that_does_not_answer_is_no_database_that_was_moved(base_path, budgets, sums, monkeypatch):
    """It is refused for that moment, and the ledger goes on."""
    stat = Path.stat

    def unanswered(path, **more):
        if path.name == "hivecost.db":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return stat(path, **more)

    async with Ledger.open(base_path, budgets=budgets) as ledger:
        (await ledger.reserve(WHO, nanousd=100)).settle(nanousd=30)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", unanswered)
            with pytest.raises(LedgerUnavailableError, match=r"hivecost\.db: Input/output error"):
                await ledger.in_doubt()
        (await ledger.reserve(WHO, nanousd=100)).settle(nanousd=30)
        assert await sums(ledger) == (60, 0, 0)


def test_locks_of_which_one_cannot_be_had_are_let_go(base_path, monkeypatch):
    """Nobody else would ever recover that process."""
    folder = LedgerPaths(base_path)
    name = folder.make_name()
    folder.journal(name).touch()
    lock_for_life = ledger_paths.lock_for_life

    def fail_at_second(path):
        return lock_for_life(path) if path == folder.journal(name) else no_descriptor(path, 0)

    monkeypatch.setattr(ledger_paths, "lock_for_life", fail_at_second)
    with pytest.raises(OSError, match="Too many open files"):
        folder.lock(name)
    assert not is_locked(folder.journal(name))


@pytest.mark.parametrize(("end", "held"), [("doubt", 100), ("release", 0)])
async def test_a_bill_that_comes_late_to_a_poisoned_ledger_is_recovered(base_path, budgets, sums, end, held):
    """Its hold was given to the database, or back, before; from `settle` on it counts as billed."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve(WHO, nanousd=100)
        getattr(hold, end)()
        await ledger.in_doubt()  # commits
        local, _ = ledger._opened
        local.poison("the test says so")
        assert hold.settle(nanousd=30) is not None
        assert hold.settle(nanousd=30) is None
    async with Ledger.open(base_path) as again:
        assert await sums(again) == (30, 0, 0)
        assert bool([budget.name for budget in await again.budgets() if budget.frozen]) == (held < 30)
