"""What an execution came to."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.errors import HiveCostError
from hivecost.events import ExecutionStatus

#: Exceptions inside exceptions are copied down to here.
_DEPTH_MAX: Final = 10


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one execution.

    `metrics` has `input_tokens`, `output_tokens`, `total_tokens`, `cached_tokens`, `cost_usd` (a float),
    `cost_nanousd`, `llm_calls`, `unpriced_calls` (all that `cost_usd` lacks, the `invalid_calls` among them),
    `estimated_calls` and `duration_ms`. Where a subscription pays for any of its turns, `notional_usd` (a float) and
    `notional_nanousd` say what those would have cost, which is not in `cost_usd`.
    """

    execution_id: str
    session_id: str
    status: ExecutionStatus
    #: What the entry point returned; None unless it did.
    output: Any
    #: What ended it: the exception that was raised, or the reason it was cancelled with; None when it completed.
    #: Whoever waits when the execution ends gets it with its traceback, whoever asks later a copy without.
    error: BaseException | None
    metrics: dict[str, Any]
    #: The limit of a loop that ended it, such as `max_iterations`; "" for none.
    stop_reason: str = ""
    #: The same by agent and by model: `total_calls`, `total_tokens`, `total_cost_usd`, `unpriced_calls`,
    #: `average_tokens_per_call`, `average_cost_per_call`, and `by_agent` and `by_model`, with a row for each name, as
    #: `{"planner": {"calls": 1, "tokens": 2340, "cost_usd": 0.002106}}`, and `unpriced_calls` and `notional_usd` where
    #: there are any; then `total_notional_usd`, too.
    statistics: dict[str, Any] = msgspec.field(default_factory=dict)
    #: How often a budget refused a turn of it, or stopped one in mid-answer, whether its agent went on or not.
    refusals: int = 0


def without_traceback(result: ExecutionResult) -> ExecutionResult:
    """Return the result with a copy of its error that has neither traceback nor cause.

    A traceback keeps every local variable of the agent alive. The error itself stays as it is for those who have it.
    """
    return result if result.error is None else msgspec.structs.replace(result, error=_bare(result.error))


def described(error: BaseException) -> str:
    """Return type and message, fit for the log whatever the message is."""
    try:
        text = str(error)
    except Exception:  # the edge: an agent's exception may be broken, too
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}"[:1_000].encode(errors="backslashreplace").decode()


def _bare(error: BaseException, depth: int = 0) -> BaseException:
    """Return a copy without traceback, cause and context; so are the exceptions that it holds.

    Made without the `__init__` of its class, which may take anything. One that cannot be copied is described.
    """
    kind = type(error)
    builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    try:
        if depth == _DEPTH_MAX:
            raise RecursionError  # described, as whatever else cannot be copied
        # The built-in's own way to be made again: an OSError has more in it than `args`.
        _, made_of, *_ = builtin.__reduce__(error)
        parts = [_bare_part(part, depth) for part in made_of]
        copy: BaseException = kind.__new__(kind, *parts)
        builtin.__init__(copy, *parts)
        copy.__dict__.update({name: _bare_part(part, depth) for name, part in error.__dict__.items()})
    except Exception:  # the edge: an agent's exception may forbid anything
        return HiveCostError(described(error))
    return copy


def _bare_part(part: Any, depth: int) -> Any:
    if isinstance(part, BaseException):
        return _bare(part, depth + 1)
    if isinstance(part, list | tuple) and any(isinstance(one, BaseException) for one in part):
        return type(part)(_bare_part(one, depth) for one in part)
    return part
