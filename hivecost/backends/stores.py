"""Sessions, nodes, steps and spending of a place, for coroutines.

The embedded log is read through aiosqlite where asyncio runs; any other through its reader, in a worker thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hivecost.backends.opening import open_backend
from hivecost.backends.places import Place, as_place
from hivecost.backends.reading import read_log
from hivecost.backends.sqlite.reading.runtime_log import EmbeddedRuntimeLog
from hivecost.backends.sqlite.reading.sessions import EmbeddedSessions
from hivecost.log import Filter, LogReader, Window
from hivecost.log.details import node_details
from hivecost.log.instants import Moment, range_ns
from hivecost.log.records import ModelTotals, NodeTotals, Run, SessionDetails, SessionState, SpendRow, model_totals
from hivecost.log.spend import spend_rows, spend_window
from hivecost.log.steps import Step


class SessionStore:
    """Sessions of a place. Nothing stays open between calls; a log that is missing reads as empty."""

    def __init__(self, base_path: Place) -> None:
        self._place = as_place(base_path)
        self._embedded = EmbeddedSessions(self._place) if isinstance(self._place, Path) else None

    async def read_state(self, session_id: str) -> SessionState:
        """Return the session as it stands. Raise SessionNotFoundError, and StoreErrors."""
        if self._embedded is not None:
            return await self._embedded.read_state(session_id)
        return await read_log(self._place, lambda log: log.session(session_id))

    async def list_sessions(
        self,
        *,
        status: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int = 100,
    ) -> list[SessionState]:
        """Return sessions that started from `since` up to `until` (a date: its whole day), newest first.

        Raise ConfigError for a date that is none, and for an `until` before `since`, and StoreErrors.
        """
        window = Window(*range_ns(since, until))
        if self._embedded is not None:
            wanted = {"status": status, "agent_id": agent_id, "user_id": user_id}
            return await self._embedded.list_sessions(wanted, window, limit)
        if limit < 1:
            return []

        def listed(log: LogReader) -> list[SessionState]:
            return list(log.sessions(window=window, status=status, agent=agent_id, user=user_id, limit=limit).rows)

        return await read_log(self._place, listed)

    async def delete_session(self, session_id: str) -> bool:
        """Delete all that is logged of a session, and take it out of every sum; False when nothing was logged."""
        return await open_backend(self._place).writer().delete(session_id)


class RuntimeLogStore:
    """The runtime log of a place. Nothing stays open between calls; a log that is missing reads as empty."""

    def __init__(self, base_path: Place) -> None:
        self._place = as_place(base_path)
        self._embedded = EmbeddedRuntimeLog(self._place) if isinstance(self._place, Path) else None

    async def load_summary(self, session_id: str) -> SessionState:
        """Return the session and its sums. Raise SessionNotFoundError, and StoreErrors."""
        return await SessionStore(self._place).read_state(session_id)

    async def load_details(self, session_id: str) -> SessionDetails:
        """Return the session's nodes with their steps. Raise SessionNotFoundError, and StoreErrors."""
        if self._embedded is not None:
            return await self._embedded.load_details(session_id)

        def details(log: LogReader) -> SessionDetails:
            log.session(session_id)
            models = [row.group for row in log.sums(["node", "model"], filter=Filter(session=session_id))]
            nodes = node_details(
                log.nodes(session_id), [(node, model) for node, model in models], log.steps(session_id)
            )
            return SessionDetails(session_id=session_id, nodes=nodes)

        return await read_log(self._place, details)

    async def load_steps(self, session_id: str, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        """Return the session's turns in the order they were logged, but for those that were pruned. Raise StoreErrors.

        [] for an unknown session.
        """
        if self._embedded is not None:
            return await self._embedded.load_steps(session_id, node_id, limit)
        if limit is not None and limit < 1:
            return []
        return await read_log(self._place, lambda log: log.steps(session_id, node_id=node_id, limit=limit))

    async def load_nodes(self, session_id: str) -> list[NodeTotals]:
        """Return the session's sums by node, without its steps, by name. Raise StoreErrors."""
        if self._embedded is not None:
            return await self._embedded.load_nodes(session_id)
        return await read_log(self._place, lambda log: log.nodes(session_id))

    async def load_models(self, session_id: str) -> list[ModelTotals]:
        """Return the session's sums by model and provider, by name. Raise StoreErrors."""
        of_session = Filter(session=session_id)
        rows = await read_log(self._place, lambda log: log.sums(["model", "provider"], filter=of_session))
        return [model_totals(row) for row in rows]

    async def list_runs(
        self,
        *,
        session_id: str | None = None,
        status: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Return executions that started from `since` up to `until` (a date: its whole day), newest first.

        Raise ConfigError for a date that is none, and for an `until` before `since`, and StoreErrors.
        """
        window = Window(*range_ns(since, until))
        if self._embedded is not None:
            return await self._embedded.list_runs({"session_id": session_id, "status": status}, window, limit)
        if limit < 1:
            return []

        def listed(log: LogReader) -> list[Run]:
            return list(log.executions(window=window, session_id=session_id, status=status, limit=limit).rows)

        return await read_log(self._place, listed)


class SpendStore:
    """Spending of a place. Nothing stays open between calls; a log that is missing reads as empty."""

    def __init__(self, base_path: Place) -> None:
        self._place = as_place(base_path)

    async def totals(
        self,
        *,
        by: Sequence[str] = ("model",),
        since: Moment | None = None,
        until: Moment | None = None,
        timezone: str = "UTC",
        model: str | None = None,
        provider: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        org_id: str | None = None,
    ) -> list[SpendRow]:
        """Return the sums of every group there is: periods in the order of time, in each the other values in theirs.

        `by` holds any of hour, day, week, month (of `timezone`), model, provider, agent, user, org. `since` and
        `until` (a date: its whole day in `timezone`) are widened to whole quarter-hours.
        Raise ConfigError for names and dates that are none, and for an `until` before `since`, and StoreErrors.
        """
        window = spend_window(by, since, until, timezone)
        wanted = Filter(model=model, provider=provider, agent=agent_id, user=user_id, org=org_id)
        return await read_log(self._place, lambda log: spend_rows(log, by, window, timezone, wanted))
