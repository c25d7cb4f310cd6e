"""What hivecost makes is for its owner alone; what is there keeps its mode."""

from __future__ import annotations

import os
import stat

import pytest

from hivecost.backends import Ledger
from hivecost.backends.sqlite import Store, save_rates
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import LLMTurnComplete
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio

BUDGETS = [Budget("all", limit="10 calls", mode="hard")]


@pytest.fixture
def umask():
    """Whatever the user's mask lets through."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(base_path):
    return {
        str(path.relative_to(base_path.parent)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in [base_path, *base_path.rglob("*")]
    }


async def test_what_is_made_is_for_its_owner_alone(umask, tmp_path):
    """Folders 0700, every file 0600, SQLite's -wal and -shm, journals, locks and price tables included."""
    base_path = tmp_path / "new" / "data"
    log = RuntimeLog(base_path)
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger, Store(base_path) as store:
        (await ledger.reserve({})).settle()
        await store.write([LLMTurnComplete(session_id="s")])
        save_rates(base_path, b"[1]")
        save_rates(base_path, b"[2]")
        log.append([LLMTurnComplete(session_id="s")])
        found = modes(base_path)
        log.close()
    folders = {"data", "data/ledger", "data/prices"}
    assert {name: mode for name, mode in found.items() if name in folders} == dict.fromkeys(folders, "0o700")
    files = {name: mode for name, mode in found.items() if name not in folders}
    assert set(files.values()) == {"0o600"}, files
    assert {"data/hivecost.db", "data/hivecost.db-wal", "data/hivecost.db-shm", "data/hivecost.lock"} <= files.keys()
    assert {"data/prices/current.json", "data/prices/previous.json"} <= files.keys()
    assert {name.rpartition(".")[2] for name in files if name.startswith("data/ledger/")} == {"journal"}
    assert stat.S_IMODE(base_path.parent.stat().st_mode) == 0o700


async def test_what_is_there_keeps_its_mode(umask, base_path):
    """A folder that its owner shares, a database of an earlier version, a price table that others may read."""
    async with Ledger.open(base_path, budgets=BUDGETS):
        save_rates(base_path, b"[1]")
    shared = {base_path: 0o755, base_path / "ledger": 0o750, base_path / "prices": 0o755}
    shared |= {base_path / "hivecost.db": 0o644, base_path / "hivecost.lock": 0o664}
    shared |= {base_path / "prices" / "current.json": 0o640}
    for path, mode in shared.items():
        path.chmod(mode)
    save_rates(base_path, b"[2]")
    async with Ledger.open(base_path, budgets=BUDGETS), Store(base_path) as store:
        await store.write([LLMTurnComplete(session_id="s")])
        assert stat.S_IMODE((base_path / "hivecost.db-wal").stat().st_mode) == 0o644
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in shared} == shared
