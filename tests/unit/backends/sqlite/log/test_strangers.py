"""A data folder may come from a stranger: nothing in it reaches beyond it, and nothing that it says is run."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from hivecost.backends import Ledger, open_price_book
from hivecost.backends.sqlite import Store, open_reader, save_rates
from hivecost.backends.sqlite.database import open_writer
from hivecost.errors import HiveCostError, StoreUnusablePathError
from hivecost.events import LLMTurnComplete
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

BUDGETS = [Budget("all", limit="10 calls", mode="hard")]


@pytest.fixture
def used(base_path):
    """The base path after a turn was logged and money was held there."""

    async def used():
        async with Store(base_path) as store:
            await store.write([LLMTurnComplete(session_id="s")])
        async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
            (await ledger.reserve({})).settle()
        return base_path

    return used


def change(base_path, *statements):
    with closing(sqlite3.connect(base_path / "hivecost.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


FORGED = """INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql)
    VALUES ('table', 'spy', 'spy', 0, 'CREATE /**/ VIRTUAL TABLE spy USING fts5(words)')"""


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["CREATE TRIGGER spy AFTER INSERT ON turns BEGIN DELETE FROM sessions; END"], "trigger 'spy'"),
        (["CREATE VIEW spy AS SELECT 1"], "view 'spy'"),
        (["ALTER TABLE nodes RENAME TO kept", "CREATE VIEW nodes AS SELECT * FROM kept"], "view 'nodes'"),
        (["CREATE VIRTUAL TABLE spy USING fts5(words)"], "virtual table 'spy'"),
        (["PRAGMA writable_schema = ON", FORGED], "table 'spy'"),
        (['CREATE VIEW "\x1b[2J" AS SELECT 1'], r"view '\x1b[2J'"),
    ],
)
async def test_a_database_with_a_will_of_its_own_is_refused(used, statements, named):
    """Triggers, views and virtual tables, a disguised one too, are named and not obeyed; the file stays as it is."""
    base_path = await used()
    change(base_path, *statements)
    before = (base_path / "hivecost.db").read_bytes()
    with pytest.raises(StoreUnusablePathError) as refused:
        async with Store(base_path) as store:
            await store.write([LLMTurnComplete(session_id="t")])
    assert named in str(refused.value)
    assert "use another base path" in str(refused.value)
    with pytest.raises(StoreUnusablePathError, match="did not make"):
        open_reader(base_path)
    with pytest.raises(HiveCostError, match="did not make"):
        async with Ledger.open(base_path, budgets=BUDGETS):
            pass
    assert (base_path / "hivecost.db").read_bytes() == before


async def test_what_users_add_for_themselves_is_no_harm(used):
    """An index or a table of their own, and what ANALYZE leaves."""
    base_path = await used()
    change(base_path, "CREATE INDEX mine ON turns (model)", "CREATE TABLE notes (text)", "ANALYZE")
    async with Store(base_path) as store:
        assert await store.write([LLMTurnComplete(session_id="t")]) == 1
    open_reader(base_path).close()


async def test_a_schema_calls_no_function_that_reaches_further(used):
    """Of a table's own expressions SQLite runs only what cannot do anything, for who writes and for who reads."""
    base_path = await used()
    for connection in (open_writer(base_path), open_reader(base_path)):
        with closing(connection):
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)


OUTSIDE = [
    "../../elsewhere/package",
    "/etc/passwd",
    "..",
    "",
    "0123456789ABCDEF",
    "0123456789abcdef/../x",
    "0123456789abcdef\n",
    "\uff10123456789abcdef",
]


@pytest.mark.parametrize("name", OUTSIDE)
async def test_a_journal_outside_of_the_folder_is_not_touched(used, tmp_path, name):
    """A name that hivecost cannot have given is named, nothing is granted, and nothing is opened or deleted by it."""
    base_path = await used()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for suffix in ("lock", "journal"):
        (elsewhere / f"package.{suffix}").write_text("precious")
    change(base_path, f"INSERT INTO ledger_processes (journal, boot_id, opened_ns) VALUES ('{name}', '', 0)")
    before = sorted(path for path in tmp_path.rglob("*") if path.parent != base_path)
    with pytest.raises(HiveCostError, match="names a journal"):
        async with Ledger.open(base_path, budgets=BUDGETS):
            pass
    assert sorted(path for path in tmp_path.rglob("*") if path.parent != base_path) == before
    assert (elsewhere / "package.journal").read_text() == "precious"


async def test_one_that_appears_while_the_ledger_is_open(used):
    """Its status is refused like its opening; whoever has money in hand settles on."""
    base_path = await used()
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        hold = await ledger.reserve({})
        change(base_path, "INSERT INTO ledger_processes (journal, boot_id, opened_ns) VALUES ('../x', '', 0)")
        with pytest.raises(HiveCostError, match="names a journal"):
            await ledger.status()
        hold.settle()


async def test_only_journals_of_hivecost_are_swept(used):
    """What is left of a process that died at its start goes; files of other names, links and folders stay."""
    base_path = await used()
    folder = base_path / "ledger"
    kept = ["notes.lock", "backup.journal", "0123456789abcdef.txt", "0123456789ABCDEF.lock", "x0123456789abcdef.lock"]
    for name in [*kept, "0123456789abcdef.lock", "00112233aabbccdd.journal"]:
        (folder / name).write_text("")
    (folder / "fedcba9876543210.journal").symlink_to(folder / "notes.lock")
    (folder / "ffffffffffffffff.lock").mkdir()
    async with Ledger.open(base_path, budgets=BUDGETS):
        pass
    assert {path.name for path in folder.iterdir()} == {*kept, "fedcba9876543210.journal", "ffffffffffffffff.lock"}


@pytest.mark.parametrize("dangling", [True, False])
async def test_a_link_in_the_place_of_a_lock_is_not_followed(used, tmp_path, dangling):
    """It would be made, or locked, wherever the link leads."""
    base_path = await used()
    target = tmp_path / "target"
    if not dangling:
        target.write_text("mine")
    (base_path / "hivecost.lock").unlink()
    (base_path / "hivecost.lock").symlink_to(target)
    with pytest.raises(StoreUnusablePathError, match=r"hivecost\.lock: .*symbolic link"):
        async with Store(base_path):
            pass
    assert target.exists() != dangling


async def test_folders_of_ours_that_are_links_are_refused(used, tmp_path):
    """Files that have our names may be somebody else's there."""
    base_path = await used()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("ledger", "prices"):
        if (base_path / name).exists():
            (base_path / name).rename(tmp_path / f"real {name}")
        (base_path / name).symlink_to(other)
    with pytest.raises(HiveCostError, match="symbolic link"):
        async with Ledger.open(base_path, budgets=BUDGETS):
            pass
    with pytest.raises(HiveCostError, match="symbolic link"):
        save_rates(base_path, b"[]")
    assert list(other.iterdir()) == []


async def test_a_pipe_in_the_place_of_a_file_does_not_hang(used, caplog):
    """A journal and a price table are read only where they are files."""
    base_path = await used()
    (base_path / "prices").mkdir()
    os.mkfifo(base_path / "prices" / "current.json")
    assert open_price_book(base_path).knows("gpt-4o")
    assert "is no regular file" in caplog.text
    os.mkfifo(base_path / "ledger" / "0123456789abcdef.journal")
    change(base_path, "INSERT INTO ledger_processes (journal, boot_id, opened_ns) VALUES ('0123456789abcdef', '', 0)")
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        assert [row.remaining for row in await ledger.status()] == [9]
