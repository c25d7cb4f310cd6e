"""Folders of released versions open in this one, and keep every figure and hold.

`data_folders/make.py` made them, and put beside them what the version that wrote them read from them.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import Store, schema
from hivecost.backends.sqlite.lease_bank.paths import boot_id
from hivecost.errors import LedgerUnavailableError, StoreVersionError
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

FOLDERS = Path(__file__).parent / "data_folders"
VERSIONS = sorted(path.stem for path in FOLDERS.glob("*.zip"))


def load_reading():
    spec = importlib.util.spec_from_file_location("data_folder_reading", FOLDERS / "reading.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reading = load_reading()


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    """(the folder, what was read from it)."""
    with zipfile.ZipFile(FOLDERS / f"{request.param}.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "data", json.loads((tmp_path / "read.json").read_text())


@pytest.fixture
def anyio_backend():
    return "asyncio"


def boot(base_path, name):
    """The machine on which its process was killed runs on (with our boot id), or was started anew."""
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log, log:
        log.execute("UPDATE ledger_processes SET boot_id = ?", [name])


def differing(before, now):
    """What was there before and is not the same now; fields and keys that came later do not count."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {key: found for key in before if (found := differing(before[key], now.get(key, "missing")))}
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [found for one, other in zip(before, now, strict=True) if (found := differing(one, other))]
    return None if before == now else (before, now)


def without_local_times(read):
    """Sessions show local times, which are the machine's."""
    for session in (*read["sessions"], *(details.get("summary", {}) for details in read["details"])):
        session.pop("timestamps", None)
    return read


async def test_the_log_keeps_every_figure(old):
    """Sessions, runs, nodes, steps and spending, before anything is migrated and after."""
    base_path, read = old
    async with Store(base_path) as store:
        await store.flush()
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log:
        assert log.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    assert not differing(without_local_times(read["log"]), without_local_times(await reading.read_log(base_path)))


async def test_the_ledger_keeps_every_figure_and_hold(old):
    """What its killed process held and settled is recovered from its journal."""
    base_path, read = old
    boot(base_path, boot_id())
    assert not differing(read["ledger"], await reading.read_ledger(base_path))


@pytest.mark.parametrize("then", ["another boot", ""])
async def test_a_journal_of_another_boot_proves_nothing(old, then):
    """Its process's whole lease is in doubt: more than it held, and never less."""
    base_path, read = old
    boot(base_path, then)
    accounts = {(row["budget"], row["scope"]): row for row in (await reading.read_ledger(base_path))["status"]}
    for before in read["ledger"]["status"]:
        now = accounts[before["budget"], before["scope"]]
        assert now["settled"] + now["in_doubt"] >= before["settled"] + before["in_doubt"]
        assert now["settled"] <= before["settled"]


#: Opens a folder to write, and dies when all of one migration is done and nothing of it committed.
DIES_IN = """
import os, sys
from pathlib import Path
from hivecost.backends.sqlite import schema
from hivecost.backends.sqlite.database import open_writer

migrate_one = schema._migrate_one

def step(connection, number, script):
    if number == int(sys.argv[2]):
        connection.create_function("die", 0, lambda: os.kill(os.getpid(), 9))
        script += "\\nSELECT die();"
    migrate_one(connection, number, script)

schema._migrate_one = step
open_writer(Path(sys.argv[1]))
"""


async def test_a_migration_that_is_killed_goes_on_where_it_was(old):
    """In each of its steps: that one is not there, those before it are, and the next who opens it loses nothing."""
    base_path, read = old
    boot(base_path, boot_id())
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log:
        (version,) = log.execute("PRAGMA user_version").fetchone()
    for number in (number for number, _ in schema.migrations() if number > version):
        done = subprocess.run([sys.executable, "-c", DIES_IN, base_path, str(number)], check=False)
        assert done.returncode == -signal.SIGKILL
        with closing(sqlite3.connect(base_path / "hivecost.db")) as log:
            assert log.execute("PRAGMA user_version").fetchone() == (version,)
        version = number
    assert not differing(read["ledger"], await reading.read_ledger(base_path))
    assert not differing(without_local_times(read["log"]), without_local_times(await reading.read_log(base_path)))


async def test_nobody_migrates_beside_a_living_older_process(old, monkeypatch):
    """It would write on in tables that it does not know: refused, with its pid, until it has ended."""
    base_path, _ = old
    latest = schema.latest_version()
    newer = (*schema.migrations(), (latest + 1, "CREATE TABLE of_a_later_version (id INTEGER) STRICT;"))
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    (lock,) = (base_path / "ledger").glob("*.lock")
    code = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, 2); print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, lock], **pipes) as older:
        assert older.stdout.readline() == "held\n"
        expected = rf"process {older.pid} uses it with an older hivecost"
        with pytest.raises(StoreVersionError, match=expected):
            async with Store(base_path):
                pass
        with pytest.raises(LedgerUnavailableError, match=expected):
            async with Ledger.open(base_path, budgets=[Budget("all", "$1", mode="hard")]):
                pass
        older.communicate()
    async with Store(base_path) as store:
        await store.flush()
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log:
        assert log.execute("PRAGMA user_version").fetchone() == (latest + 1,)
