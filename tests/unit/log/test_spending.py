"""What was spent since an instant, from turns and from what became of those that were pruned."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from hivecost.backends import open_backend
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.log import spending
from hivecost.log.periods import QUARTER_HOUR_NS


def turn(quarter_hour, **fields):
    cost = Cost(status=CostStatus.PRICED, nanousd=5)
    at_ns = quarter_hour * QUARTER_HOUR_NS + 7
    return LLMTurnComplete(**{"session_id": "s", "timestamp_ns": at_ns, "cost": cost, "usage": Usage(3, 1)} | fields)


TURNS = [
    *(turn(number // 3, tags={"customer": "acme"}, task_id="t") for number in range(12)),
    *(turn(number, node_id="n", model="m", cost=None) for number in range(4)),
    turn(4, user_id="ada", cost=Cost(status=CostStatus.INVALID)),
]


@pytest.fixture(params=["folder", "memory"])
def backend(request, tmp_path):
    """A place in which nothing is logged yet."""
    return open_backend(tmp_path if request.param == "folder" else f"memory://{tmp_path}")


@pytest.fixture
def write(backend):
    """Commit events to its log."""
    return lambda *events: anyio.run(backend.writer().write, events)


@pytest.fixture
def prune(backend):
    """Delete what was logged before an instant."""
    return lambda before_ns: anyio.run(backend.writer().prune, before_ns)


def spent(backend, first_ns=0):
    sums = Counter()
    for part in spending.spending_since(backend.reader(), first_ns):
        key = (part.timestamp_ns, part.task_id, part.node_id, part.user_id, part.model, part.tags.get("customer"))
        unknown = part.unpriced_calls + part.invalid_calls
        sums.update({(key, "nanousd"): part.cost_nanousd, (key, "calls"): part.llm_calls, (key, "unknown"): unknown})
        sums.update({(key, "tokens"): part.total_tokens})
    return sums


@pytest.mark.parametrize("page_calls", [1, 5, 20_000])
def test_it_is_the_same_before_and_after_pruning(backend, write, prune, monkeypatch, page_calls):
    """In the middle of a quarter-hour too, and however much is read at a time."""
    monkeypatch.setattr(spending, "_PAGE_CALLS", page_calls)
    write(*TURNS)
    before = [spent(backend, first_ns) for first_ns in (0, 2 * QUARTER_HOUR_NS)]
    assert sum(n for (_, name), n in before[0].items() if name == "calls") == len(TURNS)
    assert sum(n for (_, name), n in before[0].items() if name == "nanousd") == 60
    prune(2 * QUARTER_HOUR_NS + 7)
    prune(3 * QUARTER_HOUR_NS + 100)
    assert [spent(backend, first_ns) for first_ns in (0, 2 * QUARTER_HOUR_NS)] == before


def test_a_prune_meanwhile_counts_nothing_twice_and_leaves_nothing_out(backend, write, prune, monkeypatch):
    """Each page is read whole from one snapshot."""
    monkeypatch.setattr(spending, "_PAGE_CALLS", 1)
    write(*TURNS)
    calls = 0
    for part in spending.spending_since(backend.reader(), 0):
        calls += part.llm_calls
        prune(part.timestamp_ns + QUARTER_HOUR_NS + 100)
    assert calls == len(TURNS)


def test_whoever_reads_long_holds_no_snapshot(tmp_path):
    """Between two pages nothing is open, so the write-ahead log goes back into the database as ever."""
    log = RuntimeLog(tmp_path)
    log.append(TURNS)
    for _ in spending.spending_since(open_backend(tmp_path).reader(), 0):
        log.append([turn(0)])
        busy, _, _ = log.open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
    log.close()


def test_an_empty_place_has_no_spending(backend):
    """Nor any windows to look at."""
    assert list(spending.spending_since(backend.reader(), 0)) == spending.spending_windows(backend.reader(), 0) == []
