"""How far above its hold a stream is billed that is held in steps, the next of which its budget cannot pay.

The provider emulator streams at a thousand tokens a second, some ten times as fast as models do, to an agent that reads
at once and is hung up on by its budget. What stops then and what writes on to the end, with reasoning that it hides and
without. `python -m benchmarks.steps` prints the table of docs/holds.md.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from itertools import product
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import anyio

import hivecost as hc
from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator

STEPS: Final = (1_024, 2_048)
#: What an answer shows, each token four bytes long, and what it thinks before that.
SHOWN_TOKENS: Final = 8_000
REASONING_TOKENS: Final = (0, 4_000)
#: How many steps the budget pays for.
PAID_STEPS: Final = 2

_INPUT_TOKENS: Final = 100
_MODEL: Final = "claude-sonnet-4-5"

OnHangUp = Literal["stop", "write_on"]


class Excess(NamedTuple):
    """What was held for an answer when it was hung up on, and what it is billed, in tokens of output."""

    held: int
    billed: int

    @property
    def tokens(self) -> int:
        """How far the bill is above the hold; 0 where it is not."""
        return max(0, self.billed - self.held)

    @property
    def percent(self) -> int:
        return round(100 * self.tokens / self.held)


@cache
def excess(on_hang_up: OnHangUp, reasoning_tokens: int, step_tokens: int) -> Excess:
    """What one stream whose budget pays for two steps leaves behind."""
    usage = Usage(_INPUT_TOKENS, reasoning_tokens + SHOWN_TOKENS, reasoning_tokens=reasoning_tokens)
    behaviour = Behaviour(text="word" * SHOWN_TOKENS, usage=usage, on_hang_up=on_hang_up, chunk_interval_s=0.001)
    with ProviderEmulator(behaviour) as provider, TemporaryDirectory() as data:
        held = anyio.run(_held, provider, data, step_tokens)
        provider.wait_for_bill(1)
        return Excess(held - _INPUT_TOKENS, provider.bill[0].usage.total_tokens - _INPUT_TOKENS)


async def _held(provider: ProviderEmulator, data: str, step_tokens: int) -> int:
    limit = f"{_INPUT_TOKENS + PAID_STEPS * step_tokens} tokens"
    runtime = hc.AgentRuntime(data, budgets=[hc.Budget("b", limit=limit, mode="hard")])

    @runtime.entry_point("agent")
    def agent(ctx: hc.Execution, _: Any) -> None:
        asked = {"input_tokens": _INPUT_TOKENS, "max_tokens": 64_000, "stream_tokens": step_tokens}
        with ctx.turn(_MODEL, **asked) as turn, closing(_events(provider)) as events:
            for _event in turn.stream(events):
                pass

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
        (account,) = await runtime._parts.gate.ledger.status()
    assert isinstance(result.error, hc.BudgetExhaustedError), result.error
    return account.in_doubt


def _events(provider: ProviderEmulator) -> Iterator[dict[str, Any]]:
    """A Claude's answer as it comes; hangs up when it is closed."""
    body = {"model": _MODEL, "max_tokens": 64_000, "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
    with closing(http.client.HTTPConnection(urlsplit(provider.url).netloc)) as connection:
        connection.request("POST", "/v1/messages", json.dumps(body))
        with connection.getresponse() as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met)."""
    name = "tokens billed above the hold, steps of {:,}, a provider that stops when hung up on"
    figures = {name.format(step): excess("stop", 0, step).tokens for step in STEPS}
    return [(name, 0, figure, figure == 0) for name, figure in figures.items()]


def table() -> list[str]:
    """The lines of docs/holds.md."""
    lines = [
        "| when hung up on, a provider | hidden reasoning | step | held | billed | above |",
        "|---|---|---|---|---|---|",
    ]
    cases: product[tuple[OnHangUp, int, int]] = product(("stop", "write_on"), REASONING_TOKENS, STEPS)
    for on_hang_up, reasoning, step in cases:
        found = excess(on_hang_up, reasoning, step)
        above = f"{found.tokens:,} ({found.percent} %)" if found.tokens else "nothing"
        what, hidden = "stops" if on_hang_up == "stop" else "writes on", f"{reasoning:,}" if reasoning else "none"
        lines.append(f"| {what} | {hidden} | {step:,} | {found.held:,} | {found.billed:,} | {above} |")
    return lines


if __name__ == "__main__":
    print(*table(), sep="\n")
