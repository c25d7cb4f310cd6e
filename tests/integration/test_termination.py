"""`RuntimeConfig(handle_signals=True)`: SIGTERM ends a runtime in order, and then the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

import hivecost as hc
from hivecost.errors import ConfigError

PROGRAM = Path(__file__).with_name("terminated_agents.py")


def run(base_path: Path, *arguments: str, signals: int = 1, number: signal.Signals = signal.SIGTERM):
    """(turns that were settled, what else was said, exit status, what was said on stderr)."""
    command = [sys.executable, str(PROGRAM), str(base_path), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline().strip()]
        for _ in range(signals):
            if "stubborn" not in arguments:
                said += [process.stdout.readline().strip() for _ in range(20)]
            process.send_signal(number)
            if signals > 1:
                anyio.run(anyio.sleep, 0.3)  # two that come at once are one
        said += process.stdout.read().splitlines()  # communicate() would leave out what readline() has read ahead
        errors = process.stderr.read()
    turns = [word for word in said if word.isdigit()]
    return len(turns), [word for word in said if not word.isdigit()], process.returncode, errors


async def logged(base_path: Path) -> tuple[int, str, list[int]]:
    """Turns, the session's status, and what is held and in doubt."""
    state = await hc.SessionStore(base_path).read_state("s")
    async with hc.Ledger.open(base_path) as ledger:
        rows = await ledger.status()
    return state.metrics.llm_calls, state.status, [sum(row.held for row in rows), sum(row.in_doubt for row in rows)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["async", "sync", "detached"])
def test_what_was_settled_is_logged_and_the_process_ends(base_path, backend, kind):
    """Executions are cancelled, nothing stays held, what surrounds the runtime is left in order; status 143."""
    turns, said, status, errors = run(base_path, backend, kind, "on")
    assert (said, status, errors) == (["cleaned up", "handler True"], 143, "")
    calls, session, (held, _) = anyio.run(logged, base_path)
    assert turns <= calls <= turns + 1  # one that was under way is left with its usage unknown
    assert (session, held) == ("cancelled", 0)


def test_sigint_and_sigterm_leave_the_same_behind(base_path):
    """But for the status: Python's own for one, the shell's for the other. (trio interrupts whatever is at work.)"""
    ends = []
    for number in (signal.SIGINT, signal.SIGTERM):
        turns, said, status, _ = run(base_path / number.name, "asyncio", "async", "on", number=number)
        calls, session, (held, _) = anyio.run(logged, base_path / number.name)
        ends.append((said, turns <= calls <= turns + 1, session, held))
        assert status in {signal.SIGINT: {-2, 1, 130}, signal.SIGTERM: {143}}[number]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("mode", "said", "status"),
    [
        ("toml", ["cleaned up", "handler True"], 143),
        ("two", ["cleaned up", "handler True"], 143),
        # What the program did before is what is done: it decides, and goes on.
        ("handler", ["own handler", "went on", "cleaned up", "handler True"], 0),
    ],
)
def test_how_it_may_be_asked_for(base_path, mode, said, status):
    """In the file, by two runtimes at once, and beside a handler of the program's own."""
    turns, *end, errors = run(base_path, "asyncio", "async", mode)
    assert (end, errors) == ([said, status], "")
    calls, session, _ = anyio.run(logged, base_path)
    assert turns <= calls <= turns + 1
    assert session == "cancelled"


def test_unless_asked_for_the_signal_is_the_programs(base_path):
    """Nothing of ours is in its way; and the run that it ended reads as interrupted."""
    _, said, status, _ = run(base_path, "asyncio", "async", "off")
    assert (said, status) == ([], -signal.SIGTERM)
    assert anyio.run(hc.SessionStore(base_path).read_state, "s").status == "interrupted"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_second_signal_ends_at_once(base_path, backend):
    """An agent that ignores its cancellation keeps the first one from its end."""
    _, said, status, _ = run(base_path, backend, "stubborn", "on", signals=2)
    assert (said, status) == ([], -signal.SIGTERM)


def test_a_signal_while_it_opens_or_closes_is_not_lost(base_path):
    """Nothing runs then, and it ends as soon as it is open, or has closed."""
    script = """
import os, signal, sys
import anyio
import hivecost as hc
from contextlib import asynccontextmanager
class Plugin:
    name = "plugin"
    @asynccontextmanager
    async def attached(self, host):
        if sys.argv[2] == "opening": os.kill(os.getpid(), signal.SIGTERM)
        yield
        if sys.argv[2] == "closing": os.kill(os.getpid(), signal.SIGTERM)
async def main():
    async with hc.AgentRuntime(sys.argv[1], plugins=[Plugin()], config={"handle_signals": True}):
        if sys.argv[2] == "opening": await anyio.sleep_forever()
anyio.run(main)
"""
    for when in ("opening", "closing"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(base_path), when],
            check=False,
            timeout=30,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (143, "")


def test_it_needs_the_main_thread(base_path):
    """No other is told of signals: said by name, before anything runs."""

    async def enter() -> None:
        async with hc.AgentRuntime(base_path, config={"handle_signals": True}):
            pytest.fail("it runs")

    caught: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            anyio.run(enter)
        except ConfigError as error:
            caught.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join(30)
    assert "handle_signals" in str(caught[0])
    assert not base_path.exists()


def test_the_handler_of_before_is_put_back(base_path):
    """After each of two runs, and in the order of overlapping ones; one that was set meanwhile stays."""
    before = signal.getsignal(signal.SIGTERM)

    async def overlap() -> None:
        one = hc.AgentRuntime(base_path / "1", config={"handle_signals": True})
        two = hc.AgentRuntime(base_path / "2", config={"handle_signals": True})
        await one.__aenter__()
        ours = signal.getsignal(signal.SIGTERM)
        assert ours != before
        async with two:
            assert signal.getsignal(signal.SIGTERM) == ours
        assert signal.getsignal(signal.SIGTERM) == ours
        await one.__aexit__(None, None, None)
        assert signal.getsignal(signal.SIGTERM) == before
        try:
            async with one:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGTERM, before)

    anyio.run(overlap)
