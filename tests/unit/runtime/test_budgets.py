"""`runtime.budgets`: one place to see how all budgets stand, and to change them while agents run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

HARD = hc.Budget("hard", limit="$0.01", mode="hard", on_short="refuse")
SOFT = hc.Budget("soft", limit="$0.01", per="user", window="day", mode="stop_after")
CALLS = hc.Budget("calls", limit="100 calls", mode="observe")


@pytest.fixture
def make(make_runtime):
    """A runtime whose agent takes a turn of so many input tokens at $0.000001."""

    def make(*budgets: hc.Budget, **settings) -> hc.AgentRuntime:
        runtime = make_runtime(budgets=budgets, **settings)

        @runtime.entry_point("spend")
        async def spend(ctx, tokens):
            async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
                turn.settle(hc.Usage(tokens))

        return runtime

    return make


async def spend(runtime: hc.AgentRuntime, tokens: int = 9_000) -> str:
    """The status of an execution that spends so much."""
    result = await runtime.trigger_and_wait("spend", tokens, user_id="ada")
    await runtime.bus.drain()
    return result.status.value


# -- how they stand --------------------------------------------------------------------------------------------------


async def test_a_single_budget_needs_no_list(tmp_path):
    """`budgets=Budget(…)` is that budget, for a runtime and for a ledger; what is none is named."""
    runtime = hc.AgentRuntime(tmp_path, budgets=HARD)
    assert [budget.name for budget in runtime._parts.gate.budgets] == ["hard"]
    async with hc.Ledger.open(tmp_path, budgets=HARD) as ledger:
        await ledger.configure(HARD.with_limit("$0.02"))
        assert [(budget.name, budget.limit) for budget in await ledger.budgets()] == [("hard", 20_000_000)]
    for wrong in ("hard", ["hard"], {"hard": HARD}, None, 5, [HARD, "soft"]):
        with pytest.raises(hc.ConfigError, match="budgets: expected a Budget, or a list of them"):
            hc.AgentRuntime(tmp_path, budgets=wrong)
        with pytest.raises(hc.ConfigError, match="budgets: expected a Budget, or a list of them"):
            hc.Ledger.open(tmp_path, budgets=wrong)


async def test_status_has_the_accounts_of_all_modes(make):
    """Held and counted ones in one list, each row of the same kind."""
    async with make(HARD, SOFT, CALLS) as runtime:
        assert await runtime.budgets.status() == []
        assert await spend(runtime) == "completed"
        rows = await runtime.budgets.status()
    stand = [(row.budget, row.scope, row.unit, row.limit, row.settled, row.remaining) for row in rows]
    assert stand == [
        ("hard", "", "usd", 10_000_000, 9_000_000, 1_000_000),
        ("soft", "user=ada", "usd", 10_000_000, 9_000_000, 1_000_000),
        ("calls", "", "calls", 100, 1, 99),
    ]


async def test_periods_that_are_over_are_left_out(make):
    """Of the budgets that are counted as of those that are held."""
    clock = FakeClock(datetime(2026, 11, 22, 23, tzinfo=UTC))
    held = hc.Budget("held day", limit="$1", window="day", mode="hard")
    async with make(held, SOFT, clock=clock) as runtime:
        await spend(runtime)
        clock.advance(2 * 3600)
        assert await runtime.budgets.status() == []
        await spend(runtime)
        assert {(row.budget, row.period) for row in await runtime.budgets.status()} == {
            ("held day", "2026-11-23"),
            ("soft", "2026-11-23"),
        }


async def test_without_hard_budgets_no_ledger_is_needed(make, tmp_path):
    """What is counted stands there also when nothing is held, and while the runtime does not run."""
    runtime = make(CALLS)
    async with runtime:
        await spend(runtime)
        assert await runtime.budgets.in_doubt() == []
    assert [row.settled for row in await runtime.budgets.status()] == [1]
    assert not (tmp_path / "ledger").exists()
    assert await make().budgets.status() == []


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [HARD, SOFT], ids=["hard", "stop_after"])
async def test_a_raised_limit_lets_agents_go_on(make, budget):
    """Of $0.01, one run of $0.009 is all; what was spent stays, and the answer is the new limit."""
    async with make(budget) as runtime:
        while await spend(runtime) == "completed":
            pass
        (before,) = await runtime.budgets.status()
        assert await runtime.budgets.raise_limit(budget.name, "$0.01", by="ada") == 20_000_000
        (after,) = await runtime.budgets.status()
        assert (after.limit, after.settled) == (20_000_000, before.settled)
        if before.settled < 10_000_000:
            assert await spend(runtime) == "completed"
        assert await runtime.budgets.set_limit(budget.name, 0.03, by="ada") == 30_000_000
        assert await spend(runtime) == "completed"
        assert await runtime.budgets.set_limit(budget.name, "$0.001", by="ada") == 1_000_000
        assert await spend(runtime, 10) == "cancelled"


async def test_a_paused_execution_goes_on_when_its_budget_is_raised(make):
    """It waited for money; `runtime.budgets.raise_limit` gives it some."""
    budget = hc.Budget("b", limit="$0.01", mode="hard", on_short="refuse", on_exceed="pause")
    async with make(budget) as runtime:
        assert await spend(runtime) == "completed"
        execution_id = await runtime.trigger("spend", 9_000)
        paused = await runtime.bus.wait_for(hc.EventType.BUDGET_EXCEEDED, timeout_s=10)
        assert (paused.execution_id, paused.action) == (execution_id, "paused")
        assert await runtime.budgets.raise_limit("b", "$0.01", by="ada") == 20_000_000
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
        (account,) = await runtime.budgets.status()
    assert (result.status, account.settled) == ("completed", 18_000_000)


async def test_raises_at_once_all_count(make):
    """Ten tasks raise a held and a counted budget."""
    async with make(HARD, CALLS) as runtime:

        async def raise_both() -> None:
            await runtime.budgets.raise_limit("hard", "$1", by="ada")
            await runtime.budgets.raise_limit("calls", 5, by="ada")

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(raise_both)
        assert await runtime.budgets.raise_limit("hard", "$1", by="ada") == 11_010_000_000
        assert await runtime.budgets.raise_limit("calls", "1 call", by="ada") == 151


async def test_who_changed_a_limit_is_on_record(make, caplog):
    """Of hard budgets in the audit trail, of the others in the log of the program."""
    async with make(HARD, SOFT) as runtime:
        with caplog.at_level(logging.INFO, logger="hivecost.budgets"):
            for name in ("hard", "soft"):
                await runtime.budgets.raise_limit(name, "$5", by="ada")
        (change, _) = await runtime._parts.gate.ledger.changes()
    assert (change.who, change.what, change.subject) == ("ada", "raise_limit", "hard")
    assert caplog.messages == ["budget 'soft': its limit is $5.0100 now, by ada"]


# -- freezing and doubts ---------------------------------------------------------------------------------------------


async def test_a_frozen_budget_grants_nothing_until_someone_looked(make):
    """The row says so."""
    async with make(HARD) as runtime:
        await runtime.budgets.freeze("hard", "a look", by="eve")
        assert await spend(runtime, 1) == "cancelled"
        assert [row.frozen for row in await runtime.budgets.status()] == [True]
        assert await runtime.budgets.unfreeze("hard", by="ada")
        assert not await runtime.budgets.unfreeze("hard", by="ada")
        assert await spend(runtime, 1) == "completed"


async def test_a_doubt_is_resolved(make):
    """At what it really cost."""
    runtime = make(HARD)

    @runtime.entry_point("break")
    async def break_off(ctx, _):
        async with ctx.turn("m", input_tokens=5_000, max_tokens=1):
            raise TimeoutError("no answer")

    async with runtime:
        await runtime.trigger_and_wait("break")
        (hold,) = await runtime.budgets.in_doubt()
        await runtime.budgets.resolve(hold.hold_id, "$0.004", by="ada")
        (row,) = await runtime.budgets.status()
        assert (row.settled, row.in_doubt, await runtime.budgets.in_doubt()) == (4_000_000, 0, [])
        with pytest.raises(hc.ConfigError, match=f"'{hold.hold_id}': expected the id of a hold that is in doubt"):
            await runtime.budgets.resolve(hold.hold_id, usd="$0.004", by="ada")


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda b: b.freeze("soft", "a look", by="ada"), "budget 'soft': expected mode='hard'.*, got 'stop_after'"),
        (lambda b: b.unfreeze("calls", by="ada"), "budget 'calls': expected mode='hard'.*, got 'observe'"),
        (lambda b: b.freeze("x", "a look", by="ada"), "budget: expected one of 'hard', 'soft', 'calls', got 'x'"),
        (lambda b: b.unfreeze("x", by="ada"), "budget: expected one of 'hard', 'soft', 'calls', got 'x'"),
        (lambda b: b.set_limit("x", "$5", by="ada"), "budget: expected one of 'hard', 'soft', 'calls', got 'x'"),
        (lambda b: b.raise_limit("x", "$5", by="ada"), "budget: expected one of 'hard', 'soft', 'calls', got 'x'"),
        (lambda b: b.set_limit("soft", "5 calls", by="ada"), r"budget 'soft'\.limit: expected an amount in usd"),
        (lambda b: b.set_limit("hard", "5 calls", by="ada"), r"budget 'hard'\.limit: expected an amount in usd"),
        (lambda b: b.raise_limit("soft", "$0", by="ada"), "budget 'soft': amount: expected an amount above zero"),
        (lambda b: b.raise_limit("hard", "$0", by="ada"), "budget 'hard': amount: expected an amount above zero"),
        (lambda b: b.raise_limit("calls", 10**18, by="ada"), "'calls': amount: expected at most 999,999,999,999"),
    ],
)  # fmt: skip
async def test_a_mistake_is_named_and_changes_nothing(make, change, problem):
    """With the budget, what was expected, and the budgets there are."""
    async with make(HARD, SOFT, CALLS) as runtime:
        await spend(runtime)
        before = await runtime.budgets.status()
        with pytest.raises(hc.ConfigError, match=problem):
            await change(runtime.budgets)
        assert await runtime.budgets.status() == before


async def test_a_runtime_without_budgets_has_none_to_change(make):
    """Neither counted nor held ones."""
    async with make() as runtime:
        with pytest.raises(hc.ConfigError, match="budget: expected a runtime that has budgets, got 'b'"):
            await runtime.budgets.raise_limit("b", "$5", by="ada")
        with pytest.raises(hc.LedgerUnavailableError, match="mode='hard'"):
            await runtime.budgets.resolve("1-1", by="ada")


async def test_a_hard_budget_is_changed_while_its_runtime_runs(make):
    """The ledger is open then; those that are counted can be changed before."""
    runtime = make(HARD, SOFT)
    assert await runtime.budgets.raise_limit("soft", "$1", by="ada") == 1_010_000_000
    for change in (runtime.budgets.status(), runtime.budgets.raise_limit("hard", "$1", by="ada")):
        with pytest.raises(hc.LedgerUnavailableError, match="while a runtime with mode='hard' budgets runs"):
            await change
