"""The figures of `make house` that are reached; what is left to reach is named, and may only become less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.house import public_names
from tools.house.circles import circles, circles_of
from tools.house.crossings import behind_the_log, crossed_by_report, crossed_by_settle

ROOT = Path(__file__).parents[2] / "hivecost"

#: Types that users still get without a name for them.
UNNAMED = {
    "hivecost.ledger.account.Account",
    "hivecost.ledger.period.Period",
    "hivecost.ledger.spend.SpendAccounts",
}


def test_no_room_imports_around_in_a_circle() -> None:
    """Neither its files, nor they and its `__init__`; imports for type checkers count."""
    assert circles() == []


def test_a_circle_is_found() -> None:
    """Of any length, once; who only imports into it is not in it."""
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"f"}, "f": {"e"}, "g": set()}
    assert sorted(map(sorted, circles_of(imports))) == [["a", "b", "c"], ["e", "f"]]


def test_users_can_name_what_they_get() -> None:
    """Every type in an annotation of the public names is exported, or begins with an underscore."""
    assert {*public_names.unexported()} <= UNNAMED


def test_a_type_without_a_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a method returns, what that has, what a base has, and what is behind an alias; nothing that is exported."""
    stub = tmp_path / "hivecost.pyi"
    stub.write_text(
        "from hivecost.backends import (SessionStore as S)\nfrom hivecost.log.records import (SessionState as T)"
    )
    monkeypatch.setattr(public_names, "STUB", stub)
    found = {*public_names.unexported()}
    assert found >= {"hivecost.log.records.SessionMetrics", "hivecost.log.records.SessionTimestamps"}
    assert "hivecost.log.records.SessionState" not in found
    stub.write_text("from hivecost.bus import (EventBus as EventBus)")
    found = {*public_names.unexported()}
    assert found >= {"hivecost.subscription.Subscription", "hivecost.bus.overflow.Block", "hivecost.events.base.Event"}


def test_only_cli_render_knows_rich() -> None:
    """Reports are numbers; how they look is in one place."""
    its_import = re.compile(r"^\s*(from|import) rich\b", re.MULTILINE)
    rooms = {path.parent for path in ROOT.rglob("*.py") if its_import.search(path.read_text())}
    assert rooms == {ROOT / "cli" / "render"}


#: What only the embedded backend says and does.
OF_SQLITE = re.compile(
    r"^\s*(import|from) (sqlite3|aiosqlite)\b|\brow_?ids?\b|\bhivecost\.db\b"
    r"|\bPath\((self\.)?_?(base_path|place|data)\b|\b_?(base_path|place|data) / ",
    re.MULTILINE,
)


def test_only_its_backend_knows_sqlite() -> None:
    """Outside it nobody imports a driver, speaks of rows by their number, or takes a base path for a folder."""
    elsewhere = [path for path in ROOT.rglob("*.py") if not path.is_relative_to(ROOT / "backends" / "sqlite")]
    knowing = {path.relative_to(ROOT).as_posix() for path in elsewhere if OF_SQLITE.search(path.read_text())}
    assert knowing == {"backends/opening.py", "backends/places.py"}, "these two make a path of what is no URL"
    importing = {path.relative_to(ROOT).as_posix() for path in elsewhere if "backends.sqlite" in path.read_text()}
    assert importing == {"backends/opening.py", "backends/stores.py"}


@pytest.mark.parametrize(
    "line",
    [
        "import sqlite3",
        "    from aiosqlite import Connection",
        "SELECT rowid FROM turns",
        "row_id = 1",
        "path = base_path / 'x'",
        "Path(self._base_path).exists()",
        "restore hivecost.db",
    ],
)
def test_a_line_of_sqlite_is_found(line: str) -> None:
    """Wherever it stands."""
    assert OF_SQLITE.search(f"first\n{line}\n")


def test_a_settle_and_a_report_cross_no_more_files_than_they_did() -> None:
    """Whoever reads one has so many files to open, at most."""
    settle, report = crossed_by_settle(), crossed_by_report()
    assert {"usage/reader.py", "pricing/book.py", "runtime/turn.py"} < settle
    assert {"cli/report.py", "reports/session.py", "cli/render/session.py"} < report
    assert len(settle) <= 29
    assert len(report - behind_the_log(report)) <= 36
    assert len(behind_the_log(report)) <= 19
