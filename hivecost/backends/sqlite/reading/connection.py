"""Reading the runtime log: one short-lived, read-only connection per call, in one snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import anyio

from hivecost.backends.sqlite.database import database_path, open_reader
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.snapshot import require_text
from hivecost.loops import is_asyncio
from hivecost.threads import no_thread, run_in_thread

Row = tuple[Any, ...]


class Reader(Protocol):
    """Runs SELECTs; a database that is missing answers as an empty one."""

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Return all rows of the answer. Raise ConfigError for a text that no database can hold."""
        ...

    async def close(self) -> None:
        """Close its connection and end its thread, if it has one."""
        ...


class _AsyncioReader:
    """Reads through aiosqlite, whose thread serves asyncio alone."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.close = connection.close

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        require_text(parameters)
        return list(await self._connection.execute_fetchall(sql, parameters))  # type: ignore[arg-type]  # takes names too


class _ThreadReader:
    """Reads in the store's worker threads, on any event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        require_text(parameters)
        return await run_in_thread(lambda: self._connection.execute(sql, parameters).fetchall())

    async def close(self) -> None:
        self._connection.close()  # of a reader: it neither waits nor writes


async def _asyncio_reader(connection: sqlite3.Connection) -> _AsyncioReader:
    try:
        return _AsyncioReader(await aiosqlite.Connection(lambda: connection, iter_chunk_size=64))
    except RuntimeError as error:
        connection.close()
        raise no_thread(error) from error


@asynccontextmanager
async def reading(base_path: Path) -> AsyncIterator[Reader]:
    """Open a Reader of the log as it stands now. Raise StoreErrors; leave no thread behind, even when cancelled."""
    with named_faults(database_path(base_path)):
        # Opened by us: where aiosqlite fails to connect, its thread may outlive the event loop and complain.
        with anyio.CancelScope(shield=True):
            connection = await run_in_thread(partial(open_reader, base_path))
            reader: Reader = _ThreadReader(connection)
            if is_asyncio():
                reader = await _asyncio_reader(connection)
        try:
            yield reader
        finally:
            with anyio.CancelScope(shield=True):
                await reader.close()


def matching(wanted: Mapping[str, str | None]) -> str:
    """Return ` AND column = :column` for every column that is wanted; one that is None is not asked for."""
    return "".join(f" AND {column} = :{column}" for column, value in wanted.items() if value is not None)


def row_limit(limit: int | None) -> int:
    """Return `LIMIT` for that many rows, none for fewer than zero and all for None; SQLite knows 64 bits."""
    return -1 if limit is None else min(max(limit, 0), 2**63 - 1)
