"""Under plain `asyncio.run`, which most people use and which anyio's own runners hide, everything works, too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

import hivecost as hc


@pytest.fixture
def run_quietly():
    """`asyncio.run`, failing on whatever the loop's exception handler hears."""
    heard = []

    def run(main) -> None:
        async def watched():
            asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
            async with asyncio.timeout(30):
                await main()

        asyncio.run(watched())

    yield run
    assert heard == []


@pytest.mark.parametrize("source", ["loop", "thread", "handler"])
def test_cancelling(runtime, run_quietly, source):
    """From the loop, a thread or a handler: the execution ends, and no callback fails behind the scenes."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 1))
        await asyncio.sleep(3600)

    async def cancel_in_handler(event):
        await runtime.cancel_execution(event.execution_id, source)

    async def main():
        if source == "handler":
            runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=cancel_in_handler)
        async with runtime:
            execution_id = await runtime.trigger("api")
            await asyncio.sleep(0)
            if source == "loop":
                assert await runtime.cancel_execution(execution_id, source)
            elif source == "thread":
                thread = threading.Thread(target=runtime.cancel_execution_nowait, args=(execution_id, source))
                thread.start()
                await asyncio.to_thread(thread.join)
            result = await runtime.wait(execution_id)
            assert (result.status, str(result.error)) == ("cancelled", source)

    run_quietly(main)


def test_the_watchdog_reports(make_runtime, run_quietly, signal_log):
    """An execution that ignores its cancellation is reported here, too."""
    runtime = make_runtime(config={"log": False, "cancel_grace_s": 0.01})
    told = signal_log(hc.cancellation_ignored, runtime)

    @runtime.entry_point("stubborn")
    async def stubborn(ctx, _):
        while not told:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)

    async def main():
        async with runtime:
            execution_id = await runtime.trigger("stubborn")
            await asyncio.sleep(0)
            await runtime.cancel_execution(execution_id)
            assert (await runtime.wait(execution_id)).status == "cancelled"

    run_quietly(main)
    assert told[0]["entry_point"] == "stubborn"


def test_subscribing_and_publishing_from_a_thread(runtime, run_quietly):
    """Both work from a thread that knows no loop, while the runtime runs."""
    seen = []

    def work() -> None:
        runtime.bus.subscribe(event_types=[hc.EventType.CUSTOM], handler=seen.append)
        for number in range(100):
            runtime.bus.publish_nowait(hc.CustomEvent(name=str(number)))

    async def main():
        async with runtime:
            await asyncio.to_thread(work)
            await runtime.bus.drain()

    run_quietly(main)
    assert [event.name for event in seen] == [str(number) for number in range(100)]


def test_sync_agents(runtime, run_quietly):
    """A plain function in a thread passes the gate, and so do threads of its own."""

    @runtime.entry_point("sync")
    def sync(ctx, _):
        def work():
            with ctx.turn("m") as turn:
                turn.settle(hc.Usage(1, 1))

        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    async def main():
        async with runtime:
            assert (await runtime.trigger_and_wait("sync")).metrics["llm_calls"] == 2

    run_quietly(main)


PROGRAM = """
import asyncio, signal, sys
import hivecost as hc

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored

runtime = hc.AgentRuntime(sys.argv[1], prices={"m": {"input": 1, "output": 2}})

@runtime.entry_point("runaway")
async def runaway(ctx, _):
    async with ctx.turn("m") as turn:
        turn.settle(hc.Usage(10, 5))
    await runtime.flush()
    print(ctx.session_id, flush=True)
    await asyncio.sleep(3600)

@runtime.entry_point("exits")
async def exits(ctx, _):
    async with ctx.turn("m") as turn:
        turn.settle(hc.Usage(10, 5))
    await runtime.flush()
    print(ctx.session_id, flush=True)
    raise SystemExit(3)

async def main():
    async with runtime:
        await runtime.trigger_and_wait(sys.argv[2])

asyncio.run(main())
"""


def session_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_ends_a_runaway_and_its_end_is_logged(tmp_path):
    """SIGINT under asyncio.run: the program ends, and the log has turn and end of the execution."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "runaway"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        session_id = session_of(child)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in stderr
    state = asyncio.run(hc.SessionStore(tmp_path).read_state(session_id))
    assert (state.status, state.metrics.total_tokens) == ("cancelled", 15)


def test_system_exit_in_an_agent_ends_the_program_and_is_logged(tmp_path):
    """What an agent raises to leave the program leaves it, with its exit code; the execution counts as failed."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "exits"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        session_id = session_of(child)
        child.communicate(timeout=30)
    assert child.returncode == 3
    state = asyncio.run(hc.SessionStore(tmp_path).read_state(session_id))
    assert (state.status, state.metrics.total_tokens) == ("failed", 15)
