"""BudgetWatcher: counts, warns, stops, refuses, and remembers over a restart."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import hivecost as hc
from hivecost.clock import to_ns
from hivecost.subscribers.budget_watcher import logged_spending
from hivecost.subscribers.budget_watcher.logged_spending import LOOK_S, LoggedSpending
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

WARNING, EXCEEDED = hc.EventType.BUDGET_WARNING, hc.EventType.BUDGET_EXCEEDED
#: 10 tokens in, 5 out: 15 tokens and 20,000 nano-USD.
TURN = ("m", hc.Usage(10, 5))


@contextmanager
def facts_of(signal):
    told = []

    def take(sender, **facts):
        told.append(facts)

    signal.connect(take)
    yield told
    signal.disconnect(take)


@pytest.fixture
def exhausted():
    with facts_of(hc.budget_exhausted) as told:
        yield told


@pytest.fixture
def warned():
    with facts_of(hc.budget_warning) as told:
        yield told


@pytest.mark.parametrize(
    ("limit", "turns", "used", "limit_amount", "unit"),
    [
        ("50 tokens", 4, 60, 50, "tokens"),
        ("$0.00005", 3, 60_000, 50_000, "usd"),
    ],
)
async def test_it_cancels_what_goes_over(make_runtime, collect, exhausted, limit, turns, used, limit_amount, unit):
    """The turn that passes the limit is the last one; result, event and signal name budget and sums."""
    runtime = make_runtime(budgets=[hc.Budget("per run", limit=limit, window="execution", warn=(), mode="stop_after")])
    seen = collect(runtime, EXCEEDED)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 10)
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", turns)
    assert isinstance(result.error, hc.BudgetExceededError)
    assert result.error.budget == "per run"
    (event,) = seen
    assert (event.budget, event.used, event.limit, event.unit) == ("per run", used, limit_amount, unit)
    assert (event.action, event.execution_id) == ("cancelled", result.execution_id)
    assert event.scope == f"execution={result.execution_id}"
    (facts,) = exhausted
    assert (facts["budget"], facts["execution_id"], facts["used"]) == ("per run", result.execution_id, used)


@pytest.mark.parametrize(("limit", "turns"), [("45 tokens", 3), ("$0.00004", 2), ("2 calls", 2)])
async def test_a_limit_that_is_met_exactly_is_spent_and_nothing_is_over(make_runtime, collect, limit, turns):
    """The next turn is refused at the gate before it is sent, so the account never goes over."""
    runtime = make_runtime(budgets=[hc.Budget("per run", limit=limit, window="execution", warn=(), mode="stop_after")])
    seen = collect(runtime, EXCEEDED)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 10)
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", turns)
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert [(event.action, event.used, event.remaining) for event in seen] == [("refused", seen[0].limit, 0)]


@pytest.mark.parametrize("mode", ["observe", "stop_after", "hard"])
async def test_a_warning_is_on_the_control_plane_too(make_runtime, collect, warned, mode):
    """`budget_warning` tells what BUDGET_WARNING says, before the event is on the bus, in every strength."""
    budget = hc.Budget("calls", "4 calls", window="day", per="user", mode=mode, warn=(0.25, 0.75))
    runtime = make_runtime(budgets=[budget])
    seen = collect(runtime, WARNING)
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN] * 3, user_id="ada")
    names = ("budget", "scope", "execution_id", "used", "limit", "unit", "fraction")
    assert warned == [{name: getattr(event, name) for name in names} for event in seen]
    assert [facts["fraction"] for facts in warned] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (hc.Budget("day", "2 calls", window="day", per="user", mode="stop_after"), 0),
        (
            hc.Budget(
                "day", "5 calls", window="day", per="user", soft_limit="2 calls", on_soft="finish", mode="stop_after"
            ),
            3,
        ),
    ],
    ids=["spent", "past its soft limit"],
)
async def test_a_refusal_is_published(make_runtime, collect, exhausted, budget, left):
    """A turn that an account of `stop_after` refuses at the gate is an event and a signal, with what was left."""
    runtime = make_runtime(budgets=[budget])
    seen = collect(runtime, EXCEEDED)
    async with runtime:
        await runtime.trigger_and_wait("spend", [TURN] * 2, user_id="ada")
        refused = await runtime.trigger_and_wait("spend", [TURN], user_id="ada")
        await runtime.trigger_and_wait("spend", [TURN], user_id="bob")
    (event,) = seen
    assert (event.action, event.execution_id, event.user_id) == ("refused", refused.execution_id, "ada")
    assert (event.scope, event.used, event.limit, event.remaining) == ("user=ada", 2, 2 + left, left)
    assert event.period == refused.error.period != ""
    assert [facts["execution_id"] for facts in exhausted] == [refused.execution_id]


async def test_what_is_cancelled_is_not_refused_as_well(make_runtime, collect):
    """The turn that the agent asks for in the same moment is told once: as the cancellation of its execution."""
    runtime = make_runtime(budgets=[hc.Budget("day", "20 tokens", window="day", mode="stop_after")])
    seen = collect(runtime, EXCEEDED)

    @runtime.entry_point("eager")
    async def eager(ctx, _):
        while True:
            async with ctx.turn("m") as turn:
                turn.settle(hc.Usage(10, 5))

    async with runtime:
        await runtime.trigger_and_wait("eager")
        await runtime.trigger_and_wait("eager")
    assert [event.action for event in seen] == ["cancelled", "refused"]


@pytest.mark.parametrize(
    ("per", "same", "other"),
    [
        ("user", {"user_id": "ada"}, {"user_id": "bob"}),
        ("org", {"org_id": "acme"}, {"org_id": "umbrella"}),
        ("task", {"task_id": "t1"}, {"task_id": "t2"}),
        ("session", {"session_id": "s1"}, {"session_id": "s2"}),
        ("customer", {"tags": {"customer": "c1"}}, {"tags": {"customer": "c2"}}),
    ],
)
async def test_each_value_has_an_account_of_its_own(make_runtime, per, same, other):
    """What one spends is not taken from another; a second execution of the same one finds the account spent."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="2 calls", per=per, window="total", mode="stop_after")])
    async with runtime:
        first = await runtime.trigger_and_wait("spend", [TURN] * 2, **same)
        second = await runtime.trigger_and_wait("spend", [TURN], **same)
        third = await runtime.trigger_and_wait("spend", [TURN] * 2, **other)
    assert (first.status, second.status, third.status) == ("completed", "cancelled", "completed")
    assert second.metrics["llm_calls"] == 0
    assert isinstance(second.error, hc.BudgetExhaustedError)
    assert per in str(second.error)


@pytest.mark.parametrize("per", ["agent", "model"])
async def test_agents_and_models_have_accounts(make_runtime, per):
    """Per agent and per model: the budget of one leaves the other alone."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="1 calls", per=per, mode="stop_after")])

    @runtime.entry_point("other")
    async def other(ctx, _):
        async with ctx.turn("n") as turn:
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [TURN])).status == "completed"
        assert (await runtime.trigger_and_wait("other")).status == "completed"
        refused = await runtime.trigger_and_wait("spend", [TURN])
    assert isinstance(refused.error, hc.BudgetExhaustedError)


async def test_an_execution_window_starts_anew_with_each_execution(make_runtime):
    """Ten runs of two calls each pass a budget of two calls per run."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="2 calls", window="execution", mode="stop_after")])
    async with runtime:
        results = [await runtime.trigger_and_wait("spend", [TURN] * 2) for _ in range(10)]
        await runtime.bus.drain()
        assert runtime.plugins["budget-watcher"].plugin.status() == []
    assert {result.status for result in results} == {"completed"}


async def test_only_what_matches_counts(make_runtime):
    """`match` picks the spending a budget is about."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="1 calls", match={"user": ["ada", "bob"]}, mode="stop_after")])
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [TURN] * 5, user_id="eve")).status == "completed"
        assert (await runtime.trigger_and_wait("spend", [TURN] * 5, user_id="bob")).status == "cancelled"


async def test_it_warns_once_at_each_fraction(make_runtime, collect):
    """At 80 and 90 % unless told otherwise, each once for an account, with what is used of what."""
    runtime = make_runtime(
        budgets=[
            hc.Budget("default", limit="10 calls", mode="stop_after"),
            hc.Budget("early", limit="150 tokens", warn=(0.5,), mode="stop_after"),
        ]
    )
    seen = collect(runtime, WARNING)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 9, user_id="ada")
    assert result.status == "completed"
    assert [(e.budget, e.fraction, e.used, e.limit, e.unit) for e in seen] == [
        ("early", 0.5, 75, 150, "tokens"),
        ("default", 0.8, 8, 10, "calls"),
        ("default", 0.9, 9, 10, "calls"),
    ]
    assert {(e.user_id, e.execution_id) for e in seen} == {("ada", result.execution_id)}
    assert seen[1].data["used_pct"] == 80.0


@pytest.mark.parametrize("settings", [{"shadow": True}, {"on_exceed": "alert"}, {"mode": "observe"}])
async def test_observing_and_shadow_budgets_let_everything_pass_and_say_so(make_runtime, collect, exhausted, settings):
    """They count and report what they would have done; nobody is cancelled or refused."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="1 calls", warn=(), **{"mode": "stop_after", **settings})])
    seen = collect(runtime, EXCEEDED)
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 3)
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 3)
    assert [(event.used, event.action) for event in seen] == [(2, "none"), (3, "none")]
    assert len(exhausted) == 2


async def test_a_spent_day_is_refused_until_it_is_over(make_runtime):
    """The gate refuses with `reset_at`; when the day is over, the same account is empty again."""
    clock = FakeClock(datetime(2026, 11, 22, 21, 0, tzinfo=UTC))
    budget = hc.Budget("day", limit="1 calls", window="day", timezone="Europe/Berlin", mode="stop_after")
    runtime = make_runtime(budgets=[budget], clock=clock)
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [TURN])).status == "completed"
        refused = await runtime.trigger_and_wait("spend", [TURN])
        assert isinstance(refused.error, hc.BudgetExhaustedError)
        assert refused.error.reset_at == datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
        assert refused.metrics["llm_calls"] == 0
        assert (refused.error.budget, refused.error.execution_id) == ("day", refused.execution_id)
        clock.advance(2 * 3600)
        assert (await runtime.trigger_and_wait("spend", [TURN])).status == "completed"
    statuses = runtime.plugins["budget-watcher"].plugin.status()
    assert [(row.period, row.settled) for row in statuses] == [("2026-11-22", 1), ("2026-11-23", 1)]


async def test_todays_spend_is_recovered_after_a_restart(make_runtime):
    """A new process reads from the log what was spent today: no second helping, and no more than was spent."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    settings = {"clock": clock, "config": {"log": True}}
    budget = hc.Budget("day", limit="5 calls", window="day", per="user", mode="stop_after")
    first = make_runtime(budgets=[budget], **settings)
    async with first:
        await first.trigger_and_wait("spend", [TURN] * 3, user_id="ada")
        await first.trigger_and_wait("spend", [TURN] * 1, user_id="bob")
    second = make_runtime(budgets=[budget], **settings)
    async with second:
        rows = {row.scope: row.settled for row in second.plugins["budget-watcher"].plugin.status()}
        assert rows == {"user=ada": 3, "user=bob": 1}
        assert (await second.trigger_and_wait("spend", [TURN] * 2, user_id="ada")).status == "completed"
        assert (await second.trigger_and_wait("spend", [TURN] * 1, user_id="ada")).status == "cancelled"
    clock.advance(24 * 3600)
    third = make_runtime(budgets=[budget], **settings)
    async with third:
        assert third.plugins["budget-watcher"].plugin.status() == []


async def test_a_runtime_that_runs_again_does_not_count_twice(make_runtime):
    """The same object opened a second time remembers; it does not read its own turns back on top."""
    runtime = make_runtime(
        budgets=[hc.Budget("day", limit="5 calls", window="day", mode="stop_after")], config={"log": True}
    )
    for settled in (2, 4):
        async with runtime:
            assert (await runtime.trigger_and_wait("spend", [TURN] * 2)).status == "completed"
            (row,) = runtime.plugins["budget-watcher"].plugin.status()
            assert row.settled == settled


async def test_unpriced_turns_are_counted_beside_a_usd_budget(make_runtime):
    """What has no price adds no USD, and the account says how many such calls there were."""
    runtime = make_runtime(
        budgets=[
            hc.Budget("usd", limit="$1", mode="stop_after"),
            hc.Budget("tokens", limit="1000 tokens", mode="stop_after"),
        ]
    )
    async with runtime:
        await runtime.trigger_and_wait("spend", [("nobody-knows-this-model", hc.Usage(10, 5)), TURN])
        usd, tokens = runtime.plugins["budget-watcher"].plugin.status()
    assert (usd.settled, usd.unpriced_calls) == (20_000, 1)
    assert tokens.settled == 30


async def test_the_overshoot_is_at_most_the_turns_in_flight(make_runtime):
    """Twenty concurrent executions over one account: each is in one turn when it is spent, and none starts another."""
    runtime = make_runtime(budgets=[hc.Budget("all", limit="50 calls", mode="stop_after")])

    @runtime.entry_point("loop")
    async def loop(ctx, _):
        while True:
            async with ctx.turn("m") as turn:
                await anyio.sleep(0)
                turn.settle(hc.Usage(1, 1))

    async with runtime:
        ids = [await runtime.trigger("loop") for _ in range(20)]
        results = [await runtime.wait(execution_id) for execution_id in ids]
    assert {result.status for result in results} == {"cancelled"}
    assert 50 <= sum(result.metrics["llm_calls"] for result in results) <= 50 + 20


async def test_a_turn_is_decided_when_all_that_was_published_before_is_counted(make_runtime):
    """Whatever was published, here or by another thread, before the turn was asked for: the one that spends it, too."""
    runtime = make_runtime(budgets=[hc.Budget("all", limit="60 calls", mode="stop_after")])
    settled = []

    @runtime.entry_point("loop")
    async def loop(ctx, _):
        published = 0
        while True:
            for _number in range(published % 4):
                ctx.publish(hc.LLMTurnComplete(model="m", usage=hc.Usage(1, 1)))
            published += published % 4
            thread = threading.Thread(target=ctx.publish, args=(hc.LLMTurnComplete(model="m", usage=hc.Usage(1, 1)),))
            thread.start()
            thread.join()
            published += 1
            async with ctx.turn("m") as turn:
                [account] = await runtime.budgets.status()
                settled.append(account.settled - published)
                turn.settle(hc.Usage(1, 1))
            published += 1

    async with runtime:
        result = await runtime.trigger_and_wait("loop")
    assert (result.status, set(settled)) == ("cancelled", {0})
    assert 60 <= result.metrics["llm_calls"] <= 64


async def test_turns_published_by_hand_count(make_runtime, collect):
    """An adapter that only observes is counted by the same budget, for an execution nobody here can cancel."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="1 calls", warn=(), mode="stop_after")])
    seen = collect(runtime, EXCEEDED)
    async with runtime:
        for _ in range(2):
            await runtime.bus.publish(
                hc.LLMTurnComplete(model="m", usage=hc.Usage(1, 1), execution_id="elsewhere", agent_id="guest")
            )
        await runtime.bus.drain()
    assert [(event.action, event.execution_id, event.agent_id) for event in seen] == [("none", "elsewhere", "guest")]


async def test_a_log_that_cannot_be_read_is_said_and_counts_from_zero(make_runtime, tmp_path, caplog):
    """What was spent before is unknown then: the budget says so and watches from here on."""
    (tmp_path / "hivecost.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    runtime = make_runtime(budgets=[hc.Budget("day", limit="1 calls", window="day", mode="stop_after")])
    async with runtime:
        assert runtime.plugins["budget-watcher"].status == "running"
        assert (await runtime.trigger_and_wait("spend", [TURN] * 2)).status == "cancelled"
    assert "budgets count from zero" in caplog.text


async def test_old_periods_are_not_counted_again(make_runtime):
    """What the log holds of yesterday is not taken for today's."""
    clock = FakeClock(datetime(2026, 11, 22, 0, 30, tzinfo=UTC))
    runtime = make_runtime(clock=clock, config={"log": True})
    yesterday = to_ns(datetime(2026, 11, 21, 23, 59, tzinfo=UTC))
    async with runtime:
        await runtime.bus.publish(hc.LLMTurnComplete(model="m", usage=hc.Usage(1, 1), timestamp_ns=yesterday))
        await runtime.flush()
    budget = hc.Budget("day", limit="1 calls", window="day", mode="stop_after")
    runtime = make_runtime(clock=clock, config={"log": True}, budgets=[budget])
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [TURN])).status == "completed"


async def look(*clocks: FakeClock) -> None:
    """Let those watchers whose clocks these are look into the log."""
    for clock in clocks:
        clock.advance(LOOK_S)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            await clock.wait_for_sleepers()


@pytest.mark.parametrize("mode", ["observe", "stop_after"])
async def test_marks_that_another_process_reaches_are_told_by_the_next_turn(make_runtime, collect, mode):
    """Each process says them once, whoever reached them: the warnings, and the soft limit."""
    clocks = FakeClock(), FakeClock()
    budget = hc.Budget("all", "10 calls", window="day", mode=mode, warn=(0.5,), soft_limit=7)
    ours, theirs = (make_runtime(budgets=[budget], clock=clock, config={"log": True}) for clock in clocks)
    seen = [collect(runtime, WARNING) for runtime in (ours, theirs)]
    async with ours, theirs:
        for runtime in (ours, theirs):
            await runtime.trigger_and_wait("spend", [TURN] * 4)
            await runtime.flush()
        await look(*clocks)
        assert seen == [[], []]
        for runtime in (ours, theirs):
            await runtime.trigger_and_wait("spend", [TURN])
        await ours.bus.drain()
    for warnings in seen:
        assert [(event.fraction, event.used) for event in warnings] == [(0.5, 9), (0.7, 9)]


async def test_turns_do_not_wait_for_a_look(make_runtime, monkeypatch):
    """However long the disk takes, they go on with what is known; a runtime that stops gives the look up."""
    looking = anyio.Event()

    async def stuck(base_path, question):
        looking.set()
        await anyio.sleep_forever()

    clock = FakeClock()
    runtime = make_runtime(budgets=[hc.Budget("day", "9 calls", window="day", mode="stop_after")], clock=clock)
    with anyio.fail_after(10):
        async with runtime:
            monkeypatch.setattr(logged_spending, "read_log", stuck)
            await clock.wait_for_sleepers()
            clock.advance(LOOK_S)
            await looking.wait()
            clock.advance(10 * LOOK_S)
            results = [await runtime.trigger_and_wait("spend", [TURN] * 3) for _ in range(4)]
    assert [result.status for result in results] == ["completed", "completed", "completed", "cancelled"]


async def test_what_others_spent_while_a_runtime_was_closed_counts_when_it_opens_again(make_runtime):
    """At once: its first turn is refused already."""
    budget = hc.Budget("day", "5 calls", window="day", mode="stop_after")
    ours, theirs = (make_runtime(budgets=[budget], config={"log": True}) for _ in range(2))
    async with ours:
        await ours.trigger_and_wait("spend", [TURN] * 2)
    async with theirs:
        assert (await theirs.trigger_and_wait("spend", [TURN] * 3)).status == "completed"
    async with ours:
        assert (await ours.trigger_and_wait("spend", [TURN])).status == "cancelled"


async def test_a_runtime_whose_budgets_cannot_be_watched_does_not_start(make_runtime, monkeypatch):
    """No watcher, no limit: that is an error at the door, not a line in a log."""

    async def broken(self, base_path, clock):
        raise RuntimeError("cannot recover")

    monkeypatch.setattr(LoggedSpending, "recover", broken)
    runtime = make_runtime(budgets=[hc.Budget("b", "$1", window="day", mode="stop_after")])
    with pytest.raises(hc.PluginError, match="budget-watcher"):
        async with runtime:
            pass


async def test_a_total_says_since_when_it_counts(make_runtime):
    """The default window: from the first turn that is known on, in this run or before a restart."""
    first = datetime(2026, 11, 22, 12, tzinfo=UTC)
    budget = hc.Budget("cap", "2 calls", mode="stop_after")
    for days, turns, status in ((0, 1, "completed"), (1, 2, "cancelled"), (2, 1, "cancelled")):
        clock = FakeClock(first + timedelta(days=days))
        runtime = make_runtime(budgets=budget, config={"log": True}, clock=clock)
        async with runtime:
            result = await runtime.trigger_and_wait("spend", [TURN] * turns)
        assert result.status == status
    assert str(result.error) == (
        "budget 'cap' is spent: 2 calls of 2 calls; it counts all runs since 2026-11-22 and never resets "
        "(one with another window does: execution, session, hour, day, week, month)"
    )


async def test_a_hard_budget_is_none_of_a_watchers(make_runtime):
    """What hears of turns when they are over would stop nobody with it: the error says what to write instead."""
    said = (
        r"budget 'x'\.mode: expected mode='stop_after' or 'observe', written down, for a BudgetWatcher, .*; a budget "
        r"is hard unless it says otherwise, and AgentRuntime\(budgets=\[…\]\) holds money for it, got 'hard'"
    )
    with pytest.raises(hc.ConfigError, match=said):
        hc.BudgetWatcher(hc.Budget("x", "$1"))
    watcher = hc.BudgetWatcher([hc.Budget("x", "2 calls", window="execution", mode="stop_after")])
    with pytest.raises(hc.ConfigError, match=r"budget 'y'\.mode: expected mode='stop_after'"):
        await watcher.add([hc.Budget("y", "$1")])
    runtime = make_runtime(plugins=[watcher])
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [TURN] * 5)
    assert (result.status, result.metrics["llm_calls"], result.error.budget) == ("cancelled", 2, "x")
