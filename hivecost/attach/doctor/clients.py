"""Which clients are installed, at which door each is met, and how strong that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hivecost.attach.doctor.check import Environment, Finding, Status

_ATTEMPT: Final = "asked for before each attempt"


class _Door(NamedTuple):
    status: Status
    text: str


def _over(*clients: str) -> _Door:
    return _Door("ok", f"over {' or '.join(clients)}: {_ATTEMPT}")


_DOORS: Final = {
    "httpx": _Door("ok", f"{_ATTEMPT}; streams in steps"),
    "httpx2": _Door("ok", f"{_ATTEMPT}; streams in steps"),
    "aiohttp": _Door("ok", _ATTEMPT),
    "requests": _Door("ok", _ATTEMPT),
    "urllib3": _Door("ok", _ATTEMPT),
    "botocore": _Door("ok", f"{_ATTEMPT}, and before it is signed"),
    "openai": _over("httpx", "httpx2"),
    "anthropic": _over("httpx", "httpx2"),
    "mistralai": _over("httpx", "httpx2"),
    "google-genai": _over("httpx", "aiohttp"),
    "litellm": _over("httpx", "aiohttp"),
    "boto3": _over("botocore"),
    "ollama": _over("httpx"),
    "groq": _over("httpx"),
    "aiobotocore": _Door("warn", "not tried: it signs requests before aiohttp has them"),
    "google-cloud-aiplatform": _Door("warn", "over gRPC, which is not seen; its REST transport is"),
    "websockets": _Door("warn", "what models are asked over it, as in realtime sessions, is not seen"),
}
_OLD_URLLIB3: Final = _Door("warn", "of version 1 only what requests and botocore send is metered; else it is refused")


async def check_clients(environment: Environment) -> Sequence[Finding]:
    """Return how each client is metered that is installed."""
    found = [
        Finding(door.status, f"{name} {version}", door.text)
        for name, version in sorted(environment.packages.items())
        if (door := _door(name, version)) is not None
    ]
    return found or [Finding("warn", "clients", f"{environment.python} has none that is known here")]


def _door(name: str, version: str) -> _Door | None:
    return _OLD_URLLIB3 if name == "urllib3" and version.startswith("1.") else _DOORS.get(name)
