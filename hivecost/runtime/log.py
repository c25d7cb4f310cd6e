"""`runtime.log`: writing the runtime log, and asking it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hivecost.backends import SessionStore, SpendStore
from hivecost.log.records import SessionState, SpendRow
from hivecost.plugin import Moment
from hivecost.subscribers import LogWriter


class ReadableLog(LogWriter):
    """The writer of a runtime's log, which can also be asked what is in it: `hivecost.plugin.LogView`."""

    def __init__(self, base_path: str | Path) -> None:
        super().__init__()
        self._base_path = base_path

    async def sums(
        self,
        *,
        by: Sequence[str] = ("model",),
        since: Moment | None = None,
        until: Moment | None = None,
        timezone: str = "UTC",
    ) -> dict[tuple[str, ...], SpendRow]:
        """Return the sums of each group that there is, by its values in the order of `by`: see `SpendStore.totals`."""
        rows = await SpendStore(self._base_path).totals(by=by, since=since, until=until, timezone=timezone)
        return {tuple(row.group[name] for name in by): row for row in rows}

    async def sessions(
        self, *, since: Moment | None = None, until: Moment | None = None, limit: int = 100
    ) -> list[SessionState]:
        """Return the sessions that started then, newest first: see `SessionStore.list_sessions`."""
        return await SessionStore(self._base_path).list_sessions(since=since, until=until, limit=limit)
