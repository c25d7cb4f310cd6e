"""What a request asks for, out of the bytes of its body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hivecost.dialects.content_encoding import decompress
from hivecost.dialects.dialect import Body, ModelRequest, Route, Unknown, Unreadable
from hivecost.dialects.json_body import JsonBody
from hivecost.dialects.refusals import value_of
from hivecost.plain_text import shown
from hivecost.prompts import CACHE_MARKS, CacheWrite, asked_answers, asked_cache_write

#: What no model reads: names, limits and settings. What else decides the price stays beside the prompt.
_SETTINGS: Final = frozenset(
    {
        *("model", "modelId", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens"),
        *("max_gen_len", "temperature", "top_p", "top_k", "seed", "stop", "stop_sequences", "logprobs", "top_logprobs"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "user", "metadata", "client_metadata", "store"),
        *("include", "betas", "safety_identifier", "prompt_cache_key", "parallel_tool_calls", "keep_alive"),
        *("anthropic_version", "inferenceConfig", "requestMetadata", "labels", "encoding_format", "dimensions"),
    }
)
#: A letter that no encoder escapes, and that might be one of a cache mark.
_ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7]")


def read_request(route: Route, headers: Mapping[str, str], body: bytes | None) -> ModelRequest | Unreadable | Unknown:
    """Return what a call of a model asks for. Never raise.

    `body` is None where it is a stream that cannot be read before it is sent. At a host that nobody knows, a
    body without a model and one that is no JSON by its type are no such call.
    """
    kind = value_of(headers, "content-type").lower()
    if not route.is_known_host and kind and "json" not in kind:
        return Unknown(route.target.host)
    if body is None:
        return Unreadable(route, "its body is a stream, which cannot be read before it is sent")
    try:
        read = JsonBody.decode(decompress(body, value_of(headers, "content-encoding")), body)
    except (ValueError, RecursionError) as error:
        return Unreadable(route, f"its body is no JSON that can be read: {shown(error)}")
    return read_body(route, headers, read)


def read_body(route: Route, headers: Mapping[str, str], body: Body) -> ModelRequest | Unreadable | Unknown:
    """Return what a request asks for whose body was read already. Never raise."""
    try:
        asked = route.dialect.read(route, body, headers)
        if not asked.model:
            return Unreadable(route, "it names no model") if route.is_known_host else Unknown(route.target.host)
        return ModelRequest(
            route=route,
            body=body,
            asked=asked,
            prompt={key: part for key, part in body.value.items() if key not in _SETTINGS},
            answers=asked_answers(body.value),
            cache_write=_cache_write(body),
        )
    except ValueError as error:
        return Unreadable(route, str(error))
    except RecursionError:
        return Unreadable(route, "it is nested too deep")


def _cache_write(body: Body) -> CacheWrite:
    """Return the cache write that the marks ask for, and look for marks only where there may be one."""
    text = body.text if isinstance(body, JsonBody) else None
    if text is not None and not (any(mark in text for mark in CACHE_MARKS) or _ESCAPED_LETTER.search(text)):
        return ""
    return asked_cache_write(body.value)
