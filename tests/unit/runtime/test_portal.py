"""`hc.run_in_background(...)`: a runtime in a thread of its own, and what it offers to others."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import anyio
import pytest

import hivecost as hc

PRICES = {"m": {"input": 1, "output": 2}}
HARD = hc.Budget("day", "$1", window="day", mode="hard")


@pytest.fixture
def runtime(tmp_path):
    with hc.run_in_background(tmp_path, prices=PRICES, budgets=[HARD]) as runtime:

        @runtime.entry_point("agent")
        async def agent(ctx, value):
            async with ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
                turn.settle(hc.Usage(100, 50))
            return value

        @runtime.entry_point("forever")
        async def forever(ctx, _):
            await anyio.sleep_forever()

        yield runtime


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "hivecost runtime"]


def test_its_methods_wait_for_their_result(runtime, tmp_path):
    """Triggering, waiting, cancelling, flushing, counting: with the arguments and the errors of AgentRuntime."""
    assert runtime.trigger_and_wait("agent", 42, user_id="ada").output == 42
    execution_id = runtime.trigger("forever", session_id="s")
    assert runtime.cancel_execution(execution_id, "enough")
    assert str(runtime.wait(execution_id).error) == "enough"
    with pytest.raises(hc.UnknownEntryPointError):
        runtime.trigger("nobody")
    with pytest.raises(LookupError):
        runtime.wait("nobody")
    runtime.flush()
    state = runtime.call(hc.SessionStore(tmp_path).read_state, "s")
    assert (state.status, runtime.statistics().started) == ("cancelled", 2)


def test_its_budgets_are_seen_and_changed(runtime):
    """`budgets` has what the runtime's has, and waits."""
    runtime.trigger_and_wait("agent")
    (row,) = runtime.budgets.status()
    assert (row.settled, row.limit) == (200_000, 10**9)
    assert runtime.budgets.raise_limit("day", "$1", by="ada") == 2 * 10**9
    runtime.budgets.freeze("day", "looking", by="ada")
    assert isinstance(runtime.trigger_and_wait("agent").error, hc.BudgetExceededError)
    assert runtime.budgets.unfreeze("day", by="ada")
    runtime.budgets.configure(hc.Budget("more", "9 calls", window="day", mode="observe"), by="ada")
    assert runtime.budgets.has("more")
    assert runtime.budgets.in_doubt() == []
    with pytest.raises(hc.ConfigError, match="budget"):
        runtime.budgets.set_limit("nobody", "$1", by="ada")


def test_what_a_block_triggers_is_its_sub_agent(runtime):
    """Also when it is triggered through the methods that wait."""
    with runtime.execution(user_id="ada") as ctx:
        result = runtime.trigger_and_wait("agent")
        with pytest.raises(hc.ReentrancyError):
            runtime.wait(ctx.execution_id)
    assert result.session_id == ctx.session_id
    assert ctx.result.metrics["tree_llm_calls"] == 1


def test_a_plugin_is_attached_while_it_runs(runtime):
    """It runs when the call is over; one that cannot start raises."""
    seen = []

    class Good:
        name = "good"

        @asynccontextmanager
        async def attached(self, host):
            seen.append(threading.current_thread().name)
            yield

    class Bad:
        name = "bad"

        @asynccontextmanager
        async def attached(self, host):
            raise LookupError("broken")
            yield

    runtime.register_plugin(Good())
    with pytest.raises(hc.PluginError, match="broken"):
        runtime.register_plugin(Bad())
    assert seen == ["hivecost runtime"]


def test_its_own_loop_is_told_what_to_do(runtime):
    """A sync handler, which runs there, would wait for itself: it is refused at once."""
    refused = []

    def handler(event) -> None:
        for attempt in (runtime.flush, runtime.close):
            try:
                attempt()
            except hc.HiveCostError as error:
                refused.append(str(error))

    runtime.bus.subscribe(event_types=[hc.EventType.CUSTOM], handler=handler)
    runtime.bus.publish_nowait(hc.CustomEvent(name="go"))
    runtime.call(runtime.bus.drain)
    assert ["own event loop" in error for error in refused] == [True, True]


def test_closing_waits_for_what_runs_and_is_done_once(runtime):
    """After it nothing can be asked, and its thread is gone; in an execution it would wait for itself."""
    with runtime.execution(), pytest.raises(hc.ReentrancyError):
        runtime.close()
    released, entered = threading.Event(), threading.Event()
    ends = []

    def work() -> None:
        with runtime.execution() as ctx:
            entered.set()
            released.wait()
        ends.append(ctx.result.status)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    closing = threading.Thread(target=runtime.close)
    closing.start()
    released.set()
    closing.join()
    thread.join()
    assert (ends, threads()) == (["completed"], [])
    runtime.close()
    for attempt in (runtime.flush, runtime.budgets.status, runtime.execution().__enter__):
        with pytest.raises(hc.HiveCostError, match=r"closed|not running"):
            attempt()


def test_a_block_that_raises_cancels_what_runs(tmp_path):
    """As that of AgentRuntime does, and the error goes on."""
    contexts, started = [], threading.Event()

    def program() -> None:
        with hc.run_in_background(tmp_path) as runtime:

            @runtime.entry_point("forever")
            async def forever(ctx, _):
                contexts.append(ctx)
                started.set()
                await anyio.sleep_forever()

            runtime.trigger("forever")
            started.wait()
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        program()
    assert (contexts[0].result.status, threads()) == ("cancelled", [])
    assert str(contexts[0].result.error) == "the block of the runtime raised"


def test_an_agent_that_leaves_the_program_leaves_it_when_the_runtime_closes(tmp_path):
    """SystemExit of an agent on the runtime's loop comes out of `close()`, once."""
    runtime = hc.run_in_background(tmp_path)

    @runtime.entry_point("exits")
    async def exits(ctx, _):
        raise SystemExit(3)

    runtime.trigger("exits")
    with pytest.raises(SystemExit) as raised:
        runtime.close()
    assert (raised.value.code, threads()) == (3, [])
    runtime.close()


def test_what_cannot_be_opened_raises_and_leaves_no_thread(tmp_path):
    """As AgentRuntime does: settings that cannot be, in the making and in the opening."""
    with pytest.raises(hc.ConfigError, match="close_timeout_s"):
        hc.run_in_background(tmp_path, config={"close_timeout_s": -1})
    with pytest.raises(hc.ConfigError, match="handle_signals"):
        hc.run_in_background(tmp_path, config={"handle_signals": True})
    assert threads() == []


def test_a_notebook_awaits_blocks_on_its_own_loop(runtime):
    """In a loop that runs already, asynchronously, side by side."""

    async def cell() -> list[str]:
        async def one() -> str:
            async with runtime.execution() as ctx, ctx.turn("m", input_tokens=100, max_tokens=50) as turn:
                await asyncio.sleep(0.001)
                turn.settle(hc.Usage(100, 50))
            return ctx.result.status

        return await asyncio.gather(*(one() for _ in range(5)))

    assert asyncio.run(cell()) == ["completed"] * 5
    assert runtime.budgets.status()[0].settled == 5 * 200_000
