"""How much a model reads and writes at most, as published: what bounds a turn that says nothing itself.

Two sources, of which the larger number counts, because a bound that is too low is worth nothing: the context windows of
genai-prices, and the maxima in the wheel of litellm that `model_limits.json` names, with the day it was read. That file
is written by `tools/model_limits.py`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

_HOSTS_OWN: Final = re.compile(r":[a-z-]+$")


class ModelLimits(NamedTuple):
    """The maxima of one model, in tokens; None where nobody published one."""

    #: Of the prompt: no request is longer.
    context_window: int | None = None
    #: Of one answer, hidden reasoning included; 0 for a model that only embeds or ranks.
    output_tokens_max: int | None = None


class _Table(msgspec.Struct, frozen=True):
    source: str
    read: str
    #: By provider and model, as the catalog names them: tokens of the prompt, and of the answer.
    limits: dict[str, dict[str, tuple[int | None, int | None]]]
    #: By the model's own name: of a model at a host that published nothing, what others published.
    elsewhere: dict[str, tuple[int | None, int | None]]


def published_limits(provider: str, model: str) -> ModelLimits:
    """Return what the file has of a model of the catalog; of a host it does not know, the most that others publish."""
    table = limits_table()
    found = table.limits.get(provider, {}).get(model) or table.elsewhere.get(own_name(model), (None, None))
    return ModelLimits(*found)


@cache
def limits_table() -> _Table:
    """Return the file's table, which is read once."""
    return msgspec.json.decode(Path(__file__).with_name("model_limits.json").read_bytes(), type=_Table)


def own_name(model: str) -> str:
    """Return the name of a model without its hosts: `claude-sonnet-4-5` of `anthropic/claude-sonnet-4.5:free`."""
    return _HOSTS_OWN.sub("", model.rsplit("/", 1)[-1].lower()).replace(".", "-")


def larger(*maxima: int | None) -> int | None:
    """Return the largest of the maxima, any of which may be unknown; None where all are."""
    return max((number for number in maxima if number is not None), default=None)
