"""OpenAI's embeddings, and those of others who speak so: POST …/embeddings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.framing import Event
from hivecost.dialects.refusals import openai_answer
from hivecost.dialects.sse import SseFraming
from hivecost.events import Usage
from hivecost.usage.views import items, text

_PATH: Final = re.compile(r"(?:.*/openai/deployments/(?P<deployment>[^/]+))?(?:.*/|^)embeddings")


class OpenAIEmbeddings:
    """Embeddings: no output tokens, no limit, no stream."""

    name = "openai.embeddings"

    def recognise(self, target: Target) -> Match | None:
        """Match the path; Azure names the model in it."""
        found = _PATH.fullmatch(target.path) if target.method == "POST" else None
        return Match(model=found["deployment"] or "", stream=False) if found else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for; an input that comes as tokens has a known number of them."""
        value = body.value
        return Asked(model=route.match.model or text(value.get("model")), input_tokens=_tokens(value.get("input")))

    def framing(self, route: Route) -> SseFraming:
        """Return the framing of server-sent events, though no answer is a stream."""
        return SseFraming()

    def ending(self, request: ModelRequest) -> NoEnding:
        """Return an ending without events, because no answer is a stream."""
        return NoEnding()

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer in the form of OpenAI's errors."""
        return openai_answer(refusal, headers)


class NoEnding:
    """Of what is never a stream."""

    def observe(self, event: Event) -> None:
        """Note nothing."""

    def events(self, usage: Usage) -> list[Event]:
        """Return no event."""
        return []


def _tokens(given: Any) -> int:
    """Return how many tokens the input is, where it is all tokens; else 0."""
    inputs = items(given)
    lists = [inputs] if inputs and type(inputs[0]) is int else inputs
    if not all(isinstance(one, list) and all(type(token) is int for token in one) for one in lists):
        return 0
    return sum(map(len, lists))
