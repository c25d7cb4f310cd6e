"""What budgets tell turns apart by: whose a turn is, and what its model and its provider are called."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final, Protocol

from hivecost.attribute_names import ATTRIBUTION_FIELDS, FIELD_OF, OTHER_NAMES
from hivecost.attribution import Attributed, Attributes, Attribution, words_of, words_of_ids
from hivecost.events import LLMTurnComplete
from hivecost.gate_contract import TurnRequest

_read_request: Final = attrgetter(*ATTRIBUTION_FIELDS, "model", "provider", "resolved_model", "resolved_provider")
#: Name of a model or a provider → the field of a turn that came back.
_MODEL_FIELDS: Final = {
    "model": "resolved_model",
    "asked_model": "asked_model",
    "answered_model": "model",
    "provider": "resolved_provider",
    "asked_provider": "provider",
}
#: Between several models that answered: no name has one.
_SEPARATOR: Final = "\n"


class AnsweredTurn(Attributed, Protocol):
    """A turn that came back, or a sum of some: what it says of its model and its provider besides whose it is."""

    @property
    def model(self) -> str:
        """The model that answered, else the one that was asked for."""
        ...

    @property
    def provider(self) -> str:
        """The provider that answered, else the one that was asked."""
        ...

    @property
    def asked_model(self) -> str:
        """The model as the caller named it; "" where that is `model`."""
        ...

    @property
    def resolved_model(self) -> str:
        """The model as the price book understood it, or ""."""
        ...

    @property
    def resolved_provider(self) -> str:
        """The provider as the price book understood it, or ""."""
        ...


def attributes_of(source: AnsweredTurn | TurnRequest, answered: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the attributes that are set, such as `{"user": "ada", "model": "gpt-4o", "customer": "acme"}`.

    `model` and `provider` are those that the price book understood, where it did. Beside them stand `asked_model`,
    `asked_provider` and `answered_model` where they differ; a request may be `answered` by these.
    """
    if isinstance(source, TurnRequest) and not source.tags:
        return _without_tags(_read_request(source), answered).copy()
    return words_of(source) | _models(source, answered)


def ancestry(request: TurnRequest, answered: Sequence[str] = ()) -> tuple[dict[str, str], ...]:
    """Return the attributes of the request's ancestors, each as if it asked for this turn itself."""
    if not request.ancestors:
        return ()
    models = _models(request, answered)
    return tuple({**ancestor.words, **models} for ancestor in request.ancestors)


def ancestry_of(turn: LLMTurnComplete, ancestors: Sequence[Attribution]) -> tuple[dict[str, str], ...]:
    """Return the attributes of a turn's ancestors, each as if it had taken the turn itself."""
    if not ancestors:
        return ()
    models = _models(turn, ())
    return tuple({**ancestor.words, **models} for ancestor in ancestors)


def names_of(attributes: Attributes, attribute: str) -> Iterator[str]:
    """Give what an attribute is called: a model and a provider by who asked, by the price book and by who answered."""
    for name in (attribute, *OTHER_NAMES.get(attribute, ())):
        if name in attributes:
            yield from attributes[name].split(_SEPARATOR)


def looked_at(attributes: Sequence[str]) -> tuple[str, ...]:
    """Return the attributes and the other names that they go by, each once."""
    every = (name for attribute in attributes for name in (attribute, *OTHER_NAMES.get(attribute, ())))
    return tuple(dict.fromkeys(every))


def key_reader(attributes: Sequence[str]) -> Callable[[LLMTurnComplete], Hashable]:
    """Return a function whose result is equal for turns that agree in these attributes, and only for them."""
    known, listed = {**FIELD_OF, **_MODEL_FIELDS}, looked_at(attributes)
    fields = [known[name] for name in listed if name in known]
    if len(fields) < len(listed) or not fields:
        return lambda turn: tuple(map(attributes_of(turn).get, listed))
    return attrgetter(*fields)


@lru_cache(maxsize=4_096)
def _without_tags(values: tuple[str, ...], answered: tuple[str, ...]) -> dict[str, str]:
    """Return the attributes of a request without tags; cached, because one execution takes many turns."""
    *ids, model, provider, resolved_model, resolved_provider = values
    return words_of_ids(tuple(ids)) | _models_named(
        resolved_model or model, resolved_provider or provider, model, _SEPARATOR.join(answered), provider
    )


def _models(source: AnsweredTurn | TurnRequest, answered: Sequence[str]) -> dict[str, str]:
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
