"""Elsewhere holds leak and bills count twice. Here each ends once."""

from __future__ import annotations

from contextlib import suppress

import anyio
import anyio.lowlevel
import httpx2
import pytest

import hivecost as hc
from hivecost.testing import Behaviour

pytestmark = pytest.mark.anyio

WHO = {"user": "ada"}


async def test_timeouts_leak_no_holds(base_path, prices, hard, sums, provider, call):
    """Elsewhere a request that times out keeps its reservation until someone restarts the proxy.

    BerriAI/litellm#20256, BerriAI/litellm#27639. Here it is in doubt, because the provider may well have billed it:
    charged, listed, and usable again as soon as someone has looked at the bill.
    """
    provider.always(Behaviour(stall_after_chunks=0))
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$1")], prices=prices)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(await call(turn, timeout=httpx2.Timeout(30, read=0.02)))

    async with runtime:
        executions = [await runtime.trigger("agent") for _ in range(20)]
        results = [await runtime.wait(execution_id) for execution_id in executions]
        assert {type(result.error) for result in results} == {httpx2.ReadTimeout}
        ledger = runtime._parts.gate.ledger
        assert await sums(ledger) == (0, 0, 20 * 5_000_000)
        for hold in await ledger.in_doubt():
            await ledger.resolve(hold.hold_id, usd="0.002", by="the bill")
        assert await sums(ledger) == (20 * 2_000_000, 0, 0)
        assert (await ledger.reserve(WHO, nanousd=1_000_000_000 - 20 * 2_000_000)).release()


async def test_two_hundred_timeouts_leave_room_for_the_next(base_path, hard, sums):
    """The same in numbers, with places for twenty open holds: those of two hundred turns in doubt are free again."""
    async with hc.Ledger.open(base_path, budgets=[hard("$1")], holds_max=20) as ledger:

        async def turn() -> None:
            with suppress(TimeoutError):
                async with await ledger.reserve(WHO, nanousd=1_000_000):
                    await anyio.lowlevel.checkpoint()
                    raise TimeoutError

        for timeouts in range(20, 201, 20):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(turn)
            assert await sums(ledger) == (0, 0, timeouts * 1_000_000)


@pytest.mark.parametrize("how", ["settled twice", "after doubt", "doubt known", "after resolve", "left again"])
async def test_a_failed_cleanup_counts_once(base_path, hard, sums, how):
    """Elsewhere a request whose cleanup fails, or comes twice, is charged twice. BerriAI/litellm#35569.

    Here whoever comes second changes nothing, in this process and in the next.
    """
    async with hc.Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        hold = await ledger.reserve(WHO, usd="0.30")
        if how in ("after doubt", "doubt known"):
            hold.doubt()
        if how == "doubt known":
            assert await sums(ledger) == (0, 0, 300_000_000)
        if how == "after resolve":
            hold.doubt()
            (known,) = await ledger.in_doubt()
            await ledger.resolve(known.hold_id, usd="0.10", by="ada")
        hold.settle(usd="0.10")
        if how == "left again":
            async with hold:
                pass
        assert hold.settle(usd="0.20") is None
        assert not hold.doubt()
        assert not hold.release()
        with pytest.raises(hc.ConfigError, match="in doubt"):
            await ledger.resolve(hold.hold_id, usd="0.20", by="ada")
        assert await sums(ledger) == (100_000_000, 0, 0)
    async with hc.Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        assert await sums(ledger) == (100_000_000, 0, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_commit_that_is_tried_again_counts_once(base_path, hard, sums, outage, moment):
    """The same where the database fails: before the commit, or after it, when nobody can know that it was made."""
    async with hc.Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        holds = [await ledger.reserve(WHO, usd="0.30") for _ in range(3)]
        outage(moment, 2)
        holds[0].settle(usd="0.10")
        holds[1].settle(usd="0.20")
        holds[2].doubt()
        for _ in range(2):
            with pytest.raises(hc.LedgerUnavailableError):
                await ledger.status()
        assert await sums(ledger) == (300_000_000, 0, 300_000_000)
    async with hc.Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        assert await sums(ledger) == (300_000_000, 0, 300_000_000)
