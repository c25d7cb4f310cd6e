"""OpenAI's chat completions, as OpenAI, Azure and most others serve them: POST …/chat/completions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import Asked, Body, Match, ModelRequest, Refusal, RefusalAnswer, Route, Target
from hivecost.dialects.framing import Event
from hivecost.dialects.limits import limit_of
from hivecost.dialects.refusals import openai_answer
from hivecost.dialects.sse import SseFraming
from hivecost.events import Usage
from hivecost.prompts import asked_tier
from hivecost.usage.views import items, text, view

_PATH: Final = re.compile(r"(?:.*/openai/deployments/(?P<deployment>[^/]+))?(?:.*/|^)chat/completions")
_OLD_KEY: Final = "max_tokens"
_NEW_KEY: Final = "max_completion_tokens"
#: They refuse the old key for models that reason; everybody knows it otherwise, and only some the new one.
_OPENAI: Final = frozenset({"openai", "azure"})
_REASONING: Final = re.compile(r"(?:.*/)?(?:o\d|gpt-5)")
#: The first version of Azure's API that knows `stream_options` and the new key; paths with /v1/ have no version.
_AZURE_SINCE: Final = "2024-09-01"
#: Their streams say the usage unasked; some refuse a request that asks for it.
_SAY_USAGE: Final = frozenset({"mistral", "openrouter", "perplexity", "x-ai"})
_USAGE_KEY: Final = ("stream_options", "include_usage")
DONE: Final = "[DONE]"


class OpenAIChat:
    """Chat completions."""

    name = "openai.chat"

    def recognise(self, target: Target) -> Match | None:
        """Match the path; Azure names the model in it."""
        found = _PATH.fullmatch(target.path) if target.method == "POST" else None
        return Match(model=found["deployment"] or "") if found else None

    def read(self, route: Route, body: Body, headers: Mapping[str, str]) -> Asked:
        """Return what the request asks for. Raise ValueError for options that are no object."""
        value = body.value
        model = route.match.model or text(value.get("model"))
        stream = value.get("stream") is True
        keys = tuple((key,) for key in (_OLD_KEY, _NEW_KEY) if value.get(key) is not None)
        says_usage = body.part("stream_options").get("include_usage") is True
        is_old = _is_old_azure(route)
        asks_usage = stream and not says_usage and not is_old and route.provider not in _SAY_USAGE
        return Asked(
            model=model,
            stream=stream,
            limit_keys=keys or ((_OLD_KEY if is_old else _default_key(route.provider, model),),),
            max_tokens=limit_of(value[key] for (key,) in keys),
            usage_key=_USAGE_KEY if asks_usage else (),
            service_tier=asked_tier(value),
            other_models=tuple(filter(None, map(text, items(value.get("models"))))),
        )

    def framing(self, route: Route) -> SseFraming:
        """Return the framing of server-sent events."""
        return SseFraming()

    def ending(self, request: ModelRequest) -> ChatEnding:
        """Return the ending of one stream, with usage where the caller had asked for it."""
        options = view(request.body.value.get("stream_options"))
        return ChatEnding(request, says_usage=options.get("include_usage") is True)

    def refused(self, refusal: Refusal, route: Route, headers: Mapping[str, str]) -> RefusalAnswer:
        """Return the answer in the form of OpenAI's errors."""
        return openai_answer(refusal, headers)


def is_usage_chunk(event: Event) -> bool:
    """Tell whether it is the chunk that comes where usage was asked for: with usage, and no choices."""
    return event.fields.get("choices") == [] and bool(view(event.fields.get("usage")))


def _default_key(provider: str, model: str) -> str:
    is_new = provider in _OPENAI or (not provider and _REASONING.match(model))
    return _NEW_KEY if is_new else _OLD_KEY


def _is_old_azure(route: Route) -> bool:
    version = route.target.query.get("api-version", "")
    return version[:1].isdigit() and version < _AZURE_SINCE


class ChatEnding:
    """Each choice that is open gets its `finish_reason`, then comes the usage where it is wanted, then `[DONE]`."""

    def __init__(self, request: ModelRequest, *, says_usage: bool) -> None:
        self._says_usage = says_usage
        self._envelope: dict[str, Any] = {
            "id": "chatcmpl-hivecost", "object": "chat.completion.chunk", "created": 0, "model": request.model,
        }  # fmt: skip
        self._open = set(range(request.answers))

    def observe(self, event: Event) -> None:
        """Note the newest envelope, and which choices are open."""
        fields = event.fields
        if "choices" not in fields:
            return
        self._envelope = {key: fields[key] for key in fields if key not in ("choices", "usage", "obfuscation")}
        for choice in map(view, items(fields["choices"])):
            index = choice.get("index")
            if isinstance(index, int):
                (self._open.discard if choice.get("finish_reason") else self._open.add)(index)

    def events(self, usage: Usage) -> list[Event]:
        """Return chunks, and the text that ends the stream."""
        ends = [
            self._chunk([{"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}])
            for index in sorted(self._open)
        ]
        said = [self._chunk([], usage=chat_usage(usage))] if self._says_usage else []
        return [*ends, *said, Event(DONE)]

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> Event:
        return Event({**self._envelope, "choices": choices, **more})


def chat_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage in the form of chat completions."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
