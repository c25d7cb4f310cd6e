"""Requests that real clients sent to the provider emulator, without their texts: `read()`.

`requests.jsonl` has a line for each part that bodies share (`part`, a number, and its `shape`); then one for each
session of a client, and one for each of its requests in the order they came. `python -m benchmarks.recorded` records
them anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.recorded.shapes import filled
from hivecost.events import Usage

FILE: Final = Path(__file__).with_name("requests.jsonl")

#: Fields of a body that are lists of shared parts.
LISTS: Final = ("tools", "system", "messages", "input")

#: The fields that limit output, by whatever API.
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class Session(msgspec.Struct, frozen=True):
    """One run of a client, from empty caches on."""

    #: As its package is called, and the version.
    client: str
    version: str
    name: str


class RecordedRequest(msgspec.Struct, frozen=True):
    """One request; its body has other words of the same length, and as many tokens."""

    session: Session
    #: `openai.chat`, `openai.responses` or `anthropic.messages`.
    flavor: str
    body: dict[str, Any]
    #: What the provider would bill: input as `billing` says, output as scripted.
    usage: Usage

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def prompt(self) -> dict[str, Any]:
        """What the model reads."""
        return {name: self.body[name] for name in (*LISTS, "instructions") if self.body.get(name)}

    @property
    def limit(self) -> tuple[str, int] | None:
        """The field that limits output, and its value."""
        return next(((name, self.body[name]) for name in _LIMITS if self.body.get(name)), None)

    @property
    def cache_ttl(self) -> str:
        """The longest time that the request asks the cache to keep something: `5m`, `1h`, or "" for none."""
        ttls = set(_ttls(self.body))
        return "1h" if "1h" in ttls else "5m" if ttls else ""


@cache
def read(path: Path = FILE) -> tuple[RecordedRequest, ...]:
    """All requests, in the order they came."""
    parts: dict[int, Any] = {}
    requests: list[RecordedRequest] = []
    session = None
    for line in map(json.loads, path.read_text().splitlines()):
        if "part" in line:
            parts[line["part"]] = filled(line["shape"])
        elif "client" in line:
            session = line
        else:
            requests.append(msgspec.convert(line | {"session": session, "body": _body(line, parts)}, RecordedRequest))
    return tuple(requests)


def _body(line: dict[str, Any], parts: dict[int, Any]) -> dict[str, Any]:
    body: dict[str, Any] = filled(line["body"])
    shared = {name: [parts[number] for number in body[name]] for name in LISTS if isinstance(body.get(name), list)}
    return body | shared


def _ttls(value: Any) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("cache_control"), dict):
            yield value["cache_control"].get("ttl", "5m")
        for item in value.values():
            yield from _ttls(item)
    elif isinstance(value, list):
        for item in value:
            yield from _ttls(item)
