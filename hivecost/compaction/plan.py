"""Compaction: the strategies in their order, the gate, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from math import ceil
from typing import Any, Final, Literal

import msgspec

from hivecost.compaction.break_even import ESTIMATED_RATES, BreakEven, CacheState, Rates, break_even
from hivecost.compaction.config import CompactionConfig, StrategyName, read_config
from hivecost.compaction.counting import ContextCount, Counter, CountSource
from hivecost.compaction.draft import Draft
from hivecost.compaction.pins import Pins, find_pins
from hivecost.compaction.reading import ShapeName
from hivecost.compaction.strategies.greetings import drop_greetings
from hivecost.compaction.strategies.keep_recent import keep_recent
from hivecost.compaction.strategies.prune import prune_all_but, prune_old_tool_results
from hivecost.compaction.strategies.summarize import (
    Summarizing,
    Summary,
    SummaryRequest,
    summarize,
    summarize_older,
)
from hivecost.compaction.strategies.truncate import truncate_longest
from hivecost.errors import ConfigError, ContextBudgetError
from hivecost.pricing.quotes import Quote

_EDITS: Final[Mapping[str, Callable[[Draft, Pins], None]]] = {
    "prune_old_tool_results": prune_old_tool_results,
    "keep_recent": keep_recent,
    "drop_greetings": drop_greetings,
    "truncate_longest": truncate_longest,
}
_SUMMARIES: Final[Mapping[str, Callable[[Draft, Pins], Summarizing]]] = {
    "summarize": summarize,
    "summarize_older": summarize_older,
}

#: `done`: it changed something. `unchanged`: nothing was there to do. `skipped`: it would not have paid.
CompactionStatus = Literal["done", "unchanged", "skipped"]
#: `discarded`: the summary was of no use, or would not have paid.
StepStatus = Literal["done", "unchanged", "discarded"]


class CompactionStep(msgspec.Struct, frozen=True):
    """What one strategy did."""

    strategy: StrategyName
    status: StepStatus
    tokens_before: int
    tokens_after: int
    reason: str = ""


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that was compacted, or why it was not. Amounts in nano-USD are None where no price is known."""

    #: The list that was given, where nothing changed; else a new one, in which whatever was not touched is the same.
    messages: list[Any]
    status: CompactionStatus
    steps: tuple[CompactionStep, ...] = ()
    tokens_before: int
    tokens_after: int
    count_source: CountSource = "estimated"
    #: How many messages at the beginning are as they were; None where all are.
    first_changed: int | None = None
    #: After how many turns it has paid for itself, writing the prompt's cache anew and the summary included; None for
    #: never, and where nothing changed.
    breaks_even_after: float | None = None
    cache_rewrite_nanousd: int | None = 0
    saves_per_turn_nanousd: int | None = 0
    #: What the summaries cost, the discarded ones too.
    summary_nanousd: int | None = 0
    #: Whether the price is unknown, and `breaks_even_after` goes by tokens alone.
    is_estimated: bool = False
    #: What was replaced, by the place that its note names; empty without `spill`.
    spilled: Mapping[str, Any] = {}
    reason: str = ""

    @property
    def tokens_saved(self) -> int:
        """How many tokens fewer it has."""
        return self.tokens_before - self.tokens_after

    @property
    def strategy(self) -> str:
        """The last strategy that changed something; "" for none."""
        return next((step.strategy for step in reversed(self.steps) if step.status == "done"), "")


#: Gives what it asks of a summarizer, is sent the summary, and returns what came of it all.
CompactionPlan = Generator[SummaryRequest, Summary, Compaction]


def plan_compaction(
    messages: list[Any],
    *,
    shape: ShapeName,
    budget: int,
    config: Any = None,
    count: Counter | ContextCount | None = None,
    rates: Rates | Quote | None = None,
    turns_ahead: int = 5,
    cache: CacheState = "warm",
    must_pay: bool = False,
    can_summarize: bool = True,
) -> CompactionPlan:
    """Compact as `compact` does, and ask for each summary as a value: send back a Summary, whoever wrote it and how."""
    _require_count("budget", budget)
    work = _Work(
        messages,
        shape,
        budget=budget,
        config=config,
        count=count,
        rates=rates,
        turns_ahead=turns_ahead,
        cache=cache,
        must_pay=must_pay,
    )
    if work.before.tokens <= budget:
        return work.unchanged()
    for name in work.config.strategies:
        if work.draft.is_small:
            break
        if name in _EDITS:
            work.edit(name)
        elif can_summarize:
            yield from work.summarize(name)
    if work.draft.tokens > budget:
        raise ContextBudgetError(need=work.draft.tokens, budget=budget, largest=work.draft.largest())
    return work.finish()


def prune_tool_results(
    messages: list[Any],
    *,
    shape: ShapeName,
    keep: int,
    config: Any = None,
    count: Counter | ContextCount | None = None,
    rates: Rates | Quote | None = None,
    turns_ahead: int = 5,
    cache: CacheState = "warm",
    must_pay: bool = True,
) -> Compaction:
    """Replace all results of tools but the newest `keep`, if that pays within `turns_ahead` turns; see `compact`.

    Raises ConfigError as `compact` does.
    """
    if type(keep) is not int or keep < 0:
        raise ConfigError("keep", "a whole number, 0 or more", got=keep)
    work = _Work(
        messages,
        shape,
        budget=1,
        config=config,
        count=count,
        rates=rates,
        turns_ahead=turns_ahead,
        cache=cache,
        must_pay=must_pay,
    )
    work.record("prune_old_tool_results", lambda: prune_all_but(work.draft, keep))
    return work.finish()


class _Work:
    """One compaction while it is made."""

    def __init__(
        self,
        messages: list[Any],
        shape: ShapeName,
        *,
        budget: int,
        config: Any,
        count: Counter | ContextCount | None,
        rates: Rates | Quote | None,
        turns_ahead: int,
        cache: CacheState,
        must_pay: bool,
    ) -> None:
        _require_count("turns_ahead", turns_ahead)
        if cache not in ("warm", "cold", "none"):
            raise ConfigError("cache", "one of warm, cold, none", got=cache)
        self.config: CompactionConfig = read_config(config)
        self._messages = messages
        self._shape = shape
        self._budget = budget
        self._turns_ahead = turns_ahead
        self._cache = cache
        self._must_pay = must_pay
        self._steps: list[CompactionStep] = []
        self._summary_cost = 0
        self._counter, self.before = _counted(messages, count)
        self._rates = Rates.of(rates, self.before.tokens) if isinstance(rates, Quote) else rates or ESTIMATED_RATES
        self._draft: Draft | None = None

    @property
    def draft(self) -> Draft:
        """The edits, from the first one that is looked for."""
        if self._draft is None:
            estimate = self._counter.estimate(self._messages)
            ratio = self._counter.ratio
            if estimate and self.before.tokens > ceil(estimate * ratio):
                ratio = self.before.tokens / estimate
            self._draft = Draft(
                self._messages,
                self._shape,
                config=self.config,
                counter=self._counter,
                budget=self._budget,
                ratio=ratio,
            )
            self._pins = find_pins(self._draft)
        return self._draft

    def edit(self, name: StrategyName) -> None:
        """Try one strategy that asks nobody."""
        draft = self.draft
        self.record(name, lambda: _EDITS[name](draft, self._pins))

    def record(self, name: StrategyName, edit: Callable[[], None]) -> None:
        """Make an edit, and note what it did."""
        before = self.draft.tokens
        edit()
        after = self.draft.tokens
        self._steps.append(CompactionStep(name, "done" if after < before else "unchanged", before, after))

    def summarize(self, name: StrategyName) -> Generator[SummaryRequest, Summary, None]:
        """Try one strategy that asks for a summary."""
        before, asked = self.draft.tokens, False
        summarizing = _SUMMARIES[name](self.draft, self._pins)
        try:
            request = next(summarizing)
            asked = self._may_ask(request)
            summary = (yield request) if asked else Summary("", problem="it would not pay within the turns ahead")
            if asked:
                self._summary_cost += self._cost_of(request, summary)
            summarizing.send(summary)
        except StopIteration as stop:
            reason = str(stop.value)
        status: StepStatus = "done" if not reason else "discarded" if asked else "unchanged"
        self._steps.append(CompactionStep(name, status, before, self.draft.tokens, reason))

    def _may_ask(self, request: SummaryRequest) -> bool:
        """Whether the summary pays, if it is as long as it may be."""
        if not self._must_pay:
            return True
        longest = Summary("x" * 4 * request.max_tokens)
        saved = self.before.tokens - self.draft.tokens + request.replaces_tokens - request.max_tokens
        cost = self._summary_cost + self._cost_of(request, longest)
        return self._pays(self._break_even(saved, self.draft.tokens - request.replaces_tokens, cost))

    def _cost_of(self, request: SummaryRequest, summary: Summary) -> int:
        """Return what a summary cost, in the unit of the rates; by its tokens where nobody said."""
        if summary.cost_nanousd is not None and not self._rates.is_estimated:
            return summary.cost_nanousd * self._rates.scale
        written = int(self._counter.content_size(summary.text)) if summary.text else 0
        return request.prompt_tokens * self._rates.input + written * self._rates.output

    def _break_even(self, saved: int, rewritten: int, summary_cost: int) -> BreakEven:
        return break_even(self._rates, saved=saved, rewritten=rewritten, summary_cost=summary_cost, cache=self._cache)

    def _pays(self, result: BreakEven) -> bool:
        return result.turns is not None and result.turns < self._turns_ahead

    def finish(self) -> Compaction:
        """Return what came of the edits; the messages as they were, where it had to pay and does not."""
        draft = self.draft
        first_changed = draft.first_changed
        if first_changed is None:
            return self.unchanged()
        after = draft.tokens
        result = self._break_even(self.before.tokens - after, draft.rewritten_tokens(), self._summary_cost)
        if self._must_pay and not self._pays(result):
            when = "never" if result.turns is None else f"after {result.turns:.1f} turns"
            return self.unchanged("skipped", f"it would pay {when}, and {self._turns_ahead} are looked ahead", result)
        return Compaction(
            messages=draft.result(),
            status="done",
            steps=tuple(self._steps),
            tokens_before=self.before.tokens,
            tokens_after=after,
            count_source=self.before.source,
            first_changed=first_changed,
            breaks_even_after=result.turns,
            cache_rewrite_nanousd=result.rewrite_nanousd,
            saves_per_turn_nanousd=result.saves_per_turn_nanousd,
            summary_nanousd=self._rates.nanousd(self._summary_cost),
            is_estimated=self._rates.is_estimated,
            spilled=draft.spilled,
        )

    def unchanged(
        self, status: CompactionStatus = "unchanged", reason: str = "", result: BreakEven | None = None
    ) -> Compaction:
        """Return the messages as they were."""
        return Compaction(
            messages=self._messages,
            status=status,
            steps=tuple(self._steps),
            tokens_before=self.before.tokens,
            tokens_after=self.before.tokens,
            count_source=self.before.source,
            breaks_even_after=result.turns if result else None,
            summary_nanousd=self._rates.nanousd(self._summary_cost),
            is_estimated=self._rates.is_estimated,
            reason=reason,
        )


def _counted(messages: Sequence[Any], count: Counter | ContextCount | None) -> tuple[Counter, ContextCount]:
    if isinstance(count, Counter):
        return count, count.count(messages)
    counter = Counter()
    if count is None:
        return counter, counter.count(messages)
    counter.report(messages, count.tokens)
    return counter, count


def _require_count(key: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise ConfigError(key, "a whole number, 1 or more", got=value)
