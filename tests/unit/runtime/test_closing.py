"""A runtime has one deadline for closing, shared by all that is closed. Time is trio's, so nobody waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio.testing

import hivecost as hc
from hivecost.runtime.closing import GRACE_S

HARD = hc.Budget("day", limit="$1", window="day", mode="hard")
TIMEOUT_S, LAST_S = 10.0, 0.1


def in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(main, backend="trio", backend_options={"clock": clock})


async def hang(event: object = None) -> None:
    await anyio.sleep_forever()


class Plugin:
    """Stops after so many seconds, and notes when it was asked to and how long it was given."""

    def __init__(self, name: str, stops_after_s: float, diary: list[tuple[str, float, float]]) -> None:
        self.name = name
        self._stops_after_s = stops_after_s
        self._diary = diary

    @asynccontextmanager
    async def attached(self, host):
        yield
        asked = anyio.current_time()
        self._diary.append((self.name, asked, anyio.current_effective_deadline() - asked))
        await anyio.sleep(self._stops_after_s)


class SlowLedger:
    """What is opened and closed of a ledger where nothing is spent."""

    closes_after_s = 3_600.0

    def __init__(self, base_path, *, budgets, clock):
        self.given_s = 0.0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.given_s = anyio.current_effective_deadline() - anyio.current_time()
        await anyio.sleep(self.closes_after_s)


class TimedLedger(SlowLedger):
    closes_after_s = 0.0
    close_timeout_s = 3_600.0


def closing_time(base_path, *, plugins=(), open_ledger=None, hanging: bool = False) -> float:
    """How long it takes."""

    async def main() -> float:
        runtime = hc.AgentRuntime(
            base_path,
            plugins=plugins,
            config={"log": False, "runaway": "off", "close_timeout_s": TIMEOUT_S},
            **({} if open_ledger is None else {"open_ledger": open_ledger, "budgets": [HARD]}),
        )
        if hanging:
            runtime.bus.subscribe(handler=hang)
        async with runtime:
            await runtime.bus.publish(hc.CustomEvent(name="last"))
            began = anyio.current_time()
        return anyio.current_time() - began

    return in_virtual_time(main)


def test_what_closes_by_itself_is_not_waited_for(tmp_path):
    """Closing takes no longer than what is closed."""
    assert closing_time(tmp_path) == 0
    assert closing_time(tmp_path, plugins=[Plugin("slow", 4, [])]) == 4


def test_a_handler_that_hangs_is_waited_for_once(tmp_path):
    """B6: neither draining nor closing the bus begins a second time-out, and plugins still stop as they should."""
    diary: list[tuple[str, float, float]] = []
    plugins = [Plugin("first", 0.5, diary), Plugin("second", 0.5, diary)]
    assert closing_time(tmp_path, plugins=plugins, hanging=True) == pytest.approx(TIMEOUT_S + 0.5 + 0.5 + LAST_S)
    assert [name for name, _, _ in diary] == ["second", "first"]
    assert [given_s for _, _, given_s in diary] == pytest.approx([GRACE_S, GRACE_S - 0.5])


def test_plugins_share_the_deadline_and_those_that_are_late_stop_at_once(tmp_path):
    """One that hangs is given up when time is up; all that are left then are asked together, and have a grace."""
    diary: list[tuple[str, float, float]] = []
    plugins = [Plugin(name, 3_600, diary) for name in "dcba"]
    assert closing_time(tmp_path, plugins=plugins) == pytest.approx(TIMEOUT_S + GRACE_S)
    began = diary[0][1]
    asked = [(name, at - began, given_s) for name, at, given_s in diary]
    assert asked[0] == ("a", 0, TIMEOUT_S)
    assert sorted(asked[1:]) == [(name, TIMEOUT_S, GRACE_S) for name in "bcd"]


@pytest.mark.parametrize("late", [False, True])
def test_a_ledger_that_does_not_close_is_given_up(tmp_path, late, caplog):
    """One that knows nothing of deadlines is cancelled at that of the runtime; it is said."""
    took_s = closing_time(tmp_path, open_ledger=SlowLedger, hanging=late)
    assert took_s == pytest.approx(TIMEOUT_S + (GRACE_S + LAST_S if late else 0))
    assert "the ledger took too long to close" in caplog.text


def test_a_ledger_with_a_timeout_of_its_own_is_told_how_much_is_left(tmp_path):
    """It closes by itself until then; only past that it is cancelled."""
    made = []

    def open_ledger(*arguments, **settings):
        made.append(TimedLedger(*arguments, **settings))
        return made[0]

    assert closing_time(tmp_path, plugins=[Plugin("slow", 4, [])], open_ledger=open_ledger) == 4
    assert made[0].close_timeout_s == pytest.approx(TIMEOUT_S - 4)
    assert made[0].given_s == pytest.approx(TIMEOUT_S - 4 + GRACE_S)


def test_everything_that_hangs_together_ends_within_the_stated_graces(tmp_path):
    """A number for whoever sends SIGKILL after it."""
    took_s = closing_time(tmp_path, plugins=[Plugin("a", 3_600, [])], open_ledger=SlowLedger, hanging=True)
    assert took_s == pytest.approx(TIMEOUT_S + 2 * GRACE_S + LAST_S)


@pytest.mark.anyio
async def test_a_cancelled_runtime_stops_its_plugins_when_its_executions_have_ended(make_runtime):
    """They see the end of each, in the order in which plugins stop otherwise."""
    seen: list[str] = []
    started = anyio.Event()

    class Watcher:
        def __init__(self, name: str) -> None:
            self.name = name

        @asynccontextmanager
        async def attached(self, host):
            own = host.bus.subscribe(handler=lambda event: seen.append(f"{self.name}: {event.type}"))
            yield
            await host.bus.drain(own)
            seen.append(f"{self.name} stops")

    runtime = make_runtime(plugins=[Watcher("a"), Watcher("b")])

    @runtime.entry_point("api")
    async def api(ctx, _):
        started.set()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with runtime:
            await runtime.trigger("api")
            await started.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert seen[-2:] == ["b stops", "a stops"]
    both = ("execution_started", "execution_completed")
    assert sorted(seen[:-2]) == sorted(f"{name}: {what}" for name in "ab" for what in both)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_log_has_what_is_left_of_the_deadline(tmp_path):
    """Nothing that closes the runtime log has a longer time-out of its own; a handler that hangs costs it nothing."""
    runtime = hc.AgentRuntime(tmp_path, config={"close_timeout_s": 0.2})
    runtime.bus.subscribe(handler=hang)
    async with runtime:
        await runtime.bus.publish(hc.CustomEvent(name="last", session_id="s"))
    assert runtime.log._store is not None
    assert 0 < runtime.log._store.close_timeout_s <= GRACE_S
    assert runtime.log.lost == 0
    assert runtime.log.statistics.written == 1


@pytest.mark.anyio
async def test_leaving_the_runtime_from_inside_is_refused_at_once(runtime):
    """In a handler and in an agent, which closing waits for; the runtime goes on until it is left from outside."""
    refused = []

    async def leave() -> None:
        with pytest.raises(hc.ReentrancyError, match="leaving the runtime"), anyio.fail_after(10):
            await runtime.__aexit__(None, None, None)
        refused.append(True)

    @runtime.entry_point("api")
    async def api(ctx, _):
        await leave()

    async def handler(event) -> None:
        await leave()

    runtime.bus.subscribe(handler=handler, event_types=[hc.EventType.CUSTOM])
    async with runtime:
        assert (await runtime.trigger_and_wait("api")).error is None
        await runtime.bus.publish(hc.CustomEvent(name="go"))
        await runtime.bus.drain()
        assert runtime.bus.statistics().failed == 0
    assert len(refused) == 2


@pytest.mark.anyio
async def test_closing_in_another_task_is_refused_with_the_way_out(runtime):
    """As frameworks do that start and stop things in hooks: said at once, and the runtime goes on."""
    opened, close = anyio.Event(), anyio.Event()

    async def hold_open() -> None:
        async with runtime:
            opened.set()
            await close.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold_open)
        await opened.wait()
        with pytest.raises(hc.HiveCostError, match="run_in_background"):
            await runtime.__aexit__(None, None, None)
        async with runtime.execution():
            pass
        close.set()
    assert runtime.statistics().started == 1


@pytest.mark.anyio
async def test_a_runtime_in_the_background_is_opened_and_closed_in_any_task(tmp_path):
    """Which a runtime on the loop itself cannot be."""
    runtimes = []

    async def open_it() -> None:
        runtimes.append(hc.run_in_background(tmp_path, config={"log": False}))

    async def close_it() -> None:
        runtimes[0].close()

    for step in (open_it, close_it):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
    with pytest.raises(hc.HiveCostError, match="closed"):
        runtimes[0].flush()
