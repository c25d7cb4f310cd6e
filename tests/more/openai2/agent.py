"""An agent with openai's client in a process of its own, whose very first turns begin in many threads at once.

    python agent.py threads|tasks|streams

Prints how turns ended, how many are logged, and by how many input tokens that differs from what was billed.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import anyio
import openai

import hivecost as hc
from hivecost.testing import ProviderEmulator

CALLS = 40
HELLO = [{"role": "user", "content": "hi"}]

ended: collections.Counter[str] = collections.Counter()
runtime = hc.AgentRuntime(tempfile.mkdtemp())  # no budget: nothing asks for a price before the first answer is there


def ask(client: openai.OpenAI, ctx: hc.Execution, *, streaming: bool) -> None:
    try:
        with ctx.turn("gpt-4o", input_tokens=100, max_tokens=50) as turn:
            sent = {"model": "gpt-4o", "messages": HELLO, "max_tokens": turn.max_tokens}
            if streaming:
                usage = {"stream_options": {"include_usage": True}}
                for _chunk in turn.stream(client.chat.completions.create(**sent, **usage, stream=True)):
                    pass
                turn.settle()
            else:
                turn.settle(client.chat.completions.create(**sent))
        ended["ok"] += 1
    except Exception as error:  # counted, to be shown
        ended[f"{type(error).__name__}: {error}"[:200]] += 1


async def main(kind: str, provider: ProviderEmulator) -> None:
    settings = {"api_key": "any", "base_url": provider.openai_base_url, "max_retries": 0}

    @runtime.entry_point("threads")
    def in_threads(ctx, _):
        with openai.OpenAI(**settings) as client, ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: ask(client, ctx, streaming=kind == "streams"), range(CALLS)))

    @runtime.entry_point("tasks")
    async def in_tasks(ctx, _):
        async with openai.AsyncOpenAI(**settings) as client, anyio.create_task_group() as group:

            async def one() -> None:
                async with ctx.turn("gpt-4o", input_tokens=100, max_tokens=50) as turn:
                    turn.settle(await client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=50))
                ended["ok"] += 1

            for _ in range(CALLS):
                group.start_soon(one)

    async with runtime:
        result = await runtime.trigger_and_wait("tasks" if kind == "tasks" else "threads", session_id="s")
        if result.error is not None:
            raise result.error
        await runtime.flush()
    metrics = (await hc.SessionStore(runtime.base_path).read_state("s")).metrics
    billed = sum(entry.usage.input_tokens for entry in provider.bill)
    print(json.dumps({"ended": ended, "logged": metrics.llm_calls, "differing_tokens": metrics.input_tokens - billed}))


if __name__ == "__main__":
    with ProviderEmulator() as emulator:
        anyio.run(main, sys.argv[1], emulator)
