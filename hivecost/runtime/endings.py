"""How an execution ends, and why: a budget's refusal and a cancellation keep their kind, however deep in an error."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, NamedTuple

from hivecost.errors import BudgetExceededError, ExecutionCancelledError, LoopLimitError
from hivecost.events import ExecutionStatus
from hivecost.plain_text import plain_str
from hivecost.runtime.running_execution import RunningExecution

#: Groups in groups, and causes of causes, are looked through down to here.
_DEPTH_MAX: Final = 50

#: The reason of a cancellation without one; the first reason that is given later takes its place.
NO_REASON_GIVEN: Final = ExecutionCancelledError("cancelled")


def reason_for(reason: str | BaseException | None) -> BaseException:
    """Return the reason as an error."""
    if isinstance(reason, BaseException):
        return reason
    return NO_REASON_GIVEN if reason is None else ExecutionCancelledError(plain_str(reason))


class Ending(NamedTuple):
    """How an execution ended."""

    status: ExecutionStatus
    #: What ended it; None when it completed.
    error: BaseException | None = None
    #: The limit of a loop that it ended by; "" for none.
    stop_reason: str = ""


def ending(execution: RunningExecution) -> Ending:
    """Return how an execution ended whose body did."""
    body = execution.body
    if execution.cancel_reason is not None and not (body.is_complete and not body.is_stopped):
        # One of its own: what all share would keep the traceback of everybody who raises it.
        is_shared = execution.cancel_reason is NO_REASON_GIVEN
        error = ExecutionCancelledError("cancelled") if is_shared else execution.cancel_reason
        return Ending(ExecutionStatus.CANCELLED, error)
    if body.is_complete:
        return Ending(ExecutionStatus.COMPLETED)
    stop = None if body.error is None else stopped_by(body.error, execution.execution_id)
    if isinstance(stop, LoopLimitError):
        return Ending(ExecutionStatus.COMPLETED, stop_reason=stop.limit)
    if isinstance(stop, BudgetExceededError | ExecutionCancelledError):
        return Ending(ExecutionStatus.CANCELLED, stop)
    if body.error is None or stop is not None:
        why = ExecutionCancelledError("the runtime, or what it awaited, was cancelled")
        return Ending(ExecutionStatus.CANCELLED, why)
    return Ending(ExecutionStatus.FAILED, body.error)


def stopped_by(error: BaseException, execution_id: str, depth: int = 0) -> BaseException | None:
    """Return the refusal, or else the cancellation or the end of a loop, that an error comes down to.

    None where a fault has a part in it. A group comes down to one if all that it holds does. An error that was raised
    `from` a refusal of this execution, or from the end of a loop, comes down to it: a framework says so that it is
    merely passed on. One that came up while it was handled is a fault of its own.
    """
    if isinstance(error, (BudgetExceededError, ExecutionCancelledError, LoopLimitError, *_cancellations())):
        return error
    if depth == _DEPTH_MAX:
        return None
    if isinstance(error, BaseExceptionGroup):
        return _gravest([stopped_by(part, execution_id, depth + 1) for part in error.exceptions])
    cause = None if error.__cause__ is None else stopped_by(error.__cause__, execution_id, depth + 1)
    is_own = isinstance(cause, BudgetExceededError) and cause.execution_id in ("", execution_id)
    return cause if is_own or isinstance(cause, LoopLimitError) else None


def _gravest(stops: list[BaseException | None]) -> BaseException | None:
    """Return the first refusal, else the first cancellation by the runtime, end of a loop, or other cancellation."""
    if None in stops:
        return None
    for kind in (BudgetExceededError, ExecutionCancelledError, LoopLimitError, BaseException):
        for stop in stops:
            if isinstance(stop, kind):
                return stop
    return None


def leaves_runtime(error: BaseException) -> bool:
    """Tell whether an error, or one in its group, is to end the program, as SystemExit is."""
    harmless: tuple[type[BaseException], ...] = (Exception, *_cancellations())
    if isinstance(error, BaseExceptionGroup):
        return error.split(harmless)[1] is not None
    return not isinstance(error, harmless)


def _cancellations() -> tuple[type[BaseException], ...]:
    """Return the errors by which event loops cancel: an agent's own need not be of the runtime's kind."""
    trio = sys.modules.get("trio")
    return (asyncio.CancelledError,) if trio is None else (asyncio.CancelledError, trio.Cancelled)
