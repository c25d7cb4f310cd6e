"""What is inside what: a total over both sides decides, and where there is none, the names and the shape do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final, NamedTuple

from hivecost.usage.counts import Counts

#: Shapes whose providers leave reasoning out of `completion_tokens`, whatever it is called.
_REASONING_BESIDE: Final = frozenset({"xai", "perplexity"})
#: Shapes in which nothing stands beside anything, unless it cannot be otherwise.
_INCLUSIVE: Final = frozenset({"canonical", "otel"})
#: Shapes that telemetry and frameworks use for any provider's counts, so that they say no convention.
_EITHER: Final = frozenset({"bedrock", "otel", "spans"})
_CACHED: Final = frozenset({"cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "write_5m"})
#: What of a kind is in the results of tools, and where it counts.
_OF_TOOLS: Final = tuple((f"tool_{kind}", f"input_{kind}_tokens") for kind in ("audio", "image", "video"))
#: Perplexity's total leaves out what stands beside the completion.
_TOTAL_SAYS_NOTHING: Final = frozenset({"perplexity"})


class Placed(NamedTuple):
    """Counts by field of Usage, all inclusive, and what is in doubt of them."""

    counts: dict[str, int]
    doubt: str = ""


class _Beside(NamedTuple):
    """What is not in the total of its side, and has to be added to it."""

    cached: bool
    reasoning: bool
    tool_use: bool
    citations: bool


_NOTHING_BESIDE: Final = _Beside(cached=False, reasoning=False, tool_use=False, citations=False)


def placed(counts: Counts, flavor: str, *, hides_thoughts: bool = False) -> Placed:
    """Return the counts, inclusive.

    `hides_thoughts` is for Gemini's models: what only their total shows was thought, and is output. Of any other model,
    a total that is not the sum of its parts is a doubt, said with the number.
    """
    found = _written(counts)
    total = found.pop("total", None)
    usual = _usual(counts, flavor)
    if total is None or flavor in _TOTAL_SAYS_NOTHING:
        return _without_total(found, usual, counts, flavor)
    if not {"input_tokens", "output_tokens"} & found.keys():  # of embeddings; nothing is generated
        return Placed({**found, "input_tokens": total})
    if _is_possible(found, usual) and _sum(found, usual) == total:  # as it is most often
        return Placed(_inclusive(found, usual))
    for beside in _possible_ways(found, usual):
        if _sum(found, beside) == total:
            return Placed(_inclusive(found, beside))
    sides = found.get("input_tokens", 0) + found.get("output_tokens", 0)
    # It includes nothing that stands beside, or speech that is billed by the second, or helps nobody.
    if sides == total or (found.get("audio_seconds") and sides < total) or not _is_possible(found, usual):
        return _without_total(found, usual, counts, flavor)
    return _unlike_total(found, usual, total, counts.names["total"], hides_thoughts)


def _unlike_total(found: dict[str, int], beside: _Beside, total: int, name: str, hides_thoughts: bool) -> Placed:
    """No way to read the parts gives the total."""
    rest = total - _sum(found, beside)
    inclusive = _inclusive(found, beside)
    if rest > 0 and hides_thoughts:
        for field in ("output_tokens", "reasoning_tokens"):
            inclusive[field] = inclusive.get(field, 0) + rest
        return Placed(inclusive)
    if rest > 0:
        return Placed(inclusive, f"{rest:,} of the {total:,} tokens of {name} are in no part: not included")
    return Placed(inclusive, f"{name} is {total:,}, and its parts add up to {total - rest:,}")


def _written(counts: Counts) -> dict[str, int]:
    """The counts; those written to a cache are the larger of their total and its two lifetimes."""
    found = counts.found.copy()
    found.pop("", None)  # what is known, and counts nothing
    if "write_5m" in found or "cache_write_1h_tokens" in found:
        lifetimes = found.pop("write_5m", 0) + found.get("cache_write_1h_tokens", 0)
        if lifetimes > found.get("cache_write_tokens", 0):
            found["cache_write_tokens"] = lifetimes
    return found


def _usual(counts: Counts, flavor: str) -> _Beside:
    beside, asks_shape = counts.beside, flavor in _REASONING_BESIDE
    if flavor in _INCLUSIVE or not (beside or asks_shape):
        return _NOTHING_BESIDE
    is_prompt = "prompt" in counts.names.get("input_tokens", "")
    return _Beside(
        cached=not (is_prompt or _CACHED.isdisjoint(beside)),
        reasoning="reasoning_tokens" in beside or (asks_shape and is_prompt),
        tool_use="tool_use_prompt_tokens" in beside,
        citations="citation_tokens" in beside,
    )


def _without_total(found: dict[str, int], usual: _Beside, counts: Counts, flavor: str) -> Placed:
    may_be_exclusive = flavor in _EITHER or (flavor not in _INCLUSIVE and not _CACHED.isdisjoint(counts.beside))
    if may_be_exclusive and not usual.cached and not _is_possible(found, usual):
        beside = usual._replace(cached=True)
        if _is_possible(found, beside):
            doubt = "the cached tokens exceed the input, so the input was taken as exclusive of them"
            return Placed(_inclusive(found, beside), doubt)
    return Placed(_inclusive(found, usual))


def _possible_ways(found: Mapping[str, int], usual: _Beside) -> Iterator[_Beside]:
    """Ways to read the parts that there are, those nearest to the usual one first."""
    parts = ("reasoning_tokens", "tool_use_prompt_tokens", "citation_tokens")
    there = (_cached(found) > 0, *(found.get(part, 0) > 0 for part in parts))
    choices = [(one, not one) if is_there else (one,) for one, is_there in zip(usual, there, strict=True)]
    ways = [_Beside(*way) for way in product(*choices)]
    for way in sorted(ways, key=lambda way: sum(one != other for one, other in zip(way, usual, strict=True))):
        if _is_possible(found, way):
            yield way


def _cached(found: Mapping[str, int]) -> int:
    return found.get("cache_read_tokens", 0) + found.get("cache_write_tokens", 0)


def _is_possible(found: Mapping[str, int], beside: _Beside) -> bool:
    """No part is larger than what is said to include it."""
    cached, tool_use = _cached(found), found.get("tool_use_prompt_tokens", 0)
    read, said = found.get("input_tokens", 0), found.get("output_tokens", 0)
    return (
        (beside.cached or cached <= read)
        and (beside.tool_use or tool_use <= read)
        and (beside.reasoning or found.get("reasoning_tokens", 0) <= said)
        and (beside.citations or found.get("citation_tokens", 0) <= said)
    )


def _sum(found: Mapping[str, int], beside: _Beside) -> int:
    return (
        found.get("input_tokens", 0)
        + found.get("output_tokens", 0)
        + beside.cached * _cached(found)
        + beside.reasoning * found.get("reasoning_tokens", 0)
        + beside.tool_use * found.get("tool_use_prompt_tokens", 0)
        + beside.citations * found.get("citation_tokens", 0)
    )


def _inclusive(found: Mapping[str, int], beside: _Beside) -> dict[str, int]:
    counts = dict(found)
    read = beside.cached * _cached(found) + beside.tool_use * found.get("tool_use_prompt_tokens", 0)
    said = beside.reasoning * found.get("reasoning_tokens", 0) + beside.citations * found.get("citation_tokens", 0)
    if read:
        counts["input_tokens"] = counts.get("input_tokens", 0) + read
    if said:
        counts["output_tokens"] = counts.get("output_tokens", 0) + said
    for of_tools, field in _OF_TOOLS:
        if of_tools in counts:
            counts[field] = counts.get(field, 0) + counts.pop(of_tools)
    return counts
