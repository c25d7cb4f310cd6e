"""Says in one line each what executions cost and what budgets did, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from hivecost.events import (
    AlertRaised,
    BudgetExceeded,
    BudgetWarning,
    Event,
    EventType,
    ExecutionCompleted,
    ExecutionStatus,
    RateLimited,
)
from hivecost.money import format_usd
from hivecost.plugin import PluginHost

#: Executions remembered that a budget is about to end.
EXPLAINED_MAX: Final = 1_000
#: Ways in which a budget ends an execution, soon after.
_ENDING: Final = ("cancelled", "refused", "stopped")
#: What was done about a budget that is spent, in words.
_DONE: Final = {
    "cancelled": "the execution is cancelled",
    "refused": "the next turn is refused",
    "paused": "waiting until it is raised",
    "none": "nothing is done about it",
}
_MARKS: Final = {
    ExecutionStatus.COMPLETED: "✔",
    ExecutionStatus.FAILED: "✘",
    ExecutionStatus.CANCELLED: "■",
    ExecutionStatus.RUNNING: "…",
}


class CostReporter:
    """Writes a line for each execution that ends, each budget warning, each stop, each alert and each wait."""

    name = "cost-reporter"

    def __init__(self, write: Callable[[str], object] = print) -> None:
        self._write = write
        self._last_warning = ""
        self._explained: dict[str, str] = {}  # execution that a budget is about to end → the budget

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Report what happens on the bus while the runtime runs."""
        async with host.bus.subscribe(
            event_types=[
                EventType.EXECUTION_COMPLETED,
                EventType.BUDGET_WARNING,
                EventType.BUDGET_EXCEEDED,
                EventType.RATE_LIMITED,
                EventType.ALERT_RAISED,
            ],
            handler=self._report,
            name=self.name,
        ):
            yield

    def _report(self, event: Event) -> None:
        match event:
            case ExecutionCompleted():
                self._write(_execution_line(event, self._explained.pop(event.execution_id, "")))
            case BudgetWarning():
                self._warn(event)
            case BudgetExceeded():
                title = "BUDGET EXCEEDED" if event.used > event.limit else "Budget spent"
                share, done = _share(event.used, event.limit, event.unit), _DONE.get(event.action, event.action)
                self._write(f"■ {title}: {share} ({event.agent_id}, budget {event.budget!r}); {done}")
                if event.action in _ENDING:
                    self._explained[event.execution_id] = event.budget
                    if len(self._explained) > EXPLAINED_MAX:  # an execution had ended before, and ends no more
                        del self._explained[next(iter(self._explained))]
            case AlertRaised():
                self._write(f"▲ {event.agent_id}: {event.rule}: {event.message}")
            case RateLimited():
                self._write(f"… {event.agent_id}: waited {event.waited_ms / 1_000:.1f} s for {event.limiter}")

    def _warn(self, event: BudgetWarning) -> None:
        """Say once how far the account is, also where a turn passed several fractions.

        Where it passed the limit as well, the next event says so.
        """
        if event.used > event.limit:
            return
        share = f"{_share(event.used, event.limit, event.unit)} ({100 * event.used / max(event.limit, 1):.1f}%)"
        line = f"▲ Budget warning: {share} ({event.agent_id}, budget {event.budget!r})"
        if line != self._last_warning:
            self._write(line)
        self._last_warning = line


def _execution_line(event: ExecutionCompleted, explained: str) -> str:
    """Return the line of an execution, with its error; of that of the `explained` budget, with the name alone."""
    cost = format_usd(event.cost_nanousd)
    if event.unpriced_calls:
        cost += f" + {event.unpriced_calls} unpriced"
    if event.notional_nanousd:
        cost += f" ({format_usd(event.notional_nanousd)} without the subscription)"
    line = f"{_MARKS[event.status]} {event.agent_id}: {event.status.value}, "
    if event.llm_calls or event.cost_nanousd:
        calls = "call" if event.llm_calls == 1 else "calls"
        line += f"{event.llm_calls} {calls}, {event.input_tokens + event.output_tokens:,} tokens, {cost}"
    else:
        line += "no calls of its own"
    name, _, reason = event.error.partition(": ")
    error = name if explained and reason.startswith(f"budget {explained!r}") else event.error
    return f"{line} ({error})" if error else line


def _share(used: int, limit: int, unit: str) -> str:
    if unit == "usd":
        return f"{format_usd(used)} / {format_usd(limit)}"
    return f"{used:,} / {limit:,} {unit}"
