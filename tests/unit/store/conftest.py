from __future__ import annotations

import importlib.util
from pathlib import Path

import anyio.lowlevel
import pytest


class StillClock:
    """Time that only `sleep` moves, and that never takes any."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.on_sleep = lambda: None

    def now_ns(self) -> int:
        return 1_795_000_000_000_000_000

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
    path = Path(__file__).parents[2] / "contract" / "log_oracle.py"
    spec = importlib.util.spec_from_file_location("log_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
