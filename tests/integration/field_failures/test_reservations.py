"""Elsewhere a hold is shrunk, half made, worth $0 or not asked for. Here it is whole and on all accounts, or none."""

from __future__ import annotations

from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("on_short", ["clamp", "refuse"])
async def test_a_hold_is_never_shrunk_without_max_tokens(base_path, prices, hard, nanousd, sums, on_short):
    """Elsewhere the hold shrinks to what is left, and the request goes out as it was: the bill is above the cap.

    Here `max_tokens` is lowered with it, so that what is held pays for all that may be answered; or nothing is sent.
    """
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$0.005", on_short=on_short)], prices=prices)
    sent = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=2_000) as turn:
            _, held, _ = await sums(runtime._parts.gate.ledger)
            sent.append((turn.max_tokens, held))
            turn.settle(hc.Usage(1_000, turn.max_tokens))

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
        settled, _, _ = await sums(runtime._parts.gate.ledger)
    if on_short == "clamp":
        assert sent == [(1_000, nanousd(hc.Usage(1_000, 1_000)))]
        assert settled == 5_000_000
    else:
        assert isinstance(result.error, hc.BudgetExhaustedError)
        assert (sent, settled) == ([], 0)


async def test_what_one_scope_refuses_is_held_on_no_other(base_path, hard, sums):
    """Elsewhere scopes are reserved one after the other: a refusal by the second leaves the first one short.

    Here it is one decision. A hundred turns that their users' budgets refuse do not keep fifty others from spending
    the whole of the organisation's, at the same time.
    """
    budgets = [hard("$1", "org"), hard("$0.02", "user", per="user")]
    sent, refused = [], []
    async with hc.Ledger.open(base_path, budgets=budgets) as ledger:

        async def turn(user: str, usd: str) -> None:
            try:
                async with await ledger.reserve({"user": user}, usd=usd) as hold:
                    sent.append(user)
                    await anyio.lowlevel.checkpoint()
                    hold.settle()
            except hc.BudgetExceededError:
                refused.append(user)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(turn, f"greedy{number}", "0.03")
                group.start_soon(turn, f"modest{number}", "0.02")
                group.start_soon(turn, f"greedy{number}", "0.04")
        assert await sums(ledger, "org") == (1_000_000_000, 0, 0)
    assert (sorted(set(refused)), len(refused)) == (sorted(f"greedy{number}" for number in range(50)), 100)
    assert len(sent) == 50


async def test_an_unknown_price_is_no_way_around_the_cap(base_path, prices, hard, provider, call):
    """Elsewhere unknown is $0, so nothing is reserved and the cap never fires: $138 at a cap of $0.05.

    BerriAI/litellm#30201. Here nobody can bound such a turn, and it is refused before it is sent.
    """
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$0.05")], prices=prices)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("a-model-of-tomorrow", input_tokens=10, max_tokens=100) as turn:
            turn.settle(await call(turn))

    async with runtime:
        results = [await runtime.trigger_and_wait("agent") for _ in range(20)]
    assert {type(result.error) for result in results} == {hc.PriceUnknownError}
    assert list(provider.bill) == []


async def test_an_unknown_price_is_reported_as_unknown(base_path, prices, provider, call):
    """Elsewhere the report adds $0 for it. Here, where a budget only observes, its turns are counted as unpriced."""
    runtime = hc.AgentRuntime(base_path, budgets=[hc.Budget("cap", "$0.05", mode="observe")], prices=prices)

    @runtime.entry_point("agent")
    async def agent(ctx, model):
        async with ctx.turn(model, input_tokens=10, max_tokens=100) as turn:
            turn.settle(await call(turn))
        return turn.cost

    async with runtime:
        for model in ("m", "a-model-of-tomorrow", "a-model-of-tomorrow"):
            result = await runtime.trigger_and_wait("agent", model)
    assert (result.output.nanousd, result.metrics["unpriced_calls"]) == (None, 1)
    rows = await hc.SpendStore(base_path).totals(by=["model"])
    assert [(row.group["model"], row.llm_calls, row.unpriced_calls) for row in rows] == [
        ("a-model-of-tomorrow", 2, 2),
        ("m", 1, 0),
    ]
    assert provider.billed_tokens().calls == 3


@pytest.mark.parametrize("fault", ["a folder in its place", "no database", "an outage meanwhile"])
async def test_without_its_ledger_it_fails_closed(base_path, prices, hard, provider, call, outage, fault):
    """Elsewhere a budget whose store cannot be reached lets everything pass. Here nothing is sent."""
    base_path.mkdir()
    if fault == "a folder in its place":
        (base_path / "hivecost.db").mkdir()
    elif fault == "no database":
        (base_path / "hivecost.db").write_bytes(b"whatever its name says " * 1_000)
    runtime = hc.AgentRuntime(base_path, budgets=[hard("$1")], prices=prices)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=100) as turn:
            turn.settle(await call(turn))

    with suppress(hc.LedgerUnavailableError):
        async with runtime:
            outage("before", 1)
            result = await runtime.trigger_and_wait("agent")
            assert isinstance(result.error, hc.LedgerUnavailableError)
    assert list(provider.bill) == []
