"""Gemini's generateContent and streamGenerateContent, at Google AI and at Vertex AI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.framing import Event, Framing
from hivecost.dialects.json_array import JsonArrayFraming
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import STATUSES, answer, value_of
from hivecost.dialects.sse import SseFraming
from hivecost.events import Usage
from hivecost.prompts import asked_tier
from hivecost.usage.views import items, view

_PATH: Final = re.compile(
    r"(?:.*/|^)(?P<kind>models|tunedModels|endpoints)/(?P<model>[^/:]+):(?P<call>generateContent|streamGenerateContent)"
)
#: Google's JSON takes either spelling of a name.
_CONFIGS: Final = ("generationConfig", "generation_config")
_LIMITS: Final = ("maxOutputTokens", "max_output_tokens")
#: How Vertex AI is asked for a tier.
_TIER_HEADERS: Final = ("x-vertex-ai-llm-shared-request-type", "x-vertex-ai-llm-request-type")
_STATUSES: Final = {"exhausted": "RESOURCE_EXHAUSTED", "busy": "RESOURCE_EXHAUSTED"}


class Gemini:
    """generateContent."""

    name = "google.gemini"

    def recognise(self, target: Target) -> Match | None:
        """Match a path that names the model, and whether the answer is a stream."""
        found = _PATH.fullmatch(target.path) if target.method == "POST" else None
        if found is None:
            return None
        model = found["model"] if found["kind"] == "models" else f"{found['kind']}/{found['model']}"
        return Match(model, stream=found["call"] == "streamGenerateContent", provider="google")

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for. Raise ValueError for a configuration that is no object."""
        keys = [
            (config, name)
            for config in _CONFIGS
            for name in _LIMITS
            if body.part(config).get(name) is not None
        ]  # fmt: skip
        config = next((key for key in _CONFIGS if key in body.value), _CONFIGS[0])
        return Asked(
            model=route.match.model,
            stream=bool(route.match.stream),
            limit_keys=tuple(keys) or ((config, _LIMITS[0]),),
            max_tokens=limit_of(body.part(config)[name] for config, name in keys),
            service_tier=asked_tier(body.value) or _tier(headers),
        )

    def framing(self, route: Route) -> Framing:
        """Return the framing of server-sent events where they were asked for, else of a list that comes one by one."""
        return SseFraming() if route.target.query.get("alt") == "sse" else JsonArrayFraming()

    def ending(self, request: ModelRequest) -> GeminiEnding:
        """Return the ending of one stream."""
        return GeminiEnding(request)

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return `{"error": {code, message, status}}`; in a list where the answer would be one."""
        error = {
            "code": STATUSES[refusal.kind],
            "message": refusal.message,
            "status": _STATUSES.get(refusal.kind, "FAILED_PRECONDITION"),
        }
        body = {"error": error}
        is_list = route.match.stream and route.target.query.get("alt") != "sse"
        return answer(refusal, [body] if is_list else body)


def _tier(headers: Mapping[str, str]) -> str:
    named = (value_of(headers, name).lower() for name in _TIER_HEADERS)
    return next((tier for tier in named if tier in ("flex", "priority")), "")


class GeminiEnding:
    """One more chunk says for each open candidate why it ended, and the usage."""

    def __init__(self, request: ModelRequest) -> None:
        self._envelope: dict[str, Any] = {"modelVersion": request.model}
        self._open = set(range(request.answers))

    def observe(self, event: Event) -> None:
        """Note who answers, and which candidates are open."""
        fields = event.fields
        self._envelope |= {key: fields[key] for key in ("modelVersion", "responseId") if key in fields}
        for candidate in map(view, items(fields.get("candidates"))):
            index = candidate.get("index", 0)
            if isinstance(index, int):
                (self._open.discard if candidate.get("finishReason") else self._open.add)(index)

    def events(self, usage: Usage) -> list[Event]:
        """Return the last chunk."""
        candidates = [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": index}
            for index in sorted(self._open)
        ]
        return [Event({"candidates": candidates, "usageMetadata": gemini_usage(usage), **self._envelope})]


def gemini_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage in Gemini's form: thoughts stand beside the answer."""
    return {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
