"""What an execution came to."""

from __future__ import annotations

from typing import Any

import msgspec

from hivecost.events import ExecutionStatus


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one execution.

    `metrics` has `input_tokens`, `output_tokens`, `total_tokens`, `cached_tokens`, `cost_usd` (a float),
    `cost_nanousd`, `llm_calls`, `unpriced_calls`, `estimated_calls` and `duration_ms`.
    """

    execution_id: str
    session_id: str
    status: ExecutionStatus
    #: What the entry point returned; None unless it did.
    output: Any
    #: What ended it: the exception that was raised, or the reason it was cancelled with; None when it completed.
    error: BaseException | None
    metrics: dict[str, Any]
