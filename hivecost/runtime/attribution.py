"""Whose spending an execution is: checked where it is said, so that no turn of it can fail to be logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hivecost.errors import ConfigError
from hivecost.frozen import FrozenDict
from hivecost.ledger.attribution import RESERVED
from hivecost.plain_text import plain_str

TEXT_CHARS_MAX: Final = 1_024
TAGS_MAX: Final = 64
#: The attributes that whoever triggers an execution may give.
_ARGUMENTS: Final = ("session", "user", "org", "task")


def checked_text(key: str, value: object) -> str:
    """The value, as plain text. Raises ConfigError, naming `key`, for what is no text, too long, or no Unicode."""
    if type(value) is str and value.isascii() and len(value) <= TEXT_CHARS_MAX:  # as it is most often
        return value
    if not isinstance(value, str):
        raise ConfigError(key, "a text", got=value)
    value = plain_str(value)
    if len(value) > TEXT_CHARS_MAX:
        raise ConfigError(key, f"at most {TEXT_CHARS_MAX:,} characters", got=f"{len(value):,} of them")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(key, "a text without lone surrogates", got=value) from None
    return value


def checked_name(key: str, value: object) -> str:
    """The same for a text that must not be empty."""
    if not value:
        raise ConfigError(key, "a name that is not empty", got=value)
    return checked_text(key, value)


def checked_tags(tags: Mapping[str, str]) -> FrozenDict:
    """The tags, in a read-only dict of their own.

    Raises ConfigError for what is no text or too much of it, and for the name of an attribute, which no budget and no
    report would read from a tag.
    """
    if not isinstance(tags, Mapping):
        raise ConfigError("tags", 'a dict such as {"customer": "acme"}', got=tags)
    if len(tags) > TAGS_MAX:
        raise ConfigError("tags", f"at most {TAGS_MAX} of them", got=len(tags))
    for name in tags:
        if isinstance(name, str) and name in RESERVED:
            argument = f"{name}_id={tags[name]!r} instead" if name in _ARGUMENTS else "a tag of another name"
            raise ConfigError(f"tags.{name}", f"{argument}: {name!r} is no tag but an attribute that every turn has")
    return FrozenDict(
        {
            checked_text(f"tags.{name!s:.40} (the name)", name): checked_text(f"tags.{name!s:.40}", value)
            for name, value in tags.items()
        }
    )
