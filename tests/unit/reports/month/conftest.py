"""A month of a team, generated once: 20,000 turns by many agents, users, models, tasks and tags, as logged in SQLite.

What the reports say of it is compared with folds over these events, which know nothing of sums.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import anyio
import pytest

import hivecost as hc
from hivecost.backends.sqlite import Store
from hivecost.cli import main, quick, reporting
from hivecost.clock import to_datetime, to_ns
from hivecost.events import ChargeSettled, Cost, CostStatus, ExecutionCompleted, ExecutionStarted

#: Clocks in Berlin go back on the 25th of October, those in St John's and New York on the 1st of November.
START = datetime(2026, 10, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 19, 15, 7, 30, tzinfo=UTC)
TURNS = 20_000
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
AGENTS = ("planner", "researcher", "coder", "re[b]viewer[/b]", "critic", "=SUM(A1)")
MODELS = ("big", "small", "middle", "nobody-knows")
#: nano-USD a token: in, read from a cache, written to one, out.
RATES = {"big": (3_000, 300, 3_750, 15_000), "small": (125, 13, 160, 1_000), "middle": (800, 80, 1_000, 4_000)}


class Turn(NamedTuple):
    """What a fold needs of a turn."""

    at: datetime
    event: hc.LLMTurnComplete
    entry_point: str

    def value(self, dimension: str, zone: str) -> str:
        """Return what it is in a dimension, worked out in the test's own way."""
        local = self.at.astimezone(ZoneInfo(zone))
        match dimension:
            case "hour":
                return f"{local:%Y-%m-%dT%H}:00{local.isoformat()[-6:]}"
            case "day":
                return str(local.date())
            case "week":
                year, week, _ = local.isocalendar()
                return f"{year}-W{week:02d}"
            case "month":
                return f"{local.year}-{local.month:02d}"
            case "entry_point":
                return self.entry_point
            case "kind":
                return "charge" if isinstance(self.event, ChargeSettled) else ""
            case "model" | "provider":
                return getattr(self.event, dimension)
            case _ if dimension.startswith("tag:"):
                return self.event.tags.get(dimension[4:], "")
            case _:
                return getattr(self.event, f"{dimension}_id")


def fold(turns: Iterable[Turn], by: Iterable[str], zone: str = "UTC") -> dict[tuple[str, ...], Counter[str]]:
    """Return what turns add up to, one by one."""
    sums: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    names = tuple(by)
    for turn in turns:
        sums[tuple(turn.value(name, zone) for name in names)].update(counted(turn.event))
    return dict(sums)


def counted(event: hc.LLMTurnComplete) -> dict[str, int]:
    """Return what one turn counts."""
    usage, cost = event.usage, event.cost
    is_charge = isinstance(event, ChargeSettled)
    nanousd = None if cost is None else cost.nanousd
    invalid = cost is not None and cost.status is CostStatus.INVALID
    return {
        "llm_calls": int(not is_charge),
        "charges": int(is_charge),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_nanousd": nanousd or 0,
        "unpriced_calls": int(nanousd is None and not invalid),
        "invalid_calls": int(invalid),
        "estimated_calls": int(cost is not None and cost.status is CostStatus.ESTIMATED),
    }


def _turn(random: Random, number: int, at_ns: int) -> tuple[hc.LLMTurnComplete, str]:
    execution = number // 7
    entry_point = ("api", "nightly", "chat")[execution % 3]
    model = random.choices(MODELS, (5, 3, 3, 1))[0]
    tokens_in, tokens_out = random.randrange(100, 40_000), random.randrange(1, 3_000)
    read = random.choice((0, tokens_in // 3))
    written = random.choice((0, 0, tokens_in // 5))
    reasoning = random.choice((0, tokens_out // 2))
    usage = hc.Usage(tokens_in, tokens_out, read, written, reasoning_tokens=reasoning)
    tags = {}
    if random.random() < 0.8:
        tags["feature"] = random.choice(("search", "chat", "résumé", "a=b"))
    if random.random() < 0.3:
        tags["skill"] = f"skill-{random.randrange(12)}"
    who = {
        "event_id": f"turn-{number}",
        "timestamp_ns": at_ns,
        "session_id": f"session_{execution // 3:05d}",
        "execution_id": f"execution_{execution}",
        "node_id": random.choice(("plan", "work", "write", "")),
        "agent_id": AGENTS[execution % len(AGENTS)],
        "user_id": f"user-{execution // 5 % 40}",
        "org_id": ("acme", "initech", "")[execution // 5 % 3],
        "task_id": f"task-{execution % 50}" if execution % 4 else "",
        "tags": tags,
    }
    if random.random() < 0.01:
        cost = Cost(status=CostStatus.REPORTED, nanousd=random.randrange(10**8), source="user")
        return ChargeSettled(model="search-api", cost=cost, **who), entry_point
    return hc.LLMTurnComplete(
        model=model, provider="p", usage=usage, cost=_cost(random, model, usage), latency_ms=number % 9_000, **who
    ), entry_point


def _cost(random: Random, model: str, usage: hc.Usage) -> Cost | None:
    if model not in RATES:
        return random.choice(
            (None, Cost(status=CostStatus.UNPRICED, reason="no price"), Cost(status=CostStatus.INVALID, reason="bad"))
        )
    plain, read, write, out = RATES[model]
    cached, written = usage.cache_read_tokens * read, usage.cache_write_tokens * write
    fresh = (usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens) * plain
    if random.random() < 0.03:  # nobody can tell its parts
        return Cost(status=CostStatus.REPORTED, nanousd=fresh + cached + written + usage.output_tokens * out)
    status = CostStatus.ESTIMATED if random.random() < 0.02 else CostStatus.PRICED
    fee = random.choice((0, 0, 0, 10_000_000))
    return Cost(
        status=status,
        nanousd=fresh + cached + written + usage.output_tokens * out + fee,
        source="user",
        rate=f"input={plain / 1000} cache_read={read / 1000} cache_write={write / 1000} output={out / 1000}",
        input_nanousd=fresh + cached + written,
        output_nanousd=usage.output_tokens * out,
        cached_nanousd=cached,
        written_nanousd=written,
        reasoning_nanousd=usage.reasoning_tokens * out,
        fee_nanousd=fee,
    )


def _generated() -> tuple[list[Turn], list[hc.Event]]:
    random = Random(18)
    span = int((NOW - START) / timedelta(microseconds=1))
    instants = sorted(random.randrange(span) for _ in range(TURNS))
    turns: list[Turn] = []
    events: list[hc.Event] = []
    for number, microseconds in enumerate(instants):
        at_ns = to_ns(START) + microseconds * 1_000
        event, entry_point = _turn(random, number, at_ns)
        turns.append(Turn(to_datetime(at_ns), event, entry_point))
        who = {"session_id": event.session_id, "execution_id": event.execution_id, "agent_id": event.agent_id}
        if number % 7 == 0:
            events.append(ExecutionStarted(timestamp_ns=at_ns, entry_point=entry_point, user_id=event.user_id, **who))
        events.append(event)
        if number % 7 == 6:
            events.append(
                ExecutionCompleted(timestamp_ns=at_ns, entry_point=entry_point, duration_ms=number % 5_000, **who)
            )
    return turns, events


@pytest.fixture(scope="session")
def month(tmp_path_factory) -> tuple[str, list[Turn]]:
    """The data folder, and the turns that are logged in it."""
    path = tmp_path_factory.mktemp("month")
    turns, events = _generated()

    async def log() -> None:
        store = Store(path)
        for first in range(0, len(events), 5_000):
            await store.write(events[first : first + 5_000])

    anyio.run(log)
    return str(path), turns


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch):
    for module in (quick, reporting):
        monkeypatch.setattr(module, "now_ns", lambda: to_ns(NOW))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def hivecost(month, monkeypatch, capsys) -> Callable[..., str]:
    """Run a command on the month; what it prints."""

    def run(command: str, *arguments: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["hivecost", command, "--data", month[0], *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert int(left.value.code or 0) == status, shown.err
        return shown.err if status else shown.out

    return run


@pytest.fixture
def report(hivecost) -> Callable[..., dict]:
    """Run a command with --json; what it says."""
    return lambda command, *arguments: json.loads(hivecost(command, *arguments, "--json"))
