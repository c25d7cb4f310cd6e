"""A turn that comes when others hold the money waits for it: woken when some comes back, in a fair order."""

from __future__ import annotations

import random
from collections import Counter

import anyio
import anyio.to_thread
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def clock():
    return FakeClock()


class Agents:
    """Executions that take one turn each, of so many input tokens, and keep it until they are told to settle."""

    def __init__(self, make_runtime, limit: str, **settings) -> None:
        budget = settings.pop("budget", {})
        self.runtime = make_runtime(budgets=hc.Budget("day", limit, window="day", mode="hard", **budget), **settings)
        self.admitted: list[str] = []
        self.done: dict[str, anyio.Event] = {}
        self.ids: dict[str, str] = {}
        self.runtime.entry_point("turn")(self._turn)

    async def _turn(self, ctx, task):
        name, tokens = task
        async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
            self.admitted.append(name)
            await self.done[name].wait()
            turn.settle(hc.Usage(1, 0))

    async def start(self, name: str, tokens: int) -> None:
        self.done[name] = anyio.Event()
        self.ids[name] = await self.runtime.trigger("turn", (name, tokens))
        await self.settled_down()

    async def until(self, *names: str) -> None:
        with anyio.fail_after(20):
            while self.admitted != list(names):
                await anyio.sleep(0.002)

    async def settled_down(self) -> None:
        """Whoever can do something has done it."""
        await anyio.sleep(0.15)

    async def result(self, name: str) -> hc.ExecutionResult:
        with anyio.fail_after(20):
            return await self.runtime.wait(self.ids[name])


async def test_by_default_busy_is_no_end(make_runtime, clock):
    """Sixty at once, and money for a few of them: all complete, with a clock that stands still, so nobody polls."""
    chance = random.Random(1)
    runtime = make_runtime(budgets=hc.Budget("day", "4001 tokens", window="day", mode="hard"), clock=clock)

    @runtime.entry_point("turn")
    async def take_turn(ctx, _):
        async with ctx.turn("m", input_tokens=999, max_tokens=1) as turn:
            await anyio.sleep(chance.uniform(0, 0.01))
            turn.settle(hc.Usage(10, 1))

    results = []

    async def one() -> None:
        results.append(await runtime.trigger_and_wait("turn"))

    with anyio.fail_after(60):
        async with runtime, anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(one)
    assert Counter(result.status for result in results) == {"completed": 60}


async def test_they_take_about_the_time_that_the_money_allows(make_runtime, clock):
    """Four at a time: nobody stands in line while money lies about, whatever the others need."""
    chance = random.Random(2)
    runtime = make_runtime(budgets=hc.Budget("day", "4000 tokens", window="day", mode="hard"), clock=clock)
    tasks = [(chance.choice([200, 500, 1_000]), chance.uniform(1, 9)) for _ in range(60)]
    ended = []

    @runtime.entry_point("turn")
    async def take_turn(ctx, task):
        tokens, seconds = task
        async with ctx.turn("m", input_tokens=tokens - 1, max_tokens=1) as turn:
            await clock.sleep(seconds)
            turn.settle(hc.Usage(0, 0))

    async def one(task) -> None:
        assert (await runtime.trigger_and_wait("turn", task)).status == "completed"
        ended.append(clock.monotonic_s())

    with anyio.fail_after(60):
        async with runtime, anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(one, task)
            while len(ended) < 60:
                await anyio.sleep(0.005)
                clock.advance(0.1)
    at_best_s = sum(tokens * seconds for tokens, seconds in tasks) / 4_000
    assert max(ended) < 1.5 * at_best_s + 9


async def test_all_that_wait_are_paused_as_soon_as_the_money_is_spent(make_runtime, clock):
    """None of them stands for what is gone until it looks again: the clock stands still."""
    budget = hc.Budget("day", "1 calls", window="day", mode="hard", on_exceed="pause")
    runtime, paused, done = make_runtime(budgets=budget, clock=clock), [], anyio.Event()
    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=paused.append)

    @runtime.entry_point("turn")
    async def take_turn(ctx, _):
        async with ctx.turn("m", input_tokens=1, max_tokens=1) as turn:
            await done.wait()
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        ids = [await runtime.trigger("turn") for _ in range(4)]
        await anyio.sleep(0.15)
        assert paused == []
        done.set()
        with anyio.fail_after(20):
            while len(paused) < 3:
                await anyio.sleep(0.002)
        for execution_id in ids:
            await runtime.cancel_execution(execution_id, "enough")
    assert {event.action for event in paused} == {"paused"}


async def test_it_is_woken_from_any_thread(make_runtime, clock):
    """And when a hold is given back, or in doubt: what is left may be enough then."""
    runtime = make_runtime(budgets=hc.Budget("day", "1000 tokens", window="day", mode="hard"), clock=clock)
    taken = []

    @runtime.entry_point("turn")
    async def take_turn(ctx, end):
        async with ctx.turn("m", input_tokens=599, max_tokens=1) as turn:
            taken.append(end)
            await anyio.sleep(0.05)
            if end == "thread":
                await anyio.to_thread.run_sync(turn.settle, hc.Usage(1, 1))
            elif end == "release":
                turn.release()
            else:
                turn.settle(hc.Usage(1, 1))

    @runtime.entry_point("sync")
    def sync(ctx, _):
        with ctx.turn("m", input_tokens=599, max_tokens=1) as turn:
            taken.append("sync")
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        with anyio.fail_after(20):
            ids = [await runtime.trigger("turn", end) for end in ("thread", "release", "loop")]
            ids.append(await runtime.trigger("sync"))
            assert {(await runtime.wait(one)).status for one in ids} == {"completed"}
    assert sorted(taken) == ["loop", "release", "sync", "thread"]


async def test_it_waits_so_long_and_no_longer(make_runtime, clock, collect):
    """`wait_s`: then it is refused as busy, says so, and what it waited."""
    agents = Agents(make_runtime, "100 tokens", budget={"wait_s": 60.0}, clock=clock)
    exceeded = collect(agents.runtime, hc.EventType.BUDGET_EXCEEDED)
    async with agents.runtime:
        await agents.start("first", 60)
        await agents.start("late", 60)
        for _ in range(59):
            clock.advance(1)
            await anyio.sleep(0.005)
        await agents.settled_down()
        assert agents.admitted == ["first"]
        assert not exceeded
        clock.advance(1)
        result = await agents.result("late")
        agents.done["first"].set()
        assert (await agents.result("first")).status == "completed"
    assert (result.status, type(result.error)) == ("cancelled", hc.BudgetBusyError)
    assert str(result.error) == (
        "budget 'day' is held by other turns just now: needs up to 61 tokens, 39 tokens of 100 tokens remain; "
        "it was waited for 60 s"
    )
    assert [event.action for event in exceeded] == ["refused"]


async def test_what_is_spent_or_in_doubt_is_not_waited_for(make_runtime, clock):
    """Nobody gives it back: refused at once, as exhausted, while a clock stands still."""
    runtime = make_runtime(budgets=hc.Budget("day", "100 tokens", window="day", mode="hard"), clock=clock)

    @runtime.entry_point("turn")
    async def take_turn(ctx, settles):
        async with ctx.turn("m", input_tokens=59, max_tokens=1) as turn:
            if settles:
                turn.settle(hc.Usage(59, 1))
            else:
                raise TimeoutError

    for settles in (False, True):
        async with runtime:
            with anyio.fail_after(20):
                await runtime.trigger_and_wait("turn", settles)
                result = await runtime.trigger_and_wait("turn", settles)
                for doubt in await runtime.budgets.in_doubt():
                    await runtime.budgets.resolve(doubt.hold_id, tokens=0, by="ada")
        assert type(result.error) is hc.BudgetExhaustedError
        runtime = make_runtime(budgets=hc.Budget("day", "100 tokens", window="day", mode="hard"), clock=clock)
        runtime.entry_point("turn")(take_turn)


async def test_who_came_first_is_served_first(make_runtime, clock):
    """Also before those who come when the money comes back."""
    agents = Agents(make_runtime, "100 tokens", clock=clock)
    async with agents.runtime:
        await agents.start("a", 60)
        for name in "bcd":
            await agents.start(name, 60)
        agents.done["a"].set()
        await agents.start("e", 60)
        for name in "bcde":
            agents.done[name].set()
        for name in "abcde":
            assert (await agents.result(name)).status == "completed"
    assert agents.admitted == ["a", "b", "c", "d", "e"]


async def test_the_small_may_pass_the_large_while_it_is_patient(make_runtime, clock):
    """For half of its time: then everybody behind it waits, until it has what it needs."""
    agents = Agents(make_runtime, "100 tokens", budget={"wait_s": 60.0}, clock=clock)
    async with agents.runtime:
        await agents.start("a", 40)
        await agents.start("large", 90)
        await agents.start("small", 30)
        assert agents.admitted == ["a", "small"]
        clock.advance(30)
        await agents.settled_down()
        await agents.start("late", 5)
        await agents.start("later", 90)
        assert agents.admitted == ["a", "small"]
        agents.done["a"].set()
        await agents.settled_down()
        assert agents.admitted == ["a", "small"]
        agents.done["small"].set()
        await agents.until("a", "small", "large", "late")
        for name in ("large", "late", "later"):
            agents.done[name].set()
            assert (await agents.result(name)).status == "completed"


async def test_one_that_gives_up_stands_in_nobodys_way(make_runtime, clock):
    """A large turn that is refused after all, or cancelled, lets those behind it have what there is, at once."""
    for ends in ("cancelled", "refused"):
        agents = Agents(make_runtime, "100 tokens", budget={"wait_s": 60.0}, clock=clock)
        async with agents.runtime:
            await agents.start("a", 40)
            await agents.start("large", 90)
            clock.advance(30)
            await agents.settled_down()
            await agents.start("small", 30)
            assert agents.admitted == ["a"]
            if ends == "cancelled":
                await agents.runtime.cancel_execution(agents.ids["large"])
            else:
                clock.advance(30)
            await agents.until("a", "small")
            assert (await agents.result("large")).status == "cancelled"
            for name in ("a", "small"):
                agents.done[name].set()
                assert (await agents.result(name)).status == "completed"


async def test_what_other_processes_hold_is_asked_for(make_runtime, clock, tmp_path):
    """Nobody tells when they give it back, so the first in the line looks every second."""
    agents = Agents(make_runtime, "100 tokens", clock=clock)
    budget = hc.Budget("day", "100 tokens", window="day", mode="hard")
    async with agents.runtime, hc.Ledger.open(tmp_path, budgets=budget, clock=clock) as other:
        hold = await other.reserve({}, tokens=60)
        await agents.start("a", 60)
        await agents.start("b", 10)
        assert agents.admitted == ["b"]
        hold.release()
        clock.advance(1)
        await agents.until("b", "a")
        for name in "ab":
            agents.done[name].set()


async def test_two_accounts_are_waited_for_in_turn(make_runtime, clock):
    """What one gives back while the other is short is held by nobody who waits."""
    budgets = [
        hc.Budget("user", "100 tokens", window="day", per="user", mode="hard"),
        hc.Budget("all", "150 tokens", window="day", mode="hard"),
    ]
    runtime = make_runtime(budgets=budgets, clock=clock)
    done = {name: anyio.Event() for name in ("ada", "bob", "ada again")}
    admitted = []

    @runtime.entry_point("turn")
    async def take_turn(ctx, name):
        async with ctx.turn("m", input_tokens=79, max_tokens=1) as turn:
            admitted.append(name)
            await done[name].wait()
            turn.settle(hc.Usage(1, 0))

    async with runtime:
        with anyio.fail_after(20):
            ids = []
            for name in done:
                ids.append(await runtime.trigger("turn", name, user_id=name.split()[0]))
                await anyio.sleep(0.1)
            assert admitted == ["ada"]
            done["ada"].set()
            await anyio.sleep(0.2)
            assert admitted == ["ada", "bob"]
            done["bob"].set()
            done["ada again"].set()
            assert {(await runtime.wait(one)).status for one in ids} == {"completed"}
    assert admitted == ["ada", "bob", "ada again"]
