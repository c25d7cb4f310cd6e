"""What a session could save: from its log, with the arithmetic of every suggestion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from hivecost.backends import Place, read_log
from hivecost.errors import PriceUnknownError
from hivecost.events import NEWEST_RESULTS, ContextCompacted, CostStatus, Event, EventType, Totals
from hivecost.ledger.amounts import format_exactly
from hivecost.log import Filter, LogReader, SumRow
from hivecost.log.contexts import CarriedTotals
from hivecost.log.logged_turns import step_of
from hivecost.log.rows import EVENT_ATTRIBUTES
from hivecost.log.steps import Step
from hivecost.pricing import PriceBook
from hivecost.pricing.user_table import SUBSCRIPTION
from hivecost.reports.caching import CachingLine, caching_lines
from hivecost.reports.dearest import turns_of
from hivecost.reports.selection import Selection, total
from hivecost.reports.session import find_session, session_events

Key = TypeVar("Key")
#: Events are read so many at a time.
_PAGE: Final = 1_000

#: A node whose calls answer with so little on average may do as well on a smaller model.
SMALL_OUTPUT_TOKENS: Final = 300
#: And its model is expensive when another one does the same tokens for this part of the cost, or less.
CHEAPER_PART: Final = 2

DOWNGRADE_RULE: Final = (
    f"a node's calls to a model answer with {SMALL_OUTPUT_TOKENS} tokens or fewer on average, "
    f"and another model does the same tokens for half the cost or less"
)


class Compression(msgspec.Struct, frozen=True, kw_only=True):
    """What compaction did to the context."""

    compactions: int
    tokens_before: int
    tokens_after: int
    #: After by before; 1.0 without compactions.
    compression_ratio: float


class Downgrade(msgspec.Struct, frozen=True, kw_only=True):
    """A node's calls to one model, and what a cheaper model would charge for the same tokens."""

    recommendation: str = "could_downgrade"
    node_id: str
    model: str
    to_model: str
    calls: int
    mean_output_tokens: int
    cost_nanousd: int
    cheaper_nanousd: int
    saved_nanousd: int
    arithmetic: str


class Batching(msgspec.Struct, frozen=True, kw_only=True):
    """One model's calls, and what they cost in the provider's batch tier."""

    model: str
    calls: int
    cost_nanousd: int
    batch_nanousd: int
    saved_nanousd: int
    arithmetic: str


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """A tool whose results were sent again, and what a `tool_result_budget` would have kept out of prompts."""

    node_id: str
    tool: str
    turns: int
    #: What its results cost after the turn that brought them.
    cost_nanousd: int
    #: How many of the newest results of a prompt would stay.
    keep: int
    #: What the others cost.
    saved_nanousd: int
    arithmetic: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """All that `hivecost advise` shows. Savings of different kinds overlap: do not add them up."""

    session_id: str
    cost_nanousd: int
    #: What calls would have cost that a subscription pays for; it is not in `cost_nanousd`, and none can save anything.
    notional_nanousd: int = 0
    #: Cache reads by all input tokens.
    cache_hit_ratio: float
    cached_tokens: int
    #: Against the uncached input rate, what was paid to write the cache taken off; negative when it did not pay.
    cache_saved_nanousd: int
    caching: list[CachingLine]
    compression: Compression
    pruning: list[Pruning] = []
    could_downgrade: list[Downgrade]
    downgrade_rule: str = DOWNGRADE_RULE
    batching: list[Batching]
    #: Calls without a known cost, which no suggestion counts.
    left_out_calls: int
    #: Turns that are in the sums, and no longer in the log: nothing is suggested for them.
    pruned_calls: int
    snapshot: str


async def load_advice(
    place: Place, book: PriceBook, session_id: str = "latest", *, to_models: Sequence[str] = ()
) -> Advice:
    """Return what the session, or the newest one, could save.

    `to_models` are the cheaper models to compare with; without any, those that the session uses itself.
    Raise SessionNotFoundError and other StoreErrors, and PriceUnknownError for one of `to_models` without a price.
    """
    _require_prices(book, to_models)

    def advice(log: LogReader) -> Advice:
        state = find_session(log, session_id, place)
        events = session_events(log, state.session_id, [EventType.CONTEXT_COMPACTED])
        found = _advice(state.session_id, state.metrics, log.steps(state.session_id), events, book, to_models)
        return replace(found, pruning=_prunings(log.carried_results(state.session_id)))

    return await read_log(place, advice)


async def load_advice_of(
    place: Place, book: PriceBook, selection: Selection, *, to_models: Sequence[str] = ()
) -> Advice:
    """Return what the turns of a time, of everybody or of some, could save; its `session_id` is "".

    Compactions are those of that time, of the same sessions, nodes, agents, users and orgs; what old tool
    results cost is only said of a session. Raise as `load_advice`.
    """
    _require_prices(book, to_models)

    def advice(log: LogReader) -> Advice:
        steps = [step_of(turn) for turn in turns_of(log, selection)]
        return _advice("", total(selection.sums(log)), steps, _compactions(log, selection), book, to_models)

    return await read_log(place, advice)


def _require_prices(book: PriceBook, models: Sequence[str]) -> None:
    for model in models:
        if not book.knows(model):
            raise PriceUnknownError(model, suggestions=book.suggestions(model))


def _compactions(log: LogReader, selection: Selection) -> list[Event]:
    whose = Filter(**{name: getattr(selection.filter, name) for name in EVENT_ATTRIBUTES})
    found: list[Event] = []
    page = log.events("", whose, types=[EventType.CONTEXT_COMPACTED], limit=_PAGE)
    while page.rows:
        found += page.rows
        page = log.events(page.cursor, whose, types=[EventType.CONTEXT_COMPACTED], limit=_PAGE)
    first_ns, end_ns = selection.window
    return [event for event in found if first_ns <= event.timestamp_ns < end_ns and selection.has_tags(event.tags)]


def _advice(  # noqa: PLR0917  # what is looked at, and by what
    session_id: str,
    sums: SumRow | Totals,
    all_steps: Sequence[Step],
    events: Sequence[Event],
    book: PriceBook,
    to_models: Sequence[str],
) -> Advice:
    steps = [step for step in all_steps if not step.kind]
    known = [step for step in steps if step.cost_nanousd is not None]
    caching = caching_lines(step for step in steps if step.source != SUBSCRIPTION)
    input_tokens, cached_tokens = sums.input_tokens, sums.cache_read_tokens
    return Advice(
        session_id=session_id,
        cost_nanousd=sums.cost_nanousd,
        notional_nanousd=sums.notional_nanousd,
        cache_hit_ratio=round(cached_tokens / input_tokens, 4) if input_tokens else 0.0,
        cached_tokens=cached_tokens,
        cache_saved_nanousd=sum(line.saved_nanousd for line in caching),
        caching=caching,
        compression=_compression([event for event in events if isinstance(event, ContextCompacted)]),
        could_downgrade=_downgrades(known, book, to_models),
        batching=_batchings(known, book),
        left_out_calls=len(steps) - len(known),
        pruned_calls=max(sums.llm_calls - len(steps), 0),
        snapshot=book.snapshot,
    )


def _compression(events: Sequence[ContextCompacted]) -> Compression:
    events = [event for event in events if event.status == "done"]
    before, after = sum(event.tokens_before for event in events), sum(event.tokens_after for event in events)
    return Compression(
        compactions=len(events),
        tokens_before=before,
        tokens_after=after,
        compression_ratio=round(after / before, 4) if before else 1.0,
    )


def _prunings(carried: Sequence[CarriedTotals]) -> list[Pruning]:
    """Return the tools whose old results cost anything, the dearest first."""
    found = [
        Pruning(
            node_id=one.node_id,
            tool=one.tool,
            turns=one.turns,
            cost_nanousd=one.nanousd,
            keep=NEWEST_RESULTS,
            saved_nanousd=one.old_nanousd,
            arithmetic=f"{one.tokens:,} tokens of {one.results:,} results sent again: {_usd(one.nanousd)} "
            f"- {_usd(one.nanousd - one.old_nanousd)} of the newest {NEWEST_RESULTS} = {_usd(one.old_nanousd)}",
        )
        for one in carried
        if one.old_nanousd
    ]
    return sorted(found, key=lambda one: -one.saved_nanousd)


def _downgrades(steps: Sequence[Step], book: PriceBook, to_models: Sequence[str]) -> list[Downgrade]:
    candidates = [(model, "") for model in to_models] or _models_that_answer(steps)
    found = [
        _downgrade(node_id, model, group, book, candidates)
        for (node_id, model), group in _grouped(steps, lambda step: (step.node_id, step.counted_model)).items()
        if sum(step.output_tokens for step in group) <= SMALL_OUTPUT_TOKENS * len(group)
    ]
    return sorted((one for one in found if one is not None), key=lambda one: -one.saved_nanousd)


def _models_that_answer(steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return (model, provider) of what the session itself uses to write.

    Embeddings and the like write nothing and replace nothing.
    """
    return list(dict.fromkeys((step.counted_model, step.counted_provider) for step in steps if step.output_tokens))


def _downgrade(
    node_id: str, model: str, steps: Sequence[Step], book: PriceBook, candidates: Sequence[tuple[str, str]]
) -> Downgrade | None:
    cost = sum(step.cost_nanousd or 0 for step in steps)
    charges = [
        (charge, name)
        for name, provider in candidates
        if name != model and (charge := _charge_elsewhere(steps, book, name, provider)) is not None
    ]
    cheaper, to_model = min(charges, default=(cost, ""))
    if not cost or cheaper * CHEAPER_PART > cost:
        return None
    tokens_in, tokens_out = sum(step.input_tokens for step in steps), sum(step.output_tokens for step in steps)
    return Downgrade(
        node_id=node_id,
        model=model,
        to_model=to_model,
        calls=len(steps),
        mean_output_tokens=round(tokens_out / len(steps)),
        cost_nanousd=cost,
        cheaper_nanousd=cheaper,
        saved_nanousd=cost - cheaper,
        arithmetic=f"{tokens_in:,} tokens in and {tokens_out:,} out: "
        f"{_usd(cost)} on {model} - {_usd(cheaper)} on {to_model} = {_usd(cost - cheaper)}",
    )


def _charge_elsewhere(steps: Sequence[Step], book: PriceBook, model: str, provider: str) -> int | None:
    """Return what the same tokens cost on another model, each at its own time; None when any has no price."""
    charge = 0
    for step in steps:
        cost = book.price(model, step.usage, provider=provider, at_ns=step.timestamp_ns)
        if cost.nanousd is None:
            return None
        charge += cost.nanousd
    return charge


def _batchings(steps: Sequence[Step], book: PriceBook) -> list[Batching]:
    found = [_batching(model, group, book) for model, group in _grouped(steps, lambda step: step.counted_model).items()]
    return sorted((one for one in found if one is not None), key=lambda one: -one.saved_nanousd)


def _batching(model: str, steps: Sequence[Step], book: PriceBook) -> Batching | None:
    """Return what batching would save; None where the table has no batch rate below what was paid."""
    calls = cost = batch = 0
    for step in steps:
        there = book.price(model, step.usage, provider=step.counted_provider, at_ns=step.timestamp_ns, batch=True)
        # Without a batch rate of its own the book answers with an estimate.
        if there.status is CostStatus.PRICED and (there.nanousd or 0) < (step.cost_nanousd or 0):
            calls, cost, batch = calls + 1, cost + (step.cost_nanousd or 0), batch + (there.nanousd or 0)
    if not calls:
        return None
    return Batching(
        model=model,
        calls=calls,
        cost_nanousd=cost,
        batch_nanousd=batch,
        saved_nanousd=cost - batch,
        arithmetic=f"{calls:,} call{'s' * (calls > 1)}: {_usd(cost)} - {_usd(batch)} at the batch rate "
        f"= {_usd(cost - batch)}",
    )


def _grouped(steps: Iterable[Step], key: Callable[[Step], Key]) -> dict[Key, list[Step]]:
    groups: dict[Key, list[Step]] = defaultdict(list)
    for step in steps:
        groups[key(step)].append(step)
    return groups


def _usd(nanousd: int) -> str:
    """Return the amount in full: what is worked out before the reader's eyes adds up to the last digit."""
    return format_exactly(nanousd, "usd")
