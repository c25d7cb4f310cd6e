"""Ollama's own chat: POST /api/chat. What it serves under /v1 is OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.framing import Event
from hivecost.dialects.json_lines import JsonLinesFraming
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import answer
from hivecost.events import Usage
from hivecost.usage.views import text

_PATH: Final = "/api/chat"
_LIMIT_KEY: Final = ("options", "num_predict")
_STARTED: Final = "1970-01-01T00:00:00Z"


class OllamaChat:
    """Chat of Ollama's own. It streams unless it is told not to."""

    name = "ollama.chat"

    def recognise(self, target: Target) -> Match | None:
        """Match the path."""
        is_chat = target.method == "POST" and target.path == _PATH
        return Match(provider="ollama") if is_chat else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for; a negative limit is none. Raise ValueError for options of another type."""
        limit = body.part("options").get("num_predict")
        return Asked(
            model=text(body.value.get("model")),
            stream=body.value.get("stream") is not False,
            limit_keys=(_LIMIT_KEY,),
            max_tokens=limit_of([] if limit is None else [limit]),
        )

    def framing(self, route: Route) -> JsonLinesFraming:
        """Return the framing: one object a line."""
        return JsonLinesFraming()

    def ending(self, request: ModelRequest) -> OllamaEnding:
        """Return the ending of one answer."""
        return OllamaEnding(request.model)

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return `{"error": message}`."""
        return answer(refusal, {"error": refusal.message})


class OllamaEnding:
    """The last line says that it is done, and why."""

    def __init__(self, model: str) -> None:
        self._envelope: dict[str, Any] = {"model": model, "created_at": _STARTED}

    def observe(self, event: Event) -> None:
        """Note who answers."""
        self._envelope |= {key: event.fields[key] for key in self._envelope if key in event.fields}

    def events(self, usage: Usage) -> list[Event]:
        """Return the last line."""
        last = {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "length",
            "prompt_eval_count": usage.input_tokens,
            "eval_count": usage.output_tokens,
        }
        return [Event(self._envelope | last)]
