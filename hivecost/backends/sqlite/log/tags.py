"""Tags are the one place where a stranger can pour megabytes into an event; the log keeps the start of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hivecost.events import Event, UnknownEvent

TAG_CHARS_MAX: Final = 1024
TAGS_MAX: Final = 64
#: What stands at the end of a tag that was cut, and names the tag that says how many were left out.
TRUNCATED: Final = "…[truncated]"


def with_short_tags(event: Event) -> Event:
    """Return the event itself, or a copy whose tags fit."""
    tags = event.tags
    if not tags or _fit(tags):
        return event
    short = _shortened(tags)
    if isinstance(event, UnknownEvent):
        return msgspec.structs.replace(event, tags=short, fields={**event.fields, "tags": short})
    return msgspec.structs.replace(event, tags=short)


def _fit(tags: Mapping[str, Any]) -> bool:
    return len(tags) <= TAGS_MAX and all(
        len(text) <= TAG_CHARS_MAX for item in tags.items() for text in item if isinstance(text, str)
    )


def _shortened(tags: Mapping[str, Any]) -> dict[str, Any]:
    if len(tags) <= TAGS_MAX:
        return {_cut(name): _cut(value) for name, value in tags.items()}
    kept = list(tags.items())[: TAGS_MAX - 1]
    return {_cut(name): _cut(value) for name, value in kept} | {TRUNCATED: f"{len(tags) - len(kept)} more tags"}


def _cut(text: Any) -> Any:
    if not isinstance(text, str) or len(text) <= TAG_CHARS_MAX:
        return text
    return text[: TAG_CHARS_MAX - len(TRUNCATED)] + TRUNCATED
