"""The second and third level of the log: nodes and steps, and the list of executions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.reading.connection import Reader, Row, reading
from hivecost.backends.sqlite.reading.filters import matching, row_limit
from hivecost.backends.sqlite.reading.sessions import session_state
from hivecost.backends.sqlite.reading.totals import SUM_NAMES, SUMS_OF_ROLLUPS, sums
from hivecost.backends.sqlite.reading.turns import COLUMNS, to_step
from hivecost.log.instants import Moment, local_iso, range_ns
from hivecost.log.records import ModelTotals, NodeDetails, NodeTotals, Run, SessionDetails, SessionState
from hivecost.log.steps import Step

LOAD_NODES: Final = f"""
    SELECT node_id, {SUMS_OF_ROLLUPS} FROM nodes WHERE session_id = :session_id GROUP BY node_id"""
LOAD_NODE_MODELS: Final = "SELECT node_id, model FROM nodes WHERE session_id = :session_id"
LOAD_MODELS: Final = f"""
    SELECT model, provider, {SUMS_OF_ROLLUPS} FROM nodes WHERE session_id = :session_id
    GROUP BY model, provider ORDER BY model, provider"""
RUN_COLUMNS: Final = (
    *("session_id", "execution_id", "status", "entry_point", "error", "agent_id", "user_id", "org_id", "duration_ms"),
    *("started_ns", "ended_ns", "parent_execution_id"),
    *SUM_NAMES,
)

#: The executions as they stand: what is logged of them, but for those whose processes are gone.
RUNS: Final = f"""(
    SELECT id, {", ".join(column for column in RUN_COLUMNS if column != "status")},
        iif(status = 'running' AND is_gone(runtime_id), 'interrupted', status) AS status
    FROM executions)"""


class RuntimeLogStore:
    """The runtime log of a base path. Nothing stays open between calls; a missing database reads as empty."""

    def __init__(self, base_path: str | Path) -> None:
        self._base_path = Path(base_path)

    async def load_summary(self, session_id: str) -> SessionState:
        """The session and its sums. Raises SessionNotFoundError, and StoreErrors."""
        async with reading(self._base_path) as log:
            return await session_state(log, self._base_path, session_id)

    async def load_details(self, session_id: str) -> SessionDetails:
        """The session's nodes with their steps. Raises SessionNotFoundError, and StoreErrors."""
        async with reading(self._base_path) as log:
            await session_state(log, self._base_path, session_id)
            nodes = await log.rows(LOAD_NODES, {"session_id": session_id})
            models = await log.rows(LOAD_NODE_MODELS, {"session_id": session_id})
            steps = await _steps(log, session_id, None, None)
        return SessionDetails(session_id=session_id, nodes=_nodes(nodes, models, steps))

    async def load_steps(self, session_id: str, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        """The session's turns in the order they were logged, but for those that were pruned. Raises StoreErrors.

        [] for an unknown session.
        """
        async with reading(self._base_path) as log:
            return await _steps(log, session_id, node_id, limit)

    async def load_nodes(self, session_id: str) -> list[NodeTotals]:
        """The session's sums by node, without its steps, by name. Raises StoreErrors."""
        async with reading(self._base_path) as log:
            rows = await log.rows(LOAD_NODES, {"session_id": session_id})
        return [NodeTotals(node_id=node_id, **sums(values)) for node_id, *values in rows]

    async def load_models(self, session_id: str) -> list[ModelTotals]:
        """The session's sums by model and provider, by name. Raises StoreErrors."""
        async with reading(self._base_path) as log:
            rows = await log.rows(LOAD_MODELS, {"session_id": session_id})
        return [ModelTotals(model=model, provider=provider, **sums(values)) for model, provider, *values in rows]

    async def list_runs(
        self,
        *,
        session_id: str | None = None,
        status: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Executions that started from `since` up to `until` (a date: its whole day), newest first.

        Raises ConfigError for a date that is none, and for an `until` before `since`, and StoreErrors.
        """
        wanted = {"session_id": session_id, "status": status}
        first_ns, end_ns = range_ns(since, until)
        bounds = {"since_ns": first_ns, "until_ns": end_ns, "limit": row_limit(limit)}
        async with reading(self._base_path) as log:
            return [run_of(row) for row in await log.rows(list_runs_sql(wanted), {**wanted, **bounds})]


def load_steps_sql(wanted: Mapping[str, str | None]) -> str:
    """Turns in the order they were logged."""
    return f"SELECT {COLUMNS} FROM turns WHERE true {matching(wanted)} ORDER BY id LIMIT :limit"


def list_runs_sql(wanted: Mapping[str, str | None]) -> str:
    """Executions by the time of their start, newest first."""
    return f"""
        SELECT {", ".join(RUN_COLUMNS)} FROM {RUNS}
        WHERE started_ns >= :since_ns AND started_ns < :until_ns {matching(wanted)}
        ORDER BY started_ns DESC, id DESC LIMIT :limit"""


async def _steps(log: Reader, session_id: str, node_id: str | None, limit: int | None) -> list[Step]:
    wanted = {"session_id": session_id, "node_id": node_id}
    rows = await log.rows(load_steps_sql(wanted), {**wanted, "limit": row_limit(limit)})
    return [to_step(row) for row in rows]


def _nodes(rows: list[Row], models: list[Row], steps: list[Step]) -> tuple[NodeDetails, ...]:
    steps_by_node: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        steps_by_node[step.node_id].append(step)
    sums_by_node = {node_id: sums(values) for node_id, *values in rows}
    pruned = [node_id for node_id in sums_by_node if node_id not in steps_by_node]
    return tuple(
        NodeDetails(
            node_id=node_id,
            models=_models(steps_by_node[node_id], [model for its_node, model in models if its_node == node_id]),
            steps=tuple(steps_by_node[node_id]),
            **sums_by_node[node_id],
        )
        for node_id in (*pruned, *steps_by_node)
    )


def _models(steps: list[Step], models: list[str]) -> tuple[str, ...]:
    """In the order of first use, after those that only pruned turns used."""
    used = dict.fromkeys(step.counted_model for step in steps)
    return tuple(dict.fromkeys((*(model for model in models if model not in used), *used)))


def run_of(row: Row) -> Run:
    """Return the row, in the order of RUN_COLUMNS, as an execution."""
    fields = dict(zip(RUN_COLUMNS, row, strict=True))
    started_ns, ended_ns = fields.pop("started_ns"), fields.pop("ended_ns")
    return Run(
        **fields,
        started_at=local_iso(started_ns),
        ended_at=None if ended_ns is None else local_iso(ended_ns),
    )
