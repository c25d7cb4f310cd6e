from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import hivecost as hc

#: USD per 1M tokens, so 1,000 nano-USD for a token in and 2,000 for a token out.
PRICES = {"m": {"input": 1, "output": 2}}


@pytest.fixture
def make_runtime(tmp_path) -> Callable[..., hc.AgentRuntime]:
    """A runtime without a log."""

    def make(**settings: Any) -> hc.AgentRuntime:
        settings = {"prices": PRICES, "config": {"log": False}, **settings}
        return hc.AgentRuntime(tmp_path, **settings)

    return make


@pytest.fixture
def runtime(make_runtime) -> hc.AgentRuntime:
    return make_runtime()


@pytest.fixture
def collect():
    """What a runtime published of the types asked for: `seen = collect(runtime, hc.EventType.…)`."""

    def collecting(runtime: hc.AgentRuntime, *event_types: hc.EventType) -> list[Any]:
        seen: list[Any] = []
        runtime.bus.subscribe(event_types=event_types or None, handler=seen.append, name="collect")
        return seen

    return collecting


@pytest.fixture
def forever():
    """An agent that waits until it is cancelled; `started` says that it does."""

    class Forever:
        def __init__(self) -> None:
            self.started = anyio.Event()

        async def __call__(self, ctx: hc.Execution, _: object) -> None:
            self.started.set()
            await anyio.sleep_forever()

    return Forever()


@pytest.fixture
def signal_log():
    """What a control signal told: `told = signal_log(hc.execution_cancelled, runtime)`."""
    undo = []

    def listen(signal, sender) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []

        def take(_: object, **facts: Any) -> None:
            told.append(facts)

        signal.connect(take, sender=sender)
        undo.append(lambda: signal.disconnect(take, sender=sender))
        return told

    yield listen
    for disconnect in undo:
        disconnect()
