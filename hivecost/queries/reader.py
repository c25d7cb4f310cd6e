"""Reading the runtime log: one short-lived, read-only connection per call, in one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import anyio

from hivecost.errors import ConfigError
from hivecost.plain_text import encodable
from hivecost.store import database_path, named_faults, open_reader, run_in_thread

Row = tuple[Any, ...]


class Reader:
    """Runs SELECTs; a database that is missing answers as an empty one."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """All rows of the answer. Raises ConfigError for a text that no database can hold."""
        for name, value in parameters.items():
            if isinstance(value, str) and encodable(value) != value:
                raise ConfigError(name, "text: this has bytes or halves of letters that are no UTF-8", got=value)
        return list(await self._connection.execute_fetchall(sql, parameters))  # type: ignore[arg-type]  # takes names too


@asynccontextmanager
async def reading(base_path: Path) -> AsyncIterator[Reader]:
    """A Reader of the log as it stands now. Raises StoreErrors; leaves no thread behind, even when cancelled."""
    with named_faults(database_path(base_path)):
        # Opened by us: where aiosqlite fails to connect, its thread may outlive the event loop and complain.
        with anyio.CancelScope(shield=True):
            opened = await run_in_thread(partial(open_reader, base_path))
            connection = await aiosqlite.Connection(lambda: opened, iter_chunk_size=64)
        try:
            yield Reader(connection)
        finally:
            with anyio.CancelScope(shield=True):
                await connection.close()
