"""Who used what: exact sums in memory, by every dimension of attribution."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError
from hivecost.events import EventType, LLMTurnComplete, Totals
from hivecost.plugin import PluginHost

Dimension = Literal["execution", "session", "node", "agent", "model", "user", "org", "task", "day"]
DIMENSIONS: Final[tuple[str, ...]] = get_args(Dimension)

#: Values kept for each dimension; past it the one that was idle longest goes, and `forgotten` counts it.
VALUES_MAX: Final = 10_000


class UsageAggregator:
    """Adds up every turn it is given, exactly, and answers at once.

    As a plugin it counts what its runtime publishes; `add` counts turns from elsewhere. The runtime log keeps
    everything; this keeps the last `values_max` values of each dimension.
    """

    name = "usage-aggregator"

    def __init__(self, *, values_max: int = VALUES_MAX) -> None:
        self.total = Totals()
        self.forgotten = 0
        self._values_max = values_max
        self._sums: dict[str, OrderedDict[str, Totals]] = {dimension: OrderedDict() for dimension in DIMENSIONS}

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        subscription = host.bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE], handler=self.add, batch=True, name=self.name
        )
        try:
            yield
        finally:
            host.bus.unsubscribe(subscription)

    def add(self, turns: Iterable[LLMTurnComplete]) -> None:
        """Count these turns in every dimension they have a value for."""
        for turn in turns:
            self.total.add(turn)
            for dimension, value in _values(turn):
                if value:
                    self._at(dimension, value).add(turn)

    def _at(self, dimension: str, value: str) -> Totals:
        sums = self._sums[dimension]
        totals = sums.get(value)
        if totals is None:
            totals = sums[value] = Totals()
            if len(sums) > self._values_max:
                sums.popitem(last=False)
                self.forgotten += 1
        else:
            sums.move_to_end(value)
        return totals

    def by(self, dimension: Dimension) -> Mapping[str, Totals]:
        """The sums for each value, such as `by("model")["gpt-4o"].cost_usd`; a `day` is `2026-11-22`, in UTC.

        Raises ConfigError for a dimension there is none of.
        """
        if dimension not in DIMENSIONS:
            raise ConfigError("dimension", f"one of {', '.join(DIMENSIONS)}", got=dimension)
        return MappingProxyType(self._sums[dimension])

    def top(
        self,
        dimension: Dimension,
        n: int = 10,
        *,
        key: Literal["cost_nanousd", "total_tokens", "llm_calls"] = "cost_nanousd",
    ) -> list[tuple[str, Totals]]:
        """The `n` values with the most cost, tokens or calls, the greatest first."""
        return sorted(self.by(dimension).items(), key=lambda item: (-getattr(item[1], key), item[0]))[:n]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers: `total`, then `by_agent`, `by_model` and so on."""
        return {
            "total": self.total.as_metrics(),
            **{
                f"by_{dimension}": {value: totals.as_metrics() for value, totals in sums.items()}
                for dimension, sums in self._sums.items()
            },
        }


def _values(turn: LLMTurnComplete) -> tuple[tuple[str, str], ...]:
    return (
        ("execution", turn.execution_id),
        ("session", turn.session_id),
        ("node", turn.node_id),
        ("agent", turn.agent_id),
        ("model", turn.model),
        ("user", turn.user_id),
        ("org", turn.org_id),
        ("task", turn.task_id),
        ("day", f"{to_datetime(turn.timestamp_ns):%Y-%m-%d}"),
    )
