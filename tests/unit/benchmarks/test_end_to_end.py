"""What end-to-end figures are compared with."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from benchmarks import end_to_end
from hivecost.log.turn_rows import TURN_COLUMNS, turn_row

EVENTS = 7
#: Told by clocks and counters.
OWN = {"event_id", "timestamp_ns"}


def test_plain_sqlite_writes_the_rows_that_a_runtime_logs(tmp_path):
    """Else the ratio of the two would be between different work."""
    asyncio.run(end_to_end._published(str(tmp_path), EVENTS))
    with closing(sqlite3.connect(tmp_path / "hivecost.db")) as log:
        logged = log.execute(f"SELECT {', '.join(TURN_COLUMNS)} FROM turns ORDER BY id").fetchall()
    plain = [turn_row(turn) for turn in end_to_end.as_logged(EVENTS)]
    assert [_compared(row) for row in logged[1:]] == [_compared(row) for row in plain]  # the first one warms up


def _compared(row):
    return {name: value for name, value in zip(TURN_COLUMNS, row, strict=True) if name not in OWN}
