"""Reserve and settle over four accounts, against the same checks and sums on plain dicts."""

from __future__ import annotations

from collections import defaultdict
from time import perf_counter, time_ns

from benchmarks.figure import ratio_of
from hivecost.ledger import Budget, Hold, LedgerState

ROUNDS, PAIRS = 30, 5_000
WHO = {"org": "acme", "user": "ada", "agent": "planner", "execution": "exec_1", "model": "gpt-4o"}


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    ledger_s, dict_s = [], []
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        ledger_s.append(_seconds_in_ledger())
        dict_s.append(seconds_in_dicts(PAIRS))
    ratio = ratio_of(ledger_s, dict_s)
    return [("reserve + settle, 4 accounts, over the same sums on dicts", 3.0, ratio, ratio <= 3.0)]


def _seconds_in_ledger() -> float:
    ledger = LedgerState(
        [
            Budget("run", "$1_000", window="execution", mode="hard"),
            Budget("user day", "$1_000", window="day", per="user", mode="hard"),
            Budget("org month", "$1_000", window="month", per="org", mode="hard"),
            Budget("agent", "1_000_000_000 tokens", per="agent", mode="hard"),
        ]
    )
    now_ns = time_ns()
    started_s = perf_counter()
    for _ in range(PAIRS):
        hold = ledger.reserve(WHO, now_ns, {"usd": 10_000, "tokens": 1_000})
        assert isinstance(hold, Hold)
        ledger.settle(hold, {"usd": 7_000, "tokens": 800})
    return perf_counter() - started_s


def seconds_in_dicts(pairs: int) -> float:
    """What holding and settling on four accounts costs at the least."""
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    settled: defaultdict[tuple[str, str], int] = defaultdict(int)
    limits = {"run": 10**12, "user": 10**12, "org": 10**12, "agent": 10**9}
    started_s = perf_counter()
    for _ in range(pairs):
        hold = [
            (("run", WHO["execution"]), 10_000),
            (("user", WHO["user"]), 10_000),
            (("org", WHO["org"]), 10_000),
            (("agent", WHO["agent"]), 1_000),
        ]
        for key, amount in hold:
            assert settled[key] + held[key] + amount <= limits[key[0]]
        for key, amount in hold:
            held[key] += amount
        for (key, amount), bill in zip(hold, (7_000, 7_000, 7_000, 800), strict=True):
            held[key] -= amount
            settled[key] += bill
    return perf_counter() - started_s


if __name__ == "__main__":
    print(results())
