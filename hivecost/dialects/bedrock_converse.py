"""Bedrock's Converse and ConverseStream: POST /model/{id}/converse, and what botocore calls by these names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.event_stream import EventStreamFraming
from hivecost.dialects.framing import Event
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import answer
from hivecost.events import Usage
from hivecost.prompts import asked_tier
from hivecost.usage.views import view

_PATH: Final = re.compile(r"/model/(?P<model>.+)/(?P<call>converse|converse-stream)")
_CONFIG: Final = "inferenceConfig"
_LIMIT: Final = "maxTokens"
#: What a model understands besides, under its own names, limits among it.
_OWN_FIELDS: Final = "additionalModelRequestFields"
_OWN_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_new_tokens", "max_gen_len", "max_tokens_to_sample")
#: None that botocore asks for again by itself, as it does for throttling.
_ERRORS: Final = {"exhausted": "ServiceQuotaExceededException", "busy": "ServiceQuotaExceededException"}


class BedrockConverse:
    """Converse."""

    name = "bedrock.converse"

    def recognise(self, target: Target) -> Match | None:
        """Match a path that names the model, and whether the answer is a stream."""
        found = _PATH.fullmatch(target.path) if target.method == "POST" else None
        return Match(found["model"], stream=found["call"] == "converse-stream", provider="aws") if found else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for. Raise ValueError for a configuration that is no object."""
        own = body.part(_OWN_FIELDS)
        found = {(_CONFIG, _LIMIT): body.part(_CONFIG).get(_LIMIT)} | {
            (_OWN_FIELDS, name): own[name] for name in _OWN_LIMITS if name in own
        }
        limits = {key: limit for key, limit in found.items() if limit is not None}
        return Asked(
            model=route.match.model,
            stream=bool(route.match.stream),
            limit_keys=tuple(limits) or ((_CONFIG, _LIMIT),),
            max_tokens=limit_of(limits.values()),
            limit_min=1 + limit_of([view(own.get("thinking")).get("budget_tokens")]),
            service_tier=asked_tier(body.value),
        )

    def framing(self, route: Route) -> EventStreamFraming:
        """Return the framing of Amazon's event stream."""
        return EventStreamFraming()

    def ending(self, request: ModelRequest) -> ConverseEnding:
        """Return the ending of one stream."""
        return ConverseEnding()

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer in the form of Amazon's errors."""
        return amazon_answer(refusal)


def amazon_answer(refusal: Refusal) -> RefusalAnswer:
    """Return the error's name in a header, its message in the body; status 402, because botocore retries a 429."""
    error = _ERRORS.get(refusal.kind, "ValidationException")
    return answer(refusal, {"message": refusal.message}, status=402, headers={"x-amzn-errortype": error})


class ConverseEnding:
    """The block that is open is closed, then come the reason to stop and the usage."""

    def __init__(self) -> None:
        self._has_begun = False
        self._open: set[int] = set()

    def observe(self, event: Event) -> None:
        """Note which blocks are open; text comes in blocks that nothing begins."""
        for name, fields in event.fields.items():
            index = view(fields).get("contentBlockIndex")
            self._has_begun = self._has_begun or name == "messageStart"
            if isinstance(index, int) and name in ("contentBlockStart", "contentBlockDelta"):
                self._open.add(index)
            elif isinstance(index, int) and name == "contentBlockStop":
                self._open.discard(index)

    def events(self, usage: Usage) -> list[Event]:
        """Return the events from the end of the block to the metadata, whose time nobody measured."""
        start = [] if self._has_begun else [_event("messageStart", role="assistant")]
        ends = [_event("contentBlockStop", contentBlockIndex=index) for index in sorted(self._open)]
        metadata = _event("metadata", usage=converse_usage(usage), metrics={"latencyMs": 0})
        return [*start, *ends, _event("messageStop", stopReason="max_tokens"), metadata]


def _event(name: str, **fields: Any) -> Event:
    return Event({name: fields}, name)


def converse_usage(usage: Usage) -> dict[str, int]:
    """Return the usage in the form of Converse: input without what the cache read and wrote."""
    return {
        "inputTokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
    }
