"""Which executions a runtime knows: those that run, and what the last ones came to."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from hivecost.runtime.result import ExecutionResult
from hivecost.runtime.running_execution import RunningExecution

#: Results that can still be asked for after their execution has ended.
RESULTS_KEPT: Final = 1_000


class Registry:
    """The executions of one runtime, by id."""

    def __init__(self) -> None:
        self.running: dict[str, RunningExecution] = {}
        #: How many were ever started.
        self.started = 0
        self._results: OrderedDict[str, ExecutionResult] = OrderedDict()

    def add(self, execution: RunningExecution) -> None:
        """Add an execution that runs."""
        self.running[execution.execution_id] = execution
        self.started += 1

    def end(self, result: ExecutionResult) -> None:
        """Note that an execution has ended with this result, and forget the oldest of too many."""
        del self.running[result.execution_id]
        self._results[result.execution_id] = result
        if len(self._results) > RESULTS_KEPT:
            self._results.popitem(last=False)

    def knows(self, execution_id: str) -> bool:
        """Tell whether the execution runs here, or ran and its result is kept."""
        return execution_id in self.running or execution_id in self._results

    def result(self, execution_id: str) -> ExecutionResult:
        """Return what one that has ended came to. Raise LookupError when nobody knows it (any more)."""
        if execution_id not in self._results:
            raise LookupError(f"no execution {execution_id!r} runs here, nor is it among the last {RESULTS_KEPT:,}")
        return self._results[execution_id]
