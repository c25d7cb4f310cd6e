"""Which execution started which: whose accounts a turn counts on, and how long they are needed."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from hivecost.attribution import Attribution


class _Run(msgspec.Struct):
    attribution: Attribution
    #: Itself, while it runs, and those that it started and that are still needed.
    uses: int = 1


class Lineage:
    """Executions and those that they started, each from its start until it and all of them have ended."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def started(self, attribution: Attribution, parent_execution_id: str) -> None:
        """Note that an execution began inside the one with this id; "" means inside none."""
        parent = self._runs.get(parent_execution_id)
        if parent is not None:
            parent.uses += 1
            attribution = replace(attribution, parent=parent.attribution)
        self._runs[attribution.execution_id] = _Run(attribution)

    def ancestors(self, execution_id: str) -> tuple[Attribution, ...]:
        """Return whose the executions are that it is inside of, the nearest first."""
        run = self._runs.get(execution_id)
        return () if run is None else run.attribution.ancestors

    def ended(self, execution_id: str) -> list[str]:
        """Return the executions that nobody counts on any more: this one, and those that waited for it."""
        over: list[str] = []
        run = self._runs.get(execution_id)
        if run is None:  # its start was not told
            return [execution_id]
        while run is not None:
            run.uses -= 1
            if run.uses > 0:
                break
            del self._runs[execution_id]
            over.append(execution_id)
            execution_id = run.attribution.parent_execution_id
            run = self._runs.get(execution_id)
        return over
