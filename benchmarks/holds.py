"""How wide holds are: what is held when a request is sent, over what it is billed, for requests of real clients.

The requests are those of `benchmarks.recorded`, and so are the bills: input as providers count and cache it, as far as
they publish that; output by an assumed distribution. Holds are those of `ctx.turn`, by the same code. No figure depends
on the machine. `python -m benchmarks.holds` prints the table of docs/holds.md, and the medians for other steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import groupby, pairwise
from statistics import median
from typing import Any, Final, NamedTuple

import anyio
from msgspec.structs import replace

from benchmarks.recorded import RecordedRequest, read
from hivecost.events import Usage
from hivecost.gate_contract import TurnRequest
from hivecost.pricing import PriceBook, can_count_tokens, input_token_bound
from hivecost.runtime.prompt_count import PromptCount
from hivecost.runtime.turn_bound import TurnBounds
from hivecost.testing import FakeClock

#: How far output is held ahead of what was read.
STEP_TOKENS: Final = 2_048

#: The budget that is replayed, for each session anew.
LIMIT_NANOUSD: Final = 500_000_000

#: When the requests were recorded; prices are those of that day.
_CLOCK: Final = FakeClock(datetime(2026, 11, 28, tzinfo=UTC))
_BOOK: Final = PriceBook(clock=_CLOCK)
_BOUNDS: Final = TurnBounds(_BOOK, _CLOCK)


class Sent(NamedTuple):
    """A request, what it is billed in nano-USD, and its turn at the gate with two bounds of its input."""

    request: RecordedRequest
    billed: int
    #: By tokenizer where the model's is published; else what the provider's count endpoint would say, and its margin.
    counted: TurnRequest
    #: A token for each byte.
    by_bytes: TurnRequest


Hold = Callable[[Sent], int]


@cache
def sent() -> tuple[Sent, ...]:
    """All recorded requests."""
    return anyio.run(_all_sent)


async def _all_sent() -> tuple[Sent, ...]:
    return tuple([await _sent(each) for each in read()])


async def _sent(request: RecordedRequest) -> Sent:
    limit = request.limit[1] if request.limit else 0
    prompt = PromptCount(request.prompt, None, lambda: request.usage.input_tokens)
    by_bytes = prompt.described(TurnRequest(model=request.model, max_tokens=limit))
    return Sent(request, _nanousd(request.model, request.usage), await prompt.counted(by_bytes), by_bytes)


def sessions(requests: Iterable[Sent]) -> list[list[Sent]]:
    """The requests of each session, in their order."""
    return [list(group) for _, group in groupby(requests, key=lambda each: each.request.session)]


def bytes_in_full(each: Sent) -> int:
    """A byte is a token; output in full."""
    return _held(each.by_bytes)


def counted_in_full(each: Sent) -> int:
    """Input counted; output in full."""
    return _held(each.counted)


def bytes_in_steps(each: Sent) -> int:
    """A byte is a token; a step of output."""
    return _held(each.by_bytes, STEP_TOKENS)


def counted_in_steps(each: Sent, step_tokens: int = STEP_TOKENS) -> int:
    """Input counted; a step of output."""
    return _held(each.counted, step_tokens)


def cached_in_steps(each: Sent, step_tokens: int = STEP_TOKENS) -> int:
    """The same, but what the cache has is held as read from it: no bound, as a cache may forget."""
    request, read_tokens = each.request, each.request.usage.cache_read_tokens
    from_cache = _nanousd(request.model, Usage(read_tokens, 0, cache_read_tokens=read_tokens))
    fresh = replace(each.counted, input_tokens=each.counted.input_tokens - read_tokens)
    return _held(fresh, step_tokens) + from_cache


RULES: Final[dict[str, Hold]] = {
    "bytes, whole": bytes_in_full,
    "counted, whole": counted_in_full,
    "bytes, steps": bytes_in_steps,
    "counted, steps": counted_in_steps,
    "counted, steps, cache": cached_in_steps,
}


def width(requests: Iterable[Sent], hold: Hold) -> float:
    """Hold over bill, the median."""
    return median(hold(each) / each.billed for each in requests)


def refused(requests: Iterable[Sent], hold: Hold) -> int:
    """How many a fresh budget of $0.50 refuses, each as its first."""
    return sum(hold(each) > LIMIT_NANOUSD for each in requests)


def spent_when_refused(session: Iterable[Sent], hold: Hold) -> int | None:
    """What of $0.50 is billed when it first refuses, one request after the other; None if it never does."""
    spent = 0
    for each in session:
        if hold(each) > LIMIT_NANOUSD - spent:
            return spent
        spent += each.billed
    return None


def grown_tokens(session: Iterable[Sent]) -> Iterator[tuple[RecordedRequest, int]]:
    """The requests that only add to the one before, and a bound of their input without any tokenizer.

    What the one before was billed for, and a token for each byte that is new.
    """
    for before, request in pairwise(each.request for each in session):
        old, new = _unmarked(before.prompt), _unmarked(request.prompt)
        name = next(name for name in ("messages", "input") if name in new)
        added = new[name][len(old.get(name, ())) :]
        if new | {name: new[name][: len(new[name]) - len(added)]} == old:
            yield request, before.usage.input_tokens + input_token_bound(added)


def _unmarked(value: Any) -> Any:
    """The value without its marks for the cache, which move from message to message."""
    if isinstance(value, dict):
        return {name: _unmarked(item) for name, item in value.items() if name != "cache_control"}
    return [_unmarked(item) for item in value] if isinstance(value, list) else value


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met)."""
    everything = sent()
    coding = [each for each in everything if each.request.session.client in {"claude-code", "codex"}]
    first = [session[0] for session in sessions(coding)]
    tokenized = [each for each in everything if each.counted.is_text and can_count_tokens(each.request.model)]
    tokens = median(each.counted.input_tokens / each.request.usage.input_tokens for each in tokenized)
    return [
        _at_most("input tokens held over billed, counted by a tokenizer", 1.3, tokens),
        _at_most("input tokens held over billed, those billed before and bytes", 1.3, median(_grown_ratios())),
        _at_most("hold over bill, a coding agent's first request, in steps", 2, width(first, counted_in_steps)),
        _at_most("hold over bill, all requests, in steps", 8, width(everything, counted_in_steps)),
        _at_most("hold over bill, all requests, in steps, cache expected", 3.1, width(everything, cached_in_steps)),
        _at_most("coding agents' first requests that $0.50 refuses, in steps", 0, refused(first, counted_in_steps)),
    ]


def _grown_ratios() -> list[float]:
    return [tokens / request.usage.input_tokens for each in sessions(sent()) for request, tokens in grown_tokens(each)]


def _at_most(name: str, goal: float, figure: float) -> tuple[str, float, float, bool]:
    return (name, goal, figure, figure <= goal)


def _held(turn: TurnRequest, step_tokens: int = 0) -> int:
    return _BOUNDS.of(replace(turn, stream_tokens=step_tokens), ("usd",))["usd"]


def _nanousd(model: str, usage: Usage) -> int:
    nanousd = _BOOK.price(model, usage).nanousd
    assert nanousd is not None, model
    return nanousd


def table() -> list[str]:
    """The lines of docs/holds.md: for each client what it sends, and hold over bill by each rule."""
    lines = [
        f"| client, model | requests | limit sent | cache | {' | '.join(RULES)} |",
        "|" + "---|" * (4 + len(RULES)),
    ]
    for (client, model), group in _by_client().items():
        limits = sorted({f"{limit[1]:,}" if (limit := each.request.limit) else "none" for each in group})
        caches = sorted({each.request.cache_ttl or "none" for each in group}, reverse=True)
        cells = [f"{width(group, hold):.1f} ({refused(group, hold)})" for hold in RULES.values()]
        lines.append(
            f"| {client}, {model} | {len(group)} | {', '.join(limits)} | {', '.join(caches)} | {' | '.join(cells)} |"
        )
    cells = [f"{width(sent(), hold):.1f} ({refused(sent(), hold)})" for hold in RULES.values()]
    return [*lines, f"| all | {len(sent())} | | | {' | '.join(cells)} |"]


def _by_client() -> dict[tuple[str, str], list[Sent]]:
    groups: dict[tuple[str, str], list[Sent]] = {}
    for each in sent():
        groups.setdefault((each.request.session.client, each.request.model), []).append(each)
    return groups


def details() -> list[str]:
    """What the table leaves out: first requests, other steps, other outputs, and what of $0.50 is spent."""
    lines = []
    for session in sessions(sent()):
        of, first = session[0].request.session, session[0]
        spent = {name: spent_when_refused(session, hold) for name, hold in RULES.items()}
        whole = sum(each.billed for each in session)
        lines.append(f"{of.client} ({of.name}), {first.request.model}: {len(session)} requests, ${whole / 1e9:.3f}")
        lines.append(f"  the first is billed ${first.billed / 1e9:.3f}")
        for name, hold in RULES.items():
            used = "never refused" if spent[name] is None else f"refused with ${spent[name] / 1e9:.3f} spent"
            lines.append(f"  {name:<24} holds ${hold(first) / 1e9:.3f}, {used}")
    grown = _grown_ratios()
    lines.append(
        f"what was billed before, and bytes: {len(grown)} requests, tokens {median(grown):.2f}, {max(grown):.2f}"
    )
    for step in (256, 512, 1_024, 2_048, 4_096):
        counted = width(sent(), lambda each, step=step: counted_in_steps(each, step))
        cached = width(sent(), lambda each, step=step: cached_in_steps(each, step))
        lines.append(f"steps of {step:,}: {counted:.2f}, cache expected {cached:.2f}")
    for factor in (0.33, 1, 3):
        other = [_with_output(each, factor) for each in sent()]
        counted, cached = width(other, counted_in_steps), width(other, cached_in_steps)
        lines.append(f"{factor:g} times the output: {counted:.2f}, cache expected {cached:.2f}")
    return lines


def _with_output(each: Sent, factor: float) -> Sent:
    usage = replace(each.request.usage, output_tokens=round(each.request.usage.output_tokens * factor))
    return each._replace(request=replace(each.request, usage=usage), billed=_nanousd(each.request.model, usage))


if __name__ == "__main__":
    print(*table(), "", *details(), sep="\n")
