"""Messages as plain values, whatever objects a client made of them, and the shapes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from hivecost.compaction.anthropic import Anthropic
from hivecost.compaction.openai_chat import OpenAIChat
from hivecost.compaction.responses import Responses
from hivecost.compaction.shapes import Entry, Message, Pairing, Shape
from hivecost.errors import ConfigError

ShapeName = Literal["openai_chat", "anthropic", "responses"]

_SHAPES: Final[Mapping[str, Shape]] = {
    "openai_chat": OpenAIChat(),
    "anthropic": Anthropic(),
    "responses": Responses(),
}


#: The types of parts that need not be read.
_PLAIN: Final = frozenset({dict})


class Conversation(msgspec.Struct, frozen=True):
    """Messages, what each of them is, and what belongs together."""

    shape: Shape
    messages: Sequence[Message]
    entries: Sequence[Entry]
    pairing: Pairing


def read_conversation(messages: Sequence[Any], shape: str) -> Conversation:
    """Read the messages of a shape. Raise ConfigError for a shape that nobody knows, and never for a message."""
    if shape not in _SHAPES:
        raise ConfigError("shape", f"one of {', '.join(get_args(ShapeName))}", got=shape)
    known = _SHAPES[shape]
    plain = [plain_message(message) for message in messages]
    entries = [known.read(message) for message in plain]
    return Conversation(known, plain, entries, known.pair(entries))


def plain_message(message: Any) -> Message:
    """Return a message as plain values; without any where it is an object that nobody can read."""
    if type(message) is dict:
        content = message.get("content")
        if type(content) is list and not {*map(type, content)} <= _PLAIN:
            return {**message, "content": [_plain(part) for part in content]}
        return message
    plain = _plain(message)
    return plain if isinstance(plain, dict) else {}


def _plain(value: Any) -> Any:
    """Return a client's model as it is sent; what is none, as it is."""
    try:
        if isinstance(value, Mapping):
            return dict(value)
        dump = getattr(value, "model_dump", None)
        return dump(exclude_none=True) if callable(dump) else msgspec.to_builtins(value)
    except Exception:  # a stranger's object may raise anything: it is kept or dropped whole
        return value
