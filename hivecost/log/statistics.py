"""Usage in one plain shape: calls, tokens and cost, in all and by agent and model, and the same as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from hivecost.events import LLMTurnComplete, Totals
from hivecost.log.rows import SumRow
from hivecost.money import format_usd, to_usd

_WIDTH: Final = 60
_NAME_WIDTH: Final = 20


class UsageLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that an agent, a model or all of it is nearest to."""

    budget: str
    #: An integer in `unit`: nano-USD, tokens or calls.
    limit: int
    unit: str
    percent_used: float


class UsageShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent or one model used."""

    calls: int
    tokens: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    #: The same, exactly.
    cost_nanousd: int
    #: Of these calls those whose cost is not known, and so is in no cost here.
    unpriced_calls: int
    #: Of its own, the one that is nearest; None: it has none.
    limit: UsageLimit | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What was used, in all, by agent and by model, the dearest first. A turn without an agent is one of ""."""

    total_calls: int
    total_tokens: int
    input_tokens: int
    output_tokens: int
    #: Of the calls with a known cost, as a number to show; `total_cost_nanousd` is exact.
    total_cost_usd: float
    total_cost_nanousd: int
    unpriced_calls: int
    estimated_calls: int
    average_tokens_per_call: int
    average_cost_per_call: float
    by_agent: dict[str, UsageShare]
    by_model: dict[str, UsageShare]
    #: The budget that all of this counts on, where it has a name.
    budget_name: str | None = None
    #: Its limit; None without one.
    budget_limit_usd: float | None = None
    #: What was spent of it in its own period, by whomever.
    budget_spent_usd: float | None = None
    budget_utilization_percent: float | None = None
    #: None where it is of no one session.
    session_duration_seconds: float | None = None


#: What turns add up to.
Sums = SumRow | Totals


def statistics_of(
    total: Sums,
    by_agent: Mapping[str, Sums],
    by_model: Mapping[str, Sums],
    *,
    limit_name: str | None = None,
    limit_nanousd: int | None = None,
    spent_nanousd: int | None = None,
    agent_limits: Mapping[str, UsageLimit] | None = None,
    model_limits: Mapping[str, UsageLimit] | None = None,
    duration_s: float | None = None,
) -> Statistics:
    """Return the statistics of sums. Averages are by call, 0 without any.

    Of the limit `spent_nanousd` is spent; without it, the total.
    """
    spent = total.cost_nanousd if spent_nanousd is None else spent_nanousd
    calls, tokens = total.llm_calls, total.input_tokens + total.output_tokens
    return Statistics(
        total_calls=calls,
        total_tokens=tokens,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        total_cost_usd=_usd(total.cost_nanousd),
        total_cost_nanousd=total.cost_nanousd,
        unpriced_calls=total.unpriced_calls + total.invalid_calls,
        estimated_calls=total.estimated_calls,
        average_tokens_per_call=round(tokens / calls) if calls else 0,
        average_cost_per_call=round(total.cost_nanousd / calls / 10**9, 9) if calls else 0.0,
        by_agent=_shares(by_agent, agent_limits or {}),
        by_model=_shares(by_model, model_limits or {}),
        budget_name=limit_name,
        budget_limit_usd=None if limit_nanousd is None else _usd(limit_nanousd),
        budget_spent_usd=None if limit_nanousd is None else _usd(spent),
        budget_utilization_percent=round(100 * spent / limit_nanousd, 1) if limit_nanousd else None,
        session_duration_seconds=duration_s,
    )


def breakdown_text(statistics: Statistics) -> str:
    """Return the statistics as people read them, over several lines."""
    return "\n".join(_lines(statistics))


def _lines(statistics: Statistics) -> Iterator[str]:
    total = statistics.total_cost_nanousd
    yield "=" * _WIDTH
    yield "TOKEN USAGE & COST REPORT"
    yield "=" * _WIDTH
    yield ""
    yield "📊 OVERALL STATISTICS"
    facts = {
        "Total LLM Calls": f"{statistics.total_calls:,}",
        "Total Tokens": f"{statistics.total_tokens:,}",
        "Total Cost": _shown(total, statistics.unpriced_calls, statistics.total_calls),
        "Average Cost/Call": format_usd(round(statistics.average_cost_per_call * 10**9), decimals=6),
    }
    if statistics.session_duration_seconds is not None:
        facts["Session Duration"] = f"{statistics.session_duration_seconds:.1f}s"
    if statistics.budget_limit_usd and statistics.budget_spent_usd is not None:
        spent, limit = (round(usd * 10**9) for usd in (statistics.budget_spent_usd, statistics.budget_limit_usd))
        name = f" of {statistics.budget_name}" if statistics.budget_name else ""
        percent = statistics.budget_utilization_percent
        facts["Budget"] = f"{format_usd(spent)} / {format_usd(limit)} ({percent:.1f}%){name}"
    if statistics.unpriced_calls:
        facts["Without a price"] = f"{statistics.unpriced_calls:,} calls, missing from the cost"
    if statistics.estimated_calls:
        facts["Estimated"] = f"{statistics.estimated_calls:,} calls"
    yield from (f"  {f'{name}:':<23} {value}" for name, value in facts.items())
    for title, shares in (("🤖 COST BY AGENT", statistics.by_agent), ("🧠 COST BY MODEL", statistics.by_model)):
        yield ""
        yield title
        yield from (_share_line(name, share, total) for name, share in shares.items())
    yield ""
    yield "=" * _WIDTH


def _share_line(name: str, share: UsageShare, total: int) -> str:
    part = 100 * share.cost_nanousd / total if total else 0.0
    calls = "1 call" if share.calls == 1 else f"{share.calls:,} calls"
    cost = _shown(share.cost_nanousd, share.unpriced_calls, share.calls)
    line = f"  {name or '(none)':<{_NAME_WIDTH}} {cost:>10} ({part:4.1f}%) | {share.tokens:,} tokens | {calls}"
    return line if share.limit is None else f"{line} | {share.limit.percent_used:.1f}% of {share.limit.budget}"


def _shown(nanousd: int, unpriced: int, calls: int) -> str:
    return "unpriced" if calls and unpriced >= calls and not nanousd else format_usd(nanousd)


def _shares(sums: Mapping[str, Sums], limits: Mapping[str, UsageLimit]) -> dict[str, UsageShare]:
    ranked = sorted(sums.items(), key=lambda item: (-item[1].cost_nanousd, item[0]))
    return {name: _share(one, limits.get(name)) for name, one in ranked}


def _share(sums: Sums, limit: UsageLimit | None) -> UsageShare:
    return UsageShare(
        calls=sums.llm_calls,
        tokens=sums.input_tokens + sums.output_tokens,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=_usd(sums.cost_nanousd),
        cost_nanousd=sums.cost_nanousd,
        unpriced_calls=sums.unpriced_calls + sums.invalid_calls,
        limit=limit,
    )


def usage_entry(turn: LLMTurnComplete) -> dict[str, Any]:
    """Return a turn as an entry of a usage history; its cost is None where nobody knows it."""
    cost = None if turn.cost is None else turn.cost.nanousd
    return {
        "agent_name": turn.agent_id,
        "model": turn.counted_model,
        "prompt_tokens": turn.usage.input_tokens,
        "completion_tokens": turn.usage.output_tokens,
        "total_tokens": turn.usage.total_tokens,
        "estimated_cost_usd": None if cost is None else _usd(cost),
        "cost_nanousd": cost,
        "timestamp": turn.timestamp_ns / 10**9,
        "datetime": turn.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _usd(nanousd: int) -> float:
    return float(to_usd(nanousd))
