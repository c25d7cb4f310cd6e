"""What one execution spent: all of it, and by agent and by model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from hivecost.events import LLMTurnComplete, Totals
from hivecost.money import to_usd

#: Pairs of agent and model that are told apart in one execution; the rest is one.
PAIRS_MAX: Final = 256
_OTHERS: Final = ("(others)", "(others)")


class _Part(msgspec.Struct, gc=False):
    calls: int = 0
    tokens: int = 0
    nanousd: int = 0
    unpriced_calls: int = 0
    notional_nanousd: int = 0

    def merge(self, other: _Part) -> None:
        self.calls += other.calls
        self.tokens += other.tokens
        self.nanousd += other.nanousd
        self.unpriced_calls += other.unpriced_calls
        self.notional_nanousd += other.notional_nanousd

    def as_dict(self) -> dict[str, Any]:
        shown = {"calls": self.calls, "tokens": self.tokens, "cost_usd": float(to_usd(self.nanousd))}
        if self.unpriced_calls:
            shown["unpriced_calls"] = self.unpriced_calls
        if self.notional_nanousd:
            shown["notional_usd"] = float(to_usd(self.notional_nanousd))
        return shown


class Breakdown:
    """Adds up turns by the pair of their agent and their model."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], _Part] = {}

    def add(self, turn: LLMTurnComplete) -> None:
        """Count one more turn."""
        pair = turn.agent_id, turn.resolved_model or turn.model
        part = self._parts.get(pair)
        if part is None:
            part = self._new_part(*pair)
        usage, cost = turn.usage, turn.cost
        part.calls += 1
        part.tokens += usage.input_tokens + usage.output_tokens
        if cost is None or cost.nanousd is None:
            part.unpriced_calls += 1
        else:
            part.nanousd += cost.nanousd
        if cost is not None and cost.notional_nanousd:
            part.notional_nanousd += cost.notional_nanousd

    def statistics(self, totals: Totals) -> dict[str, Any]:
        """Return the sums, what a call takes on average, and the rows `by_agent` and `by_model`.

        A row has `calls`, `tokens`, `cost_usd`, and `unpriced_calls` where there are any: those are in no amount, nor
        in the average cost. Where a subscription pays for calls, `notional_usd` and `total_notional_usd` say what those
        would have cost.
        """
        unpriced_calls = totals.unpriced_calls + totals.invalid_calls
        priced_calls, cost_usd = totals.llm_calls - unpriced_calls, float(totals.cost_usd)
        notional = {"total_notional_usd": float(totals.notional_usd)} if totals.notional_nanousd else {}
        return {
            "total_calls": totals.llm_calls,
            "total_tokens": totals.total_tokens,
            "total_cost_usd": cost_usd,
            **notional,
            "unpriced_calls": unpriced_calls,
            "average_tokens_per_call": round(totals.total_tokens / totals.llm_calls) if totals.llm_calls else 0,
            "average_cost_per_call": cost_usd / priced_calls if priced_calls else 0.0,
            "by_agent": _rows((agent, part) for (agent, _), part in self._parts.items()),
            "by_model": _rows((model, part) for (_, model), part in self._parts.items()),
        }

    def _new_part(self, agent_id: str, model: str) -> _Part:
        key = (agent_id, model) if len(self._parts) < PAIRS_MAX else _OTHERS
        return self._parts.setdefault(key, _Part())


class Tally:
    """Sums of turns. A finalizer that settles one in the middle of adding leaves that to whoever adds."""

    def __init__(self, breakdown: Breakdown | None = None) -> None:
        self.totals = Totals()
        self._breakdown = breakdown
        self._uncounted: deque[LLMTurnComplete] = deque()
        self._is_counting = False

    def add(self, turn: LLMTurnComplete) -> None:
        """Count one more turn."""
        self._uncounted.append(turn)
        while self._uncounted and not self._is_counting:
            self._is_counting = True
            try:
                next_turn = self._uncounted.popleft()
                self.totals = self.totals.plus(next_turn)
                if self._breakdown is not None:
                    self._breakdown.add(next_turn)
            finally:
                self._is_counting = False


def _rows(named: Iterator[tuple[str, _Part]]) -> dict[str, dict[str, Any]]:
    rows: dict[str, _Part] = {}
    for name, part in named:
        rows.setdefault(name, _Part()).merge(part)
    return {name: row.as_dict() for name, row in rows.items()}
