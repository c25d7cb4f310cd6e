"""A ledger whose database or journal is not its own any more grants nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.errors import LedgerUnavailableError
from hivecost.leasing.journal import TornJournalError, read_journal
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

CALLS = [Budget("all", "100 calls", mode="hard")]


def copy(source, target):
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def remove(base_path):
    shutil.rmtree(base_path)


def move_database(base_path):
    for file in base_path.glob("hivecost.db*"):
        file.rename(file.with_suffix(".old"))


def put_a_backup_back(base_path):
    """The copy knows nothing of the process; it may even be copied into the same file."""
    copy(base_path.with_name("backup.db"), base_path / "hivecost.db")


def migrate(base_path):
    with closing(sqlite3.connect(base_path / "hivecost.db")) as newer:
        newer.execute("PRAGMA user_version = 9999")


async def refused(ledger):
    """Wait until even what it has leased is not granted any more; how much was until then."""
    granted = 0
    with anyio.fail_after(30):
        while True:
            try:
                hold = ledger.reserve_nowait({}) or await ledger.reserve({})
            except LedgerUnavailableError as error:
                return granted, str(error)
            granted += 1
            hold.settle()
            await anyio.sleep(0.01)


@pytest.mark.parametrize("change", [remove, move_database, put_a_backup_back, migrate])
async def test_it_grants_nothing_on_what_it_lost(base_path, change):
    """At its next look at the latest, with the reason, until it is opened again; closing says it and ends."""
    async with Ledger.open(base_path, budgets=CALLS):
        copy(base_path / "hivecost.db", base_path.with_name("backup.db"))
    async with Ledger.open(base_path, budgets=CALLS) as ledger:
        (await ledger.reserve({})).settle()
        before = await ledger.reserve({})
        change(base_path)
        granted, reason = await refused(ledger)
        assert granted <= 10
        assert "hivecost.db" in reason or "is gone" in reason
        assert ledger.reserve_nowait is not None
        with pytest.raises(LedgerUnavailableError):
            ledger.reserve_nowait({})
        before.settle()  # its journal has it, wherever that is
    if change is not migrate:
        async with Ledger.open(base_path, budgets=CALLS) as again:
            (await again.reserve({})).settle()


@pytest.mark.parametrize("what", ["*.lock", "*.journal", "*"])
async def test_files_of_a_living_process_that_are_removed_let_nobody_overspend(base_path, what):
    """The journal itself is locked. Without it the whole lease is in doubt, and its process is told."""
    code = (
        "import anyio, sys, hivecost as hc\n"
        "async def main():\n"
        "    async with hc.Ledger.open(sys.argv[1], budgets=[hc.Budget('all', '100 calls', mode='hard')]) as ledger:\n"
        "        spent = 0\n"
        "        try:\n"
        "            while True: (await ledger.reserve({})).settle(); spent += 1\n"
        "        except hc.BudgetExceededError: print(spent)\n"
        "anyio.run(main)\n"
    )
    async with Ledger.open(base_path, budgets=CALLS) as ledger:
        (await ledger.reserve({})).settle()
        await anyio.sleep(0.3)  # it is in the database then, and what is leased stays
        for file in (base_path / "ledger").glob(what):
            file.unlink()
        spent = 1 + int(subprocess.run([sys.executable, "-c", code, base_path], capture_output=True, check=True).stdout)
        while hold := ledger.reserve_nowait({}):  # our loop stood still: this is the lease
            hold.settle()
            spent += 1
        if what in ("*.journal", "*"):
            await refused(ledger)
    async with Ledger.open(base_path, budgets=CALLS) as ledger:
        (row,) = await ledger.status()
        assert spent <= 100
        assert row.settled + row.in_doubt >= spent


async def test_an_unwritten_page_is_no_journal(base_path):
    """After a loss of power a mapped page may be zeros, and zeros were free slots once."""
    async with Ledger.open(base_path, budgets=CALLS, holds_max=64):
        (path,) = (base_path / "ledger").glob("*.journal")
        assert read_journal(path) == []
        data = path.read_bytes()
        for start in range(0, len(data), 4096):
            copy = base_path / "copy"
            copy.write_bytes(data[:start] + bytes(len(data[start : start + 4096])) + data[start + 4096 :])
            with pytest.raises(TornJournalError):
                read_journal(copy)


@pytest.fixture
def stopped_holder(base_path):
    """A process that stands still while it holds the lock of the base path."""
    code = (
        "import os, signal, sys; from pathlib import Path; from hivecost.backends.sqlite.os_lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    held = []

    def hold():
        process = subprocess.Popen([sys.executable, "-c", code, base_path], stdout=subprocess.PIPE, text=True)
        held.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in held:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


async def test_beside_a_process_that_stands_still_waiting_and_closing_end(base_path, stopped_holder, monkeypatch):
    """Who asks is told whose lock it is; what is leased goes on; closing ends at its deadline, and is recovered."""
    from hivecost.backends.sqlite import os_lock

    monkeypatch.setattr(os_lock.run_locked, "__kwdefaults__", {**os_lock.run_locked.__kwdefaults__, "timeout_s": 0.1})
    with anyio.fail_after(30):
        async with Ledger.open(base_path, budgets=CALLS, close_timeout_s=0.2) as ledger:
            (await ledger.reserve({})).settle()
            process = stopped_holder()
            with pytest.raises(LedgerUnavailableError, match=rf"process {process.pid} has held the lock"):
                await ledger.resolve("1-1", by="ada")
            assert ledger.reserve_nowait({}) is not None
        with pytest.raises(LedgerUnavailableError, match=rf"process {process.pid} has held the lock"):
            async with Ledger.open(base_path, budgets=CALLS):
                pass
        process.kill()
        async with Ledger.open(base_path, budgets=CALLS) as again:
            (row,) = await again.status()
            assert (row.settled, row.held, row.in_doubt) == (1, 0, 1)
