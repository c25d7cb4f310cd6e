"""Who spends: flat attributes, taken from a turn after the call or from a request before it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from hivecost.events import Event, LLMTurnComplete
from hivecost.gate_contract import TurnRequest

#: Attribute → the field it is read from. Any other attribute is a tag.
_FIELDS: Final = {
    "org": "org_id",
    "user": "user_id",
    "agent": "agent_id",
    "task": "task_id",
    "node": "node_id",
    "session": "session_id",
    "execution": "execution_id",
}
_read: Final = attrgetter(*_FIELDS.values())
_read_request: Final = attrgetter(*_FIELDS.values(), "model", "provider", "resolved_model", "resolved_provider")

#: The attributes that every turn may have; tags come on top and never take these names.
ATTRIBUTES: Final = (*_FIELDS, "model", "provider")
#: Further names of the model and of the provider: an account is that of `model` and `provider`, and a budget matches
#: any of them.
OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("asked_model", "answered_model"),
    "provider": ("asked_provider",),
}
#: What no tag may be called.
RESERVED: Final = frozenset((*ATTRIBUTES, *(name for names in OTHER_NAMES.values() for name in names)))
#: Between several models that answered: no name has one.
_SEPARATOR: Final = "\n"


def attribution(source: LLMTurnComplete | TurnRequest, answered: tuple[str, ...] = ()) -> dict[str, str]:
    """The attributes that are set, such as `{"user": "ada", "model": "gpt-4o", "customer": "acme"}`.

    `model` and `provider` are those that the price book understood, where it did. Beside them stand `asked_model`,
    `asked_provider` and `answered_model` where they differ; a request may be `answered` by these.
    A tag that is called like one of them is left out: nobody moves spend to another account with a tag.
    """
    if isinstance(source, TurnRequest) and not source.tags:
        return _without_tags(_read_request(source), answered).copy()
    return whose(source) | _models(source, answered)


def whose(source: Event | TurnRequest) -> dict[str, str]:
    """The same without the model and the provider: whose an event, or a request, is."""
    found = _named(_read(source)).copy()
    for name, tag in source.tags.items():
        if name not in RESERVED:
            found[name] = tag
    return found


def ancestry(request: TurnRequest, answered: Sequence[str] = ()) -> tuple[dict[str, str], ...]:
    """The attributes of the request's ancestors, each as if it asked for this turn itself."""
    if not request.ancestors:
        return ()
    models = _models(request, answered)
    return tuple({**ancestor, **models} for ancestor in request.ancestors)


def ancestry_of(turn: LLMTurnComplete, ancestors: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], ...]:
    """The same for a turn that came back."""
    if not ancestors:
        return ()
    models = _models(turn, ())
    return tuple({**ancestor, **models} for ancestor in ancestors)


def names_of(attribution: Mapping[str, str], attribute: str) -> Iterator[str]:
    """What an attribute is called: of a model and a provider by whoever asked, the price book and whoever answered."""
    for name in (attribute, *OTHER_NAMES.get(attribute, ())):
        if name in attribution:
            yield from attribution[name].split(_SEPARATOR)


def looked_at(attributes: Sequence[str]) -> tuple[str, ...]:
    """The attributes and the other names that they go by, each once."""
    every = (name for attribute in attributes for name in (attribute, *OTHER_NAMES.get(attribute, ())))
    return tuple(dict.fromkeys(every))


def key_reader(attributes: Sequence[str]) -> Callable[[LLMTurnComplete], Hashable]:
    """Gives the same for turns that agree in these attributes, and only for them; quick if none of them is a tag."""
    known = {
        **_FIELDS,
        "model": "resolved_model",
        "asked_model": "asked_model",
        "answered_model": "model",
        "provider": "resolved_provider",
        "asked_provider": "provider",
    }
    listed = looked_at(attributes)
    fields = [known[name] for name in listed if name in known]
    if len(fields) < len(listed) or not fields:
        return lambda turn: tuple(map(attribution(turn).get, listed))
    return attrgetter(*fields)


@lru_cache(maxsize=4_096)
def _named(values: tuple[str, ...]) -> dict[str, str]:
    """Remembered, because one execution takes many turns."""
    return {name: value for name, value in zip(_FIELDS, values, strict=True) if value}


@lru_cache(maxsize=4_096)
def _without_tags(values: tuple[str, ...], answered: tuple[str, ...]) -> dict[str, str]:
    """What a request says that has no tags: remembered, because one execution takes many turns."""
    *who, model, provider, resolved_model, resolved_provider = values
    return _named(tuple(who)) | _models_named(
        resolved_model or model, resolved_provider or provider, model, _SEPARATOR.join(answered), provider
    )


def _models(source: LLMTurnComplete | TurnRequest, answered: Sequence[str]) -> dict[str, str]:
    if isinstance(source, TurnRequest):
        asked, answers = source.model, _SEPARATOR.join(answered)
    else:
        asked, answers = source.asked_model, source.model
    return _models_named(
        source.resolved_model or source.model,
        source.resolved_provider or source.provider,
        asked,
        answers,
        source.provider,
    )


@lru_cache(maxsize=4_096)
def _models_named(model: str, provider: str, asked: str, answered: str, asked_provider: str) -> dict[str, str]:
    others = {"asked_model": asked, "answered_model": answered}
    found = {"model": model, "provider": provider, **{name: value for name, value in others.items() if value != model}}
    if asked_provider != provider:
        found["asked_provider"] = asked_provider
    return {name: value for name, value in found.items() if value}
