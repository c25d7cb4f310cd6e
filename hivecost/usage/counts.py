"""The counts in a usage part, whatever their names, and what is inside what.

They are taken with suspicion, and every fault is remembered. A total over both sides decides what includes what; where
there is none, the names and the shape do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import ceil, isfinite
from typing import Any, Final, NamedTuple

from hivecost.events import TOKENS_PER_TURN_MAX
from hivecost.usage.names import (
    MODALITIES,
    NAMES,
    NESTED,
    SHORT_NAMES,
    Name,
    is_count,
    place_of,
    section_in,
    snake_name,
    spoken_name,
)
from hivecost.usage.raw import spoken_value
from hivecost.usage.views import name_of, text, view

#: How deep counts stand, and how many of a usage part are looked at: it may hold itself.
_DEPTH_MAX: Final = 4
_PARTS_MAX: Final = 500
#: The longest text that is read as a count; OTLP writes integers as text.
_DIGITS_MAX: Final = 12
#: Parts that are read elsewhere, or hold no counts of this answer.
_ELSEWHERE: Final = frozenset(
    {"iterations", "request_usage_entries", "cost", "cost_details", "model_usage", "raw", "response"}
)
#: What SDKs put where nothing was sent.
_SENTINELS: Final = frozenset({"Unset", "NotGiven", "Omit"})
_UNREAD_SHOWN_MAX: Final = 5
#: No longer word is told as one of a new modality.
_KIND_LENGTH_MAX: Final = 20
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


class Counts:
    """What `take` found: counts by field of Usage, and by the names that `names.Name` adds to them."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        #: The fields of which a name said that they stand beside the total of their side.
        self.beside: set[str] = set()
        #: Names as they came, of the counts that nobody knows and of those that were taken.
        self.unread: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.problems: list[str] = []
        self._left = _PARTS_MAX

    def __getitem__(self, count: str) -> int:
        return self.found.get(count, 0)

    @property
    def unread_reason(self) -> str:
        """The counts that were not read, as a reason says it; "" where there are none."""
        if not self.unread:
            return ""
        shown_names = [f"{name}={count}" for name, count in list(self.unread.items())[:_UNREAD_SHOWN_MAX]]
        more = len(self.unread) - len(shown_names)
        return f"unread: {', '.join(shown_names)}{f' and {more} more' if more > 0 else ''}"

    def take(self, usage: Mapping[str, Any], place: str = "", path: str = "", depth: int = 0) -> None:
        """Take every count of the part; `place` is where it is in our names, and `path` in the provider's."""
        found, names = self.found, self.names
        for key, value in usage.items():
            if value is None:
                continue
            given = key if type(key) is str and key.isascii() else name_of(key)
            known, here, name, spoken = place_of(place, given)
            if type(value) is int and known is not None and 0 <= value <= TOKENS_PER_TURN_MAX:  # as it is most often
                field, beside = known
                if value >= found.get(field, 0):
                    found[field] = value
                    names[field] = given
                if beside:
                    self.beside.add(field)
                continue
            self._left -= 1
            if self._left < 0:
                return
            there = f"{path}.{spoken}" if path else spoken
            if known is not None and (here not in SHORT_NAMES or _is_number(value)):
                if name in NESTED and isinstance(value, Mapping):
                    self._open(section_in(place, name), value, there, depth)
                elif not _is_nothing(known, value):
                    self.add(known, value, there)
            elif _is_number(value):
                self._leave(here, there, value)
            elif depth < _DEPTH_MAX and name not in _ELSEWHERE and type(value) is not str:
                try:  # noqa: SIM105  # each reading passes here twice
                    self._open(section_in(place, name), value, there, depth)
                except Exception:  # noqa: S110  # a stranger's object may raise anything; it is no count that is known
                    pass

    def add(self, known: Name, value: object, name: str, *, more: bool = False) -> None:
        """Take one count; `more` adds it to what is there, else two names of one count are the larger of them."""
        field = known.field
        if field == "audio_seconds" and type(value) is float and isfinite(value):
            value = ceil(value)  # a second that was begun
        count = self._checked(value, name)
        before = self.found.get(field, 0)
        if more:
            count += before
        if count >= before:
            self.found[field] = count
            self.names[field] = name
        if known.beside:
            self.beside.add(field)

    def _open(self, place: str, value: object, path: str, depth: int) -> None:
        if isinstance(value, list | tuple):
            for entry in value:
                self._take_entry(view(entry), place, path)
        else:
            self.take(view(value), place, path, depth + 1)

    def _take_entry(self, entry: Mapping[str, Any], place: str, path: str) -> None:
        """Take one entry of a list: the tokens of a modality (Gemini), or those written for a time (Bedrock)."""
        kind, counted = "", None
        for key, value in entry.items():
            name = snake_name(name_of(key))
            if name in {"modality", "type"}:
                kind = MODALITIES[value] if type(value) is int and 0 <= value < len(MODALITIES) else text(value).lower()
            elif name == "ttl":
                kind = text(value)
            elif name in {"token_count", "tokens", "input_tokens", "count"}:
                counted = value
            else:
                self._leave(f"{place}.{name}", f"{path}.{spoken_name(name)}", value)
        if counted is None:
            return
        here = f"{place}.{kind}" if kind else place
        known = NAMES.get(here)
        if known is None:
            told = kind if kind.isalpha() and len(kind) <= _KIND_LENGTH_MAX else "…"
            self._leave(f"{here}.tokens", f"{path}.{told}", counted)
        else:
            self.add(known, counted, f"{path}.{kind}", more=True)

    def _leave(self, here: str, there: str, value: object) -> None:
        if (is_count(here) or is_count(there)) and _is_number(value) and (count := float(value)) > 0:  # type: ignore[arg-type]
            self.unread[there] = int(count) if count.is_integer() else 1

    def _checked(self, value: object, name: str) -> int:
        """Return the value as a count; 0 when it is none, with the problem noted."""
        whole = type(value) is float and isfinite(value) and value.is_integer()
        if type(value) is str and _is_number(value) and len(value) <= _DIGITS_MAX:
            value = int(value)
        if type(value) is not int and not whole:
            self.problems.append(f"{name} must be a whole number, got {spoken_value(value)}")
            return 0
        count: int = int(value)  # type: ignore[call-overload]  # an int or a whole float, checked above
        if not 0 <= count <= TOKENS_PER_TURN_MAX:
            self.problems.append(f"{name} must be between 0 and {TOKENS_PER_TURN_MAX:,}, got {spoken_value(count)}")
            return 0
        return count


def _is_nothing(known: Name, value: object) -> bool:
    """Tell whether an SDK means that nothing was sent: by a sentinel, or by what remains of Mistral's in JSON."""
    return type(value).__name__ in _SENTINELS or (known.field == "audio_seconds" and value == {})


def _is_number(value: object) -> bool:
    return type(value) in (int, float) or (type(value) is str and value.isascii() and value.isdigit())


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
    """Return the counts where no way to read the parts gives the total."""
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
    """Return the counts; those written to a cache are the larger of their total and its two lifetimes."""
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
    """Yield the ways to read the parts that there are, those nearest to the usual one first."""
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
    """Tell whether no part is larger than what is said to include it."""
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
