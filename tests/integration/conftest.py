from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

import hivecost as hc
from hivecost.testing import ProviderEmulator, TokenRates

#: USD per 1M tokens, and the same as the emulator bills it: whole nano-USD for a token, so that sums are exact.
PRICES = {
    "gpt-4o": {"input": 2.50, "output": 10.00, "cache_read": 1.25},
    "gpt-4o-mini": {"input": 0.15, "output": 0.60},
    "claude-4-5-sonnet-20250514": {
        "input": 3.00,
        "output": 15.00,
        "cache_read": 0.30,
        "cache_write": 3.75,
        "cache_write_1h": 6.00,
    },
}
RATES = {
    "gpt-4o": TokenRates(2_500, 10_000, 1_250, 2_500, 2_500),
    "gpt-4o-mini": TokenRates.flat(150, 600),
    "claude-4-5-sonnet-20250514": TokenRates(3_000, 15_000, 300, 3_750, 6_000),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the runtime log and the SDKs' clients


@pytest.fixture
def prices() -> dict[str, dict[str, float]]:
    return PRICES


@pytest.fixture
def rates() -> dict[str, TokenRates]:
    return RATES


@pytest.fixture
def provider() -> Iterator[ProviderEmulator]:
    with ProviderEmulator() as provider:
        yield provider


@pytest.fixture
async def gpt(provider: ProviderEmulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=provider.openai_base_url, api_key="any", max_retries=0, timeout=30
    ) as client:
        yield client


@pytest.fixture
async def claude(provider: ProviderEmulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=provider.anthropic_base_url, api_key="any", max_retries=0, timeout=30
    ) as client:
        yield client


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def runtime(base_path) -> hc.AgentRuntime:
    """A runtime with the prices above and a log in `base_path`."""
    return hc.AgentRuntime(base_path, prices=PRICES)


@pytest.fixture
def ask(gpt: openai.AsyncOpenAI) -> Callable[..., Any]:
    """One chat turn of the current execution, as an agent makes it: `await ask("text", model="gpt-4o")`."""

    async def asking(text: str = "help", *, model: str = "gpt-4o", max_tokens: int = 100) -> str:
        async with hc.current_execution().turn(model, max_tokens=max_tokens, provider="openai") as turn:
            response = await gpt.chat.completions.create(
                model=model, max_tokens=turn.max_tokens, messages=[{"role": "user", "content": text}]
            )
            turn.settle(response)
            return response.choices[0].message.content or ""

    return asking
