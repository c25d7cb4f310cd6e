"""A budget is hard unless it says otherwise: what that means for a first program, and for a folder of an older one."""

from __future__ import annotations

import logging

import pytest

import hivecost as hc
from hivecost.reports import load_budget_report
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

PRICES = {"m": {"input": 1, "output": 2}}


@pytest.fixture
def run(tmp_path):
    """What became of one execution that takes these turns of 10 tokens in and 5 out: `await run(budgets, {…}, {…})`."""

    async def run(budgets, *turns: dict, prices=PRICES, **settings) -> hc.ExecutionResult:
        runtime = hc.AgentRuntime(tmp_path / "data", budgets=budgets, prices=prices, **settings)

        @runtime.entry_point("agent")
        async def agent(ctx, _):
            for given in turns:
                async with ctx.turn(**given) as turn:
                    turn.settle(hc.Usage(10, 5))

        async with runtime:
            return await runtime.trigger_and_wait("agent", user_id="ada", org_id="acme")

    return run


# -- which budgets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["python", "toml"])
async def test_a_budget_that_says_no_mode_is_held(tmp_path, written):
    """From Python and from a file: the turn that might go over is never sent."""
    (tmp_path / "hivecost.toml").write_text('[[budget]]\nname = "day"\nlimit = "3 calls"\nwindow = "day"\n')
    given = (
        {"budgets": hc.Budget("day", limit="3 calls", window="day")}
        if written == "python"
        else {"config": tmp_path / "hivecost.toml"}
    )
    runtime = hc.AgentRuntime(tmp_path / "data", **given)
    sent = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        while True:
            async with ctx.turn("whatever") as turn:
                sent.append(turn)
                turn.settle(hc.Usage(1, 1))

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
        (row,) = await runtime.budgets.status()
    assert [budget.mode for budget in runtime._parts.gate.budgets] == ["hard"]
    assert (result.status, len(sent), row.settled, row.remaining) == ("cancelled", 3, 3, 0)
    assert isinstance(result.error, hc.BudgetExhaustedError)


async def test_a_ledger_takes_it_as_it_is(tmp_path):
    """`Ledger.open` needs no mode either."""
    async with hc.Ledger.open(tmp_path, budgets=hc.Budget("day", limit="$5", window="day")) as ledger:
        (await ledger.reserve({}, usd="1")).settle(usd="0.5")
        assert [row.settled for row in await ledger.status()] == [500_000_000]


@pytest.mark.parametrize(
    "settings",
    [
        {"per": "user"},
        {"match": {"org": "acme"}, "per": ("user", "model")},
        {"limits": {"ada": "$2"}, "per": "user"},
        {"soft_limit": "$0.000001", "on_soft": "downgrade:gpt-4o"},
        {"shadow": True, "limit": "$0.000001"},
        {"window": "session"},
        {"window": "execution", "on_short": "clamp"},
    ],
)
async def test_whatever_else_it_says(run, settings):
    """Accounts of values, matches, soft limits and dry runs count as ever."""
    budget = hc.Budget("b", **{"limit": "$1", **settings})
    result = await run(budget, *[{"model": "m", "prompt": "hello", "max_tokens": 50}] * 2)
    assert (budget.mode, result.status, result.metrics["llm_calls"]) == ("hard", "completed", 2)


# -- what it asks of a turn ------------------------------------------------------------------------------------------


async def test_a_model_without_a_price_is_refused_with_the_way_to_price_it(run):
    """In which file and table, what to write for one that is free, and for a deployment; each of them helps."""
    budget = hc.Budget("day", limit="$5", window="day")
    turn = {"model": "ollama/llama3"}
    refused = await run(budget, turn, prices=None)
    assert isinstance(refused.error, hc.PriceUnknownError)
    for way in (
        "a hard budget holds what a turn can cost before it is sent (mode='stop_after' lets it pass)",
        "under [prices] in hivecost.toml",
        '"ollama/llama3" = { input = USD, output = USD }',
        '"ollama/llama3" = 0 where it is free',
        '"ollama/*" = 0',
        'under [aliases] "ollama/llama3" = "MODEL"',
    ):
        assert way in str(refused.error)
    for prices in (
        {"ollama/llama3": {"input": 1, "output": 1, "context_window": 4_000, "max_output_tokens": 400}},
        {"ollama/llama3": 0},
        {"ollama/*": 0},
    ):
        assert (await run(budget, turn, prices=prices)).status == "completed", prices
    deployment = {"model": "our-deployment"}
    assert 'under [aliases] "our-deployment" = "MODEL"' in str((await run(budget, deployment, prices=None)).error)
    assert (await run(budget, deployment, prices={"aliases": {"our-deployment": "gpt-4o"}})).status == "completed"


async def test_the_file_that_the_refusal_names_is_read(tmp_path):
    """The lines of the message, filled in, are a configuration under which the turn passes."""
    config = tmp_path / "hivecost.toml"
    config.write_text(
        '[[budget]]\nname = "day"\nlimit = "$5"\n'
        '[prices]\n"our-model" = { input = 1.0, output = 2.0 }\n"ollama/*" = 0\n'
        '[aliases]\n"our-deployment" = "gpt-4o"\n'
    )
    runtime = hc.AgentRuntime(tmp_path / "data", config=config)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for model in ("our-model", "ollama/llama3", "our-deployment"):
            async with ctx.turn(model, input_tokens=10, max_tokens=5) as turn:
                turn.settle(hc.Usage(10, 5))

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
    assert (result.status, result.metrics["unpriced_calls"]) == ("completed", 0)


@pytest.mark.parametrize(
    ("given", "said", "keys"),
    [
        (
            {},
            r"ctx\.turn\(prompt=messages or input_tokens=…, max_tokens=…\)",
            "context_window = .* and max_output_tokens",
        ),
        ({"max_tokens": 9}, r"ctx\.turn\(prompt=messages or input_tokens=…\)", "context_window = TOKENS"),
        ({"prompt": "hello"}, r"ctx\.turn\(max_tokens=…\)", "max_output_tokens = TOKENS"),
    ],
)
async def test_what_nobody_can_bound_is_asked_for_at_once(run, given, said, keys):
    """All that is missing, and where to write it once for the model."""
    for limit in ("$5", "5000 tokens"):
        refused = await run(hc.Budget(limit, limit), {"model": "m", **given})
        with pytest.raises(hc.ConfigError, match=f"^{said}: expected .*model 'm'; say it here, or once .*{keys}"):
            raise refused.error


async def test_a_refusal_says_what_was_held_at_its_models_maximum(run):
    """A first program says neither prompt nor max_tokens: why $0.05 is too little for one turn stands there."""
    budget = hc.Budget("per run", limit="$0.05", window="execution")
    prompt_held = "; without input_tokens= or a text prompt= it holds all 128,000 tokens that 'gpt-4o' reads"
    answer_held = "; without max_tokens= it holds all 16,384 tokens that 'gpt-4o' writes"
    refused = (await run(budget, {"model": "gpt-4o"})).error
    assert isinstance(refused, hc.BudgetExhaustedError)
    assert str(refused).endswith("needs up to $0.4838, $0.0500 of $0.0500 remain" + prompt_held + answer_held)
    refused = (await run(budget, {"model": "gpt-4o", "prompt": "hello"})).error
    assert str(refused).endswith("remain" + answer_held)
    refused = (await run(budget, {"model": "gpt-4o", "prompt": "hello", "max_tokens": 10_000})).error
    assert str(refused).endswith("remain")
    refused = (await run(hc.Budget("one", limit="1 calls"), *[{"model": "gpt-4o"}] * 2)).error
    assert "needs up to 1 call, 0 calls of 1 call remain" in str(refused)
    assert "holds all" not in str(refused)


async def test_a_cap_says_it_too(tmp_path):
    """A block with a limit holds as a hard budget does."""
    runtime = hc.AgentRuntime(tmp_path / "data")

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.node("research", limit="$0.05"), ctx.turn("gpt-4o"):
            pass

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
    assert "without max_tokens= it holds all 16,384 tokens that 'gpt-4o' writes" in str(result.error)


@pytest.mark.parametrize("stream_tokens", [0, 100])
@pytest.mark.parametrize("budget", [{}, {"shadow": True}])
async def test_what_costs_nothing_needs_no_bound(tmp_path, budget, stream_tokens):
    """A free model that nobody described passes, streamed or not; so does one that only a dry run counts."""
    prices = None if budget else {"ollama/*": 0}
    runtime = hc.AgentRuntime(tmp_path / "data", budgets=hc.Budget("day", limit="$0.01", **budget), prices=prices)

    async def chunks():
        yield {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "hello"}}]}
        yield {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}}

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("ollama/llama3", attempts=3, stream_tokens=stream_tokens) as turn:
            async for _ in turn.stream(chunks()):
                pass
            turn.settle()

    async with runtime:
        result = await runtime.trigger_and_wait("agent")
    assert (result.status, result.metrics["cost_nanousd"]) == ("completed", 0)


async def test_a_budget_in_calls_has_nothing_to_clamp(run):
    """It refuses as spent, and asks for no `max_tokens`."""
    refused = await run(hc.Budget("b", "1 calls", on_short="clamp"), *[{"model": "whatever", "prompt": "hello"}] * 2)
    assert isinstance(refused.error, hc.BudgetExhaustedError)


# -- what nobody asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "times"), [({}, 1), ({"mode": "stop_after"}, 0), ({"match": {"org": "globex"}}, 0)])
@pytest.mark.parametrize("inside", [True, False])
async def test_a_turn_that_is_only_published_is_said_to_be_uncounted(tmp_path, caplog, mode, times, inside):
    """A hard budget counts what asks it; that it does not see the others is said, once."""
    runtime = hc.AgentRuntime(tmp_path / "data", budgets=hc.Budget("day", limit="$5", **mode), prices=PRICES)
    turn = hc.LLMTurnComplete(model="m", usage=hc.Usage(10, 5))

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=5) as asked:
            asked.settle(hc.Usage(10, 5))
        if inside:
            ctx.publish(turn)

    with caplog.at_level(logging.WARNING, logger="hivecost"):
        async with runtime:
            await runtime.trigger_and_wait("agent")
            for _ in range(3):
                await runtime.bus.publish(turn)
    said = [message for message in caplog.messages if "was published that no ctx.turn(...) asked for" in message]
    assert len(said) == times
    assert all(
        "budget 'day', which is hard, does not count it; mode='stop_after' counts" in message for message in said
    )


async def test_a_turn_that_is_settled_after_its_execution_did_ask(tmp_path, caplog):
    """It held money: nothing is said of it."""
    runtime = hc.AgentRuntime(tmp_path / "data", budgets=hc.Budget("day", limit="$5"), prices=PRICES)
    turns = []

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        turn = ctx.turn("m", input_tokens=10, max_tokens=5)
        await turn.__aenter__()
        turns.append(turn)

    with caplog.at_level(logging.WARNING, logger="hivecost.runtime"):
        async with runtime:
            await runtime.trigger_and_wait("agent")
            turns[0].settle(hc.Usage(10, 5))
            await runtime.bus.drain()
            assert runtime.statistics().foreign_turns == 1
    assert not any("was published" in message for message in caplog.messages)


# -- a folder of before ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("window", ["day", "execution"])
async def test_a_budget_that_was_stop_after_by_default_goes_on_as_a_hard_one(run, tmp_path, caplog, window, log):
    """It counts in the ledger from then on; one warning says so, and what to write for the old way."""
    turn = {"model": "m", "input_tokens": 10, "max_tokens": 5}
    clock = FakeClock()
    await run(hc.Budget("b", "$0.00005", window=window, mode="stop_after"), turn, clock=clock)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="hivecost"):
        settings = {"clock": clock, "config": {"log": log}}
        for _ in range(3):
            result = await run(hc.Budget("b", "$0.00007", window=window), turn, **settings)
            assert result.status == "completed"
    said = [record for record in caplog.records if "is hard now" in record.message]
    assert [record.levelname for record in said] == ["WARNING"]
    before = "" if window == "execution" else ", which does not know what was spent on it as stop_after"
    assert said[0].message == (
        f"budget 'b' is hard now, and was stop_after here: its money is held in the ledger{before}; "
        "mode='stop_after' keeps it as it was"
    )
    (line,) = (await load_budget_report(tmp_path / "data", clock=clock)).budgets
    assert (line.mode, [row.settled for row in line.accounts]) == ("hard", [60_000] if window == "day" else [])


async def test_a_budget_that_was_hard_before_says_nothing(run, caplog):
    """Nor does one that is new, or becomes `stop_after`, which reads its sums from the log."""
    turn = {"model": "m", "input_tokens": 10, "max_tokens": 5}
    with caplog.at_level(logging.INFO, logger="hivecost"):
        for mode in ({}, {"mode": "hard"}, {}, {"mode": "stop_after"}, {"mode": "observe"}):
            assert (await run(hc.Budget("b", "$1", window="day", **mode), turn)).status == "completed"
    assert not any("is hard now" in message for message in caplog.messages)
