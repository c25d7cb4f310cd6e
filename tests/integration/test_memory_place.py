"""`memory://NAME`: one log and one ledger for all of a process, and for nobody else; no file is made anywhere."""

from __future__ import annotations

import time

import pytest

import hivecost as hc
from hivecost.backends import open_backend, open_log
from hivecost.reports import (
    explain_budget,
    load_advice,
    load_budget_changes,
    load_budget_report,
    load_session_report,
    load_spend,
    reprice_log,
)

pytestmark = pytest.mark.anyio

PRICES = {"m": {"input": 1, "output": 2}}
HARD = hc.Budget("per day", "10 calls", window="day", mode="hard")
SOFT = hc.Budget("per user", "$1", per="user", window="day", mode="stop_after")


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    """A name of this test's own; the process stands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    yield f"memory://{request.node.name}"
    assert list(tmp_path.iterdir()) == []


def runtime_of(place, **settings):
    runtime = hc.AgentRuntime(place, prices=PRICES, **settings)

    @runtime.entry_point("agent")
    async def agent(ctx, calls):
        async with ctx.node("plan"):
            for _ in range(calls):
                async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
                    turn.settle(hc.Usage(10, 5))

    return runtime


async def test_a_runtime_logs_and_holds_there(place):
    """A hard budget is true, a second runtime goes on where the first one ended, and so does a Ledger."""
    async with runtime_of(place, budgets=[HARD, SOFT]) as runtime:
        first = await runtime.trigger_and_wait("agent", 7, session_id="s", user_id="ada")
        assert first.status == "completed"
    async with runtime_of(place, budgets=[HARD, SOFT]) as runtime:
        second = await runtime.trigger_and_wait("agent", 7, session_id="s")
        assert isinstance(second.error, hc.BudgetExhaustedError)
        assert second.metrics["llm_calls"] == 3
    async with hc.Ledger.open(place, budgets=[HARD]) as ledger:
        assert [(row.budget, row.settled, row.held) for row in await ledger.status()] == [("per day", 10, 0)]
        assert await ledger.raise_limit("per day", 1, by="ada") == 11
        (await ledger.reserve({}, calls=1)).settle(calls=1)
    assert [row.settled for row in open_backend(place).ledger_reader().status(time.time_ns())] == [11]
    assert (await hc.SpendStore(place).totals(by=()))[0].llm_calls == 10


async def test_whoever_reads_sees_it(place):
    """Stores and reports say the same as of a folder."""
    async with runtime_of(place, budgets=[HARD, SOFT]) as runtime:
        run = await runtime.trigger_and_wait("agent", 2, session_id="s", user_id="ada")
        await runtime.flush()
        state = await hc.SessionStore(place).read_state("s")
        assert (state.status, state.metrics.llm_calls, state.metrics.cost_nanousd) == ("completed", 2, 40_000)
    log = hc.RuntimeLogStore(place)
    (node,) = (await log.load_details("s")).nodes
    assert (node.node_id, node.llm_call_count, len(node.steps), node.models) == ("plan", 2, 2, ("m",))
    assert [one.execution_id for one in await log.list_runs(session_id="s")] == [run.execution_id]
    assert await hc.SessionStore(place).list_sessions() == [state] == [(await load_session_report(place)).session]
    report = await load_session_report(place, "s")
    assert {(line.budget, line.used) for line in report.budgets} == {("per day", 2), ("per user", 40_000)}
    assert (await load_spend(place, by=["day"])).total.llm_calls == 2
    budgets = {line.budget: line.accounts[0].settled for line in (await load_budget_report(place)).budgets}
    assert budgets == {"per day": 2, "per user": 40_000}
    assert (await explain_budget(place, "per day")).accounts[0].account.settled == 2
    assert [(one.what, one.subject) for one in await load_budget_changes(place)] == [("configure", "per day")]
    book = hc.PriceBook({"m": {"input": 2, "output": 4}})
    assert (await reprice_log(place, book)).total.new_nanousd == 80_000
    repriced = (await load_session_report(place, "s")).repriced
    assert (repriced.old_nanousd, repriced.new_nanousd) == (40_000, 80_000)
    assert (await load_advice(place, book, "s")).session_id == "s"
    assert await hc.SessionStore(place).delete_session("s")
    assert open_log(place).sums() == []


async def test_a_restarted_runtime_knows_what_was_spent(place):
    """Budgets that only count read it back from the log."""
    budget = hc.Budget("per user", "3 calls", per="user", window="day", mode="stop_after")
    async with runtime_of(place, budgets=[budget]) as runtime:
        assert (await runtime.trigger_and_wait("agent", 3, user_id="ada")).status == "completed"
    async with runtime_of(place, budgets=[budget]) as runtime:
        assert (await runtime.trigger_and_wait("agent", 1, user_id="ada")).status == "cancelled"
        assert (await runtime.trigger_and_wait("agent", 1, user_id="bob")).status == "completed"


async def test_places_are_apart(place):
    """What is in one is in no other."""
    async with runtime_of(place) as runtime:
        await runtime.trigger_and_wait("agent", 1, session_id="s")
    assert await hc.SessionStore(f"{place}/other").list_sessions() == []
    assert open_log(f"{place}/other").as_of() is None


async def test_rates_are_kept_there(place):
    """The fetched ones and those before; a price book of the place has them."""
    rates = open_backend(place).rates
    assert (rates.current(), rates.previous()) == (None, None)
    assert [rates.save(data) for data in (b"one", b"one", b"two")] == [True, False, True]
    assert (rates.current(), rates.previous()) == (b"two", b"one")
