"""An agent that knows nothing of hivecost: `attached_agent.py MODE CALLS`. Prints how many answers it got."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor

PROVIDER = os.environ["PROVIDER"]
MESSAGES = [{"role": "user", "content": "word " * 20}]
CHAT = {"model": "gpt-4o", "max_tokens": 1995, "messages": MESSAGES}
CLAUDE = {"model": "claude-4-5-sonnet-20250514", "max_tokens": 1325, "messages": MESSAGES}


def chat(client):
    return len(client.chat.completions.create(**CHAT).choices)


def raw(client):
    return len(client.chat.completions.with_raw_response.create(**CHAT).parse().choices)


def streamed(client):
    return all(chunk.choices for chunk in client.chat.completions.create(**CHAT, stream=True))


def responses(client):
    return len(client.responses.create(model="gpt-4o", max_output_tokens=1995, input=MESSAGES).output)


def message(client):
    return len(client.messages.create(**CLAUDE).content)


def message_stream(client):
    with client.messages.stream(**CLAUDE) as stream:
        return len(stream.get_final_message().content)


async def async_chat(client):
    return len((await client.chat.completions.create(**CHAT)).choices)


async def async_streamed(client):
    stream = await client.chat.completions.create(**CHAT, stream=True)
    return all([chunk.choices async for chunk in stream])


async def async_message(client):
    return len((await client.messages.create(**CLAUDE)).content)


async def async_message_stream(client):
    async with client.messages.stream(**CLAUDE) as stream:
        return len((await stream.get_final_message()).content)


def make(name):
    if "message" in name:
        import anthropic

        kind = anthropic.AsyncAnthropic if "async" in name else anthropic.Anthropic
        return kind(base_url=PROVIDER, api_key="any"), anthropic.APIStatusError
    import openai

    kind = openai.AsyncOpenAI if "async" in name else openai.OpenAI
    return kind(base_url=f"{PROVIDER}/v1", api_key="any"), openai.APIStatusError


def in_threads(name, calls):
    client, refused = make(name)

    def call(_):
        try:
            return bool(globals()[name](client))
        except refused:
            return False

    with ThreadPoolExecutor(min(calls, 50)) as pool:
        return sum(pool.map(call, range(calls)))


async def in_tasks(name, calls):
    client, refused = make(name)

    async def call():
        try:
            return bool(await globals()[name](client))
        except refused:
            return False

    async with client:
        return sum(await asyncio.gather(*(call() for _ in range(calls))))


async def in_trio_tasks(name, calls):
    import trio

    client, refused = make(name)
    counts = []

    async def call():
        try:
            counts.append(bool(await globals()[name](client)))
        except refused:
            counts.append(False)

    async with client, trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(call)
    return sum(counts)


def answers(name, calls):
    if name.startswith("trio_"):
        import trio

        return trio.run(in_trio_tasks, name.replace("trio", "async"), calls)
    if name.startswith("uvloop_"):
        import uvloop

        return uvloop.run(in_tasks(name.replace("uvloop", "async"), calls))
    return asyncio.run(in_tasks(name, calls)) if name.startswith("async_") else in_threads(name, calls)


def in_processes(start_method, name, calls):
    make(name)  # the SDK is imported, and the hook connected, before a child is forked
    with multiprocessing.get_context(start_method).Pool(4) as pool:
        counts = pool.starmap(answers, [(name, calls // 4 + 1)] * 4, chunksize=1)
        pool.close()
        pool.join()
    return sum(counts)


if __name__ == "__main__":
    mode, calls = sys.argv[1], int(sys.argv[2])
    method, _, name = mode.rpartition(":")
    print(in_processes(method, name, calls) if method else answers(name, calls))
