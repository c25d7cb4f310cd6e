from __future__ import annotations

import gc
import signal
from collections import Counter
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> None:
    """What was imported, collected and remembered until now: no test that collects garbage need look through it."""
    gc.collect()
    gc.freeze()


def pytest_sessionstart() -> None:
    """Ctrl-C works in the tests also where a script started them in the background: its shell had them ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish() -> None:
    """What plugins import at the end looks for referrers, which a frozen heap does not show."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last line: how many seconds each room of the tests took."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                _, *rooms, _file = Path(report.nodeid.partition("::")[0]).parts
                seconds["/".join(rooms[:2])] += report.duration
    rooms = ", ".join(f"{room} {took:.0f}" for room, took in seconds.most_common())
    terminalreporter.write_line(f"seconds by room: {rooms or 'none'}")
