"""Bedrock's InvokeModel, which passes on what each maker's models understand: POST /model/{id}/invoke."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from hivecost.dialects.anthropic_messages import MessageEnding, read_messages
from hivecost.dialects.bedrock_converse import ConverseEnding, amazon_answer
from hivecost.dialects.dialect import Asked, Body, Ending, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.event_stream import EventStreamFraming
from hivecost.dialects.framing import Event
from hivecost.dialects.json_body import KeyPath
from hivecost.dialects.limits import limit_of
from hivecost.dialects.openai_chat import ChatEnding
from hivecost.dialects.refusals import value_of
from hivecost.events import Usage
from hivecost.prompts import asked_tier
from hivecost.usage.views import view

_PATH: Final = re.compile(r"/model/(?P<model>.+)/(?P<call>invoke|invoke-with-response-stream)")
_TIER_HEADER: Final = "x-amzn-bedrock-service-tier"
_METRICS: Final = "amazon-bedrock-invocationMetrics"


class _Family(msgspec.Struct, frozen=True):
    """Models that understand the same body."""

    #: In the models' names.
    named: str
    #: In their bodies, where a name says nothing: that of a profile, for instance.
    marks: tuple[str, ...]
    #: Where a limit may stand; the first one is where it is set.
    limits: tuple[KeyPath, ...]
    ending: Callable[[ModelRequest], Ending]


class _LastEvent:
    """An ending of one event."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def observe(self, event: Event) -> None:
        """Note nothing."""

    def events(self, usage: Usage) -> list[Event]:
        """Return the last event, whatever the usage."""
        return [Event(self._fields)]


def _last(**fields: Any) -> Callable[[ModelRequest], Ending]:
    return lambda _: _LastEvent(**fields)


#: As their makers' pages under https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html have them.
_FAMILIES: Final = (
    _Family("anthropic.", ("anthropic_version",), (("max_tokens",),), lambda request: MessageEnding(request.model)),
    _Family(
        "amazon.nova",
        ("schemaVersion", "inferenceConfig"),
        (("inferenceConfig", "maxTokens"), ("inferenceConfig", "max_new_tokens")),
        lambda _: ConverseEnding(),
    ),
    _Family(
        "amazon.titan",
        ("textGenerationConfig", "inputText"),
        (("textGenerationConfig", "maxTokenCount"),),
        _last(outputText="", completionReason="LENGTH"),
    ),
    _Family("meta.llama", ("max_gen_len",), (("max_gen_len",),), _last(generation="", stop_reason="length")),
    _Family(
        "cohere.",
        ("chat_history",),
        (("max_tokens",),),
        _last(is_finished=True, event_type="stream-end", finish_reason="MAX_TOKENS"),
    ),
    _Family(
        "",
        ("messages",),
        (("max_tokens",), ("max_completion_tokens",)),
        lambda request: ChatEnding(request, says_usage=False),
    ),
    _Family("mistral.", ("prompt",), (("max_tokens",),), _last(outputs=[{"text": "", "stop_reason": "length"}])),
)


class BedrockInvoke:
    """InvokeModel, and its stream."""

    name = "bedrock.invoke"

    def recognise(self, target: Target) -> Match | None:
        """Match a path that names the model, and whether the answer is a stream."""
        found = _PATH.fullmatch(target.path) if target.method == "POST" else None
        return Match(found["model"], stream=found["call"] != "invoke", provider="aws") if found else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for. Raise ValueError for a body of no known maker.

        At a host that nobody knows, such a body is no call of a model.
        """
        model = route.match.model
        family = _family(model, body)
        if family is None and not route.is_known_host:
            return Asked(model="")
        if family is None:
            raise ValueError("its body is that of no maker of models that is known")
        is_text = "embed" not in model and "rerank" not in model
        said = read_messages(body) if family.named == "anthropic." else None
        found = [(path, limit) for path in family.limits if (limit := _at(body, path)) is not None]
        keys = tuple(path for path, _ in found) or family.limits[:1]
        return Asked(
            model=model,
            stream=bool(route.match.stream),
            limit_keys=keys if is_text else (),
            max_tokens=limit_of(limit for _, limit in found),
            limit_min=said.limit_min if said else 1,
            service_tier=asked_tier({"service_tier": value_of(headers, _TIER_HEADER).lower()}),
        )

    def framing(self, route: Route) -> EventStreamFraming:
        """Return the framing of Amazon's event stream."""
        return EventStreamFraming()

    def ending(self, request: ModelRequest) -> InvokeEnding:
        """Return the ending of one stream."""
        family = _family(request.model, request.body)
        return InvokeEnding(family.ending(request) if family else _LastEvent())

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer in the form of Amazon's errors."""
        return amazon_answer(refusal)


def _family(model: str, body: Body) -> _Family | None:
    """Return the family by the model's name, else by the body; None where neither tells it."""
    value = body.value
    for family in _FAMILIES:
        if family.named and family.named in model and (family.named != "mistral." or "prompt" in value):
            return family
    return next((family for family in _FAMILIES if any(mark in value for mark in family.marks)), None)


def _at(body: Body, path: KeyPath) -> Any:
    *outer, key = path
    return (body.part(outer[0]) if outer else body.value).get(key)


class InvokeEnding:
    """What the model itself says at its limit, and in the last event what Bedrock counted."""

    def __init__(self, own: Ending) -> None:
        self._own = own

    def observe(self, event: Event) -> None:
        """Note a model's own event."""
        self._own.observe(event)

    def events(self, usage: Usage) -> list[Event]:
        """Return events without names."""
        *before, last = [Event(view(event.fields)) for event in self._own.events(usage) if event.fields]
        metrics = {
            "inputTokenCount": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
            "outputTokenCount": usage.output_tokens,
            "cacheReadInputTokenCount": usage.cache_read_tokens,
            "cacheWriteInputTokenCount": usage.cache_write_tokens,
            "invocationLatency": 0,
            "firstByteLatency": 0,
        }
        return [*before, Event({**last.fields, _METRICS: metrics})]
