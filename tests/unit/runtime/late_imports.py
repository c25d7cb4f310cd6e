"""Turns of all kinds in a process of its own: prints what was imported while the runtime ran, and how turns ended.

    python late_imports.py asyncio|trio|control

With `control` a turn imports something, to show that it is seen.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import traceback

import anyio

import hivecost as hc

# What the agents here need themselves.
hc.SessionStore, hc.RuntimeLogStore, hc.Usage  # noqa: B018

imported: dict[str, str] = {}
endings: set[str] = set()
armed = threading.Event()


def watch(event: str, args: tuple) -> None:
    """An audit hook: the interpreter tells it of each module that is looked for and not there yet."""
    if armed.is_set() and event == "import":
        frames = [frame for frame in traceback.extract_stack() if "importlib" not in frame.filename]
        imported.setdefault(args[0], f"{frames[-2].filename}:{frames[-2].lineno}")


class RefusalError(Exception):
    """A provider's answer with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status


def answer(model: str = "gpt-4o") -> dict:
    return {"model": model, "usage": {"prompt_tokens": 5, "completion_tokens": 2}, "service_tier": "priority"}


CHUNKS = [
    {"model": "gpt-4o", "choices": [{"delta": {"content": "hi"}}]},
    {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
]
CLAUDE = {"model": "claude-sonnet-4-5", "type": "message", "usage": {"input_tokens": 5, "output_tokens": 2}}

runtime = hc.AgentRuntime(
    tempfile.mkdtemp(),
    prices={"mine": {"input": 1, "output": 2, "from": "2026-01-01"}},
    config={"runaway": "throttle", "runaway_throttle_s": 0.01, "cancel_grace_s": 0.01},
    budgets=[
        hc.Budget("hard", limit="$1", window="day", mode="hard", timezone="Europe/Berlin"),
        hc.Budget("streamed", limit="900_000 tokens", window="hour", mode="hard", timezone="Australia/Lord_Howe"),
        hc.Budget("watched", limit="$1", window="week", timezone="Asia/Kathmandu", per="user", mode="stop_after"),
        hc.Budget("small", limit="$0.2", window="session", per="node", mode="stop_after"),
    ],
    plugins=[hc.TurnPacer(1_000, 60.0), hc.CostReporter(lambda line: None)],
)
runtime.bus.subscribe(handler=lambda event: 1 / 0, name="fails")


async def stream():
    for chunk in CHUNKS:
        yield chunk


async def attempt(ctx: hc.Execution, error: BaseException | None, reply: object, model: str = "gpt-4o", **bounds):
    bounds = {"input_tokens": 10, "max_tokens": 10, **bounds}
    turn = ctx.turn(model, **bounds)
    try:
        async with turn:
            if error is not None:
                raise error
            if reply is not None:
                turn.settle(reply)
    except (hc.HiveCostError, RefusalError, TimeoutError) as raised:
        endings.add(type(raised).__name__)
    if turn.cost is not None:
        endings.add(turn.cost.status.value)


@runtime.entry_point("async")
async def many(ctx, _):
    async with ctx.node("plan"):
        await attempt(ctx, None, answer())
        await attempt(ctx, None, json.dumps(answer("gpt-4o-mini-2024-07-18")))
        await attempt(ctx, None, CLAUDE, "anthropic/claude-sonnet-4-5")
        await attempt(ctx, None, hc.Usage(5, 2), "mine")
        await attempt(ctx, None, hc.Usage(5, 2), "gpt-4o", prompt=[{"role": "user", "content": "hi"}], input_tokens=0)
        await attempt(ctx, None, answer("gpt-4oh"), "gpt-4oh")  # an unknown name, with suggestions
        await attempt(ctx, None, answer("gpt-4oh"), "gpt-4o")
        await attempt(ctx, None, {"usage": {"prompt_tokens": -1}})
        await attempt(ctx, None, object())
        await attempt(ctx, None, None)  # never settled
        await attempt(ctx, RefusalError(429), None)
        await attempt(ctx, RefusalError(500), None)
        await attempt(ctx, TimeoutError(), None)
        await attempt(ctx, None, answer(), input_tokens=10**9)  # more than any budget has
        await attempt(ctx, None, answer(), "mine", input_tokens=0)  # no bound
        await attempt(ctx, None, answer(), input_tokens=0, max_tokens=0)  # as much as the model takes
        async with ctx.turn("gpt-4o", input_tokens=10, max_tokens=100, stream_tokens=20) as turn:
            async for _chunk in turn.stream(stream()):
                pass
            turn.settle()
    async with ctx.node("dear"):
        for _ in range(10):
            await attempt(ctx, None, hc.Usage(10_000, 5_000), input_tokens=10_000, max_tokens=5_000)
            await anyio.sleep(0.01)


@runtime.entry_point("sync")
def in_a_thread(ctx, _):
    with ctx.turn("gpt-4o", input_tokens=10, max_tokens=10) as turn:
        turn.settle(answer())
    with ctx.turn("gpt-4o", input_tokens=10, max_tokens=100, stream_tokens=20) as turn:
        for _chunk in turn.stream(iter(CHUNKS)):
            pass
    raise ValueError("an agent's error")


@runtime.entry_point("stubborn")
async def ignores_its_cancellation(ctx, _):
    runtime.cancel_execution_nowait(ctx.execution_id, "enough")
    with anyio.CancelScope(shield=True):
        await anyio.sleep(0.03)
    await attempt(ctx, None, answer())


@runtime.entry_point("imports")
async def imports(ctx, _):
    async with ctx.turn("gpt-4o", input_tokens=10, max_tokens=10) as turn:
        import wave  # noqa: F401

        turn.settle(hc.Usage(1))


async def main() -> None:
    async with runtime:
        armed.set()
        if sys.argv[1] == "control":
            await runtime.trigger_and_wait("imports")
        for name in ("async", "sync", "stubborn"):
            result = await runtime.trigger_and_wait(name, user_id="ada")
            endings.add(f"{name} {result.status}")
        await runtime.flush()
        await runtime.budgets.status()
        await runtime.budgets.raise_limit("hard", "$1", by="ada")
        await hc.SessionStore(runtime.base_path).list_sessions()
        armed.clear()


if __name__ == "__main__":
    import logging

    logging.basicConfig(stream=sys.stderr)  # what is said is formatted, tracebacks included
    sys.addaudithook(watch)
    anyio.run(main, backend="asyncio" if sys.argv[1] == "control" else sys.argv[1])
    print(json.dumps([imported, sorted(endings)]))
