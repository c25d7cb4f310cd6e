"""How an execution is asked to stop, and what is said of one that goes on."""

from __future__ import annotations

import logging

import anyio

from hivecost.clock import Clock
from hivecost.loops import Loop
from hivecost.runtime.endings import NO_REASON_GIVEN, reason_for
from hivecost.runtime.running_execution import RunningExecution
from hivecost.signals import cancellation_ignored, execution_cancelled

_log = logging.getLogger("hivecost.runtime")


class Cancelling:
    """Signals come from `sender`; after `grace_s`, it tells that an execution ignores its cancellation."""

    def __init__(self, clock: Clock, sender: object, grace_s: float) -> None:
        self._clock = clock
        self._sender = sender
        self._grace_s = grace_s

    def cancel(
        self, execution: RunningExecution, loop: Loop, reason: str | BaseException | None, *, after_turn: bool
    ) -> None:
        """Ask it to stop, from any thread: its next turn is refused, its next await is cancelled.

        With `after_turn` only the former, until somebody asks without it. `loop` is the runtime's.
        """
        is_first, is_harder = execution.cancel_reason is None, not (after_turn or execution.is_stopped)
        if is_first or (reason is not None and (is_harder or execution.cancel_reason is NO_REASON_GIVEN)):
            execution.cancel_reason = reason_for(reason)
        execution.is_stopped |= is_harder
        if is_first or is_harder:
            loop.call_threadsafe(lambda: self._cancel_here(execution, loop, at_once=is_harder))
            self.cancel_children(execution, loop, execution.cancel_reason, after_turn=after_turn)

    def cancel_children(
        self, execution: RunningExecution, loop: Loop, why: BaseException | None, *, after_turn: bool
    ) -> None:
        """Ask what it started to stop with it."""
        reason = f"execution {execution.execution_id}, which started it, was cancelled: {why}"
        for child in list(execution.children):
            self.cancel(child, loop, reason, after_turn=after_turn)

    def _cancel_here(self, execution: RunningExecution, loop: Loop, *, at_once: bool) -> None:
        if execution.result is not None:
            return
        if at_once:
            execution.body.stop()
            # Not in the task group: outside of a task, where this runs, anyio can start nothing.
            execution.watchdog = loop.spawn(lambda: self._watch_cancelled(execution), "hivecost watchdog")
        execution.let_go_of_waiters()
        self.announce(execution, execution.cancel_reason)

    def announce(self, execution: RunningExecution, reason: BaseException | None) -> None:
        """Tell the cancellation hook."""
        execution.is_cancel_announced = True
        execution_cancelled.announce(self._sender, execution_id=execution.execution_id, reason=reason)

    async def _watch_cancelled(self, execution: RunningExecution) -> None:
        """Report an execution that goes on after it was cancelled, each time the wait has doubled."""
        waited_s, pause_s = 0.0, self._grace_s
        while not await self._finishes_within(execution, pause_s):
            waited_s += pause_s
            pause_s = waited_s
            _log.error(
                "execution %s (%s) still runs %.1f s after it was cancelled",
                execution.execution_id,
                execution.entry_point,
                waited_s,
            )
            cancellation_ignored.announce(
                self._sender, execution_id=execution.execution_id, entry_point=execution.entry_point, waited_s=waited_s
            )

    async def _finishes_within(self, execution: RunningExecution, seconds: float) -> bool:
        async with anyio.create_task_group() as group:

            async def stop_waiting() -> None:
                await execution.finished.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop_waiting)
            await self._clock.sleep(seconds)
            group.cancel_scope.cancel()
        return execution.result is not None
