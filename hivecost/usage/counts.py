"""The counts in a usage part, whatever their names; taken with suspicion, and every fault is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isfinite
from typing import Any, Final

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
        """One of a list: the tokens of a modality (Gemini), or those written for a time (Bedrock)."""
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
        """The value as a count, 0 with a remembered fault when it is none."""
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
    """Whether an SDK means that nothing was sent: by a sentinel, or by what remains of Mistral's in JSON."""
    return type(value).__name__ in _SENTINELS or (known.field == "audio_seconds" and value == {})


def _is_number(value: object) -> bool:
    return type(value) in (int, float) or (type(value) is str and value.isascii() and value.isdigit())
