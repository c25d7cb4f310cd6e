"""Hard budgets on a real runtime: what the provider bills never passes the limit, and no money gets lost."""

from __future__ import annotations

import re

import anyio
import anyio.lowlevel
import httpx2
import pytest

import hivecost as hc
from hivecost.runtime.hard_budgets import PAUSE_POLL_S
from hivecost.testing import Behaviour, FakeClock, ProviderEmulator, TokenRates

pytestmark = pytest.mark.anyio

#: 1,000 nano-USD per input token, 4,000 per output token.
PRICES = {"m": {"input": 1.00, "output": 4.00}, "cheap": {"input": 0.10, "output": 0.40}}
RATES = {"m": TokenRates.flat(1_000, 4_000), "cheap": TokenRates.flat(100, 400)}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def hard(limit: str, **settings) -> hc.Budget:
    return hc.Budget("b", limit=limit, mode="hard", **settings)


async def run(runtime: hc.AgentRuntime, agent, executions: int = 1) -> list[hc.ExecutionResult]:
    """The results of an agent on this runtime, its executions at once; then the runtime is closed."""
    runtime.entry_point("agent")(agent)
    results: list[hc.ExecutionResult] = []

    async def one() -> None:
        results.append(await runtime.trigger_and_wait("agent", user_id="ada"))

    async with runtime:
        async with anyio.create_task_group() as group:
            for _ in range(executions):
                group.start_soon(one)
        runtime.final_status = await runtime._parts.gate.ledger.status()
    return results


@pytest.mark.parametrize("window", ["execution", "day", "total"])
@pytest.mark.parametrize("executions", [1, 20])
async def test_the_providers_own_bill_stays_within_the_limit(tmp_path, window, executions):
    """Agents that never stop by themselves, alone and twenty at once: billed ≤ limit, and most of it is usable."""
    budget = hard("$0.05", window=window, on_short="clamp")
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES)
    with ProviderEmulator(Behaviour(usage=None, text="word " * 2_000)) as provider:
        async with httpx2.AsyncClient(timeout=30) as client:

            async def agent(ctx, _):
                while True:
                    prompt = [{"role": "user", "content": "Try again."}]
                    async with ctx.turn("m", prompt=prompt, max_tokens=400) as turn:
                        request = {"model": turn.model, "max_tokens": turn.max_tokens, "messages": prompt}
                        response = await client.post(f"{provider.openai_base_url}/chat/completions", json=request)
                        turn.settle(response.raise_for_status().json())

            results = await run(runtime, agent, executions)
        billed = provider.bill_nanousd(RATES)
    accounts = executions if window == "execution" else 1
    assert {result.status for result in results} == {"cancelled"}
    assert all(isinstance(result.error, hc.BudgetExceededError) for result in results)
    assert sum(result.metrics["cost_nanousd"] for result in results) == billed
    assert 0.9 * 50_000_000 * accounts <= billed <= 50_000_000 * accounts


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"max_tokens": 10}, r"ctx\.turn\(prompt=messages or input_tokens=…\): expected .* context_window = TOKENS"),
        (
            {"input_tokens": 10},
            r"ctx\.turn\(max_tokens=…\): expected .* 'm'; say it here, or .*: max_output_tokens = TOKENS",
        ),
    ],
)
async def test_a_turn_without_bound_is_refused_with_the_way_out(tmp_path, bounds, said):
    """Where nobody published how much the model takes: the tokens of the prompt, or the prompt; and of the answer."""

    async def agent(ctx, _):
        async with ctx.turn("m", **bounds):
            pass

    (refused,) = await run(hc.AgentRuntime(tmp_path, budgets=[hard("$1")], prices=PRICES), agent)
    assert isinstance(refused.error, hc.ConfigError)
    assert re.match(said, str(refused.error))


async def test_an_unpriced_model_is_refused_with_the_way_out(tmp_path):
    """Nobody can bound what it costs, so a budget in USD does not let it pass; a budget in calls does."""

    async def agent(ctx, _):
        async with ctx.turn("gpt-4oo", input_tokens=10, max_tokens=10) as turn:
            turn.settle(hc.Usage(1, 1))

    (refused,) = await run(hc.AgentRuntime(tmp_path / "usd", budgets=[hard("$1")]), agent)
    assert isinstance(refused.error, hc.PriceUnknownError)
    assert "prices={" in str(refused.error)
    (passed,) = await run(hc.AgentRuntime(tmp_path / "calls", budgets=[hard("5 calls")]), agent)
    assert passed.status == "completed"


async def test_too_little_left_takes_the_cheaper_model(tmp_path):
    """downgrade:MODEL — the turn tells which model to ask."""
    models = []

    async def agent(ctx, _):
        for _ in range(4):
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                models.append(turn.model)
                turn.settle(hc.Usage(1_000, 1_000))

    budget = hard("$0.013", on_short="downgrade:cheap")
    (result,) = await run(hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES), agent)
    assert models == ["m", "m", "cheap", "cheap"]
    assert (result.status, result.metrics["cost_nanousd"]) == ("completed", 11_000_000)


async def test_a_turn_waits_for_what_others_hold(tmp_path):
    """on_short="wait": refused while the money is held, granted when it comes back."""
    order = []

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            order.append("held")
            await anyio.lowlevel.checkpoint()
            order.append("settled")
            turn.settle(hc.Usage(10, 10))

    budget = hard("$0.006", on_short="wait")
    results = await run(hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES), agent, 3)
    assert order == ["held", "settled"] * 3
    assert {result.status for result in results} == {"completed"}


async def test_a_paused_execution_goes_on_when_the_budget_is_raised(tmp_path):
    """on_exceed="pause": it waits, says so once, and continues after set_limit."""
    budget = hard("$0.005", on_short="refuse", on_exceed="pause")
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES)
    events = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for _ in range(2):
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                turn.settle(hc.Usage(1_000, 1_000))

    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=events.append)
    async with runtime:
        execution_id = await runtime.trigger("agent")
        await runtime.bus.wait_for(hc.EventType.BUDGET_EXCEEDED, timeout_s=10)
        await anyio.sleep(3 * PAUSE_POLL_S)
        await runtime._parts.gate.ledger.set_limit("b", "$0.02", by="ada")
        with anyio.fail_after(10):
            result = await runtime.wait(execution_id)
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 2)
    assert [event.action for event in events] == ["paused"]


async def test_what_nobody_knows_stays_in_doubt_across_a_restart(tmp_path):
    """A turn that breaks off is charged at its hold until someone resolves it; a new runtime knows."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000):
            raise TimeoutError("no answer")

    def runtime() -> hc.AgentRuntime:
        return hc.AgentRuntime(tmp_path, budgets=[hard("$0.012", on_short="refuse")], prices=PRICES)

    for _ in range(2):
        (broken,) = await run(runtime(), agent)
        assert isinstance(broken.error, TimeoutError)
    third = runtime()
    (refused,) = await run(third, agent)
    assert isinstance(refused.error, hc.BudgetExceededError)
    (account,) = third.final_status
    assert (account.settled, account.in_doubt) == (0, 10_000_000)


async def test_a_bill_above_its_hold_is_charged_and_freezes_the_budget(tmp_path):
    """H9: the bound was wrong, so nothing more is granted until someone looks, and an alert says so."""
    runtime = hc.AgentRuntime(tmp_path, budgets=[hard("$1")], prices=PRICES)
    alerts = []
    runtime.bus.subscribe(event_types=[hc.EventType.ALERT_RAISED], handler=alerts.append)

    async def agent(ctx, _):
        for _ in range(2):
            async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
                turn.settle(hc.Usage(1_000, 10))

    (result,) = await run(runtime, agent)
    assert isinstance(result.error, hc.BudgetExceededError)
    assert "frozen" in str(result.error)
    assert [alert.rule for alert in alerts] == ["budget.overrun"]
    assert (runtime.final_status[0].settled, runtime.final_status[0].frozen) == (1_040_000, True)


async def test_a_refused_call_gives_its_money_back(tmp_path):
    """429: the provider bills nothing, so nothing stays held."""

    class TooManyRequestsError(Exception):
        status_code = 429

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000):
            raise TooManyRequestsError

    runtime = hc.AgentRuntime(tmp_path, budgets=[hard("$1")], prices=PRICES)
    await run(runtime, agent)
    assert [(a.settled, a.held, a.in_doubt) for a in runtime.final_status] == [(0, 0, 0)]


async def test_without_its_ledger_nothing_is_spent(tmp_path):
    """H8: a base path that cannot hold a ledger refuses to start, by name."""
    (tmp_path / "file").write_text("")
    runtime = hc.AgentRuntime(tmp_path / "file", budgets=[hard("$1")], prices=PRICES)
    with pytest.raises(hc.LedgerUnavailableError, match="file"):
        async with runtime:
            pass


async def test_the_day_begins_anew_at_midnight_of_its_zone(tmp_path):
    """H6: a spent day is over when the clock says so; nothing has to be reset."""
    clock = FakeClock()
    budget = hard("$0.005", window="day", timezone="Europe/Berlin", on_short="refuse")
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES, clock=clock)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(hc.Usage(1_000, 1_000))

    async with runtime:
        assert (await runtime.trigger_and_wait("agent")).status == "completed"
        spent = await runtime.trigger_and_wait("agent")
        assert isinstance(spent.error, hc.BudgetExhaustedError)
        assert f"{spent.error.reset_at:%Y-%m-%d %H:%M}" == "2026-01-01 23:00"
        clock.advance(23 * 3600)
        assert (await runtime.trigger_and_wait("agent")).status == "completed"


async def test_a_refusal_says_how_the_account_stands_now(tmp_path):
    """BUDGET_EXCEEDED carries the limit in force, also after it was raised, what is used of it, asked for and left."""
    runtime = hc.AgentRuntime(tmp_path, budgets=[hard("$0.005", on_short="refuse")], prices=PRICES)
    events = []
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=events.append)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        while True:
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                turn.settle(hc.Usage(1_000, 1_000))

    async with runtime:
        await runtime.trigger_and_wait("agent")
        await runtime._parts.gate.ledger.set_limit("b", "$0.012", by="ada")
        await runtime.trigger_and_wait("agent")
    assert [(e.used, e.limit, e.action, e.needed, e.remaining) for e in events] == [
        (5_000_000, 5_000_000, "refused", 5_000_000, 0),
        (10_000_000, 12_000_000, "refused", 5_000_000, 2_000_000),
    ]


@pytest.mark.parametrize("prompt_tokens", [-5, 10**30, "many"])
async def test_a_bill_that_cannot_be_is_no_bill_of_nothing(tmp_path, prompt_tokens):
    """The result counts the turn among those that its cost lacks, as EXECUTION_COMPLETED does; the hold is in doubt."""
    runtime = hc.AgentRuntime(tmp_path, budgets=[hard("$1")], prices=PRICES)
    ended = []
    runtime.bus.subscribe(event_types=[hc.EventType.EXECUTION_COMPLETED], handler=ended.append)

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
            turn.settle({"model": "m", "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 3}})

    (result,) = await run(runtime, agent)
    assert (result.metrics["unpriced_calls"], result.metrics["invalid_calls"]) == (1, 1)
    assert ended[0].unpriced_calls == 1
    assert runtime.final_status[0].in_doubt == 50_000


# -- soft limits ---------------------------------------------------------------------------------------------------


def soft(on_soft: str, **settings) -> hc.Budget:
    return hard("10 calls", **{"soft_limit": 3, "on_soft": on_soft, "warn": (), "on_short": "refuse", **settings})


async def spend(ctx, turns):
    """Settle so many turns; gives the models that were asked."""
    models = []
    for _ in range(turns):
        async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
            models.append(turn.model)
            turn.settle(hc.Usage(10, 10))
    return models


def soft_runtime(tmp_path, *budgets: hc.Budget, **settings) -> hc.AgentRuntime:
    runtime = hc.AgentRuntime(tmp_path, budgets=budgets, prices=PRICES, **settings)
    runtime.entry_point("spend")(spend)
    return runtime


async def test_reaching_the_soft_limit_warns_once(tmp_path):
    """on_soft="alert": one BUDGET_WARNING with what is used of the limit; turns pass up to the limit."""
    runtime = soft_runtime(tmp_path, soft("alert"))
    warnings = []
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_WARNING], handler=warnings.append)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", 11)
    assert result.metrics["llm_calls"] == 10
    assert [(event.used, event.limit, event.fraction) for event in warnings] == [(3, 10, 0.3)]


async def test_past_the_soft_limit_turns_pass_one_by_one(tmp_path):
    """on_soft="throttle": a turn that waits holds nothing, says RATE_LIMITED, and can be cancelled."""
    clock = FakeClock()
    runtime = soft_runtime(tmp_path, soft("throttle", throttle_s=2.0), clock=clock)
    limited = []
    runtime.bus.subscribe(event_types=[hc.EventType.RATE_LIMITED], handler=limited.append)
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", 4)).status == "completed"
        waiting = await runtime.trigger("spend", 1)
        cancelled = await runtime.trigger("spend", 1)
        await clock.wait_for_sleepers()
        await anyio.wait_all_tasks_blocked()
        (account,) = await runtime._parts.gate.ledger.status()
        assert (account.settled, account.held) == (4, 0)
        await runtime.cancel_execution(cancelled, "enough")
        clock.advance(2.0)
        with anyio.fail_after(10):
            assert (await runtime.wait(waiting)).metrics["llm_calls"] == 1
            assert (await runtime.wait(cancelled)).metrics["llm_calls"] == 0
        await runtime.bus.drain()
        (account,) = await runtime._parts.gate.ledger.status()
    assert [(event.limiter, event.waited_ms, event.execution_id) for event in limited] == [("b", 2_000, waiting)]
    assert (account.settled, account.held, account.in_doubt) == (5, 0, 0)


async def test_past_the_soft_limit_only_running_executions_go_on(tmp_path):
    """on_soft="finish": what began before may use the rest, what begins now is refused and leaves nothing held."""
    runtime = soft_runtime(tmp_path, soft("finish", window="day"))
    go, ready = anyio.Event(), anyio.Event()
    refusals = []
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=refusals.append)

    @runtime.entry_point("patient")
    async def patient(ctx, _):
        await spend(ctx, 3)
        ready.set()
        await go.wait()
        await spend(ctx, 3)

    async with runtime:
        execution_id = await runtime.trigger("patient")
        await ready.wait()
        refused = await runtime.trigger_and_wait("spend", 1)
        go.set()
        finished = await runtime.wait(execution_id)
        again = await runtime.trigger_and_wait("patient")
        (account,) = await runtime._parts.gate.ledger.status()
    assert isinstance(refused.error, hc.BudgetExhaustedError)
    assert refused.error.reset_at is not None
    assert (finished.status, finished.metrics["llm_calls"]) == ("completed", 6)
    assert isinstance(again.error, hc.BudgetExhaustedError)
    assert (account.settled, account.held) == (6, 0)
    assert [(event.action, event.used, event.limit) for event in refusals] == [("refused", 3, 10), ("refused", 6, 10)]


async def test_past_the_soft_limit_turns_take_the_cheaper_model(tmp_path):
    """on_soft="downgrade:MODEL": held and priced at that model's rate."""
    runtime = soft_runtime(tmp_path, soft("downgrade:cheap"), hc.Budget("usd", "$1", mode="hard"))
    async with runtime:
        result = await runtime.trigger_and_wait("spend", 5)
        usd = next(row for row in await runtime._parts.gate.ledger.status() if row.budget == "usd")
    assert result.output == ["m"] * 3 + ["cheap"] * 2
    assert (usd.settled, usd.held) == (3 * 50_000 + 2 * 5_000, 0)


@pytest.mark.parametrize("on_short", ["refuse", "wait", "downgrade:m"])
async def test_past_the_soft_limit_a_turn_that_is_too_dear_takes_the_cheaper_model_first(tmp_path, on_short):
    """What the budget does when it is short is decided for the model that its soft limit takes."""
    models = []

    async def agent(ctx, _):
        for _ in range(4):
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                models.append(turn.model)
                turn.settle(hc.Usage(1_000, 1_000))

    budget = hard("$0.008", soft_limit="$0.004", on_soft="downgrade:cheap", on_short=on_short)
    (result,) = await run(hc.AgentRuntime(tmp_path, budgets=[budget], prices=PRICES), agent)
    assert models == ["m", "cheap", "cheap", "cheap"]
    assert result.status == "completed"


@pytest.mark.parametrize("on_short", ["clamp", "refuse", "wait"])
@pytest.mark.parametrize("is_first", [True, False])
async def test_of_several_that_are_short_any_may_offer_the_cheaper_model(tmp_path, on_short, is_first):
    """In whatever order the budgets are written down."""
    models = []

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            models.append((turn.model, turn.max_tokens))
            turn.settle(hc.Usage(1_000, 1_000))

    x = hc.Budget("x", "$0.00099", on_short=on_short)
    budgets = [x, hard("$0.00099", on_short="downgrade:cheap")]
    runtime = hc.AgentRuntime(tmp_path, budgets=budgets if is_first else budgets[::-1], prices=PRICES)
    (result,) = await run(runtime, agent)
    assert (result.status, models) == ("completed", [("cheap", 1_000)])


async def test_a_budget_that_has_enough_left_offers_nothing(tmp_path):
    """A turn that another budget refuses is refused, however little this process has leased of it."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000):
            pass

    x = hc.Budget("x", "$0.00099", on_short="refuse")
    runtime = hc.AgentRuntime(tmp_path, budgets=[x, hard("$1000", on_short="downgrade:cheap")], prices=PRICES)
    (result,) = await run(runtime, agent)
    assert (result.status, result.error.budget) == ("cancelled", "x")


async def test_budgets_that_downgrade_to_each_other_come_to_an_end(tmp_path):
    """Two that are short, each with the other's model as its way out: refused, not sent to and fro forever."""
    one = hc.Budget("one", "$0.00001", mode="hard", on_short="downgrade:cheap", match={"model": "m"})
    two = hc.Budget("two", "$0.000001", mode="hard", on_short="downgrade:m", match={"model": "cheap"})
    runtime = soft_runtime(tmp_path, one, two)
    async with runtime:
        with anyio.fail_after(10):
            result = await runtime.trigger_and_wait("spend", 1)
    assert isinstance(result.error, hc.BudgetExhaustedError)


async def test_a_restart_knows_that_the_soft_limit_was_reached(tmp_path):
    """What is settled is in the ledger: the next runtime goes on where the last one was."""
    async with soft_runtime(tmp_path, soft("finish")) as runtime:
        assert (await runtime.trigger_and_wait("spend", 4)).status == "completed"
    async with soft_runtime(tmp_path, soft("finish")) as runtime:
        refused = await runtime.trigger_and_wait("spend", 1)
    assert isinstance(refused.error, hc.BudgetExhaustedError)
    assert "soft limit" in str(refused.error)


# -- what is known of a bill without a price -------------------------------------------------------------------------


def stands(runtime) -> dict[str, tuple[int, int, int]]:
    return {row.budget: (row.settled, row.held, row.in_doubt) for row in runtime.final_status}


TOKENS, CALLS = (hc.Budget(unit, f"100_000 {unit}", window="day", mode="hard") for unit in ("tokens", "calls"))


async def test_tokens_and_calls_are_charged_as_used_without_a_price(tmp_path):
    """A model of one's own costs nothing that anybody knows, but its tokens and calls are known to the last one."""

    async def agent(ctx, _):
        for _ in range(10):
            async with ctx.turn("my-local-llama", input_tokens=200, max_tokens=4_000) as turn:
                turn.settle(hc.Usage(200, 100))

    runtime = hc.AgentRuntime(tmp_path, budgets=[TOKENS, CALLS])
    (result,) = await run(runtime, agent)
    assert result.status == "completed"
    assert stands(runtime) == {"tokens": (3_000, 0, 0), "calls": (10, 0, 0)}


@pytest.mark.parametrize(("attempts", "calls"), [(1, (1, 0, 0)), (3, (0, 0, 3))])
@pytest.mark.parametrize("how", ["fails", "is left", "is cut"])
async def test_a_turn_of_unknown_usage_is_one_call_for_sure(tmp_path, how, attempts, calls):
    """Its tokens and dollars stay in doubt, and its calls where it may have been more of them."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=10, attempts=attempts) as turn:
            if how == "fails":
                raise TimeoutError
            if how == "is cut":
                turn.observe({"choices": [{"delta": {"content": "a"}}]})

    runtime = hc.AgentRuntime(tmp_path, budgets=[TOKENS, CALLS, hard("$1")], prices=PRICES)
    await run(runtime, agent)
    held = attempts * 20, attempts * 50_000
    assert stands(runtime) == {"tokens": (0, 0, held[0]), "calls": calls, "b": (0, 0, held[1])}


async def test_only_a_budget_in_usd_needs_a_price(tmp_path):
    """And only where it matches the turn."""

    async def agent(ctx, _):
        async with ctx.turn("my-local-llama", input_tokens=200, max_tokens=4_000) as turn:
            turn.settle(hc.Usage(200, 100))

    others = hard("$1", match={"org": "acme"})
    (passed,) = await run(hc.AgentRuntime(tmp_path / "a", budgets=[TOKENS, CALLS, others]), agent)
    assert passed.status == "completed"
    (refused,) = await run(hc.AgentRuntime(tmp_path / "b", budgets=[TOKENS, hard("$1")]), agent)
    assert isinstance(refused.error, hc.PriceUnknownError)
