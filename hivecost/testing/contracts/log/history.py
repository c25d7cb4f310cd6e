"""A made-up history with what logs are wrong about: hours that come twice, turns without a cost, charges."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any, Final, Literal

from hivecost.clock import to_ns
from hivecost.events import (
    AlertRaised,
    BudgetExceeded,
    BudgetWarning,
    CarriedResults,
    ChargeSettled,
    ContextCompacted,
    Cost,
    CostStatus,
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    LLMTurnComplete,
    SentPrompt,
    ToolCallCompleted,
    Usage,
)

#: Clocks go back in Berlin on the second day, in New York a week later; Lord Howe and Kathmandu are not at whole hours.
START_NS: Final = to_ns(datetime(2025, 10, 25, tzinfo=UTC))
DAY_NS: Final = 86_400 * 10**9
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
SESSIONS: Final = tuple(f"session_{number}" for number in range(5))


#: Status and node of the compactions of a session.
_COMPACTIONS: Final[tuple[tuple[Literal["done", "skipped", "failed"], str], ...]] = (
    *(("done", "plan"), ("done", "")),
    *(("skipped", "plan"), ("failed", "other")),
)


def history(turns: int = 300, *, seed: int = 1) -> list[Event]:
    """Return the events of ten days, in no order of time: turns of a few sessions, and what happened around them."""
    random = Random(seed)  # noqa: S311  # nothing here is secret
    events: list[Event] = [event for number in range(len(SESSIONS)) for event in _around(number)]
    events += (_turn(number, random) for number in range(turns))
    random.shuffle(events)
    return events


def _turn(number: int, random: Random) -> LLMTurnComplete:
    session = random.randrange(len(SESSIONS))
    is_charge = random.random() < 0.1
    kind = ChargeSettled if is_charge else LLMTurnComplete
    model = random.choice(("search-api",) if is_charge else ("small", "large", "large-2025-01-01"))
    return kind(
        event_id=f"turn-{number}",
        timestamp_ns=_instant(random),
        session_id=SESSIONS[session],
        execution_id=f"execution_{session}",
        node_id=random.choice(("", "plan", "write")),
        agent_id=random.choice(("planner", "writer")),
        user_id=random.choice(("ada", "bob", "")),
        org_id=random.choice(("acme", "")),
        task_id=random.choice(("t1", "t2", "")),
        model=model,
        provider=random.choice(("openai", "azure")),
        tags=random.choice(({}, {}, {"team": "blue", "tier": "free"})),
        asked_model=random.choice(("", "large")),
        resolved_model="large" if model.startswith("large-") else "",
        resolved_provider=random.choice(("", "openai")),
        usage=Usage() if is_charge else Usage(random.randrange(9_000), random.randrange(900)),
        cost=_cost(random),
        prompt=None if is_charge else _prompt(number),
        latency_ms=0 if is_charge else random.choice((0, 1, 7, 254, 255, 256, random.randrange(60_000))),
    )


def _prompt(number: int) -> SentPrompt | None:
    """Return what is known of a prompt: of most nothing, of some that results were sent again, and a shorter one."""
    if number % 4:
        return None
    amount = None if number % 3 == 0 else 10 * number
    read = CarriedResults("read", 1 + number % 7, 40 * number, amount, None if amount is None else number)
    search = CarriedResults("search", 2, 5, 1, 0)
    return SentPrompt(
        compacted_tokens=0 if number % 8 else 100 + number,
        saved_nanousd=None if number % 5 == 0 else 7 * number,
        carried=((), (read,), (read, search))[number % 3],
    )


def _instant(random: Random) -> int:
    """Return any instant of the ten days; every third is near the beginning of a day, where windows begin and end."""
    if random.random() < 0.67:
        return START_NS + random.randrange(10 * DAY_NS)
    return START_NS + random.randrange(1, 10) * DAY_NS + random.randrange(40 * 60 * 10**9)


def _cost(random: Random) -> Cost | None:
    nanousd = random.randrange(10**9)
    return random.choice(
        (
            *[Cost(status=CostStatus.PRICED, nanousd=nanousd)] * 4,
            Cost(status=CostStatus.ESTIMATED, nanousd=nanousd),
            Cost(status=CostStatus.UNPRICED, reason="no rate"),
            Cost(status=CostStatus.INVALID, reason="negative"),
            None,
        )
    )


def _around(number: int) -> list[Event]:
    """Return what happened around the turns of a session."""
    at_ns, door = START_NS + number * DAY_NS, ("api", "nightly")[number % 2]
    who: dict[str, Any] = {
        "session_id": SESSIONS[number],
        "execution_id": f"execution_{number}",
        "agent_id": "planner",
    }
    return [
        ExecutionStarted(event_id=f"start-{number}", timestamp_ns=at_ns, entry_point=door, **who),
        ExecutionCompleted(event_id=f"end-{number}", timestamp_ns=at_ns + DAY_NS, entry_point=door, **who),
        ToolCallCompleted(event_id=f"tool-{number}", timestamp_ns=at_ns + 1, tool="search", **who),
        *(
            ContextCompacted(
                event_id=f"{status}-{node}-{number}",
                timestamp_ns=at_ns + 1,
                tokens_before=9_000 + number,
                tokens_after=4_000,
                status=status,
                node_id=node,
                cost_nanousd=None if number == 2 else 5,
                cache_rewrite_nanousd=number,
                **who,
            )
            for status, node in _COMPACTIONS
        ),
        AlertRaised(event_id=f"alert-{number}", timestamp_ns=at_ns + 2, **who),
        BudgetWarning(event_id=f"warning-{number}", timestamp_ns=at_ns + 3, budget="day", **who),
        BudgetExceeded(event_id=f"refusal-{number}", timestamp_ns=at_ns + 4, budget="day", **who),
    ]
