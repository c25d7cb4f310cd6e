"""S5: a place that cannot hold the log gives a named error, and nothing partial is kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hivecost.backends.sqlite import Store, database, open_reader, snapshot
from hivecost.backends.sqlite.log import runtime_log
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.errors import StoreCorruptError, StoreLockedError, StoreUnusablePathError
from hivecost.events import LLMTurnComplete

pytestmark = pytest.mark.anyio

NOBODY = 65534


def turns(count):
    return [LLMTurnComplete(session_id="s") for _ in range(count)]


@pytest.fixture
def public_path():
    """A folder that another user may enter."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def as_nobody(base_path, main):
    """What `main` gives, run by a user whom permissions bind; everything it needs is imported before."""
    for file in base_path.glob("hivecost.db*"):
        file.chmod(file.stat().st_mode | 0o044)  # others may read what its owner has let them
    script = f"""
import asyncio, json, os, sys
from hivecost.errors import StoreError
from hivecost.backends import SessionStore
from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.schema import migrations
base_path = sys.argv[1]
migrations()
{main}
async def named():
    try:
        return await main()
    except StoreError as error:
        return [type(error).__name__, str(error)]
loop = asyncio.new_event_loop()
if os.getuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
print(json.dumps(loop.run_until_complete(named())))
"""
    child = subprocess.run([sys.executable, "-c", script, str(base_path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


WRITE = """
async def main():
    async with Store(base_path):
        return "opened"
"""
READ = """
async def main():
    return [session.metrics.llm_calls for session in await SessionStore(base_path).list_sessions()]
"""


@pytest.mark.parametrize("below", ["", "deeper/still"])
async def test_a_base_path_that_is_a_file(tmp_path, below):
    """To write and to read, and for a path that leads through a file."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(StoreUnusablePathError, match="use a folder"):
        async with Store(file / below):
            pass
    with pytest.raises(StoreUnusablePathError, match="use a folder"):
        open_reader(file / below)
    assert file.read_text() == "mine"


async def test_a_database_that_is_a_folder(tmp_path):
    """Somebody made a folder of that name."""
    (tmp_path / "hivecost.db").mkdir()
    with pytest.raises(StoreUnusablePathError, match=r"hivecost\.db"):
        async with Store(tmp_path):
            pass
    with pytest.raises(StoreUnusablePathError, match=r"hivecost\.db"):
        open_reader(tmp_path)


def test_a_folder_that_cannot_be_made(public_path):
    """The error names it."""
    public_path.chmod(0o555)
    kind, message = as_nobody(public_path / "data", WRITE)
    assert (kind, str(public_path) in message) == ("StoreUnusablePathError", True)


def test_a_read_only_folder_cannot_be_written_but_read(public_path):
    """Without the shared memory file of the WAL, and with it."""
    log = RuntimeLog(public_path)
    log.append(turns(2))
    log.close()
    public_path.chmod(0o555)
    assert as_nobody(public_path, WRITE)[0] == "StoreUnusablePathError"
    assert as_nobody(public_path, READ) == [2]
    public_path.chmod(0o755)
    log.append(turns(1))
    public_path.chmod(0o555)
    assert as_nobody(public_path, READ) == [3]
    log.close()


def test_a_read_only_folder_whose_writer_died(public_path, tmp_path):
    """A WAL that cannot be read there is not passed over in silence."""
    log = RuntimeLog(tmp_path)
    log.append(turns(2))
    for name in ("hivecost.db", "hivecost.db-wal"):
        shutil.copy(tmp_path / name, public_path)
    log.close()
    public_path.chmod(0o555)
    kind, message = as_nobody(public_path, READ)
    assert (kind, "copy hivecost.db and hivecost.db-wal" in message) == ("StoreUnusablePathError", True)


async def test_a_read_only_database(public_path):
    """The file itself may not be written."""
    log = RuntimeLog(public_path)
    log.append(turns(2))
    log.close()
    public_path.chmod(0o777)
    for file in public_path.iterdir():
        file.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    assert as_nobody(public_path, WRITE)[0] == "StoreUnusablePathError"


async def test_a_full_disk_loses_batches_and_recovers(tmp_path, clock, oracle, monkeypatch):
    """SQLite finds no page more: counted and named. When there is room again, the writer goes on."""
    pages = [40]

    def small(base_path, **options):
        connection = database.open_writer(base_path, **options)
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        return connection

    monkeypatch.setattr(runtime_log, "open_writer", small)
    acknowledged = []
    async with Store(tmp_path, clock=clock) as store:

        async def write_until_full():
            while True:
                batch = turns(50)
                await store.write(batch)
                acknowledged.extend(event.event_id for event in batch)

        with pytest.raises(StoreUnusablePathError, match="is full; make room"):
            await write_until_full()
        assert store.statistics().lost == 50
        pages[0] = 10**6
        assert await store.write(turns(50)) == 50
    assert oracle.problems(tmp_path / "hivecost.db", acknowledged) == []
    assert len(oracle.rows(tmp_path / "hivecost.db", "SELECT 1 FROM turns")) == store.statistics().written


def test_writes_that_the_system_refuses_lose_nothing_acknowledged(tmp_path, oracle):
    """A file-size limit cuts writes off at any byte, in the WAL and in the database; then it is lifted."""
    script = """
import asyncio, json, resource, sys
from hivecost.errors import StoreError
from hivecost.events import LLMTurnComplete
from hivecost.backends.sqlite import Store
class Hasty:
    async def sleep(self, seconds): await asyncio.sleep(0)
async def main():
    acknowledged, refused = [], 0
    async with Store(sys.argv[1], clock=Hasty()) as store:
        for limit in [*range(20_000, 400_000, 7919), resource.RLIM_INFINITY]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            batch = [LLMTurnComplete(session_id="s", execution_id="e") for _ in range(20)]
            try:
                await store.write(batch)
                acknowledged += [event.event_id for event in batch]
            except StoreError:
                refused += 1
    return acknowledged, refused, store.statistics().lost
print(json.dumps(asyncio.run(main())))
"""
    child = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    acknowledged, refused, lost = json.loads(child.stdout)
    assert refused > 3
    assert len(acknowledged) > 20
    assert lost == 20 * refused
    assert oracle.problems(tmp_path / "hivecost.db", acknowledged) == []


@pytest.mark.parametrize("offset", [0, 7, 16, 19, 100])
async def test_a_flipped_byte_in_the_header(tmp_path, offset):
    """Neither read nor written, and named; the file is left as it is."""
    log = RuntimeLog(tmp_path)
    log.append(turns(5))
    log.close()
    damaged = flip(tmp_path / "hivecost.db", offset)
    with pytest.raises((StoreCorruptError, StoreUnusablePathError)):
        async with Store(tmp_path) as store:
            await store.write(turns(1))
    with pytest.raises((StoreCorruptError, StoreUnusablePathError)):
        open_reader(tmp_path).execute("SELECT * FROM turns").fetchall()
    assert (tmp_path / "hivecost.db").read_bytes() == damaged


async def test_a_flipped_byte_in_a_page(tmp_path):
    """The writer stops with the named error and counts what it loses."""
    log = RuntimeLog(tmp_path)
    log.append(turns(5))
    connection = log.open()
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'turns'").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    log.close()
    flip(tmp_path / "hivecost.db", (page - 1) * page_size)
    async with Store(tmp_path) as store:
        for _ in range(2):
            with pytest.raises(StoreCorruptError, match="move it away"):
                await store.write(turns(1))
    assert store.statistics().lost == 2


async def test_a_schema_whose_names_are_no_text(tmp_path):
    """SQLite quotes them in its message, which Python then cannot decode."""
    log = RuntimeLog(tmp_path)
    log.append(turns(5))
    log.close()
    path = tmp_path / "hivecost.db"
    data = path.read_bytes()
    data = data.replace(b"turns_by_session", b"turns\xb3by_session")
    path.write_bytes(data.replace(b"CREATE INDEX turns\xb3by_session", b"CREATE INDEZ turns\xb3by_session"))
    with pytest.raises(StoreCorruptError, match=r"hivecost\.db: its schema is damaged; move it away"):
        open_reader(tmp_path)
    with pytest.raises(StoreCorruptError, match="its schema is damaged"):
        async with Store(tmp_path):
            pass


async def test_a_stranger_who_holds_the_database(tmp_path, clock, monkeypatch):
    """Another program that writes without our lock: tried a few times, then named; its events wait and are not lost."""
    monkeypatch.setattr(snapshot, "BUSY_TIMEOUT_S", 0.0)
    log = RuntimeLog(tmp_path)
    log.append(turns(1))
    log.close()
    async with Store(tmp_path, clock=clock) as store:
        stranger = sqlite3.connect(tmp_path / "hivecost.db", isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match="end the other program"):
            await store.write(turns(1))
        assert (store.statistics().written, store.statistics().lost, store.statistics().queued) == (0, 0, 1)
        clock.on_sleep = stranger.close
        assert await store.write(turns(1)) == 1
        assert (store.statistics().written, store.statistics().lost, store.statistics().queued) == (2, 0, 0)


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
    return bytes(data)
