"""Where Anthropic's API is told to keep a prompt in its cache: it looks 20 blocks back from a mark, and no further."""

from __future__ import annotations

from typing import Any, Final

from hivecost.compaction.prompt import Prompt
from hivecost.compaction.reading import plain_message
from hivecost.compaction.shapes import is_marked, parts_of

#: More are an error: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
MARKS_MAX: Final = 4
_MARK: Final = {"type": "ephemeral"}
#: Blocks that cannot be marked.
_UNMARKED: Final = ("thinking", "redacted_thinking")


def with_cache_marks(prompt: Prompt, *, anchor: int | None = None) -> Any:
    """Return the prompt with marks: behind the system message, before `anchor`, and at the last two messages.

    `anchor` is the index of the first message that a compaction changed: what is before it is in the cache, and found
    there only by a mark. Ask `needs_cache_marks` first.
    """
    count = len(prompt.messages)
    places = {place for place in (count - 1, count - 2, (anchor or 0) - 1) if place >= 0}
    messages = [_marked(message) if place in places else message for place, message in enumerate(prompt.messages)]
    request = prompt.with_messages(messages)
    if prompt.request is not None and prompt.request.get("system"):
        return {**request, "system": _marked({"content": prompt.request["system"]})["content"]}
    return request


def needs_cache_marks(prompt: Prompt) -> bool:
    """Return whether marks are ours to set: the prompt is of a shape that has them, and its caller set none."""
    if prompt.shape != "anthropic":
        return False
    request = prompt.request or {}
    if request.get("cache_control") or any(is_marked(parts_of(request.get(name))) for name in ("system", "tools")):
        return False
    return not any(is_marked(parts_of(plain_message(message).get("content"))) for message in prompt.messages)


def _marked(message: Any) -> Any:
    """Return the message with a mark on its last block that can have one; as it is, where none can."""
    plain = plain_message(message)
    content = plain.get("content")
    if isinstance(content, str):
        return {**plain, "content": [{"type": "text", "text": content, "cache_control": _MARK}]} if content else message
    blocks = list(content) if isinstance(content, list | tuple) else []
    for place in range(len(blocks) - 1, -1, -1):
        block = blocks[place]
        if isinstance(block, dict) and block.get("type") not in _UNMARKED and block.get("text") != "":
            blocks[place] = {**block, "cache_control": _MARK}
            return {**plain, "content": blocks}
    return message
