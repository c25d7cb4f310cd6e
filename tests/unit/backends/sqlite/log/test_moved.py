"""A database that is removed, moved, replaced or migrated while it is open."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from hivecost.backends.sqlite import Store, os_lock
from hivecost.errors import StoreLockedError, StoreMovedError, StoreVersionError
from hivecost.events import LLMTurnComplete

pytestmark = pytest.mark.anyio


def turn():
    return LLMTurnComplete(session_id="s", model="m")


def remove(base_path):
    shutil.rmtree(base_path)


def move_folder(base_path):
    base_path.rename(base_path.with_name("elsewhere"))


def move_files(base_path):
    for file in base_path.glob("hivecost.db*"):
        file.rename(file.with_suffix(".old"))


def replace_folder(base_path):
    shutil.copytree(base_path, base_path.with_name("backup"))
    shutil.rmtree(base_path)
    base_path.with_name("backup").rename(base_path)


@pytest.mark.parametrize("change", [remove, move_folder, move_files, replace_folder])
async def test_nothing_counts_as_durable_in_a_file_that_nobody_will_open(base_path, change):
    """What is written after that is lost, by name; no folder and no file is made in its place."""
    async with Store(base_path) as store:
        await store.write([turn()])
        change(base_path)
        before = sorted(base_path.rglob("*"))
        store.record_nowait(turn())
        with pytest.raises(StoreMovedError, match=r"put .* back .*, or start what uses it anew"):
            await store.flush()
        with pytest.raises(StoreMovedError):
            await store.write([turn()])
        assert (store.statistics().written, store.statistics().lost) == (1, 2)
        assert sorted(base_path.rglob("*")) == before


async def test_a_folder_that_comes_back_is_written_again(base_path):
    """It is the same file: a mount that went and came, a folder that was moved to and fro."""
    away = base_path.with_name("away")
    async with Store(base_path) as store:
        await store.write([turn()])
        base_path.rename(away)
        with pytest.raises(StoreMovedError):
            await store.write([turn()])
        away.rename(base_path)
        assert await store.write([turn()]) == 1
    with sqlite3.connect(base_path / "hivecost.db") as log:
        assert log.execute("SELECT count(*) FROM turns").fetchone() == (2,)


async def test_a_store_that_is_opened_again_takes_what_is_there(base_path):
    """Only what is open is tied to its file."""
    store = Store(base_path)
    async with store:
        await store.write([turn()])
    shutil.rmtree(base_path)
    async with store:
        assert await store.write([turn()]) == 1


async def test_a_process_older_than_its_folder_writes_no_more(base_path):
    """A newer hivecost has migrated it meanwhile: what the older one would write could be wrong there."""
    async with Store(base_path) as store:
        await store.write([turn()])
        with sqlite3.connect(base_path / "hivecost.db") as newer:
            newer.execute("PRAGMA user_version = 9999")
        with pytest.raises(StoreVersionError, match="brought to version 9999 while it was open"):
            await store.write([turn()])
        with pytest.raises(StoreVersionError):
            await store.write([turn()])
        assert (store.statistics().written, store.statistics().lost) == (1, 2)


async def test_events_wait_for_a_lock_that_somebody_keeps(base_path, monkeypatch, logged):
    """Who waits for the commit is told whose lock it is; nothing is lost, and all is committed when it is free."""
    waits, real = [], os_lock.lock_error
    monkeypatch.setattr(os_lock, "LOCK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(os_lock.run_locked, "__kwdefaults__", {**os_lock.run_locked.__kwdefaults__, "timeout_s": 0.05})
    monkeypatch.setattr(os_lock, "lock_error", lambda *args: waits.append(args) or real(*args))
    async with Store(base_path) as store:
        holding = os_lock.exclusive(base_path)
        holding.__enter__()
        for _ in range(2):
            with pytest.raises(StoreLockedError, match="has held the lock"):
                await store.write([turn()])
        with pytest.raises(StoreLockedError, match="has held the lock"):
            await store.flush()
        assert (store.statistics().written, store.statistics().lost, store.statistics().queued) == (0, 0, 2)
        holding.__exit__(None, None, None)
        await store.flush()
        assert (store.statistics().written, store.statistics().lost, store.statistics().queued) == (2, 0, 0)
    assert waits
    assert len(logged()) == 2


async def test_what_has_no_room_while_it_waits_is_counted(base_path, monkeypatch):
    """The queue has its limit also while somebody keeps the lock."""
    monkeypatch.setattr(os_lock.run_locked, "__kwdefaults__", {**os_lock.run_locked.__kwdefaults__, "timeout_s": 0.05})
    async with Store(base_path, queue_max=2) as store:
        holding = os_lock.exclusive(base_path)
        holding.__enter__()
        for lost in (0, 0, 1, 2):
            with pytest.raises(StoreLockedError):
                await store.write([turn()])
            assert store.statistics().lost == lost
        holding.__exit__(None, None, None)
