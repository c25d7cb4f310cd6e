"""How many turns each model took."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hivecost as hc


class TurnCounter:
    """`turns["gpt-4o"]` is the number of its turns since the plugin was attached."""

    name = "template"

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()

    @asynccontextmanager
    async def attached(self, host: hc.PluginHost) -> AsyncIterator[None]:
        async with host.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=self._count):
            yield

    def _count(self, turn: hc.LLMTurnComplete) -> None:
        self.turns[turn.model] += 1
