"""Calls a provider by turns bare and under the hook: `attached_calls.py URL` under `hivecost run`.

Prints as JSON what the hook adds to a call in ms, of each round the median, and how long Python takes to start and end
with the hook and without it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

import httpx2
import openai

from benchmarks.imports import seconds_of

ROUNDS, CALLS = 9, 20
STARTS = 15
CALL: dict[str, Any] = {
    "model": "gpt-4o",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is the weather like in a city? " * 10}],
}
#: After each call, in which what was told of it is settled on the other side: else the next one would pay for that.
PAUSE_S = 0.003


#: Whose calls they are, as far as the hook sees.
OPENAI = "http://api.openai.com/v1"


class ToEmulator(httpx2.HTTPTransport):
    """Sends what is for OpenAI to another address."""

    def __init__(self, url: httpx2.URL) -> None:
        super().__init__()
        self._url = url

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(host=self._url.host, port=self._url.port)
        return super().handle_request(request)


class AsyncToEmulator(httpx2.AsyncHTTPTransport):
    """The same for async clients."""

    def __init__(self, url: httpx2.URL) -> None:
        super().__init__()
        self._url = url

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(host=self._url.host, port=self._url.port)
        return await super().handle_async_request(request)


class BareClient(openai.DefaultHttpxClient):
    """Sends as it does where no hook is loaded."""

    send = httpx2.Client.send.__wrapped__


class BareAsyncClient(openai.DefaultAsyncHttpxClient):
    """The same of the async one."""

    send = httpx2.AsyncClient.send.__wrapped__


def main(url: str) -> None:
    emulator = httpx2.URL(url)
    measured = {
        "sync": _sync(emulator, _call),
        "sync stream": _sync(emulator, _stream),
        **asyncio.run(_async(emulator)),
        **_starts(),
    }
    print(json.dumps(measured))


def _call(client: openai.OpenAI) -> None:
    client.chat.completions.create(**CALL)


def _stream(client: openai.OpenAI) -> None:
    for _ in client.chat.completions.create(**CALL, stream=True):
        pass


async def _async_call(client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(**CALL)


async def _async_stream(client: openai.AsyncOpenAI) -> None:
    async for _ in await client.chat.completions.create(**CALL, stream=True):
        pass


def _sync(emulator: httpx2.URL, call: Callable[[openai.OpenAI], None]) -> list[float]:
    options: dict[str, Any] = {"base_url": OPENAI, "api_key": "any", "max_retries": 0}
    with (
        openai.OpenAI(**options, http_client=BareClient(transport=ToEmulator(emulator))) as bare,
        openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(transport=ToEmulator(emulator))) as hooked,
    ):

        def timed(client: openai.OpenAI) -> float:
            started_s = perf_counter()
            call(client)
            took_s = perf_counter() - started_s
            time.sleep(PAUSE_S)
            return took_s

        timed(bare), timed(hooked)
        return [_added_ms([(timed(bare), timed(hooked)) for _ in range(CALLS)]) for _ in range(ROUNDS)]


async def _async(emulator: httpx2.URL) -> dict[str, list[float]]:
    options: dict[str, Any] = {"base_url": OPENAI, "api_key": "any", "max_retries": 0}

    async def measured(call: Callable[[openai.AsyncOpenAI], Awaitable[None]]) -> list[float]:
        async def timed(client: openai.AsyncOpenAI) -> float:
            started_s = perf_counter()
            await call(client)
            took_s = perf_counter() - started_s
            await asyncio.sleep(PAUSE_S)
            return took_s

        await timed(bare), await timed(hooked)
        return [_added_ms([(await timed(bare), await timed(hooked)) for _ in range(CALLS)]) for _ in range(ROUNDS)]

    transport = AsyncToEmulator(emulator)
    async with (
        openai.AsyncOpenAI(**options, http_client=BareAsyncClient(transport=transport)) as bare,
        openai.AsyncOpenAI(**options, http_client=openai.DefaultAsyncHttpxClient(transport=transport)) as hooked,
    ):
        return {"async": await measured(_async_call), "async stream": await measured(_async_stream)}


def _added_ms(pairs: list[tuple[float, float]]) -> float:
    return 1_000 * median(hooked_s - bare_s for bare_s, hooked_s in pairs)


def _starts() -> dict[str, list[float]]:
    """Of Python that does nothing: this process has the hook on its PYTHONPATH, and without that it is not loaded."""
    took_s: dict[str, list[float]] = {"start": [], "hooked start": []}
    with tempfile.TemporaryDirectory() as bytecode:
        for number in range(STARTS + 1):  # by turns, so that both see the same machine; the first one compiles
            bare_s = seconds_of(("-c", "pass"), bytecode, PYTHONPATH="")
            hooked_s = seconds_of(("-c", "pass"), bytecode)
            if number:
                took_s["start"].append(bare_s)
                took_s["hooked start"].append(hooked_s)
    return took_s


if __name__ == "__main__":
    main(sys.argv[1])
