"""UsageAggregator: exact sums, however the turns are cut into batches."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc
from hivecost.subscribers import DIMENSIONS
from hivecost.testing import FakeClock

FIELDS = {
    "execution": "execution_id",
    "session": "session_id",
    "node": "node_id",
    "agent": "agent_id",
    "model": "model",
    "user": "user_id",
    "org": "org_id",
    "task": "task_id",
}
SUMS = ("llm_calls", "input_tokens", "output_tokens", "cost_nanousd", "unpriced_calls", "invalid_calls")

costs = st.one_of(
    st.builds(hc.Cost, status=st.just(hc.CostStatus.PRICED), nanousd=st.integers(0, 10**12)),
    st.builds(hc.Cost, status=st.just(hc.CostStatus.ESTIMATED), nanousd=st.integers(0, 10**12)),
    st.sampled_from([hc.Cost(status=hc.CostStatus.UNPRICED), hc.Cost(status=hc.CostStatus.INVALID), None]),
)
turns = st.builds(
    hc.LLMTurnComplete,
    usage=st.builds(hc.Usage, st.integers(0, 10**9), st.integers(0, 10**9)),
    cost=costs,
    latency_ms=st.integers(0, 10**6),
    timestamp_ns=st.integers(0, 2 * 10**18),
    model=st.sampled_from(["gpt-4o", "claude", ""]),
    **{field: st.sampled_from(["", "a", "b"]) for field in FIELDS.values() if field != "model"},
)


@given(st.lists(turns, max_size=30), st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_partition_in_any_order_adds_up_to_the_same(made, random, size):
    """Batches of one, of all, or shuffled: every sum of every dimension is the same, and totals are sums of parts."""
    whole, parts = hc.UsageAggregator(), hc.UsageAggregator()
    whole.add(made)
    shuffled = list(made)
    random.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        parts.add(iter(shuffled[start : start + size]))
    assert whole.as_dict()["total"] == parts.as_dict()["total"]
    for dimension in DIMENSIONS:
        assert dict(whole.by(dimension)) == dict(parts.by(dimension))
        assert whole.top(dimension) == parts.top(dimension)
    for dimension, field in FIELDS.items():
        named = [turn for turn in made if getattr(turn, field)]
        expected = Counter(getattr(turn, field) for turn in named)
        assert {value: totals.llm_calls for value, totals in whole.by(dimension).items()} == expected
        cost = sum(turn.cost.nanousd for turn in named if turn.cost is not None and turn.cost.nanousd is not None)
        assert sum(totals.cost_nanousd for totals in whole.by(dimension).values()) == cost
    assert sum(day.llm_calls for day in whole.by("day").values()) == len(made)


def turn(agent: str, nanousd: int, tokens: int, **fields) -> hc.LLMTurnComplete:
    cost = hc.Cost(status=hc.CostStatus.PRICED, nanousd=nanousd)
    return hc.LLMTurnComplete(agent_id=agent, usage=hc.Usage(tokens, 0), cost=cost, **fields)


def test_top_orders_by_cost_tokens_or_calls():
    """The greatest first, by the key that is asked for; equals by name; never more than asked for."""
    usage = hc.UsageAggregator()
    usage.add([turn("dear", 900, 1), turn("wordy", 100, 5_000), turn("busy", 10, 1), turn("busy", 10, 1)])
    usage.add([turn("alike", 20, 2)])
    assert [agent for agent, _ in usage.top("agent", 2)] == ["dear", "wordy"]
    assert [agent for agent, _ in usage.top("agent", 1, key="total_tokens")] == ["wordy"]
    assert [agent for agent, _ in usage.top("agent", key="llm_calls")] == ["busy", "alike", "dear", "wordy"]
    assert usage.top("agent", 1)[0][1].cost_nanousd == 900
    assert usage.top("user") == []


def test_memory_is_bounded_and_what_went_is_counted():
    """Past the limit the value that was idle longest goes; the total keeps everything."""
    usage = hc.UsageAggregator(values_max=3)
    usage.add([turn(agent, 1, 1) for agent in ("a", "b", "c", "a", "d")])
    assert sorted(usage.by("agent")) == ["a", "c", "d"]
    assert usage.forgotten == 1
    assert usage.total.llm_calls == 5
    usage.add([turn("d", 1, 1), turn("e", 1, 1), turn("d", 1, 1)])
    assert sorted(usage.by("agent")) == ["a", "d", "e"]  # "c" was idle longest
    usage.add([turn("a", 1, 1), turn("f", 1, 1)])
    assert sorted(usage.by("agent")) == ["a", "d", "f"]
    usage.add(turn(f"agent {n}", 1, 1) for n in range(1_000))
    assert len(usage.by("agent")) == 3
    assert usage.total.llm_calls == 1_010


def test_any_thread_may_add_and_ask():
    """Nobody sees half of what was added before they asked, and nothing is lost."""
    usage, wrong = hc.UsageAggregator(), []
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(name):
        for n in range(1, 31):
            usage.add([turn(f"{name} {number}", 1, 1) for number in range(20)])
            if usage.total.llm_calls < 20 * n or sum(each.llm_calls for each in usage.by("agent").values()) < 20 * n:
                wrong.append(n)
            usage.top("agent")
            usage.as_dict()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sys.setswitchinterval(before_s)
    assert wrong == []
    assert usage.total.llm_calls == 4 * 30 * 20
    assert {totals.llm_calls for totals in usage.by("agent").values()} == {30}


def test_turns_may_come_slowly_from_somebody_who_asks():
    """While they are awaited, others add and ask, and whoever makes them may ask, too."""
    usage, waits, go_on = hc.UsageAggregator(), threading.Event(), threading.Event()

    def slowly():
        yield turn("slow", 1, 1)
        assert usage.total.llm_calls == 0  # what was made is added with the next thousand
        waits.set()
        assert go_on.wait(30)
        yield turn("slow", 1, 1)

    slow = threading.Thread(target=lambda: usage.add(slowly()))
    slow.start()
    assert waits.wait(30)
    quick = threading.Thread(target=lambda: usage.add([turn("quick", 1, 1)]))
    quick.start()
    quick.join(30)
    assert usage.total.llm_calls == 1
    go_on.set()
    slow.join(30)
    assert {agent: totals.llm_calls for agent, totals in usage.by("agent").items()} == {"quick": 1, "slow": 2}


def test_adding_does_not_wait_for_who_asks(monkeypatch):
    """A thread that folds for long keeps the loop's turns waiting for a moment only."""
    usage, folds, go_on, real = hc.UsageAggregator(), threading.Event(), threading.Event(), hc.UsageAggregator._add_to

    def slowly(self, *args):
        folds.set()
        assert go_on.wait(30)
        real(self, *args)

    monkeypatch.setattr(hc.UsageAggregator, "_add_to", slowly)
    usage.add([turn("a", 1, 1)])
    asking = threading.Thread(target=lambda: usage.by("agent"))
    asking.start()
    assert folds.wait(30)
    adding = threading.Thread(target=lambda: usage.add([turn("b", 1, 1)]), daemon=True)
    adding.start()
    adding.join(10)
    assert not adding.is_alive()
    go_on.set()
    asking.join(30)
    assert usage.total.llm_calls == 2


class Interrupting(str):
    """A name that is sent a signal whenever it is looked up, but for the lookups of whoever handles it."""

    handled = False

    def __hash__(self):
        if not Interrupting.handled:
            signal.raise_signal(signal.SIGUSR1)
        return super().__hash__()


def test_a_signal_handler_may_ask():
    """In the middle of adding or of an answer; nothing waits for itself, and every turn counts once."""
    usage, answers = hc.UsageAggregator(values_max=3), []

    def ask(*_):
        Interrupting.handled = True
        answers.append(usage.as_dict()["total"]["llm_calls"])
        Interrupting.handled = False

    before = signal.signal(signal.SIGUSR1, ask)
    try:
        for n in range(1, 6):
            usage.add([turn(Interrupting(name), 1, 1) for name in "aabc"])
            assert usage.total.llm_calls == 4 * n
        assert {agent: totals.llm_calls for agent, totals in usage.by("agent").items()} == {"a": 10, "b": 5, "c": 5}
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(answers) > 40
    assert answers == sorted(answers)


def test_a_signal_handler_may_add():
    """In the middle of adding, too; nothing is lost."""
    usage, added = hc.UsageAggregator(), []

    def add(*_):
        Interrupting.handled = True
        usage.add([turn("handler", 1, 1)])
        added.append(True)
        Interrupting.handled = False

    before = signal.signal(signal.SIGUSR1, add)
    try:
        for _ in range(5):
            usage.add([turn(Interrupting("a"), 1, 1) for _ in range(4)])
        total = usage.total.llm_calls  # counting is interrupted for the last time
        assert total <= usage.total.llm_calls == 20 + len(added)
        assert len(added) > 20
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_and_a_thread_may_ask_at_once():
    """While the interrupted one is adding: neither waits for the other forever."""
    usage, asked = hc.UsageAggregator(), []
    asking = threading.Thread(target=lambda: asked.append(usage.total.llm_calls))

    def ask(*_):
        Interrupting.handled = True
        if not asked and not asking.is_alive():
            asking.start()
            asking.join(0.2)  # it may have to wait for what is being added
            asked.append(usage.total.llm_calls)

    before = signal.signal(signal.SIGUSR1, ask)
    try:
        usage.add([turn(Interrupting("a"), 1, 1)])
        asking.join(30)
    finally:
        signal.signal(signal.SIGUSR1, before)
        Interrupting.handled = False
    assert asked == [0, 1]


def test_days_are_utc():
    """One nanosecond before midnight UTC belongs to the day before."""
    midnight = 1_795_305_600 * 10**9
    usage = hc.UsageAggregator()
    usage.add([turn("a", 1, 1, timestamp_ns=midnight - 1), turn("a", 1, 1, timestamp_ns=midnight)])
    assert list(usage.by("day")) == ["2026-11-21", "2026-11-22"]


def test_a_dimension_nobody_knows_is_refused():
    """The error lists those there are."""
    with pytest.raises(hc.ConfigError, match="execution, session, node, agent, model, user"):
        hc.UsageAggregator().by("colour")


def test_plain_numbers_for_a_dashboard():
    """`as_dict` has the total and one table for each dimension, in numbers any JSON writer takes."""
    usage = hc.UsageAggregator()
    usage.add([turn("a", 1_500_000_000, 10, model="gpt-4o")])
    figures = usage.as_dict()
    assert figures["total"]["cost_usd"] == 1.5
    assert figures["by_agent"]["a"]["total_tokens"] == 10
    assert set(figures) == {"total", *(f"by_{dimension}" for dimension in DIMENSIONS)}


@pytest.mark.anyio
async def test_as_a_plugin_it_counts_what_the_runtime_publishes(make_runtime):
    """Settled turns and turns published by hand, by every dimension they have."""
    runtime = make_runtime()
    async with runtime:
        result = await runtime.trigger_and_wait("spend", [("m", hc.Usage(10, 5)), ("n", hc.Usage(1, 0))], user_id="ada")
        await runtime.bus.publish(hc.LLMTurnComplete(model="m", usage=hc.Usage(100, 0), user_id="bob"))
        await runtime.bus.drain()
        assert runtime.usage.by("user")["ada"].cost_nanousd == result.metrics["cost_nanousd"] == 21_000
        assert runtime.usage.by("user")["bob"].cost_nanousd == 100_000
        assert runtime.usage.by("model")["m"].llm_calls == 2
        assert runtime.usage.by("execution")[result.execution_id].llm_calls == 2
    assert runtime.usage.total.total_tokens == 116


def test_statistics_are_its_sums():
    """In one plain shape, with averages and how long it counted; `reset` begins anew."""
    clock = FakeClock()
    usage = hc.UsageAggregator(clock=clock)
    price = hc.Cost(status=hc.CostStatus.PRICED, nanousd=2_106_000)
    usage.add([hc.LLMTurnComplete(agent_id="planner", model="flash", usage=hc.Usage(1_200, 1_140), cost=price)])
    usage.add([hc.LLMTurnComplete(agent_id="coder", model="pro", usage=hc.Usage(1_000, 0))])
    clock.advance(45.2)
    found = usage.statistics(budget_limit_usd="$0.004212")
    assert (found.total_calls, found.total_tokens, found.total_cost_usd) == (2, 3_340, 0.002106)
    assert (found.average_tokens_per_call, found.average_cost_per_call) == (1_670, 0.001053)
    assert (found.budget_utilization_percent, found.unpriced_calls) == (50.0, 1)
    assert found.session_duration_seconds == pytest.approx(45.2)
    assert list(found.by_agent) == ["planner", "coder"]
    assert (found.by_model["flash"].calls, found.by_model["flash"].cost_nanousd) == (1, 2_106_000)
    text = hc.breakdown_text(found)
    assert "  Total LLM Calls:        2\n" in text
    assert "  Session Duration:       45.2s\n" in text
    assert "  planner                 $0.0021 (100.0%) | 2,340 tokens | 1 call\n" in text
    assert "unpriced" in next(line for line in text.splitlines() if line.startswith("  coder"))
    usage.reset()
    assert usage.statistics() == hc.UsageAggregator(clock=clock).statistics()
    assert usage.statistics().budget_limit_usd is None
    assert dict(usage.by("day")) == {}
