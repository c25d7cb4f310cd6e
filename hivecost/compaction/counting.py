"""How many tokens a conversation is: what its provider counted last, and an estimate of what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Any, Final, Literal

import msgspec

from hivecost.compaction.media import text_alone
from hivecost.compaction.reading import plain_message
from hivecost.pricing.tokenizer import can_count_tokens, count_text_tokens

CountSource = Literal["reported", "tokenizer", "estimated"]

#: Of UTF-8, in JSON.
BYTES_PER_TOKEN: Final = 4
#: What a chat template adds to each message, beside the texts that a tokenizer counts.
MESSAGE_TOKENS: Final = 4

#: Of no text that a model reads.
_UNREAD: Final = frozenset({"id", "type", "role", "tool_call_id", "tool_use_id", "call_id", "status", "cache_control"})

_encode: Final = msgspec.json.Encoder().encode


class ContextCount(msgspec.Struct, frozen=True):
    """Tokens of a conversation, with how sure they are: as the least sure part of them is.

    `reported` by the provider, for exactly this; `tokenizer`, where the model's own counted what is new, or all;
    `estimated` by its size.
    """

    tokens: int
    source: CountSource = "reported"


class Counter:
    """Counts the prompts of one conversation, each message once.

    `around` is what else is in each prompt (`{"system": …, "tools": …}`). The tokenizer is that of OpenAI's models,
    where the extra `tokens` is installed; its first count takes a second, for a thread to wait. Parts that are changed
    in place keep their count until the provider counts again.
    """

    def __init__(self, model: str = "", *, provider: str = "", around: object = None) -> None:
        self._model = model
        self._tokenizer: Callable[[str], int] | None = (
            partial(count_text_tokens, model=model) if can_count_tokens(model, provider) else None
        )
        self._sizes: dict[int, tuple[Any, Any, float]] = {}
        #: The estimate of `around`.
        self.around_size: float = 0.0 if around is None else self._estimate(around)
        self._sent: list[Any] = []
        self._reported = 0
        #: How many tokens the provider counted where this estimates one; 1 before it counted.
        self.ratio = 1.0

    @property
    def source(self) -> CountSource:
        """How messages are counted that the provider did not count."""
        return "estimated" if self._tokenizer is None else "tokenizer"

    def report(self, messages: Sequence[Any], tokens: int) -> None:
        """Take the provider's count of a prompt: `input_tokens` of the usage of a turn that sent these messages."""
        self._sent, self._reported = [*messages], tokens
        estimate = self.estimate(messages)
        self.ratio = tokens / estimate if estimate and tokens > 0 else 1.0

    def count(self, messages: Sequence[Any]) -> ContextCount:
        """Return the count of a prompt: the last report and what is new, where it begins with the messages of then.

        Else, where anything was written anew, an estimate of all of it, by the ratio that the last one was off.
        """
        sent = len(self._sent)
        if sent and sent <= len(messages) and [*messages[:sent]] == self._sent:
            new = sum(map(self.size, messages[sent:]))
            return ContextCount(self._reported + ceil(new), self.source if sent < len(messages) else "reported")
        return ContextCount(ceil(self.estimate(messages) * self.ratio), self.source)

    def estimate(self, messages: Sequence[Any]) -> float:
        """Return the estimate of a prompt, before what the provider counted is taken into account."""
        return self.around_size + sum(self.sizes(messages))

    def sizes(self, messages: Sequence[Any]) -> list[float]:
        """Return the estimate of each message."""
        if len(self._sizes) > 2 * len(messages) + 64:
            self._sizes.clear()
        return [*map(self.size, messages)]

    def size(self, message: Any) -> float:
        """Return the estimate of one message."""
        is_dict = type(message) is dict
        content = message.get("content") if is_dict else None
        known = self._sizes.get(id(message))
        if known is not None and known[0] is message and known[1] is content:
            return known[2]
        if self._tokenizer is not None or not is_dict:
            size = self._estimate(plain_message(message) or str(message))
        elif type(content) is str:  # most often
            size = (len(_sent({**message, "content": ""})) + _length(content)) / BYTES_PER_TOKEN
        elif content is None and "tool_calls" in message:  # most of the others
            size = len(_sent(message)) / BYTES_PER_TOKEN
        else:
            size = self._estimate(plain_message(message) or str(message))
        self._sizes[id(message)] = (message, content, size)
        return size

    def content_size(self, content: object) -> float:
        """Return the estimate of a part of a message."""
        if type(content) is not str:
            return self._estimate(content)
        return _length(content) / BYTES_PER_TOKEN if self._tokenizer is None else self._tokenizer(content)

    def _estimate(self, value: Any) -> float:
        media = list[int]()
        if self._tokenizer is None:
            text = text_alone(value, self._model, media) if _may_be_no_text(value) else value
            return len(_sent(text)) / BYTES_PER_TOKEN + sum(media)
        texts = _texts(text_alone(value, self._model, media))
        return MESSAGE_TOKENS + sum(map(self._tokenizer, texts)) + sum(media)


def _texts(value: Any) -> Iterator[str]:
    """Give the texts that a model reads."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _UNREAD:
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _may_be_no_text(value: Any) -> bool:
    """Return whether it may hold more than text; most messages do not."""
    if type(value) is str:
        return False
    if type(value) is not dict:
        return True
    content = value.get("content")
    if type(content) is list and any(map(_part_may_be_no_text, content)):
        return True
    return type(content) not in (str, list, type(None)) or "encrypted_content" in value or "output" in value


def _part_may_be_no_text(part: Any) -> bool:
    kind = part.get("type") if type(part) is dict else None
    if kind == "tool_result":
        return type(part.get("content")) not in (str, type(None))
    return kind not in ("text", "tool_use")


def _length(text: str) -> int:
    """Return the bytes of a text; a letter that JSON escapes is one, as tokenizers see it, and as is quickly known."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _sent(value: Any) -> bytes:
    """Return a value as JSON; what cannot be sent, as Python shows it."""
    try:
        return _encode(value)
    except Exception:  # a stranger's values: half of a surrogate pair, a number too large, an object
        return repr(value).encode(errors="replace")
