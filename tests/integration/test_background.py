"""A runtime in the background ends with its program, whatever ends that, and nothing that was settled is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import hivecost as hc

PROGRAM = """
import os, signal, sys, threading
import anyio
import hivecost as hc
sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
calls = int(sys.argv[2])
budgets = [hc.Budget("few", calls, unit="calls", window="day", on_exceed="pause")] if calls else []
prices = {"m": {"input": 1, "output": 2}}
runtime = hc.run_in_background(sys.argv[1], prices=prices, budgets=budgets, config={"close_timeout_s": 0.5})
def turn(ctx):
    with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
        turn.settle(hc.Usage(10, 5))
def say(*words):
    print(*words, flush=True)
@runtime.entry_point("forever")
async def forever(ctx, _):
    async with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
        turn.settle(hc.Usage(10, 5))
    say("ready")
    await anyio.sleep_forever()
"""

BLOCK = """
with runtime.execution(session_id="s") as ctx:
    turn(ctx)
"""

THREAD = """
entered = threading.Event()
def work(waits):
    with runtime.execution(session_id="s") as ctx:
        entered.set()
        waits()
        turn(ctx)
"""


def start(base_path: Path, script: str, calls: int) -> subprocess.Popen[str]:
    """With a hard budget of so many calls, or none."""
    command = [sys.executable, "-c", PROGRAM + script, str(base_path), str(calls)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(base_path: Path, script: str, calls: int = 0) -> tuple[str, int, str]:
    with start(base_path, script, calls) as process:
        said, errors = process.communicate(timeout=60)
    return said, process.returncode, errors


def logged(base_path: Path, session_id: str = "s") -> tuple[str, int, int]:
    """The session's status, its turns and what is held."""

    async def read() -> tuple[str, int, int]:
        state = await hc.SessionStore(base_path).read_state(session_id)
        async with hc.Ledger.open(base_path) as ledger:
            held = sum(row.held for row in await ledger.status())
        return state.status, state.metrics.llm_calls, held

    return anyio.run(read)


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("raise LookupError('mine')", 1)])
def test_what_was_settled_is_logged_when_the_program_ends(base_path, ending, code):
    """By its last line, by an exit or by an error: nobody need close it, and it keeps nothing alive."""
    _, status, errors = run(base_path, BLOCK + ending, 1_000)
    assert (status, "Traceback" in errors) == (code, "LookupError" in ending)
    assert logged(base_path) == ("completed", 1, 0)


@pytest.mark.parametrize(
    "detached",
    ["runtime.trigger('forever', session_id='s')", "runtime.trigger('forever', session_id='s'); sys.exit(0)"],
)
def test_what_still_runs_then_is_cancelled(base_path, detached):
    """An agent that nobody waits for any more does not keep the program alive."""
    said, status, errors = run(base_path, detached)
    assert (status, errors) == (0, "")
    assert logged(base_path)[0] == "cancelled"
    assert logged(base_path)[1] == len(said.split())


def test_threads_that_keep_the_program_alive_are_waited_for(base_path):
    """The program ends when they have ended, and so does the runtime."""
    script = THREAD + "threading.Thread(target=work, args=(threading.main_thread().join,)).start(); entered.wait()"
    assert run(base_path, script)[1:] == (0, "")
    assert logged(base_path) == ("completed", 1, 0)


def test_threads_that_do_not_are_not(base_path):
    """One that sleeps in its block costs what closing may take; its end is not logged, and that is said."""
    script = (
        THREAD + "threading.Thread(target=work, args=(threading.Event().wait,), daemon=True).start(); entered.wait()"
    )
    _, status, errors = run(base_path, BLOCK + script)
    assert status == 0
    assert "the program has ended before its runtime did, 1 executions ran on" in errors
    assert logged(base_path)[1:] == (1, 0)


PAUSED = """
    runtime.bus.subscribe(event_types=["budget_exceeded"], handler=lambda _: say("ready"))
    turn(ctx)
"""

WAITS = {
    "for an agent": "runtime.trigger_and_wait('forever', session_id='s')",
    "for its end": "runtime.trigger('forever', session_id='s')\nruntime.close()",
    "in a block": BLOCK + "    say('ready')\n    threading.Event().wait()",
    "for money": BLOCK + PAUSED.strip("\n"),
}


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("closes", ["with", "at exit"])
@pytest.mark.parametrize("waits", WAITS)
def test_ctrl_c_ends_what_the_main_thread_waits_for(base_path, waits, closes):
    """The execution ends, nothing stays held, and the log has all of it."""
    script = WAITS[waits].strip()
    if closes == "with":
        script = "with runtime:\n" + "\n".join("    " + line for line in script.splitlines())
    with start(base_path, script, calls=1) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130, 1)
    assert "KeyboardInterrupt" in errors
    status, calls, held = logged(base_path)
    assert (status, calls, held) == ("cancelled" if waits in ("for an agent", "for its end") else "failed", 1, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_nothing_and_harms_nothing(base_path):
    """It is refused with the reason, ends where the block does, and may open a runtime of its own."""
    script = """
import warnings
warnings.simplefilter("ignore")
def child(*attempts):
    pid = os.fork()
    if pid:
        say("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return
    for attempt in attempts:
        try:
            attempt()
        except hc.HiveCostError as error:
            say("refused" if "parent" in str(error) else repr(error))
        else:
            say("done")
with runtime:
    with runtime.execution(session_id="s") as ctx:
        turn(ctx)
        blocks = runtime.execution()
        child(lambda: turn(ctx), runtime.flush, lambda: runtime.trigger("forever"), blocks.__enter__)
    if os.fork() == 0:
        runtime.close()
        with hc.run_in_background(sys.argv[1] + "/own", prices=prices) as own:
            with own.execution(session_id="own") as ctx:
                turn(ctx)
        sys.exit(5)
    say("child", os.waitstatus_to_exitcode(os.wait()[1]))
"""
    said, status, errors = run(base_path, script, 1_000)
    assert (status, errors) == (0, "")
    assert said.splitlines() == ["refused", "refused", "refused", "refused", "child 0", "child 5"]
    assert logged(base_path) == ("completed", 1, 0)
    assert logged(base_path / "own", "own") == ("completed", 1, 0)
