from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import anyio.lowlevel
import anyio.to_thread
import pytest

from hivecost.backends.sqlite.log import runtime_log


class StillClock:
    """Time that only `sleep` moves, and that never takes any."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.on_sleep = lambda: None
        self.ahead_s = 0

    def now_ns(self) -> int:
        return 1_795_000_000_000_000_000 + self.ahead_s * 10**9

    def monotonic_s(self) -> float:
        return sum(self.slept_s)

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.on_sleep()
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


@pytest.fixture(scope="session")
def oracle():
    """tests/contract/log_oracle.py, which test modules cannot import by name."""
    path = Path(__file__).parents[3] / "contract" / "log_oracle.py"
    spec = importlib.util.spec_from_file_location("log_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def logged(base_path, oracle):
    """The event ids in the log."""
    return lambda: [row["event_id"] for row in oracle.rows(base_path / "hivecost.db", "SELECT event_id FROM turns")]


@pytest.fixture
def fail(monkeypatch):
    """The next commits end in these errors; None stands for one that goes through."""
    real, waiting = runtime_log.append, []

    def append(connection, events):
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error
        return real(connection, events)

    monkeypatch.setattr(runtime_log, "append", append)
    return waiting


class HeldCommits:
    """Commits that have begun wait for `let_go()`; `sizes` are their numbers of events."""

    def __init__(self):
        self.sizes = []
        self._begun, self._free = threading.Event(), threading.Semaphore(0)

    def before(self, events):
        self.sizes.append(len(events))
        self._begun.set()
        assert self._free.acquire(timeout=30)

    async def begun(self):
        """Return when the next one has begun."""
        assert await anyio.to_thread.run_sync(self._begun.wait, 30)
        self._begun.clear()

    def has_begun(self, within_s):
        """The same, while the loop stands still; False when none begins in time."""
        return self._begun.wait(within_s)

    def let_go(self, count=1000):
        self._free.release(count)


@pytest.fixture
def held(monkeypatch, fail):
    """Commits wait to be let go."""
    held, real = HeldCommits(), runtime_log.append

    def append(connection, events):
        held.before(events)
        return real(connection, events)

    monkeypatch.setattr(runtime_log, "append", append)
    yield held
    held.let_go()
