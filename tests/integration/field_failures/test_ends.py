"""Elsewhere a shutdown, a cancellation or a crash loses money. Here what was spent stays spent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import suppress

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ending", ["normal", "an error", "a cancellation"])
async def test_nothing_settled_is_dropped_at_shutdown(base_path, prices, hard, sums, ending):
    """Elsewhere the spend that still waits in memory is lost when the process stops. BerriAI/litellm#34805.

    Here the ledger and the log have every turn that was settled before the runtime closed, however it closed.
    """
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$1")], prices=prices)
    settled = anyio.Event()

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for _ in range(50):
            async with ctx.turn("m", input_tokens=100, max_tokens=100) as turn:
                turn.settle(hc.Usage(100, 50))
        settled.set()
        if ending != "normal":
            await anyio.sleep_forever()

    with anyio.CancelScope() as scope, suppress(ZeroDivisionError):
        async with runtime:
            await runtime.trigger("agent")
            with anyio.fail_after(30):
                await settled.wait()
            if ending == "an error":
                raise ZeroDivisionError
            if ending == "a cancellation":
                scope.cancel()
                await anyio.sleep_forever()
    (row,) = await hc.SpendStore(base_path).totals()
    assert (row.llm_calls, row.cost_nanousd) == (50, 50 * 300_000)
    async with hc.Ledger.open(base_path) as ledger:
        assert await sums(ledger) == (50 * 300_000, 0, 0)


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("how", ["anyio", "native twice"])
async def test_a_cancellation_loses_no_money(base_path, prices, hard, sums, how, settles):
    """Elsewhere usage is recorded by an `await` in `finally`, which is lost in a cancelled scope, as it is here.

    settle() awaits nothing, so neither that nor a second Task.cancel() comes between; left without it, the turn is in
    doubt.
    """
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$1")], prices=prices)
    recorded = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        sent = anyio.Event()

        async def turn() -> None:
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                try:
                    sent.set()
                    await anyio.sleep_forever()
                finally:
                    if how == "native twice":
                        asyncio.current_task().cancel()
                    if settles:
                        turn.settle(hc.Usage(1_000, 10))
                    await anyio.sleep(0)
                    recorded.append("as elsewhere")

        if how == "anyio":
            async with anyio.create_task_group() as group:
                group.start_soon(turn)
                await sent.wait()
                group.cancel_scope.cancel()
        else:
            task = asyncio.ensure_future(turn())
            await sent.wait()
            task.cancel()
            await asyncio.wait([task])

    async with runtime:
        with anyio.fail_after(30):
            result = await runtime.trigger_and_wait("agent")
        assert (result.status, recorded) == ("completed", [])
        assert await sums(runtime._parts.gate.ledger) == ((1_040_000, 0, 0) if settles else (0, 0, 5_000_000))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_crash_refunds_nothing(base_path, sums):
    """Elsewhere the holds of a dead process expire and are spent again: 2 to 3% above the cap in kill loops.

    Here they stay charged: of three agents that die right after a call of $0.10, at a cap of $0.20, two could call.
    """
    script = """
import asyncio, os, sys
import hivecost as hc
async def agent():
    async with hc.Ledger.open(sys.argv[1], budgets=[hc.Budget("cap", "$0.20", mode="hard")]) as ledger:
        await ledger.reserve({}, usd="0.10")
        os.write(1, b"billed ")
        os.kill(os.getpid(), 9)
for _ in range(3):
    if os.fork() == 0:
        try:
            asyncio.run(agent())
        except hc.BudgetExhaustedError:
            os.write(1, b"refused ")
        os._exit(0)
    os.wait()
"""
    done = await anyio.run_process([sys.executable, "-c", script, str(base_path)], stderr=subprocess.DEVNULL)
    assert done.stdout.split() == [b"billed", b"billed", b"refused"]
    async with hc.Ledger.open(base_path) as ledger:
        assert await sums(ledger) == (0, 0, 200_000_000)
