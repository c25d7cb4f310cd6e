"""What went wrong with budgets and limits elsewhere: each has a test here under its title, where it does not."""

from __future__ import annotations

import httpx2
import pytest

import hivecost as hc
from hivecost.backends.sqlite.lease_bank.database import LedgerDatabase


@pytest.fixture
def prices():
    """1,000 nano-USD per input token, 4,000 per output token."""
    return {"m": {"input": 1.00, "output": 4.00}}


@pytest.fixture
def nanousd():
    def nanousd(usage: hc.Usage) -> int:
        """What a turn of "m" costs."""
        return usage.input_tokens * 1_000 + usage.output_tokens * 4_000

    return nanousd


@pytest.fixture
def hard():
    def hard(limit: str, name: str = "cap", **settings) -> hc.Budget:
        return hc.Budget(name, limit, mode="hard", **settings)

    return hard


@pytest.fixture
def sums():
    async def sums(ledger: hc.Ledger, budget: str = "cap") -> tuple[int, int, int]:
        """(settled, held, in doubt) of the one account of a budget."""
        rows = [row for row in await ledger.status() if row.budget == budget]
        return next(((row.settled, row.held, row.in_doubt) for row in rows), (0, 0, 0))

    return sums


@pytest.fixture
async def call(provider):
    """One request of a turn to the emulator, as its gate let it pass."""
    async with httpx2.AsyncClient(timeout=30) as client:

        async def call(turn: hc.Turn, **settings) -> dict:
            request = {"model": turn.model, "max_tokens": turn.max_tokens}
            request["messages"] = [{"role": "user", "content": "help"}]
            url = f"{provider.openai_base_url}/chat/completions"
            response = await client.post(url, json=request, **settings)
            return response.raise_for_status().json()

        yield call


@pytest.fixture
def outage(monkeypatch):
    """`outage("before"|"after", times)`: the database fails so often, before its transaction or after the commit."""
    transact = LedgerDatabase._transact

    def begin(moment: str, times: int) -> None:
        left = [moment] * times

        def failing(database, work):
            if left:
                if left.pop() == "after":
                    transact(database, work)
                raise OSError(5, "Input/output error")
            return transact(database, work)

        monkeypatch.setattr(LedgerDatabase, "_transact", failing)

    return begin
