"""How long threads wait for the interpreter: as Python has it, unless somebody asks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.log import runtime_log
from hivecost.errors import ConfigError
from hivecost.events import LLMTurnComplete
from hivecost.runtime import AgentRuntime, RuntimeConfig
from hivecost.runtime.switch_interval import switch_interval

SWITCH_S = 0.0005


@pytest.fixture(autouse=True)
def pythons_own():
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before_s)


@pytest.mark.anyio
async def test_nothing_is_changed_unless_asked_for(tmp_path, monkeypatch):
    """Neither by a store that commits, nor by a runtime that runs, nor by None."""
    real, seen_s = runtime_log.append, []

    def append(connection, events):
        seen_s.append(sys.getswitchinterval())
        return real(connection, events)

    monkeypatch.setattr(runtime_log, "append", append)
    async with Store(tmp_path / "a") as store, AgentRuntime(tmp_path / "b"):
        await store.write([LLMTurnComplete()])
        assert sys.getswitchinterval() == 0.005
    with switch_interval(None):
        assert sys.getswitchinterval() == 0.005
    assert set(seen_s) == {0.005}


@pytest.mark.anyio
async def test_a_runtime_that_asks_has_it_while_it_runs(tmp_path):
    """And what somebody else restores meanwhile stays restored."""
    async with AgentRuntime(tmp_path, config={"switch_interval_s": SWITCH_S}):
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    assert sys.getswitchinterval() == 0.005
    async with AgentRuntime(tmp_path, config={"switch_interval_s": SWITCH_S}):
        sys.setswitchinterval(0.003)
    assert sys.getswitchinterval() == 0.003


@pytest.mark.parametrize("interval_s", [0, -1, 1.5, "0.005", float("nan")])
def test_an_interval_that_cannot_be_is_an_error_by_name(interval_s):
    """Python's own message names no setting."""
    with pytest.raises(ConfigError, match="switch_interval_s"):
        RuntimeConfig(switch_interval_s=interval_s)


def test_several_may_ask_for_different_intervals():
    """The shortest is in force."""
    with switch_interval(0.002):
        with switch_interval(0.001):
            assert sys.getswitchinterval() == pytest.approx(0.001)
        assert sys.getswitchinterval() == pytest.approx(0.002)
        with switch_interval(0.004):
            assert sys.getswitchinterval() == pytest.approx(0.002)
    assert sys.getswitchinterval() == 0.005


def test_the_last_one_out_puts_it_back():
    """Several may share it at once, in any order of leaving."""
    inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]

    def share(event):
        with switch_interval(SWITCH_S):
            inside.wait(30)
            assert event.wait(30)

    threads = [threading.Thread(target=share, args=(event,)) for event in leave]
    for thread in threads:
        thread.start()
    inside.wait(30)
    for event, thread, expected_s in zip(leave, threads, [SWITCH_S, 0.005], strict=True):
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        event.set()
        thread.join(30)
        assert sys.getswitchinterval() == pytest.approx(expected_s)


def test_what_raises_puts_it_back():
    """As what returns does."""
    with pytest.raises(ValueError, match="mine"), switch_interval(SWITCH_S):
        raise ValueError("mine")
    assert sys.getswitchinterval() == 0.005


@pytest.mark.parametrize("interval_us", [1, 100, 499, 500, 501, 700, 1_001, 5_000, 100_000])
def test_any_interval_comes_back_as_it_was(interval_us):
    """To the microsecond, and a shorter one is never changed."""
    sys.setswitchinterval(interval_us * 1e-6 + 5e-7)
    before_s = sys.getswitchinterval()
    for _ in range(3):
        with switch_interval(SWITCH_S):
            assert sys.getswitchinterval() == pytest.approx(min(before_s, SWITCH_S))
        assert sys.getswitchinterval() == before_s


def test_what_others_set_meanwhile_stays():
    """It is theirs."""
    with switch_interval(SWITCH_S):
        sys.setswitchinterval(0.002)
    assert sys.getswitchinterval() == 0.002


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_as_long_as_before():
    """Forked while a thread of its parent shares the interpreter: that thread is not there to put it back."""
    script = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from hivecost.runtime.switch_interval import switch_interval
inside, leave = threading.Event(), threading.Event()
def share():
    with switch_interval(0.0005):
        inside.set()
        leave.wait(30)
threading.Thread(target=share).start()
inside.wait(30)
if os.fork() == 0:
    before_s = sys.getswitchinterval()
    with switch_interval(0.0005):
        within_s = sys.getswitchinterval()
    print(before_s, round(within_s, 6), sys.getswitchinterval(), flush=True)
    os._exit(0)
os.wait()
leave.set()
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True)
    assert told.stdout == f"0.005 {SWITCH_S} 0.005\n"
