"""What was spent since an instant, from turns and from what became of those that were pruned."""

from __future__ import annotations

from collections import Counter

import pytest

from hivecost.backends.sqlite import prune
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.reading import (
    RuntimeLogStore,
    pruned_before,
    pruned_calls,
    spending,
    spending_since,
    turn_pages,
    unpriced_reasons,
)
from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.log.periods import QUARTER_HOUR_NS

pytestmark = pytest.mark.anyio


def turn(quarter_hour, **fields):
    cost = Cost(status=CostStatus.PRICED, nanousd=5)
    at_ns = quarter_hour * QUARTER_HOUR_NS + 7
    return LLMTurnComplete(**{"session_id": "s", "timestamp_ns": at_ns, "cost": cost, "usage": Usage(3, 1)} | fields)


TURNS = [
    *(turn(number // 3, tags={"customer": "acme"}, task_id="t") for number in range(12)),
    *(turn(number, node_id="n", model="m", cost=None) for number in range(4)),
    turn(4, user_id="ada", cost=Cost(status=CostStatus.INVALID)),
]


async def spent(tmp_path, first_ns=0):
    sums = Counter()
    async for part in spending_since(tmp_path, first_ns):
        key = (part.timestamp_ns, part.task_id, part.node_id, part.user_id, part.model, part.tags.get("customer"))
        unknown = part.unpriced_calls + part.invalid_calls
        sums.update({(key, "nanousd"): part.cost_nanousd, (key, "calls"): part.llm_calls, (key, "unknown"): unknown})
        sums.update({(key, "tokens"): part.total_tokens})
    return sums


@pytest.mark.parametrize("page_calls", [1, 5, 20_000])
async def test_it_is_the_same_before_and_after_pruning(tmp_path, write, monkeypatch, page_calls):
    """In the middle of a quarter-hour too, and however much is read at a time."""
    monkeypatch.setattr(spending, "_PAGE_CALLS", page_calls)
    await write(*TURNS)
    before = [await spent(tmp_path, first_ns) for first_ns in (0, 2 * QUARTER_HOUR_NS)]
    assert sum(n for (_, name), n in before[0].items() if name == "calls") == len(TURNS)
    assert sum(n for (_, name), n in before[0].items() if name == "nanousd") == 60
    await prune(tmp_path, 2 * QUARTER_HOUR_NS + 7)
    await prune(tmp_path, 3 * QUARTER_HOUR_NS + 100)
    assert [await spent(tmp_path, first_ns) for first_ns in (0, 2 * QUARTER_HOUR_NS)] == before


async def test_a_prune_meanwhile_counts_nothing_twice_and_leaves_nothing_out(tmp_path, write, monkeypatch):
    """Each page is read whole from one snapshot."""
    monkeypatch.setattr(spending, "_PAGE_CALLS", 1)
    await write(*TURNS)
    calls = 0
    async for part in spending_since(tmp_path, 0):
        calls += part.llm_calls
        await prune(tmp_path, part.timestamp_ns + QUARTER_HOUR_NS + 100)
    assert calls == len(TURNS)


@pytest.mark.parametrize("read", [lambda path: spending_since(path, 0), turn_pages])
async def test_whoever_reads_long_holds_no_snapshot(tmp_path, read):
    """Between two pages nothing is open, so the write-ahead log goes back into the database as ever."""
    log = RuntimeLog(tmp_path)
    log.append(TURNS)
    async for _ in read(tmp_path):
        log.append([turn(0)])
        busy, _, _ = log.open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
    log.close()


async def test_a_pruned_session_says_so(tmp_path, write):
    """Its nodes keep their sums and models, its steps are said to be missing, and so are the reasons."""
    unpriced = Cost(status=CostStatus.UNPRICED, reason="no rate")
    await write(turn(0, node_id="old", model="a"), turn(0, node_id="both", model="a", cost=unpriced))
    await write(turn(9, node_id="new", model="c"), turn(9, node_id="both", model="b", cost=unpriced))
    log = RuntimeLogStore(tmp_path)
    whole = await log.load_details("s")
    assert (whole.pruned_steps, await pruned_before(tmp_path, "s")) == (0, None)
    await prune(tmp_path, QUARTER_HOUR_NS)
    details = await log.load_details("s")
    assert [(node.node_id, node.models, len(node.steps), node.pruned_steps) for node in details.nodes] == [
        ("old", ("a",), 0, 1),
        ("new", ("c",), 1, 0),
        ("both", ("a", "b"), 1, 1),
    ]
    assert details.pruned_steps == 2
    assert {node.node_id: node.cost_nanousd for node in details.nodes} == {"old": 5, "new": 5, "both": 0}
    assert await unpriced_reasons(tmp_path, "s") == {"no rate": 1, "the reason was pruned with the turn": 1}
    assert (await pruned_before(tmp_path, "s") or "")[:4] in ("1969", "1970")
    await write(turn(9, session_id="later"))
    assert await pruned_before(tmp_path, "later") is None


async def test_pruned_turns_are_counted_by_time_and_model(tmp_path, write):
    """So that a repricing can say how many it cannot see."""
    await write(*TURNS)
    assert await pruned_calls(tmp_path) == 0
    await prune(tmp_path, 3 * QUARTER_HOUR_NS)
    assert await pruned_calls(tmp_path) == 12
    assert await pruned_calls(tmp_path, model="m") == 3
    assert await pruned_calls(tmp_path, since="1970-01-01T00:30+00:00", until="1970-01-01T01:30+00:00") == 4


async def test_an_empty_folder_has_no_spending(tmp_path):
    """Nor was anything pruned there."""
    assert [part async for part in spending_since(tmp_path / "none", 0)] == []
    assert (await pruned_calls(tmp_path / "none"), await pruned_before(tmp_path / "none", "s")) == (0, None)
