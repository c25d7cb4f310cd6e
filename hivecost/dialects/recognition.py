"""Which dialect a request is in, or why none has to read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from hivecost.dialects.anthropic_messages import AnthropicMessages
from hivecost.dialects.bedrock_converse import BedrockConverse
from hivecost.dialects.bedrock_invoke import BedrockInvoke
from hivecost.dialects.dialect import Dialect, Free, Route, Target, Unknown, Unmetered
from hivecost.dialects.gemini import Gemini
from hivecost.dialects.hosts import local_provider, provider_of
from hivecost.dialects.ollama_chat import OllamaChat
from hivecost.dialects.openai_chat import OpenAIChat
from hivecost.dialects.openai_embeddings import OpenAIEmbeddings
from hivecost.dialects.openai_responses import OpenAIResponses

DIALECTS: Final[tuple[Dialect, ...]] = (
    OpenAIChat(),
    AnthropicMessages(),
    OpenAIResponses(),
    Gemini(),
    BedrockConverse(),
    BedrockInvoke(),
    OpenAIEmbeddings(),
    OllamaChat(),
)

_SLASHES: Final = re.compile(r"//+")
#: They only read or delete.
_FREE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
#: What such a request opens where it is a web socket: a conversation that is billed.
_SOCKETS: Final = re.compile(r"(?:.*/)?(?:realtime|responses|live|ws/.*)")
#: What costs nothing though something is sent: counts of tokens, files, notes on what was said, traces of agents.
_FREE_PATHS: Final = re.compile(
    r"(?:.*/)?(?:count_tokens|count-tokens|tokenize|tokenize-text|moderations|cancel|responses/input_tokens"
    r"|(?:upload/.+/)?files(?:/.*)?|uploads(?:/.*)?|conversations(?:/.*)?|chat/completions/[^/]+|traces/ingest)"
    r"|.*:(?:countTokens|computeTokens|cancel)|.*/count-tokens:rawPredict"
)
#: What Ollama's cloud does besides, and what Anthropic's own clients report of themselves.
_FREE_OF: Final = {
    "ollama": re.compile(r"/api/(?:show|me)"),
    "anthropic": re.compile(r"/api/.*"),
}


def recognise(method: str, host: str, path: str) -> Route | Free | Unmetered | Unknown:
    """Return what a request is by its address alone: `host` may have a port, `path` a query. Never raise."""
    target = _target(method, host, path)
    provider = provider_of(target.host)
    for dialect in DIALECTS:
        if match := dialect.recognise(target):
            return Route(
                dialect=dialect,
                target=target,
                match=match,
                provider=provider or local_provider(target.port) or match.provider,
                is_known_host=provider is not None,
            )
    if provider is None:
        return Unknown(target.host)
    return Free(provider) if _is_free(target, provider) else Unmetered(provider, target.path)


def _is_free(target: Target, provider: str) -> bool:
    if target.method in _FREE_METHODS:
        return target.method != "GET" or not _SOCKETS.fullmatch(target.path)
    others = _FREE_OF.get(provider)
    return bool(_FREE_PATHS.fullmatch(target.path) or (others and others.fullmatch(target.path)))


def _target(method: str, host: str, path: str) -> Target:
    name, _, port = host.strip().lower().rpartition(":")
    if not port.isdigit() or name.endswith(":"):  # no port, or the end of an address of version 6
        name, port = host.strip().lower(), ""
    path, _, query = path.partition("#")[0].partition("?")
    plain = _SLASHES.sub("/", unquote(path))
    return Target(
        method=method.upper(), host=name.rstrip("."), port=port, path=plain.rstrip("/") or "/", query=_query(query)
    )


def _query(query: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}
