"""A `stop_after` or `observe` budget is not blind: what it cannot see is estimated, said, or refused."""

from __future__ import annotations

import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

#: 300 bytes, so 100 tokens at $0.000002 each.
CHUNK = {"model": "m", "choices": [{"delta": {"content": "x" * 300}}]}
WHOLE = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "x" * 300}}]}


@pytest.fixture
def go(make_runtime, collect):
    """Run turns that end as told, on a runtime with one budget: its result, its account, and what was alerted."""

    async def go(budget, *ends, **bounds):
        runtime = make_runtime(budgets=budget)

        @runtime.entry_point("agent")
        async def agent(ctx, _):
            for end in ends:
                async with ctx.turn("nobody-knows" if end == "no price" else "m", **bounds) as turn:
                    if end == "stream":
                        turn.observe(CHUNK)
                        turn.settle()
                    elif end == "whole":
                        turn.settle(WHOLE)
                    elif end == "nothing":
                        turn.settle({})
                    else:
                        turn.settle(hc.Usage(100, 100))
                await runtime.bus.drain()

        seen = collect(runtime, hc.EventType.ALERT_RAISED)
        async with runtime:
            result = await runtime.trigger_and_wait("agent")
            await runtime.bus.drain()
            row = next(row for row in await runtime.budgets.status() if row.budget == budget.name)
        return result, row, [alert for alert in seen if alert.rule == "budget.unseen"]

    return go


@pytest.mark.parametrize("end", ["stream", "whole"])
@pytest.mark.parametrize("bounds", [{"input_tokens": 100}, {"prompt": "y" * 294}])
async def test_missing_usage_is_estimated(go, end, bounds):
    """From what was read, and from what was said of the prompt; a cap fires on it, and reports call it estimated."""
    result, row, alerts = await go(hc.Budget("cap", "$0.0005", mode="stop_after"), *[end] * 9, **bounds)
    assert (result.status, result.metrics["llm_calls"], result.metrics["estimated_calls"]) == ("cancelled", 2, 2)
    assert 600_000 <= row.settled <= 620_000
    assert (row.unpriced_calls, alerts) == (0, [])


async def test_a_prompt_that_nobody_told_of_is_unseen(go, caplog):
    """The answer is counted, the rest is said once per account, in the log and as an event, and counted."""
    result, row, alerts = await go(hc.Budget("cap", "$0.0005", mode="stop_after"), *["stream"] * 9)
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 3)
    assert (row.settled, row.unpriced_calls) == (600_000, 3)
    assert [(alert.budget, alert.severity) for alert in alerts] == [("cap", "P2")]
    said = [record.message for record in caplog.records if "could not see" in record.message]
    assert said == [alerts[0].message]
    assert "budget 'cap' could not see what a call of 'm' spent: no usage was reported" in said[0]


@pytest.mark.parametrize("mode", ["stop_after", "observe"])
async def test_a_missing_price_is_not_estimated(go, mode):
    """It is said once, and counted: other calls are seen all the same."""
    _, row, alerts = await go(hc.Budget("cap", "$1", mode=mode), "no price", "usage", "no price", "nothing")
    assert (row.settled, row.unpriced_calls) == (300_000, 3)
    assert ["no price" in alert.message for alert in alerts] == [True]


@pytest.mark.parametrize(
    ("limit", "settled", "unseen"),
    [("9 calls", 4, 0), ("999_999 tokens", 200 + 200 + 100, 2)],
)
async def test_a_budget_is_blind_to_its_own_unit_alone(go, limit, settled, unseen):
    """Calls are always seen, and tokens wherever their usage is known, with a price or without."""
    _, row, alerts = await go(hc.Budget("cap", limit, mode="stop_after"), "no price", "usage", "stream", "nothing")
    assert (row.settled, row.unpriced_calls, len(alerts)) == (settled, unseen, min(unseen, 1))


async def test_ignored_is_silent_and_counted(go):
    """As before there were estimates: what a call told counts, and what it did not is unseen."""
    result, row, alerts = await go(
        hc.Budget("cap", "$1", on_unpriced="ignore", mode="stop_after"), "no price", "stream", "usage"
    )
    assert (result.status, row.settled, row.unpriced_calls, alerts) == ("completed", 300_000, 2, [])


async def test_refused_is_the_turn_after_it(go):
    """Nothing passes on an account that could not see a call; the error says why, and the ways out."""
    budget = hc.Budget("cap", "$1", window="day", on_unpriced="refuse", mode="stop_after")
    result, row, _ = await go(budget, "usage", "stream", "usage")
    assert (result.status, result.metrics["llm_calls"], row.unpriced_calls) == ("cancelled", 2, 1)
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert result.error.reset_at is not None
    for part in ("budget 'cap' could not see what a call spent (no usage", "on_unpriced='estimate'", "it resets at"):
        assert part in str(result.error)


async def test_refused_is_a_model_without_a_price(go):
    """Before it is sent, because that is known; a budget in tokens has no need of one."""
    result, _, _ = await go(hc.Budget("cap", "$1", on_unpriced="refuse", mode="stop_after"), "no price")
    assert isinstance(result.error, hc.PriceUnknownError)
    assert result.metrics["llm_calls"] == 0
    result, _, _ = await go(
        hc.Budget("cap", "9999 tokens", on_unpriced="refuse", mode="stop_after"), "no price", "usage"
    )
    assert result.status == "completed"


async def test_observing_refuses_nobody(go):
    """Whatever it is told to do about it."""
    for settings in ({"mode": "observe"}, {"mode": "stop_after", "shadow": True}):
        result, _, alerts = await go(hc.Budget("cap", "$1", on_unpriced="refuse", **settings), "no price", "usage")
        assert (result.status, len(alerts)) == ("completed", 1)


async def test_under_a_hard_budget_an_estimate_is_for_reports(make_runtime):
    """The hold stays in doubt, also where the estimate is more than was held."""
    for tokens in (5, 5_000):
        budget = hc.Budget(f"cap {tokens}", "$1", mode="hard")
        runtime = make_runtime(budgets=budget)

        @runtime.entry_point("agent")
        async def agent(ctx, max_tokens):
            async with ctx.turn("m", input_tokens=100, max_tokens=max_tokens) as turn:
                turn.observe(CHUNK)
                assert turn.settle().status == "estimated"

        async with runtime:
            result = await runtime.trigger_and_wait("agent", tokens)
            row = next(row for row in await runtime.budgets.status() if row.budget == budget.name)
        assert (result.metrics["cost_nanousd"], result.metrics["estimated_calls"]) == (300_000, 1)
        assert (row.settled, row.in_doubt, row.frozen) == (0, 100_000 + 2_000 * tokens, False)


@pytest.mark.parametrize("value", ["estimate", "refuse", "ignore"])
def test_a_hard_budget_has_no_such_choice(value):
    """It holds what nobody knows; the others take any of the three."""
    with pytest.raises(hc.ConfigError, match=r"budget 'b'\.on_unpriced: expected nothing: a hard budget"):
        hc.Budget("b", "$1", mode="hard", on_unpriced=value)
    for mode in ("stop_after", "observe"):
        assert hc.Budget("b", "$1", mode=mode, on_unpriced=value).on_unpriced == value
    for wrong in ("warn", None, 5, []):
        with pytest.raises(hc.ConfigError, match=r"budget 'b'\.on_unpriced: expected one of 'estimate'"):
            hc.Budget("b", "$1", on_unpriced=wrong, mode="stop_after")


async def test_the_report_says_how_many_calls(make_runtime, tmp_path, capsys):
    """Beside what is in the total."""
    from hivecost.cli.render import render_session  # rich is slow to load
    from hivecost.reports import load_session_report

    runtime = make_runtime(budgets=hc.Budget("cap", "$1", mode="stop_after"), config={"log": True})

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for _ in range(3):
            async with ctx.turn("m") as turn:
                turn.observe(CHUNK)
        async with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        await runtime.trigger_and_wait("agent")
    report = await load_session_report(tmp_path)
    assert (report.blind, report.unseen_calls) == (["cap"], 3)
    render_session(report)
    shown = capsys.readouterr().out
    assert "Budget    cap: 3 calls of this session it could not see" in shown
    assert shown.count("could not see") == 1
