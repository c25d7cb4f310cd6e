"""What only reads makes no folder, no file but SQLite's own, and changes none; where nothing was logged it says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

import hivecost as hc
from hivecost.backends import read_log, read_place
from hivecost.cli import main
from hivecost.errors import HiveCostError
from hivecost.reports import load_budget_report, load_doubts, load_spend

#: Beside a database that is read; nobody but SQLite writes them.
SQLITES_OWN = {"hivecost.db-shm", "hivecost.db-wal"}
COMMANDS = {
    "sessions": ["sessions"],
    "report": ["report"],
    "spend": ["spend"],
    "spend --csv": ["spend", "--csv"],
    "spend --json": ["spend", "--json"],
    "advise": ["advise"],
    "reprice": ["reprice", "--since", "2026-01-01", "--dry-run"],
    "prune": ["prune", "--keep", "1d", "--dry-run"],
    "budget status": ["budget", "status"],
    "budget status --json": ["budget", "status", "--json"],
    "budget doubts": ["budget", "doubts"],
    "budget audit": ["budget", "audit"],
}
BUDGET = hc.Budget("b", limit="$1", mode="hard")


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in SQLITES_OWN
    }


@pytest.fixture
def hivecost(capsys, monkeypatch):
    """Run the command line; its exit status, and all that it said."""

    def hivecost(*arguments: str, data: Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hivecost", *arguments, "--data", str(data)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return hivecost


async def run_once(base_path: Path) -> None:
    """A turn, and one whose bill nobody knows."""
    runtime = hc.AgentRuntime(base_path, budgets=[BUDGET], prices={"m": {"input": 1, "output": 2}})

    @runtime.entry_point("agent")
    async def agent(ctx: hc.Execution, _: object) -> None:
        async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
            turn.settle(hc.Usage(10, 10))
        async with ctx.turn("m", input_tokens=10, max_tokens=10):
            raise TimeoutError

    async with runtime:
        await runtime.trigger_and_wait("agent")


@pytest.fixture(scope="module")
def data():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    anyio.run(run_once, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_reads_changes_nothing(hivecost, data, command):
    """Every byte of every file stays."""
    before = files_in(data)
    status, said = hivecost(*command, data=data)
    assert (status, files_in(data)) == (0, before), said


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("there", [False, True])
def test_where_nothing_was_logged_it_says_so(hivecost, tmp_path, command, there):
    """Exit status 1, one line that names the folder, nothing that looks like an answer, and nothing is made there."""
    folder = tmp_path / "typo"
    if there:
        folder.mkdir()
    status, said = hivecost(*command, data=folder)
    assert (status, said.count("\n")) == (1, 1), said
    assert str(folder) in said
    assert "no session was logged" in said or "there is no ledger yet" in said
    assert folder.exists() == there
    assert not there or list(folder.iterdir()) == []


READS = {
    "SessionStore.read_state": lambda path: hc.SessionStore(path).read_state("s"),
    "SessionStore.list_sessions": lambda path: hc.SessionStore(path).list_sessions(),
    "SessionStore.delete_session": lambda path: hc.SessionStore(path).delete_session("s"),
    "RuntimeLogStore.load_details": lambda path: hc.RuntimeLogStore(path).load_details("s"),
    "RuntimeLogStore.load_steps": lambda path: hc.RuntimeLogStore(path).load_steps("s"),
    "RuntimeLogStore.list_runs": lambda path: hc.RuntimeLogStore(path).list_runs(),
    "SpendStore.totals": lambda path: hc.SpendStore(path).totals(),
    "load_spend": lambda path: load_spend(path, by=["day"]),
    "LedgerReader.budgets": lambda path: read_place(path, lambda _, ledger: ledger.budgets()),
    "LogReader.audit": lambda path: read_log(path, lambda log: log.audit()),
    "load_budget_report": load_budget_report,
    "load_doubts": load_doubts,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_a_folder_that_is_not_there_makes_none(tmp_path, read):
    """From Python it reads as empty, or raises an error of ours."""
    folder = tmp_path / "not" / "there"

    async def reading() -> None:
        with suppress(HiveCostError):
            await read(folder)

    anyio.run(reading)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_from_python_changes_nothing(data, read):
    """Every byte of every file stays."""
    before = files_in(data)

    async def reading() -> None:
        with suppress(HiveCostError):
            await read(data)

    anyio.run(reading)
    assert files_in(data) == before


def as_nobody(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run by a user whom permissions bind, when this one is root; what it needs is imported before."""
    lines = f"""
import os, sys
from hivecost.cli import app
import anyio, hivecost.backends.sqlite.schema
from hivecost.backends import *
from hivecost.cli.render import *
from hivecost.reports import *
import anyio._backends._asyncio, importlib.metadata, rich.table
hivecost.backends.sqlite.schema.migrations()
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
{script}
"""
    return subprocess.run(
        [sys.executable, "-c", lines, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def public_copy(data):
    """A folder that another user may read."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(data, folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("left", [(), ("hivecost.db-wal",), ("hivecost.db-wal", "hivecost.db-shm")])
@pytest.mark.parametrize("command", [["budget", "status", "--json"], ["budget", "doubts", "--json"], ["spend"]])
def test_a_folder_that_cannot_be_written_is_read(public_copy, command, left):
    """Where SQLite cannot make the files that it reads a write-ahead log through; an empty one may have been left."""
    for name in SQLITES_OWN - set(left):
        (public_copy / name).unlink(missing_ok=True)
    names = {path.name for path in public_copy.iterdir()}
    before = files_in(public_copy)
    public_copy.chmod(0o555)
    done = as_nobody("app(sys.argv[1:])", *command, "--data", str(public_copy))
    assert (done.returncode, files_in(public_copy)) == (0, before), done.stderr
    assert {path.name for path in public_copy.iterdir()} == names
    if "status" in command:
        (line,) = json.loads(done.stdout)["budgets"]
        (account,) = line["accounts"]
        assert (account["settled"], account["in_doubt"]) == (30_000, 30_000)


def test_an_inverted_range_is_no_empty_answer(hivecost, data):
    """It is said, for each command that takes one."""
    for command in (["spend"], ["sessions"], ["reprice", "--dry-run"]):
        status, said = hivecost(*command, "--since", "2026-11-23", "--until", "2026-11-21", data=data)
        assert (status, said.count("\n")) == (2, 1), said
        assert "until: expected a moment after 2026-11-23" in said
