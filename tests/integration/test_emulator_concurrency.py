"""Many clients at once: the bill is the sum of what they saw, to the token and to the nano-USD."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anthropic
import anyio
import openai
import pytest

from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator, TokenRates

pytestmark = pytest.mark.anyio

RATES = {"gpt-4o": TokenRates.flat(2_500, 10_000), "claude": TokenRates(3_000, 15_000, 300, 3_750, 6_000)}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def provider() -> Iterator[ProviderEmulator]:
    with ProviderEmulator() as provider:
        yield provider


@pytest.fixture
async def calls(provider: ProviderEmulator) -> AsyncIterator[list[Callable[[str], Awaitable[Usage]]]]:
    """One way to call each API, in one piece and streamed; each gives the usage that its client saw."""
    more: Any = {"api_key": "any", "max_retries": 0, "timeout": 60}
    async with (
        openai.AsyncOpenAI(base_url=provider.openai_base_url, **more) as gpt,
        anthropic.AsyncAnthropic(base_url=provider.anthropic_base_url, **more) as claude,
    ):

        async def chat(text: str) -> Usage:
            answer = await gpt.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
            return Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)

        async def chat_stream(text: str) -> Usage:
            stream = await gpt.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": text}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                usage = [chunk async for chunk in stream][-1].usage
            return Usage(usage.prompt_tokens, usage.completion_tokens)

        async def response(text: str) -> Usage:
            usage = (await gpt.responses.create(model="gpt-4o", input=text)).usage
            return Usage(usage.input_tokens, usage.output_tokens)

        async def message(text: str) -> Usage:
            body: Any = {"max_tokens": 20, "messages": [{"role": "user", "content": text}]}
            return _canonical((await claude.messages.create(model="claude", **body)).usage)

        async def message_stream(text: str) -> Usage:
            body: Any = {"max_tokens": 20, "messages": [{"role": "user", "content": text}]}
            async with claude.messages.stream(model="claude", **body) as stream:
                return _canonical((await stream.get_final_message()).usage)

        yield [chat, chat_stream, response, message, message_stream]


def _canonical(usage: Any) -> Usage:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return Usage(
        input_tokens=usage.input_tokens + read + written,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=usage.cache_creation.ephemeral_1h_input_tokens,
    )


async def test_the_bill_of_100_concurrent_calls_is_what_the_clients_saw(
    provider: ProviderEmulator, calls: list[Callable[[str], Awaitable[Usage]]]
) -> None:
    """Sync or streamed, cached or not: the sums agree by model, and so does the money."""
    cached = Usage(
        input_tokens=900, output_tokens=20, cache_read_tokens=500, cache_write_tokens=300, cache_write_1h_tokens=100
    )
    provider.always(Behaviour(usage=cached), model="claude")
    seen: dict[str, list[Usage]] = {"gpt-4o": [], "claude": []}

    async def one(number: int) -> None:
        call = calls[number % len(calls)]
        usage = await call("word " * number)
        seen["claude" if "message" in call.__name__ else "gpt-4o"].append(usage)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    for model, usages in seen.items():
        billed = provider.billed_tokens(model=model)
        assert billed.calls == len(usages)
        assert billed.input_tokens == sum(usage.input_tokens for usage in usages)
        assert billed.output_tokens == sum(usage.output_tokens for usage in usages)
    everything = [(RATES[model], usage) for model, usages in seen.items() for usage in usages]
    assert provider.bill_nanousd(RATES) == sum(rates.cost_nanousd(usage) for rates, usage in everything)
    assert len({entry.request_id for entry in provider.bill}) == 100


async def test_a_cancelled_call_is_on_the_bill(
    provider: ProviderEmulator, calls: list[Callable[[str], Awaitable[Usage]]]
) -> None:
    """Whoever cancels a call that has arrived pays for it: this is why money stays in doubt."""
    provider.always(Behaviour(stall_after_chunks=0))
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call, "hello")
        await anyio.to_thread.run_sync(provider.wait_for_bill, len(calls))
        group.cancel_scope.cancel()
    assert provider.billed_tokens().calls == len(calls)
    provider.always(Behaviour())
    assert (await calls[0]("again")).output_tokens == 16


async def test_a_queue_is_used_once_each_under_concurrency(
    provider: ProviderEmulator, calls: list[Callable[[str], Awaitable[Usage]]]
) -> None:
    """Twenty scripted behaviours meet twenty of forty concurrent requests, each exactly once."""
    provider.script(*[Behaviour(usage=Usage(1000 + number, 1)) for number in range(20)])
    seen: list[int] = []

    async def one() -> None:
        seen.append((await calls[0]("hello")).input_tokens)

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(one)
    assert sorted(count for count in seen if count >= 1000) == list(range(1000, 1020))
