"""The meter's unix socket: each connection is a process of the agent, and an execution of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from hivecost.attach.meter import Attempt, Meter, Pass, Refused
from hivecost.attach.wire import LINE_MAX_BYTES, VERSION, Message, read_message, written
from hivecost.errors import ExecutionCancelledError

_log = logging.getLogger("hivecost.attach")
#: Opens the meter of a process, which the script's name tells apart in reports.
OpenMeter = Callable[[str], AbstractAsyncContextManager[Meter]]
_PEER: Final = struct.Struct("3i")


class MeterSocket:
    """Serves hooks until `close`. On asyncio."""

    def __init__(self, open_meter: OpenMeter) -> None:
        self._open_meter = open_meter
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Path]:
        """Give the socket's path; on leaving, what was sent before is still read, then connections are closed."""
        with tempfile.TemporaryDirectory(prefix="hivecost-", dir=_runtime_folder()) as folder:
            path = Path(folder) / "meter"
            before = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(self._connected, path, limit=LINE_MAX_BYTES)
            finally:
                os.umask(before)
            try:
                yield path
            finally:
                server.close()
                await self.drained(1.0)
                for writer in list(self._connections.values()):
                    writer.transport.abort()  # its reader is at its end then
                await self.drained(1.0)

    async def drained(self, timeout_s: float) -> None:
        """Wait until processes that have ended are read to their end."""
        if self._connections:
            await asyncio.wait([*self._connections], timeout=timeout_s)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a server's callback is a task
        self._connections[task] = writer
        try:
            if _is_own(writer.get_extra_info("socket")):
                await self._serve(reader, writer)
        except (EOFError, ExecutionCancelledError):  # also in the middle of a message; also when the program ends
            pass
        except (ValueError, OSError) as error:
            _log.warning("a process of the agent was cut off: %s", error)
        finally:
            del self._connections[task]
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello, _ = await read_message(reader)
        if hello.op != "hello" or hello.version != VERSION:
            writer.write(written(op="goodbye", why=f"this hivecost speaks version {VERSION}"))
            return
        async with self._open_meter(hello.script) as meter:
            connection = _Connection(meter, writer)
            try:
                with suppress(EOFError):  # the process has ended, and with it its execution
                    while True:
                        connection.take(*await read_message(reader))
                        if writer.transport.get_write_buffer_size() > LINE_MAX_BYTES:
                            await writer.drain()
            finally:
                await connection.close()


class _Connection:
    """One process of the agent: what it asked, and what was not told of yet."""

    def __init__(self, meter: Meter, writer: asyncio.StreamWriter) -> None:
        self._meter = meter
        self._writer = writer
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._passes: dict[int, Pass] = {}

    def take(self, message: Message, body: bytes | None) -> None:
        """Do what a message says. Raise ValueError for what is none."""
        if message.op == "ask":
            self._asking[message.id] = asyncio.ensure_future(self._ask(message, body))
        elif message.op == "unsent":
            self._take_back(message.id)
        elif (attempt := self._passes.get(message.id)) is not None:
            self._tell(attempt, message, body or b"")

    def _tell(self, attempt: Pass, message: Message, body: bytes) -> None:
        match message.op:
            case "told":
                if message.status:
                    attempt.answer(message.status, message.headers)
                attempt.data(body)
                if message.last:
                    del self._passes[message.id]
                    attempt.end()
            case "answer":
                self._reply(id=message.id, headers=dict(attempt.answer(message.status, message.headers)))
            case "data" if attempt.is_stepped:
                self._asking[message.id] = asyncio.ensure_future(self._step(message.id, attempt, body))
            case "data":
                self._reply(attempt.data(body), id=message.id, ended=False)
            case "end":
                del self._passes[message.id]
                self._reply(attempt.end(), id=message.id)
            case "doubt":
                self._passes.pop(message.id).doubt(message.why)
            case _:
                raise ValueError(f"nobody knows of {message.op!r}")

    async def _ask(self, message: Message, body: bytes | None) -> None:
        attempt = Attempt(
            method=message.method,
            host=message.host,
            path=message.path,
            headers=message.headers,
            body=body,
            can_step=message.steps,
            node=message.node,
            agent=message.agent,
            session=message.session,
            user=message.user,
            tags=message.tags,
            where=message.where,
            failed_probes=message.failed_probes,
        )
        try:
            decided = await self._meter.ask(attempt)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the edge: a fault of ours must not become a free call
            _log.exception("a call could not be asked for")
            self._reply(id=message.id, op="fault", why=f"a fault of hivecost: {error!r}")
            return
        finally:
            self._asking.pop(message.id, None)
        self._answer(message.id, decided)

    async def _step(self, number: int, attempt: Pass, body: bytes) -> None:
        try:
            passed, is_ended = await attempt.step(body)
        finally:
            self._asking.pop(number, None)
        self._reply(passed, id=number, ended=is_ended)

    def _answer(self, number: int, decided: Pass | Refused | None) -> None:
        if decided is None:
            self._reply(id=number, op="free")
        elif isinstance(decided, Refused):
            answer = decided.answer
            self._reply(
                answer.body,
                id=number,
                op="refuse",
                kind=decided.kind,
                message=decided.message,
                retry_after_s=decided.retry_after_s,
                budget=decided.budget,
                needed=decided.needed,
                remaining=decided.remaining,
                status=answer.status,
                headers=dict(answer.headers),
            )
        else:
            self._passes[number] = decided
            self._reply(
                decided.body,
                id=number,
                op="pass",
                stream=decided.asks_stream,
                asks_usage=decided.asks_usage,
                steps=decided.is_stepped,
            )

    def _take_back(self, number: int) -> None:
        """Whoever asked does not wait any more, or did not send it."""
        if asking := self._asking.pop(number, None):
            asking.cancel()
        if attempt := self._passes.pop(number, None):
            attempt.unsent()

    def _reply(self, body: bytes | None = None, /, **fields: object) -> None:
        if not self._writer.is_closing():
            self._writer.write(written(body, **fields))

    async def close(self) -> None:
        """End what the process asked and did not tell of, now that it is gone: that is in doubt."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        for attempt in self._passes.values():
            with suppress(Exception):  # each by itself
                attempt.doubt("its process ended before it told")


def _is_own(peer: socket.socket) -> bool:
    """Whether the other side is of this user; where the system does not say, only the socket's mode does."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if uid != os.getuid():
        _log.warning("user %d was refused at the meter's socket", uid)
    return bool(uid == os.getuid())


def _runtime_folder() -> str | None:
    """Return the user's own folder for sockets, whose paths are short; None is that for temporary files."""
    folder = os.environ.get("XDG_RUNTIME_DIR", "")
    is_usable = folder and len(folder) < 60 and os.access(folder, os.W_OK | os.X_OK)
    return folder if is_usable else None
