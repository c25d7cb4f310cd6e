"""Foreign objects seen as mappings: dicts, SDK models, Structs, dataclasses, JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

_DEPTH_MAX: Final = 8
_SCALARS: Final = (str, int, float, bool, type(None))


def view(value: object) -> Mapping[str, Any]:
    """The named parts of a value, one level deep; empty when it has none."""
    if type(value) is dict:  # most are, and the question below is slow
        return value
    if value is None or type(value) in (int, str):
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, (*_SCALARS, bytes, list, tuple, Enum)):
        return {}
    parts = dict(getattr(value, "__dict__", {}))
    if not parts:
        parts = {name: getattr(value, name, None) for name in dir(value) if not name.startswith("_")}
    # pydantic keeps fields it did not know apart, and OpenRouter's and LiteLLM's costs are such fields.
    parts.update(getattr(value, "model_extra", None) or {})
    hidden = getattr(value, "_hidden_params", None)
    return parts if hidden is None else {**parts, "_hidden_params": hidden}


def decoded(payload: object) -> object:
    """JSON text as what it says, everything else as it is. Raises ValueError when text is no JSON."""
    if isinstance(payload, bytes | bytearray | memoryview):
        payload = bytes(payload).decode("utf-8")
    if isinstance(payload, str):
        # The stdlib's parser reads NaN, which providers do send; it is refused later, with a reason.
        return json.loads(payload)
    return payload


def plain(value: object, depth: int = 0) -> Any:
    """A copy that any codec can write; foreign objects become dicts, what is too deep becomes text."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, _SCALARS):
        # NaN and wide integers are kept as text: JSON, MessagePack or SQLite would lose them.
        odd = isinstance(value, int | float) and not abs(value) < 2**63
        return str(value) if odd else value
    if depth >= _DEPTH_MAX:
        return repr(value)[:200]
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    parts = view(value)
    if parts:
        return {str(key): plain(item, depth + 1) for key, item in parts.items() if not callable(item)}
    return {} if isinstance(value, Mapping) else repr(value)[:200]


def snake(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The same with camelCase keys as snake_case."""
    return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower(): item for key, item in parts.items()}


def text(value: object) -> str:
    """A word a provider sent: "" for anything that is none, an Enum's value for an Enum."""
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) else ""


def items(value: object) -> list[Any]:
    """The elements of a list; empty for anything else."""
    return list(value) if isinstance(value, list | tuple) else []
