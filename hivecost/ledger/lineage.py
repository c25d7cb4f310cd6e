"""Which execution started which: whose accounts a turn counts on, and how long they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

#: Executions inside one another; deeper ones are refused.
DEPTH_MAX: Final = 32


class _Run(msgspec.Struct):
    attributes: Mapping[str, str]
    parent: str
    #: Itself, while it runs, and those that it started and that are still needed.
    uses: int = 1


class Lineage:
    """Executions and those that they started, each from its start until it and all of them have ended."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def started(self, execution_id: str, parent_id: str, attributes: Mapping[str, str]) -> None:
        """An execution began, inside another one unless `parent_id` is ""; `attributes` say whose it is."""
        parent = self._runs.get(parent_id)
        if parent is not None:
            parent.uses += 1
        self._runs[execution_id] = _Run(attributes, parent_id if parent else "")

    def ancestors(self, execution_id: str) -> tuple[Mapping[str, str], ...]:
        """Return the attributes of the executions that it is inside of, the nearest first."""
        run = self._runs.get(execution_id)
        if run is None or not run.parent:  # as it is most often
            return ()
        found: list[Mapping[str, str]] = []
        while run is not None and len(found) < DEPTH_MAX:
            run = self._runs.get(run.parent)
            if run is not None:
                found.append(run.attributes)
        return tuple(found)

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
            execution_id = run.parent
            run = self._runs.get(execution_id)
        return over
