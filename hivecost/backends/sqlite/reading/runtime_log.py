"""The second and third level of the log: nodes and steps, and the list of executions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.log.rollups import ADDED_SUMS
from hivecost.backends.sqlite.reading.connection import Reader, Row, matching, reading, row_limit
from hivecost.backends.sqlite.reading.sessions import session_state
from hivecost.backends.sqlite.reading.source import FROM_THE_NEWEST
from hivecost.backends.sqlite.statements import READING, statement
from hivecost.log import SUM_NAMES, Window
from hivecost.log.details import node_details
from hivecost.log.instants import local_iso
from hivecost.log.logged_turns import COLUMNS, to_step
from hivecost.log.records import NodeTotals, Run, SessionDetails
from hivecost.log.steps import Step

NODES: Final = statement(READING, "nodes", sums=ADDED_SUMS)
RUN_COLUMNS: Final = (
    *("session_id", "execution_id", "status", "entry_point", "error", "agent_id", "user_id", "org_id", "duration_ms"),
    *("started_ns", "ended_ns", "parent_execution_id"),
    *SUM_NAMES,
)

#: Where they are read from.
RUNS: Final = statement(
    READING, "executions_as_they_stand", columns=", ".join(name for name in RUN_COLUMNS if name != "status")
)


class EmbeddedRuntimeLog:
    """What `hivecost.RuntimeLogStore` reads in a folder: one short-lived connection and one snapshot a call."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path

    async def load_details(self, session_id: str) -> SessionDetails:
        """Return the session's nodes with their steps. Raise SessionNotFoundError, and StoreErrors."""
        async with reading(self._base_path) as log:
            await session_state(log, self._base_path, session_id)
            nodes = await log.rows(NODES, {"session_id": session_id})
            models = await log.rows(statement(READING, "models_of_nodes"), {"session_id": session_id})
            steps = await _steps(log, session_id, None, None)
        details = node_details([_node(row) for row in nodes], [(node, model) for node, model in models], steps)
        return SessionDetails(session_id=session_id, nodes=details)

    async def load_steps(self, session_id: str, node_id: str | None, limit: int | None) -> list[Step]:
        """Return the session's turns in the order they were logged, but for those that were pruned."""
        async with reading(self._base_path) as log:
            return await _steps(log, session_id, node_id, limit)

    async def load_nodes(self, session_id: str) -> list[NodeTotals]:
        """Return the session's sums by node, by name. Raise StoreErrors."""
        async with reading(self._base_path) as log:
            return [_node(row) for row in await log.rows(NODES, {"session_id": session_id})]

    async def list_runs(self, wanted: Mapping[str, str | None], window: Window, limit: int) -> list[Run]:
        """Return the executions that started in the window, by these columns, newest first. Raise StoreErrors."""
        bounds = {
            **window._asdict(),
            **FROM_THE_NEWEST,
            "limit": row_limit(limit),
        }
        async with reading(self._base_path) as log:
            return [run_of(row[1:]) for row in await log.rows(list_runs_sql(wanted), {**wanted, **bounds})]


def load_steps_sql(wanted: Mapping[str, str | None]) -> str:
    """Return the statement that gives turns in the order they were logged."""
    return statement(READING, "steps", columns=COLUMNS, where=matching(wanted))


def list_runs_sql(wanted: Mapping[str, str | None]) -> str:
    """Return the statement that lists executions by the time of their start, newest first."""
    return statement(READING, "executions", columns=", ".join(RUN_COLUMNS), runs=RUNS, where=matching(wanted))


async def _steps(log: Reader, session_id: str, node_id: str | None, limit: int | None) -> list[Step]:
    bound = {"session_id": session_id, "node_id": node_id, "limit": row_limit(limit)}
    rows = await log.rows(load_steps_sql({"node_id": node_id}), bound)
    return [to_step(row) for row in rows]


def _node(row: Row) -> NodeTotals:
    node_id, *values = row
    return NodeTotals(*values, node_id=node_id)


def run_of(row: Row) -> Run:
    """Return the row, in the order of RUN_COLUMNS, as an execution."""
    fields = dict(zip(RUN_COLUMNS, row, strict=True))
    started_ns, ended_ns = fields.pop("started_ns"), fields.pop("ended_ns")
    return Run(
        **fields,
        started_at=local_iso(started_ns),
        ended_at=None if ended_ns is None else local_iso(ended_ns),
    )
