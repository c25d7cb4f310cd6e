from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hivecost as hc

#: USD per 1M tokens, so 1,000 nano-USD for a token in and 2,000 for a token out.
PRICES = {"m": {"input": 1, "output": 2}, "n": {"input": 1, "output": 2}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # tests/integration/test_both_loops.py runs all of them on trio, too


@pytest.fixture
def make_runtime(tmp_path) -> Callable[..., hc.AgentRuntime]:
    """A runtime without a log, with an entry point `spend` that settles the turns it is given."""

    def make(**settings: Any) -> hc.AgentRuntime:
        runtime = hc.AgentRuntime(tmp_path, **{"prices": PRICES, "config": {"log": False}, **settings})

        @runtime.entry_point("spend")
        async def spend(ctx: hc.Execution, turns: list[Any]) -> int:
            """Settle a turn for each `(model, usage)`, and let handlers see it before the next one."""
            done = 0
            for model, usage in turns:
                async with ctx.turn(model) as turn:
                    turn.settle(usage)
                done += 1
                await runtime.bus.drain()
            return done

        return runtime

    return make


@pytest.fixture
def collect():
    """What a runtime published of these types: `seen = collect(runtime, hc.EventType.…)`."""

    def collecting(runtime: hc.AgentRuntime, *event_types: hc.EventType) -> list[Any]:
        seen: list[Any] = []
        runtime.bus.subscribe(event_types=event_types or None, handler=seen.append, name="collect")
        return seen

    return collecting
