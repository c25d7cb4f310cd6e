"""An agent that knows of no budget. MODE says how it calls, PROVIDER whom, RESULT is the file for what it got."""

import asyncio
import json
import multiprocessing
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai

MESSAGES = [{"role": "user", "content": "word " * 20}]
CHAT = {"model": "gpt-4o", "max_tokens": 1995, "messages": MESSAGES}
CALLS = 50
PROCESSES, CALLS_EACH = 4, 15
#: Calls that were not answered, by the name of the error.
errors = Counter()


def make_client(kind=openai.OpenAI):
    return kind(base_url=os.environ.get("PROVIDER", ""), api_key="any")


def chat(client, **more):
    return client.chat.completions.create(**CHAT, **more)


def unknown(client):
    return client.chat.completions.create(**{**CHAT, "model": "frontier-1"})


def responses(client):
    return client.responses.create(model="gpt-4o", max_output_tokens=1995, input=MESSAGES)


def raw(client):
    return client.chat.completions.with_raw_response.create(**CHAT).parse()


async def async_chat(client):
    return await client.chat.completions.create(**CHAT)


async def async_stream(client):
    return [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]


def is_answered(call, client):
    try:
        call(client)
    except Exception as error:
        errors[type(error).__name__] += 1
        return False
    return True


def one_by_one(call, calls=CALLS):
    """Until an error ends it, as it ends most agents."""
    client = make_client()
    return next((number for number in range(calls) if not is_answered(call, client)), calls)


def in_threads():
    client = make_client()
    with ThreadPoolExecutor(CALLS) as pool:
        return sum(pool.map(lambda _: is_answered(chat, client), range(CALLS)))


async def in_tasks(call):
    async def answered():
        try:
            await call(client)
        except Exception as error:
            errors[type(error).__name__] += 1
            return False
        return True

    async with make_client(openai.AsyncOpenAI) as client:
        return sum(await asyncio.gather(*(answered() for _ in range(CALLS))))


def in_processes():
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        answers = pool.starmap(one_by_one, [(chat, CALLS_EACH)] * PROCESSES, chunksize=1)
        pool.close()
        pool.join()
    return sum(answers)


MODES = {
    "sequential": lambda: one_by_one(chat),
    "threads": in_threads,
    "asyncio": lambda: asyncio.run(in_tasks(async_chat)),
    "async streams": lambda: asyncio.run(in_tasks(async_stream)),
    "responses": lambda: one_by_one(responses),
    "with_raw_response": lambda: one_by_one(raw),
    "unknown model": lambda: one_by_one(unknown),
    "4 processes": in_processes,
}


def main():
    answers = MODES[os.environ["MODE"]]()
    Path(os.environ["RESULT"]).write_text(json.dumps({"answers": answers, "errors": errors}))


if __name__ == "__main__":
    main()
