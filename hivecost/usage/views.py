"""Foreign objects seen as mappings: dicts, SDK models, Structs, dataclasses, JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final

import msgspec

from hivecost.plain_text import encodable, shown

#: How deep a copy goes, and how many values it may have: a payload's objects may hold each other.
_DEPTH_MAX: Final = 8
_PARTS_MAX: Final = 1_000
#: A foreign mapping of more names than this is taken for one without end.
_NAMES_MAX: Final = 10_000
#: No name of a model, a tier or a reason is longer.
_TEXT_MAX: Final = 1_000
#: Python reads no integer of many more digits than this.
_DIGITS_MAX: Final = 4_000
_SCALARS: Final = (str, int, float, bool, type(None))


class Unreadable:
    """A part that raised when it was asked for. It is no part of anything else; looking into it raises that error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"<raises {shown(self.error)}>"


def view(value: object) -> Mapping[str, Any]:
    """Return the named parts of a value, one level deep; empty when it has none.

    Raise ValueError for a mapping without end.
    """
    if type(value) is dict:  # most are, and the question below is slow
        return value
    if value is None or type(value) in (int, str):
        return {}
    if isinstance(value, Mapping):
        _require_end(value)
        return value
    if isinstance(value, Unreadable):
        raise value.error
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, (*_SCALARS, bytes, list, tuple, Enum)):
        return {}
    parts = dict(getattr(value, "__dict__", {}))
    if not parts:
        parts = {name: attribute(value, name) for name in dir(value) if not name.startswith("_")}
    # pydantic keeps fields it did not know apart, and OpenRouter's and LiteLLM's costs are such fields.
    extra, hidden = attribute(value, "model_extra"), attribute(value, "_hidden_params")
    if isinstance(extra, Mapping):
        parts.update(view(extra))
    if not isinstance(hidden, Unreadable | None):
        parts["_hidden_params"] = hidden
    return parts


def _require_end(mapping: Mapping[Any, Any]) -> None:
    if any(True for _ in islice(mapping, _NAMES_MAX, None)):
        raise ValueError(f"a mapping of more than {_NAMES_MAX:,} names")


def attribute(value: object, name: str) -> Any:
    """Return an attribute of a foreign object: None where there is none, Unreadable where reading it raised."""
    try:
        return getattr(value, name, None)
    except Exception as error:  # a property may raise anything
        return Unreadable(error)


def body_of(payload: object) -> object:
    """Return what came over HTTP, of an SDK's raw response or an HTTP client's own; anything else as it is."""
    if isinstance(payload, (*_SCALARS, bytes, dict, list, tuple)) or not (
        callable(attribute(payload, "parse")) or callable(attribute(payload, "json"))
    ):
        return payload
    response = attribute(payload, "http_response")
    content = attribute(payload if response is None else response, "content")
    return content if isinstance(content, bytes) else payload


def decoded(payload: object) -> object:
    """Return JSON text as the value it has, everything else as it is. Raise ValueError when text is no JSON."""
    if isinstance(payload, bytes | bytearray | memoryview):
        payload = bytes(payload).decode("utf-8")
    return from_json(payload) if isinstance(payload, str) else payload


def from_json(data: str | bytes) -> Any:
    """Return the value of JSON text. Raise ValueError for what is none, and RecursionError for a nest without end."""
    # The stdlib's parser reads NaN, which providers do send; it is refused later, with a reason.
    try:
        return json.loads(data)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of thousands of digits somewhere; the counts may be sound all the same
        return json.loads(data, parse_int=lambda digits: int(digits) if len(digits) < _DIGITS_MAX else float(digits))


def plain(value: object, parts_max: int = _PARTS_MAX) -> Any:
    """Return a copy that any codec can write.

    Never raise: foreign objects become dicts, what is too deep or much `…`.
    """
    return _copied(value, 0, [parts_max])


def _copied(value: object, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _DEPTH_MAX:
        return "…"
    try:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, _SCALARS):
            return scalar(value)
        if isinstance(value, list | tuple):
            return [_copied(item, depth + 1, left) for item in islice(value, left[0] + 1)]
        parts = islice(view(value).items(), left[0] + 1)
        copied = {name_of(key): _copied(item, depth + 1, left) for key, item in parts if not callable(item)}
    except Exception:  # a stranger's object may raise anything, and in the middle of it
        return shown(value)
    return copied if copied or isinstance(value, Mapping) else shown(value)


def scalar(value: str | float | None) -> str | float | None:
    """Return the value itself, of none but Python's own types: codecs refuse the others."""
    if isinstance(value, str):
        return encodable(value)
    if value is None or isinstance(value, bool):
        return value
    # NaN and wide integers are kept as text: JSON, MessagePack or SQLite would lose them.
    number = int.__add__(value, 0) if isinstance(value, int) else float.__add__(value, 0.0)
    return number if abs(number) < 2**63 else shown(number)


def snake(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same parts with camelCase keys as snake_case."""
    return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name_of(key)).lower(): item for key, item in parts.items()}


def name_of(key: object) -> str:
    """Return a key as text."""
    return encodable(key) if isinstance(key, str) else shown(key)


def text(value: object) -> str:
    """Return a word a provider sent, for events and logs: "" for anything else, an Enum's value for an Enum."""
    if value is None:
        return ""
    if type(value) is str and value.isascii() and len(value) <= _TEXT_MAX:  # as nearly all are
        return value
    try:
        if isinstance(value, Enum):
            value = value.value
        return encodable(value[:_TEXT_MAX]) if isinstance(value, str) else ""
    except Exception:  # a stranger's object may raise even when it is asked for its class
        return ""


def items(value: object) -> list[Any]:
    """Return the elements of a list; empty for anything else."""
    return list(value) if isinstance(value, list | tuple) else []
