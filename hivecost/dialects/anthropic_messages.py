"""Anthropic's messages, as Anthropic serves them and others after it: POST …/v1/messages, and Vertex AI's paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.framing import Event
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import answer
from hivecost.dialects.sse import SseFraming
from hivecost.events import Usage
from hivecost.prompts import asked_tier
from hivecost.usage.views import text, view

_PATH: Final = re.compile(r"(?:.*/|^)v1/messages")
_VERTEX: Final = re.compile(r".*/publishers/anthropic/models/(?P<model>[^/:]+):(?P<call>rawPredict|streamRawPredict)")
#: Vertex AI's name for the question for a count of tokens.
_COUNT: Final = "count-tokens"
_LIMIT_KEY: Final = "max_tokens"
_ERRORS: Final = {"exhausted": "billing_error", "busy": "rate_limit_error"}


class AnthropicMessages:
    """Messages."""

    name = "anthropic.messages"

    def recognise(self, target: Target) -> Match | None:
        """Match the path; Vertex AI names in it the model, and whether the answer is a stream."""
        if target.method != "POST":
            return None
        if _PATH.fullmatch(target.path):
            return Match()
        found = _VERTEX.fullmatch(target.path)
        if found is None or found["model"] == _COUNT:
            return None
        return Match(found["model"], stream=found["call"] == "streamRawPredict", provider="google")

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for; the body says model and stream where the path does not."""
        said = read_messages(body)
        model = route.match.model or text(body.value.get("model"))
        stream = body.value.get("stream") is True if route.match.stream is None else route.match.stream
        return Asked(
            model=model,
            stream=stream,
            limit_keys=((_LIMIT_KEY,),),
            max_tokens=said.max_tokens,
            limit_min=said.limit_min,
            service_tier=said.service_tier,
        )

    def framing(self, route: Route) -> SseFraming:
        """Return the framing of server-sent events."""
        return SseFraming()

    def ending(self, request: ModelRequest) -> MessageEnding:
        """Return the ending of one message."""
        return MessageEnding(request.model)

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return `{"type": "error", "error": {type, message}}`."""
        kind = _ERRORS.get(refusal.kind, "invalid_request_error")
        return answer(refusal, {"type": "error", "error": {"type": kind, "message": refusal.message}})


def read_messages(body: Body) -> Asked:
    """Return what a body asks for, except its model. A limit must be above what the model may think."""
    value = body.value
    limits = [value[_LIMIT_KEY]] if value.get(_LIMIT_KEY) is not None else []
    return Asked(
        model="",
        limit_keys=((_LIMIT_KEY,),),
        max_tokens=limit_of(limits),
        limit_min=1 + limit_of([view(value.get("thinking")).get("budget_tokens")]),
        service_tier="fast" if value.get("speed") == "fast" else asked_tier(value),
    )


class MessageEnding:
    """The block that is open is closed, then come the reason to stop and the usage."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._has_begun = False
        self._open: set[int] = set()

    def observe(self, event: Event) -> None:
        """Note which blocks are open."""
        kind, index = text(event.fields.get("type")), event.fields.get("index")
        self._has_begun = self._has_begun or kind == "message_start"
        if isinstance(index, int) and kind == "content_block_start":
            self._open.add(index)
        elif isinstance(index, int) and kind == "content_block_stop":
            self._open.discard(index)

    def events(self, usage: Usage) -> list[Event]:
        """Return the events from the end of the block to `message_stop`."""
        start = [] if self._has_begun else [_event("message_start", message=self._empty(usage))]
        ends = [_event("content_block_stop", index=index) for index in sorted(self._open)]
        delta = {"stop_reason": "max_tokens", "stop_sequence": None}
        return [*start, *ends, _event("message_delta", delta=delta, usage=message_usage(usage)), _event("message_stop")]

    def _empty(self, usage: Usage) -> dict[str, Any]:
        return {
            "id": "msg_hivecost",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": message_usage(usage) | {"output_tokens": 0},
        }


def _event(kind: str, **fields: Any) -> Event:
    return Event({"type": kind, **fields}, kind)


def message_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage in the form of the Messages API: input without what the cache read and wrote."""
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
