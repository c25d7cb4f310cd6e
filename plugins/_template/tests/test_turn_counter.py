"""The plugin on a real runtime."""

from __future__ import annotations

import pytest
from hivecost_template import TurnCounter

import hivecost as hc

pytestmark = pytest.mark.anyio


async def test_counts_turns_by_model(tmp_path):
    """Every turn is counted by the time the runtime is closed."""
    counter = TurnCounter()
    runtime = hc.AgentRuntime(tmp_path, plugins=[counter])

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for _ in range(3):
            async with ctx.turn("gpt-4o") as turn:
                turn.settle(hc.Usage(10, 5))

    async with runtime:
        await runtime.trigger_and_wait("agent")
    assert counter.turns == {"gpt-4o": 3}


def test_is_found_by_the_name_of_its_entry_point():
    """`hivecost.plugins` has it once the package is installed."""
    assert hc.plugins.template is TurnCounter
