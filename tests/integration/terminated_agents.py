"""Agents that take turns until they are told to end: `python terminated_agents.py BASE_PATH BACKEND KIND MODE`.

KIND: `async`, `sync`, `detached` (triggered, and the block does something else) or `stubborn` (ignores cancellation).
MODE: `on` (handle_signals), `off`, `toml`, `two` (a second runtime around it) or `handler` (one of the program's own
was there before). Prints a number for each turn that is settled, and what was done on the way out.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time
from pathlib import Path

import anyio

import hivecost as hc

sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here
BASE_PATH, BACKEND, KIND, MODE = sys.argv[1:]
CONFIG: dict[str, object] = {"handle_signals": MODE != "off", "close_timeout_s": 5}
if MODE == "toml":
    Path(BASE_PATH).mkdir()
    config = Path(BASE_PATH, "hivecost.toml")
    config.write_text("[runtime]\nhandle_signals = true\n")

budgets = [hc.Budget("b", limit="$1_000", window="day", mode="hard")]
runtime = hc.AgentRuntime(BASE_PATH, budgets=budgets, config=config if MODE == "toml" else CONFIG)


def say(*words: object) -> None:
    print(*words, flush=True)


@runtime.entry_point("async")
async def work(ctx, _):
    for number in itertools.count(1):
        async with ctx.turn("gpt-4o", input_tokens=10, max_tokens=10) as turn:
            await anyio.sleep(0.001)
            turn.settle(hc.Usage(10))
        say(number)


@runtime.entry_point("sync")
def work_in_a_thread(ctx, _):
    for number in itertools.count(1):
        with ctx.turn("gpt-4o", input_tokens=10, max_tokens=10) as turn:
            time.sleep(0.001)
            turn.settle(hc.Usage(10))
        say(number)


@runtime.entry_point("stubborn")
async def ignore(ctx, _):
    say(1)
    while True:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)


runtime.entry_point("detached")(work)


def own_handler(*_: object) -> None:
    say("own handler")


async def run() -> None:
    async with runtime:
        if KIND == "detached":
            await runtime.trigger(KIND, session_id="s")
            await anyio.sleep_forever()
        await runtime.trigger_and_wait(KIND, session_id="s")


async def main() -> None:
    try:
        if MODE == "two":
            async with hc.AgentRuntime(BASE_PATH + "/outer", config=CONFIG):
                await run()
        else:
            await run()
        say("went on")
    finally:
        say("cleaned up")


if MODE == "handler":
    signal.signal(signal.SIGTERM, own_handler)
try:
    anyio.run(main, backend=BACKEND)
finally:
    say("handler", signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, own_handler))
