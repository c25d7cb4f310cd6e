"""The executions of one process of the agent: its own, and in that one for each session and user of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import msgspec

from hivecost.runtime.execution import Execution
from hivecost.runtime.runtime import AgentRuntime

#: Of more sessions and users, those whose last call is longest ago end; another call begins an execution anew.
INNER_MAX: Final = 256


class _Inner(msgspec.Struct):
    """An execution that a task of its own is in."""

    begun: asyncio.Future[Execution]
    over: asyncio.Event


class AttributedExecutions:
    """Made by `opened`."""

    def __init__(self, runtime: AgentRuntime, own: Execution) -> None:
        self._runtime = runtime
        self._own = own
        #: By session and user, the one that was asked for last at the end.
        self._inner: dict[tuple[str, str], _Inner] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls, runtime: AgentRuntime, agent: str) -> AsyncIterator[Self]:
        """Begin the process's own execution, of this agent; on leaving all end."""
        async with runtime.execution(agent_id=agent or None) as own:
            executions = cls(runtime, own)
            try:
                yield executions
            finally:
                for inner in executions._inner.values():
                    inner.over.set()
                await asyncio.gather(*executions._tasks, return_exceptions=True)

    async def of(self, session: str, user: str) -> Execution:
        """Return the execution for calls of this session and user; the process's own where neither is said.

        Raise HiveCostError where none can begin any more.
        """
        if not (session or user):
            return self._own
        key = session, user
        inner = self._inner.pop(key, None) or self._begin(*key)
        self._inner[key] = inner
        if len(self._inner) > INNER_MAX:
            self._inner.pop(next(iter(self._inner))).over.set()
        return await asyncio.shield(inner.begun)  # others wait for it, too

    def _begin(self, session: str, user: str) -> _Inner:
        inner = _Inner(asyncio.get_running_loop().create_future(), asyncio.Event())
        task = asyncio.ensure_future(self._run(inner, session, user))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return inner

    async def _run(self, inner: _Inner, session: str, user: str) -> None:
        try:
            async with self._runtime.execution(session_id=session or None, user_id=user or None) as execution:
                inner.begun.set_result(execution)
                await inner.over.wait()
        except BaseException as error:  # cancelled while it ran, it says so to whoever asks next
            if not inner.begun.done():
                inner.begun.set_exception(error)
