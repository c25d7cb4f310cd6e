"""A request's JSON: what it says, and the same text with some values changed and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

#: Keys from the outermost to the innermost, two at most.
KeyPath = tuple[str, ...]

_read = json.JSONDecoder().raw_decode
_skip_space: Final = re.compile(r"[ \t\n\r]*").match


class _Member(NamedTuple):
    """A value, and where its text begins and ends."""

    value: Any
    start: int
    end: int


class JsonBody:
    """A JSON object as it came, and where in its text each value stands."""

    def __init__(self, text: str, sent: bytes = b"") -> None:
        """Read the text. Raise ValueError, also for a key that stands twice: nobody can say which one counts."""
        #: All of it.
        self.text = text
        self._members = _members(text)
        #: What came over the wire, which may be encoded.
        self.sent = sent
        self.value: dict[str, Any] = {key: member.value for key, member in self._members.items()}

    @classmethod
    def decode(cls, data: bytes, sent: bytes = b"") -> JsonBody:
        """Read UTF-8. Raise ValueError as the class does, and RecursionError for a nest without end."""
        try:
            text = data.decode()
        except UnicodeDecodeError:  # whose words would quote all of it
            raise ValueError("it is no UTF-8") from None
        return cls(text, sent or data)

    def part(self, key: str) -> Mapping[str, Any]:
        """Return the object at this key; empty where there is none. Raise ValueError for anything else."""
        value = self.value.get(key)
        if value is None:
            return {}
        return self._part(key).value

    def with_values(self, values: Mapping[KeyPath, Any]) -> bytes:
        """Return the text with these values: in place where their key stands, else added at the end of their object.

        Raise ValueError where the object to change is none.
        """
        return self.edited(values).encode() if values else self.sent

    def _part(self, key: str) -> JsonBody:
        member = self._members.get(key)
        if member is None or member.value is None:
            return JsonBody("{}")
        is_object = isinstance(member.value, dict)
        if not is_object:
            raise ValueError(f"{key!r} is no object")
        return JsonBody(self.text[member.start : member.end])

    def edited(self, values: Mapping[KeyPath, Any]) -> str:
        """Return the text with these values. Raise ValueError as `with_values`."""
        within: dict[str, dict[KeyPath, Any]] = {}
        for (key, *rest), value in values.items():
            within.setdefault(key, {})[tuple(rest)] = value
        literals = {key: self._literal(key, inner) for key, inner in within.items()}
        added = [f"{json.dumps(key)}:{text}" for key, text in literals.items() if key not in self._members]
        text, end = self.text, self._end()
        if added:
            text = f"{text[:end]}{',' if self._members else ''}{','.join(added)}{text[end:]}"
        for key, member in reversed(self._members.items()):  # from behind, so that what is before stays in its place
            if key in literals:
                text = text[: member.start] + literals[key] + text[member.end :]
        return text

    def _literal(self, key: str, inner: Mapping[KeyPath, Any]) -> str:
        return json.dumps(inner[()]) if () in inner else self._part(key).edited(inner)

    def _end(self) -> int:
        """Return where another member can be added."""
        last = next(reversed(self._members.values()), None)
        return last.end if last else self.text.index("{") + 1


def _members(text: str) -> dict[str, _Member]:
    """Return the members of the JSON object in the text. Raise ValueError for anything else."""
    members: dict[str, _Member] = {}
    at = _after(text, 0, "{")
    while not text.startswith("}", at):
        at = _after(text, at, ",") if members else at
        key, end = _read(text, at)
        is_key = isinstance(key, str)
        if not is_key:
            raise ValueError("a key is no text")
        if key in members:
            raise ValueError(f"the key {key!r:.60} stands twice")
        start = _after(text, end, ":")
        value, end = _read(text, start)
        members[key] = _Member(value, start, end)
        at = _space_end(text, end)
    if _space_end(text, at + 1) != len(text):
        raise ValueError("there is more after its end")
    return members


def _after(text: str, at: int, sign: str) -> int:
    """Return the place of what follows this sign, which must stand there. Raise ValueError if it does not."""
    at = _space_end(text, at)
    if not text.startswith(sign, at):
        raise ValueError(f"no {sign!r} at character {at}")
    return _space_end(text, at + 1)


def _space_end(text: str, at: int) -> int:
    found = _skip_space(text, at)
    return found.end() if found else at
