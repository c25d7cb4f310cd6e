"""OpenAI's responses: POST …/responses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import openai_answer
from hivecost.dialects.responses_ending import ResponseEnding
from hivecost.dialects.sse import SseFraming
from hivecost.prompts import asked_tier
from hivecost.usage.views import text

_PATH: Final = re.compile(r"(?:.*/|^)responses")
_LIMIT_KEY: Final = "max_output_tokens"
#: OpenAI refuses less: https://platform.openai.com/docs/api-reference/responses/create
_LIMIT_MIN: Final = 16


class OpenAIResponses:
    """Responses."""

    name = "openai.responses"

    def recognise(self, target: Target) -> Match | None:
        """Match the path."""
        return Match() if target.method == "POST" and _PATH.fullmatch(target.path) else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for; the answer to one that runs in the background has no usage."""
        value = body.value
        limit = value.get(_LIMIT_KEY)
        return Asked(
            model=text(value.get("model")),
            stream=value.get("stream") is True,
            limit_keys=((_LIMIT_KEY,),),
            max_tokens=limit_of([] if limit is None else [limit]),
            limit_min=_LIMIT_MIN,
            service_tier=asked_tier(value),
            is_background=value.get("background") is True,
        )

    def framing(self, route: Route) -> SseFraming:
        """Return the framing of server-sent events."""
        return SseFraming()

    def ending(self, request: ModelRequest) -> ResponseEnding:
        """Return the ending of one response."""
        return ResponseEnding(request.model)

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer in the form of OpenAI's errors."""
        return openai_answer(refusal, headers)
