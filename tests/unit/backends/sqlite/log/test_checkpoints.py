"""The write-ahead log goes back into the database by our hand, and readers and writers never wait for each other."""

from __future__ import annotations

from contextlib import closing, suppress

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import Store, database
from hivecost.backends.sqlite.database import open_reader, wal_bytes
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.errors import StoreLockedError
from hivecost.events import LLMTurnComplete
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 64 * 2**10


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_CHECKPOINT_BYTES", LIMIT_BYTES)
    log = RuntimeLog(tmp_path)
    log.open()
    yield log
    log.close()


def batch():
    return [LLMTurnComplete(session_id="s", stop_reason="y" * 1000) for _ in range(10)]


def test_the_wal_stays_small(log, tmp_path):
    """However much is written, it never outgrows its limit by more than a batch."""
    sizes = []
    for _ in range(50):
        log.append(batch())
        sizes.append(wal_bytes(tmp_path / "hivecost.db"))
    assert max(sizes) < LIMIT_BYTES
    assert 0 in sizes


def test_a_reader_neither_blocks_nor_sees_the_writer(log, tmp_path):
    """Its snapshot stands while the log grows; afterwards the WAL shrinks again."""
    log.append(batch())
    reader = open_reader(tmp_path)
    count = "SELECT count(*) FROM turns"
    assert reader.execute(count).fetchone() == (10,)
    for _ in range(20):
        log.append(batch())
    assert reader.execute(count).fetchone() == (10,)
    grown = wal_bytes(tmp_path / "hivecost.db")
    assert grown > LIMIT_BYTES
    reader.close()
    for _ in range(20):
        log.append(batch())
    assert wal_bytes(tmp_path / "hivecost.db") < grown


def test_the_next_attempt_waits_for_more_growth(log, tmp_path, monkeypatch):
    """While a reader stands in the way, not every commit tries to checkpoint."""
    monkeypatch.setattr(database, "_CHECKPOINT_BYTES", 8 * LIMIT_BYTES)
    log.append(batch())
    reader = open_reader(tmp_path)
    attempts = []
    real = database.checkpoint_if_grown

    def counted(connection, path, grown_from_bytes):
        after = real(connection, path, grown_from_bytes)
        attempts.append(after != grown_from_bytes)
        return after

    monkeypatch.setattr("hivecost.backends.sqlite.log.runtime_log.checkpoint_if_grown", counted)
    for _ in range(40):
        log.append(batch())
    reader.close()
    assert 0 < sum(attempts) < 10


def test_a_wal_left_behind_is_checkpointed(tmp_path, monkeypatch):
    """What an earlier process left grows no further."""
    keeper = RuntimeLog(tmp_path)
    keeper.open()
    for _ in range(20):
        keeper.append(batch())
    assert wal_bytes(tmp_path / "hivecost.db") > LIMIT_BYTES
    monkeypatch.setattr(database, "_CHECKPOINT_BYTES", LIMIT_BYTES)
    log = RuntimeLog(tmp_path)
    log.append(batch())
    assert wal_bytes(tmp_path / "hivecost.db") == 0
    log.close()
    keeper.close()


def test_what_a_long_reader_made_of_the_wal_goes_with_it(log, tmp_path):
    """Also where all of the WAL is in the database already, so that SQLite writes it from its start again by itself."""
    log.append(batch())
    reader = open_reader(tmp_path)
    while wal_bytes(tmp_path / "hivecost.db") < 5 * LIMIT_BYTES:
        log.append(batch())
    latest = open_reader(tmp_path)  # needs nothing but what was written last, and keeps the WAL as long as it is
    reader.close()
    log._checkpointed_bytes = 0
    log.append([])
    assert wal_bytes(tmp_path / "hivecost.db") > 5 * LIMIT_BYTES
    latest.close()
    log.append(batch())
    assert wal_bytes(tmp_path / "hivecost.db") <= LIMIT_BYTES


def test_a_reader_without_end_is_named(log, tmp_path, monkeypatch, caplog):
    """At each doubling from a size on, not at each commit; and not when the WAL is small."""
    monkeypatch.setattr(database, "_WAL_LARGE_BYTES", 4 * LIMIT_BYTES)
    log.append(batch())
    reader = open_reader(tmp_path)
    sizes = []
    while wal_bytes(tmp_path / "hivecost.db") < 20 * LIMIT_BYTES:
        log.append(batch())
        sizes.append(wal_bytes(tmp_path / "hivecost.db"))
    reader.close()
    said = [record.message for record in caplog.records if "one long transaction" in record.message]
    assert len(said) == 3
    assert str(tmp_path / "hivecost.db") in said[0]
    assert len(sizes) > 3 * len(said)


async def test_while_a_reader_stays_commits_get_rarer_and_then_wait(tmp_path, monkeypatch):
    """Each commit adds its pages to a WAL that cannot shrink: past a limit nothing does, and nothing is lost."""
    monkeypatch.setattr(database, "_CHECKPOINT_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(database, "_WAL_LARGE_BYTES", 2 * LIMIT_BYTES)
    monkeypatch.setattr(database, "_WAL_FULL_BYTES", 8 * LIMIT_BYTES)
    clock, path = Clock(), tmp_path / "hivecost.db"
    async with Store(tmp_path, clock=clock) as store:
        await store.write(batch())
        with closing(open_reader(tmp_path)) as reader:
            while store.statistics().queued == 0:
                with suppress(StoreLockedError):
                    await store.write(batch())
            size_bytes, written = wal_bytes(path), store.statistics().written
            assert 8 * LIMIT_BYTES <= size_bytes < 9 * LIMIT_BYTES
            assert 0.1 in clock.slept_s
            with pytest.raises(StoreLockedError, match="nothing is logged until that ends"):
                await store.write(batch())
            assert wal_bytes(path) == size_bytes
            assert reader.execute("SELECT count(*) FROM turns").fetchone() == (10,)
        while store.statistics().queued:
            with suppress(StoreLockedError):  # of an attempt that began before the reader had ended
                await store.flush()
        statistics = store.statistics()
        assert (statistics.written, statistics.lost, statistics.queued) == (written + 20, 0, 0)
    assert wal_bytes(path) == 0


async def test_the_ledger_goes_on_beside_a_reader_without_end(tmp_path, monkeypatch):
    """What may be spent is decided, also where nothing is logged any more."""
    monkeypatch.setattr(database, "_WAL_LARGE_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(database, "_WAL_FULL_BYTES", LIMIT_BYTES)
    async with Ledger.open(tmp_path, budgets=[Budget("all", "100 calls", mode="hard")]) as ledger:
        log = RuntimeLog(tmp_path)
        log.append(batch())
        with closing(open_reader(tmp_path)):
            while wal_bytes(tmp_path / "hivecost.db") < LIMIT_BYTES:
                log.append(batch())
            with pytest.raises(StoreLockedError):
                log.append(batch())
            for _ in range(100):
                (await ledger.reserve({})).settle()
            (row,) = await ledger.status()
            assert row.settled == 100
        log.append(batch())
        log.close()


class Clock:
    """Time that is only counted."""

    def __init__(self):
        self.slept_s = []

    def now_ns(self):
        return 0

    def monotonic_s(self):
        return sum(self.slept_s)

    async def sleep(self, seconds):
        self.slept_s.append(seconds)
        await anyio.sleep(0)
