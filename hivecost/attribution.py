"""Whose spending something is: one Struct, which budgets read by their words."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, Final, Protocol, Self

import msgspec

from hivecost.attribute_names import ATTRIBUTION_FIELDS, FIELD_OF, RESERVED
from hivecost.errors import ConfigError
from hivecost.frozen import EMPTY, FrozenDict, frozen
from hivecost.plain_text import plain_str

TEXT_CHARS_MAX: Final = 1_024
TAGS_MAX: Final = 64
#: Executions inside one another; deeper ones are refused.
DEPTH_MAX: Final = 32
#: The words of what whoever triggers an execution may say.
_ARGUMENTS: Final = ("session", "user", "org", "task")

_FIELDS: Final = (*ATTRIBUTION_FIELDS, "tags")
_read: Final = attrgetter(*_FIELDS)
_read_ids: Final = attrgetter(*ATTRIBUTION_FIELDS)


class Attributed(Protocol):
    """What says whose it is: an event, a request, an Attribution."""

    @property
    def session_id(self) -> str:
        """The session, or ""."""
        ...

    @property
    def execution_id(self) -> str:
        """The execution, or ""."""
        ...

    @property
    def node_id(self) -> str:
        """The node, or ""."""
        ...

    @property
    def agent_id(self) -> str:
        """The agent, or ""."""
        ...

    @property
    def user_id(self) -> str:
        """The user, or ""."""
        ...

    @property
    def org_id(self) -> str:
        """The org, or ""."""
        ...

    @property
    def task_id(self) -> str:
        """The task, or ""."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags by name."""
        ...


class Attribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """Whose spending something is; "" and no tags are what nobody said.

    It reads like a mapping, by the words of budgets: `attribution["org"]` is its `org_id`, `attribution["plan"]` its
    tag of that name, and what is not set is not in it.
    """

    session_id: str = ""
    execution_id: str = ""
    node_id: str = ""
    agent_id: str = ""
    user_id: str = ""
    org_id: str = ""
    task_id: str = ""
    #: Free attribution, such as `{"customer": "acme"}`; read-only.
    tags: Mapping[str, str] = EMPTY
    #: That of the execution inside of which this one was started.
    parent: Attribution | None = None

    def __post_init__(self) -> None:
        if type(self.tags) is not FrozenDict:
            msgspec.structs.force_setattr(self, "tags", frozen(self.tags))

    @classmethod
    def of(cls, source: Attributed) -> Self:
        """Return whose an event or a request is; neither knows of a parent."""
        return cls(**attribution_fields(source))

    @classmethod
    def begin(
        cls, execution_id: str, parent: Attribution | None, given: Mapping[str, str | None], tags: Mapping[str, str]
    ) -> Self:
        """Return whose an execution is that begins inside `parent`, with the given fields and tags.

        A field that is given as None is inherited from `parent`, a tag unless one of its name is given. Raise
        ConfigError, naming the field, for what cannot be logged, and as `checked_tags` does.
        """
        inherited, own_tags = cls() if parent is None else parent, checked_tags(tags)
        fields = {
            name: checked_text(name, getattr(inherited, name) if value is None else value)
            for name, value in given.items()
        }
        if parent is not None:
            own_tags = checked_tags({**parent.tags, **own_tags})
        return cls(execution_id=execution_id, tags=own_tags, parent=parent, **fields)

    @property
    def parent_execution_id(self) -> str:
        """The execution that started this one; "" when none did."""
        return "" if self.parent is None else self.parent.execution_id

    @property
    def ancestors(self) -> tuple[Attribution, ...]:
        """The attributions of all executions that this one is inside of, the nearest first."""
        parent = self.parent
        if parent is None:  # as it is most often
            return ()
        found: list[Attribution] = []
        while parent is not None and len(found) < DEPTH_MAX:
            found.append(parent)
            parent = parent.parent
        return tuple(found)

    @cached_property
    def words(self) -> Mapping[str, str]:
        """What it has set, by the words of budgets, tags among them; read-only."""
        return FrozenDict(words_of(self))

    def keys(self) -> KeysView[str]:
        """Return the words that are set, as `words` has them."""
        return self.words.keys()

    def values(self) -> ValuesView[str]:
        """Return the values of the words that are set."""
        return self.words.values()

    def items(self) -> ItemsView[str, str]:
        """Return the words that are set, with their values."""
        return self.words.items()

    def get(self, word: str, default: Any = None) -> Any:
        """Return the value of a word, such as `user`; `default` where it is not set."""
        return self.words.get(word, default)

    def __getitem__(self, word: str) -> str:
        return self.words[word]

    def __contains__(self, word: object) -> bool:
        return word in self.words

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)


Mapping.register(Attribution)

#: Whose something is, by the words of budgets: an Attribution, or a mapping such as `{"org": "acme"}`.
Attributes = Mapping[str, str] | Attribution


def attribution_fields(source: Attributed) -> dict[str, Any]:
    """Return whose it is, as the fields of an event about the same spending."""
    return dict(zip(_FIELDS, _read(source), strict=True))


def words_of(source: Attributed) -> dict[str, str]:
    """Return what is set of whose it is, by the words of budgets: `{"user": "ada", "customer": "acme"}`.

    A tag that is called like an attribute is left out: nobody moves spend to another account with a tag.
    """
    found = words_of_ids(_read_ids(source)).copy()
    for name, tag in source.tags.items():
        if name not in RESERVED:
            found[name] = tag
    return found


@lru_cache(maxsize=4_096)
def words_of_ids(ids: tuple[str, ...]) -> dict[str, str]:
    """Return the words of values in the order of ATTRIBUTION_FIELDS. Cached and shared: take a copy to change it."""
    return {word: value for word, value in zip(FIELD_OF, ids, strict=True) if value}


def checked_text(key: str, value: object) -> str:
    """Return the value as plain text. Raise ConfigError, naming `key`, for no text, one too long, or no Unicode."""
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
    """Return the value as plain text. Raise ConfigError as `checked_text` does, and for an empty text."""
    if not value:
        raise ConfigError(key, "a name that is not empty", got=value)
    return checked_text(key, value)


def checked_tags(tags: Mapping[str, str]) -> FrozenDict:
    """Return the tags in a read-only dict of their own.

    Raise ConfigError for what is no text or too much of it, and for the name of an attribute, which no budget and no
    report would read from a tag.
    """
    if not isinstance(tags, Mapping):
        raise ConfigError("tags", 'a dict such as {"customer": "acme"}', got=tags)
    if len(tags) > TAGS_MAX:
        raise ConfigError("tags", f"at most {TAGS_MAX} of them", got=len(tags))
    for name in tags:
        if isinstance(name, str) and name in RESERVED:
            argument = f"{FIELD_OF[name]}={tags[name]!r} instead" if name in _ARGUMENTS else "a tag of another name"
            raise ConfigError(f"tags.{name}", f"{argument}: {name!r} is no tag but an attribute that every turn has")
    return FrozenDict(
        {
            checked_text(f"tags.{name!s:.40} (the name)", name): checked_text(f"tags.{name!s:.40}", value)
            for name, value in tags.items()
        }
    )
