"""What can be triggered by name: an async or a sync function of (ctx, input)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec

from hivecost.attribution import checked_name, checked_text
from hivecost.errors import ConfigError
from hivecost.runtime.execution import Execution, face_of
from hivecost.runtime.running_execution import RunningExecution

#: Sync agents that run at once; further ones wait for a thread.
THREADS_MAX: Final = 256


class EntryPoint(msgspec.Struct, frozen=True):
    """A registered agent function."""

    name: str
    function: Callable[[Execution, Any], Any]
    agent_id: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", checked_name("entry_point(name)", self.name))
        msgspec.structs.force_setattr(self, "agent_id", checked_text("entry_point(agent_id)", self.agent_id))
        if not callable(self.function):
            raise ConfigError(f"entry_point {self.name!r}", "a function of (ctx, input)", got=self.function)

    async def run(self, execution: RunningExecution, value: Any, threads: anyio.CapacityLimiter) -> Any:
        """Call the function: on the loop when it is async, in a thread of its own when it is not."""
        if inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(
            getattr(self.function, "__call__", None)  # noqa: B004  # the method itself is inspected, not callability
        ):
            with execution.ending_forked_children():
                return await self.function(face_of(execution), value)
        (result,) = await anyio.to_thread.run_sync(self._call, execution, value, limiter=threads)
        return await result if inspect.isawaitable(result) else result

    def _call(self, execution: RunningExecution, value: Any) -> tuple[Any]:
        """Call the function; give its result in a tuple, because trio takes an awaitable result for a mistake."""
        with execution.ending_forked_children():
            return (self.function(face_of(execution), value),)
