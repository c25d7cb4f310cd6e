"""One customer's limit beside all others', and budgets that come and go: in every mode, while agents run."""

from __future__ import annotations

import logging

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

MODES = ["observe", "stop_after", "hard"]
CENT = 10_000_000


def turn_of(ctx, cents):
    """A turn that costs so much at most."""
    return ctx.turn("m", input_tokens=10_000 * cents - 2, max_tokens=1)


def bill(cents):
    """What costs so much."""
    return hc.Usage(10_000 * cents)


@pytest.fixture
def make(make_runtime):
    """A runtime whose agents, `planner` and `writer`, take a turn of so many cents."""

    def make(*budgets: hc.Budget, **settings) -> hc.AgentRuntime:
        runtime = make_runtime(budgets=budgets, **settings)

        async def spend(ctx, cents):
            async with turn_of(ctx, cents) as turn:
                turn.settle(bill(cents))

        for name in ("planner", "writer"):
            runtime.entry_point(name)(spend)
        return runtime

    return make


async def spend(runtime: hc.AgentRuntime, agent: str = "planner", cents: int = 1, **who) -> bool:
    """Whether an agent could spend so much."""
    result = await runtime.trigger_and_wait(agent, cents, **who)
    await runtime.bus.drain()
    return result.status == "completed"


async def most(runtime: hc.AgentRuntime, agent: str) -> int:
    """How many cents it can spend, one by one; where nothing stops it, at what it is said to be above its limit."""
    exceeded = []
    subscription = runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=exceeded.append)
    spent = 0
    while await spend(runtime, agent) and not exceeded:
        spent += 1
    runtime.bus.unsubscribe(subscription)
    return spent


async def limits(runtime: hc.AgentRuntime) -> dict[str, tuple[int, bool]]:
    """In cents, and whether it is a limit of its own, by the scope of the accounts."""
    return {row.scope: (row.limit // CENT, row.has_own_limit) for row in await runtime.budgets.status()}


# -- limits of values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_an_agent_has_a_limit_of_its_own(make, mode):
    """Configured, set, raised and taken back; others have the budget's, and what was spent stays."""
    budget = hc.Budget("agent day", "$0.03", window="day", per="agent", limits={"planner": "$0.05"}, mode=mode)
    async with make(budget) as runtime:
        assert (await most(runtime, "planner"), await most(runtime, "writer")) == (5, 3)
        spent = {row.scope: row.settled for row in await runtime.budgets.status()}
        budgets, scope = runtime.budgets, {"agent": "writer"}
        assert await budgets.set_limit("agent day", "$0.20", scope=scope, by="ada") == 20 * CENT
        assert await budgets.raise_limit("agent day", "$0.10", scope=scope, by="ada") == 30 * CENT
        assert await limits(runtime) == {"agent=planner": (5, True), "agent=writer": (30, True)}
        assert {row.scope: row.settled for row in await runtime.budgets.status()} == spent
        assert await spend(runtime, "writer", 10)
        assert await budgets.set_limit("agent day", "$1", by="ada") == 100 * CENT
        assert await limits(runtime) == {"agent=planner": (5, True), "agent=writer": (30, True)}
        assert await budgets.unset_limit("agent day", scope=scope, by="ada") == 100 * CENT
        assert await budgets.raise_limit("agent day", "$1", scope={"agent": "planner"}, by="ada") == 105 * CENT
        assert await budgets.unset_limit("agent day", scope={"agent": "planner"}, by="ada") == 5 * CENT
        assert await budgets.unset_limit("agent day", by="ada") == 3 * CENT
        assert await limits(runtime) == {"agent=planner": (5, True), "agent=writer": (3, False)}


@pytest.mark.parametrize("mode", MODES)
async def test_warnings_go_with_the_limit_of_the_value(make, mode, collect):
    """At 80 % of what the planner may spend, not of what others may."""
    budget = hc.Budget("b", "$0.10", per="agent", limits={"planner": "$1"}, warn=(0.8,), mode=mode)
    async with make(budget) as runtime:
        warned = collect(runtime, hc.EventType.BUDGET_WARNING)
        for agent, cents in (("planner", 79), ("writer", 8), ("planner", 1)):
            assert await spend(runtime, agent, cents)
        assert [(one.scope, one.limit) for one in warned] == [
            ("agent=writer", 10 * CENT),
            ("agent=planner", 100 * CENT),
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_every_execution_of_an_agent_has_its_limit(make, mode):
    """Of a window that has accounts of its own, `limits` names values of `per`; an operator may name one."""
    budget = hc.Budget("run", "$0.03", window="execution", per="agent", limits={"planner": "$0.05"}, mode=mode)
    runtime = make(budget)
    release, started = anyio.Event(), []

    @runtime.entry_point("waits", agent_id="planner")
    async def waits(ctx, _):
        async with turn_of(ctx, 5) as turn:
            turn.settle(bill(5))
        started.append(ctx.execution_id)
        await release.wait()
        async with turn_of(ctx, 5) as turn:
            turn.settle(bill(5))
        await runtime.bus.drain()
        (row,) = await runtime.budgets.status()
        return row.limit, row.settled

    async with runtime:
        execution_id = await runtime.trigger("waits")
        with anyio.fail_after(10):
            while not started:
                await anyio.sleep(0.001)
        scope = {"execution": execution_id, "agent": "planner"}
        assert await runtime.budgets.raise_limit("run", "$0.05", scope=scope, by="ada") == 10 * CENT
        release.set()
        result = await runtime.wait(execution_id)
        assert (result.status, result.output) == ("completed", (10 * CENT, 10 * CENT))
        assert await spend(runtime, "planner", 4)
        assert await spend(runtime, "writer", 2)


@pytest.mark.parametrize("mode", MODES)
async def test_a_scope_that_names_other_attributes_is_an_error(make, mode):
    """It names those that the budget's accounts have."""
    budget = hc.Budget("b", "$1", per=("agent", "user"), limits={"agent=a,user=u": "$2"}, mode=mode)
    async with make(budget) as runtime:
        for scope in ({}, {"agent": "a"}, {"agent": "a", "user": "u", "org": "o"}, {"agent": "a", "user": 5}):
            for change in (runtime.budgets.set_limit, runtime.budgets.raise_limit):
                with pytest.raises(
                    hc.ConfigError, match=r"budget 'b': scope: expected a value for 'agent' and 'user', "
                ):
                    await change("b", "$5", scope=scope, by="ada")
        assert await runtime.budgets.raise_limit("b", 1, scope={"user": "u", "agent": "a"}, by="ada") == 300 * CENT


async def test_who_set_a_limit_of_a_value_is_on_record(make, caplog):
    """In the log of the program, with whose it is."""
    async with make(hc.Budget("b", "$1", per="agent", mode="stop_after")) as runtime:
        with caplog.at_level(logging.INFO, logger="hivecost.budgets"):
            await runtime.budgets.set_limit("b", "$5", scope={"agent": "planner"}, by="ada")
    assert caplog.messages == ["budget 'b' (agent=planner): its limit is $5.0000 now, by ada"]


# -- budgets that come and go ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", [None, *MODES])
async def test_a_budget_is_added_and_retired_while_agents_run(make, first, mode):
    """It binds the next turn, also where the runtime had none, and stops nothing once it is retired."""
    before = [] if first is None else [hc.Budget("other", "$9", mode=first)]
    budget = hc.Budget("b", "$0.03", per="agent", mode=mode)
    async with make(*before) as runtime:
        assert await spend(runtime)
        for left in (3, 0 if mode == "hard" else 3):  # without a log nobody knows what was spent on others
            await runtime.budgets.configure([budget], by="ada")
            assert await most(runtime, "planner") == left
            await runtime.budgets.configure(retire=["b"], by="ada")
            assert await spend(runtime, "planner", 50)
        rows = {row.budget: row.settled for row in await runtime.budgets.status()}
        assert rows.get("b", 0) == (3 * CENT if mode == "hard" else 0)
    async with runtime:
        assert await spend(runtime, "planner", 50)


async def test_turns_on_their_way_are_right(make):
    """One that began before a budget was added is not charged on it; one that is held on a retired one is settled."""
    runtime = make(hc.Budget("old", "$1", mode="hard"))
    sent, answered = anyio.Event(), anyio.Event()

    @runtime.entry_point("slow")
    async def slow(ctx, _):
        async with turn_of(ctx, 30) as turn:
            sent.set()
            await answered.wait()
            turn.settle(bill(20))

    async with runtime:
        execution_id = await runtime.trigger("slow")
        await sent.wait()
        await runtime.budgets.configure([hc.Budget("new", "1 calls", mode="hard")], retire=["old"], by="ada")
        answered.set()
        assert (await runtime.wait(execution_id)).status == "completed"
        assert {row.budget: (row.settled, row.held) for row in await runtime.budgets.status()} == {
            "old": (20 * CENT, 0)
        }
        assert [await spend(runtime), await spend(runtime)] == [True, False]


@pytest.mark.parametrize("on_exceed", ["pause", "cancel"])
async def test_who_waits_for_a_budget_goes_on_when_it_is_retired(make, on_exceed):
    """Paused because it is spent, or waiting for what others hold."""
    runtime = make(hc.Budget("b", "$0.10", mode="hard", on_short="wait", on_exceed=on_exceed))
    answered = anyio.Event()

    @runtime.entry_point("holds")
    async def holds(ctx, _):
        async with turn_of(ctx, 10) as turn:
            if on_exceed == "pause":
                turn.settle(bill(10))
            await answered.wait()
            turn.settle(bill(10))

    async with runtime, anyio.create_task_group() as group:
        group.start_soon(runtime.trigger_and_wait, "holds")
        await anyio.wait_all_tasks_blocked()
        waiting = await runtime.trigger("planner", 5)
        if on_exceed == "pause":
            await runtime.bus.wait_for(hc.EventType.BUDGET_EXCEEDED, timeout_s=10)
        await runtime.budgets.configure(retire=["b"], by="ada")
        with anyio.fail_after(10):
            assert (await runtime.wait(waiting)).status == "completed"
        answered.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("first", ["run", "day", "none"])
async def test_an_added_budget_counts_what_was_spent_in_its_period(make, first, anyio_backend):
    """As it would after a restart: what is in the log, and what is on its way there; each turn once."""
    clock = FakeClock()
    before = {
        "run": [hc.Budget("run", "$9", window="execution", mode="stop_after")],
        "day": [hc.Budget("day", "$9", window="day", mode="stop_after")],
        "none": [],
    }
    async with make(*before[first], config={}, clock=clock) as runtime:
        assert await spend(runtime, cents=2)
        await runtime.flush()
        for _ in range(3):
            assert await spend(runtime)
        await runtime.budgets.configure(
            [hc.Budget("new", "$0.10", window="day", per="agent", mode="stop_after")], by="ada"
        )
        assert await spend(runtime, cents=2)
        await runtime.flush()
        for _ in range(2):
            await clock.wait_for_sleepers()
            clock.advance(2.0)
            await anyio.wait_all_tasks_blocked()
            await clock.wait_for_sleepers()
        (row,) = [row for row in await runtime.budgets.status() if row.budget == "new"]
        assert row.settled == 7 * CENT
        assert await most(runtime, "planner") == 3


@pytest.mark.parametrize(
    ("budgets", "retire", "problem"),
    [
        (
            [hc.Budget("soft", "$1", window="day", mode="stop_after")],
            [],
            r"budget 'soft'\.window: expected 'total': only its limits change",
        ),
        ([hc.Budget("soft", "$1", mode="hard")], [], r"budget 'soft'\.mode: expected 'stop_after': only its limits"),
        (
            [hc.Budget("held", "$1", mode="stop_after")],
            [],
            r"budget 'held'\.mode: expected 'hard': only its limits change",
        ),
        (
            [hc.Budget("new", "$1", mode="stop_after"), hc.Budget("new", "$1", mode="stop_after")],
            [],
            r"budget 'new'\.name: expected a name that is configured",
        ),
        (
            [hc.Budget("soft", "$1", mode="stop_after")],
            ["soft"],
            r"budget 'soft'\.name: expected a name that is configured or retired",
        ),
        ([], ["none"], "retire: expected one of 'held', 'soft', got 'none'"),
        ([hc.Budget("gone", "5 calls", mode="hard")], [], r"budget 'gone'\.limit: expected 'usd', in which its money"),
    ],
)
async def test_a_configuration_that_cannot_be_changes_nothing(make, budgets, retire, problem):
    """It names the budget, the field, and what would have been right."""
    gone = hc.Budget("gone", "$1", mode="hard")
    async with make(
        hc.Budget("held", "$0.05", mode="hard"), hc.Budget("soft", "$0.09", mode="stop_after"), gone
    ) as runtime:
        await runtime.budgets.configure(retire="gone", by="ada")
        new = [hc.Budget("a", "$0.01", mode="hard"), hc.Budget("b", "$0.01", mode="stop_after")]
        with pytest.raises(hc.ConfigError, match=problem):
            await runtime.budgets.configure([*new, *budgets], retire=retire, by="ada")
        assert await most(runtime, "planner") == 5


async def test_an_agent_may_add_the_first_hard_budget(make, tmp_path):
    """The ledger that is opened for it outlives the agent, and is closed with the runtime."""
    runtime = make()

    @runtime.entry_point("adds")
    async def adds(ctx, _):
        await runtime.budgets.configure([hc.Budget("b", "$0.02", mode="hard", on_short="refuse")], by="ada")

    async with runtime:
        assert (await runtime.trigger_and_wait("adds")).status == "completed"
        assert await most(runtime, "planner") == 2
        assert (tmp_path / "ledger").exists()
    assert list((tmp_path / "ledger").glob("*.journal")) == []
    with pytest.raises(hc.LedgerUnavailableError):
        await runtime.budgets.status()


async def test_a_ledger_that_cannot_be_opened_leaves_all_as_it_was(make, tmp_path):
    """The error says why, and nothing is refused afterwards."""
    (tmp_path / "hivecost.db").mkdir()
    async with make(config={"log": False}) as runtime:
        for _ in range(2):
            with pytest.raises(hc.LedgerUnavailableError, match=r"hivecost\.db"):
                await runtime.budgets.configure([hc.Budget("b", "$0.02", mode="hard")], by="ada")
            assert await spend(runtime, cents=50)


@pytest.mark.parametrize("on_short", ["wait", "clamp", "refuse"])
async def test_no_turn_trips_over_budgets_that_come_and_go(make_runtime, on_short):
    """Each is admitted, waits or is refused by a budget that is there; whatever unit it counts in, all is settled."""
    runtime = make_runtime(budgets=[hc.Budget("all", "$9", mode="hard")])
    over = anyio.Event()

    @runtime.entry_point("agent")
    async def agent(ctx, number):
        while not over.is_set():
            try:
                async with turn_of(ctx, 1 + number % 3) as turn:
                    await anyio.lowlevel.checkpoint()
                    turn.settle(hc.Usage(100, 0))
            except hc.BudgetExceededError as error:
                assert error.budget in ("tokens", "held")  # noqa: PT017
            await anyio.sleep(0.001)

    tokens = hc.Budget("tokens", "60_000 tokens", per="agent", mode="hard", on_short=on_short)
    held = hc.Budget("held", "$0.02", window="execution", mode="hard", on_short=on_short)
    calls = hc.Budget("calls", "1_000_000 calls", mode="stop_after")
    async with runtime:
        runs = [await runtime.trigger("agent", number) for number in range(8)]
        for _ in range(6):
            for budget in (tokens, held, calls):
                await runtime.budgets.configure([budget], by="ada")
                await anyio.sleep(0.01)
            await runtime.budgets.configure(retire=["tokens", "held", "calls"], by="ada")
            await anyio.sleep(0.01)
        over.set()
        with anyio.fail_after(20):
            results = [await runtime.wait(execution_id) for execution_id in runs]
        assert [(result.status, result.error) for result in results] == [("completed", None)] * 8
        rows = await runtime.budgets.status()
        assert [(row.held, row.in_doubt) for row in rows] == [(0, 0)] * len(rows)
