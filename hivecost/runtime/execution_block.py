"""An execution whose code is a block, on any event loop or in any thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from types import TracebackType

import anyio

from hivecost.errors import HiveCostError
from hivecost.loops import current_loop
from hivecost.runtime.execution import Execution, face_of
from hivecost.runtime.executions import Executions
from hivecost.runtime.running_execution import Body, RunningExecution


class ExecutionBlock:
    """`async with runtime.execution(...) as ctx:` or, in sync code, `with`: the code in the block is the agent."""

    def __init__(self, executions: Executions, start: Callable[[Body], RunningExecution]) -> None:
        self._executions = executions
        self._start = start
        self._execution: RunningExecution | None = None
        self._on_loop: AbstractAsyncContextManager[Execution] | None = None
        self._in_thread: AbstractContextManager[Execution] | None = None

    async def __aenter__(self) -> Execution:
        self._require_new()
        self._on_loop = self._around_code_on_a_loop()
        return await self._on_loop.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return None if self._on_loop is None else await self._on_loop.__aexit__(kind, error, trace)

    def __enter__(self) -> Execution:
        self._require_new()
        self._in_thread = self._around_code_in_a_thread()
        return self._in_thread.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return None if self._in_thread is None else self._in_thread.__exit__(kind, error, trace)

    def _require_new(self) -> None:
        if self._on_loop is not None or self._in_thread is not None:
            raise HiveCostError("this block was entered before; ask runtime.execution(...) for another one")
        self._executions.refuse_ended()  # here, because another loop does not know who asks

    @asynccontextmanager
    async def _around_code_on_a_loop(self) -> AsyncIterator[Execution]:
        body = Body(current_loop(), anyio.CancelScope())
        try:
            execution = await self._executions.run_at_home(partial(self._begin, body))
            with body.running(execution):
                yield face_of(execution)
        finally:
            if self._execution is not None:  # also when whoever started it was cancelled meanwhile
                await self._executions.finish(self._execution)
        if not body.is_complete:
            execution.refuse_when_over()

    @contextmanager
    def _around_code_in_a_thread(self) -> Iterator[Execution]:
        body = Body()
        try:
            execution = self._executions.wait_at_home(partial(self._begin, body))
            with body.running(execution):
                yield face_of(execution)
        finally:
            if self._execution is not None:
                self._executions.finish_from_thread(self._execution)

    async def _begin(self, body: Body) -> RunningExecution:
        self._execution = self._start(body)
        return self._execution
