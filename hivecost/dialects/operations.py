"""Bedrock's calls as botocore makes them: operation and parameters, before anything is signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.bedrock_converse import BedrockConverse
from hivecost.dialects.bedrock_invoke import BedrockInvoke
from hivecost.dialects.dialect import (
    Body,
    Dialect,
    Free,
    Match,
    ModelRequest,
    Route,
    Target,
    Unknown,
    Unmetered,
    Unreadable,
)
from hivecost.dialects.json_body import JsonBody, KeyPath
from hivecost.dialects.reading import read_body
from hivecost.frozen import EMPTY
from hivecost.plain_text import shown
from hivecost.usage.views import text

_SERVICE: Final = "bedrock-runtime"
#: Other services of Amazon's by which models are called.
_PAID_SERVICES: Final = frozenset({"bedrock-agent-runtime", "bedrock-agentcore"})
_CONVERSE: Final = BedrockConverse()
_INVOKE: Final = BedrockInvoke()
_CALLS: Final[Mapping[str, tuple[Dialect, bool]]] = {
    "Converse": (_CONVERSE, False),
    "ConverseStream": (_CONVERSE, True),
    "InvokeModel": (_INVOKE, False),
    "InvokeModelWithResponseStream": (_INVOKE, True),
}
_FREE: Final = ("CountTokens", "Get", "List")
#: How parameters of InvokeModel say what is a header over HTTP.
_TIER: Final = ("serviceTier", "x-amzn-bedrock-service-tier")


class _Parameters:
    """Those of Converse, which say what its JSON says."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.value = value

    def part(self, key: str) -> Mapping[str, Any]:
        """Return the object at this key; empty where there is none. Raise ValueError for anything else."""
        part = self.value.get(key)
        if part is None:
            return EMPTY
        if isinstance(part, Mapping):
            return part
        raise ValueError(f"{key!r} is no object")

    def with_values(self, values: Mapping[KeyPath, Any]) -> dict[str, Any]:
        """Return a copy with these values; what does not change is shared."""
        changed = dict(self.value)
        for (*outer, key), value in values.items():
            if outer:
                changed[outer[0]] = {**(changed.get(outer[0]) or {}), key: value}
            else:
                changed[key] = value
        return changed


class _BodyParameter:
    """The JSON in the parameter `body` of InvokeModel."""

    def __init__(self, parameters: Mapping[str, Any], body: JsonBody) -> None:
        self._parameters = parameters
        self._body = body
        self.value: Mapping[str, Any] = body.value

    def part(self, key: str) -> Mapping[str, Any]:
        """Return the object at this key; empty where there is none. Raise ValueError for anything else."""
        return self._body.part(key)

    def with_values(self, values: Mapping[KeyPath, Any]) -> dict[str, Any]:
        """Return the parameters with the changed body."""
        return {**self._parameters, "body": self._body.with_values(values)} if values else dict(self._parameters)


def recognise_operation(
    service: str, operation: str, parameters: Mapping[str, Any]
) -> Route | Free | Unmetered | Unknown:
    """Return what a call of botocore's is; `service` as in `boto3.client(service)`. Never raise."""
    if service not in {_SERVICE, *_PAID_SERVICES}:
        return Unknown(service)
    if operation.startswith(_FREE):
        return Free("aws")
    if service != _SERVICE or operation not in _CALLS:
        return Unmetered("aws", operation)
    dialect, stream = _CALLS[operation]
    match = Match(text(parameters.get("modelId")), stream=stream, provider="aws")
    target = Target(method="POST", host=service, path=operation)
    return Route(dialect=dialect, target=target, match=match, provider="aws", is_known_host=True)


def read_operation(route: Route, parameters: Mapping[str, Any]) -> ModelRequest | Unreadable | Unknown:
    """Return what such a call asks for; its `to_send` gives parameters. Never raise."""
    tier_name, tier_header = _TIER
    if route.dialect is not _INVOKE:
        return read_body(route, EMPTY, _Parameters(parameters))
    sent = parameters.get("body")
    if isinstance(sent, str):
        sent = sent.encode(errors="surrogatepass")
    if not isinstance(sent, bytes | bytearray):
        return Unreadable(route, "its body is a stream, which cannot be read before it is sent")
    try:
        body: Body = _BodyParameter(parameters, JsonBody.decode(bytes(sent)))
    except (ValueError, RecursionError) as error:
        return Unreadable(route, f"its body is no JSON that can be read: {shown(error)}")
    return read_body(route, {tier_header: text(parameters.get(tier_name))}, body)
