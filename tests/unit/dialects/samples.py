"""One request and its streamed answer in each dialect, as the emulator writes it: bytes, and what they bill."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hivecost.dialects import ModelRequest, read_request, recognise
from hivecost.events import Usage
from hivecost.testing import Behaviour, anthropic_messages, bedrock_converse, gemini, openai_chat, openai_responses
from hivecost.testing.dialect import Frames, Place
from hivecost.testing.generation import Generation, generate

HELLO = [{"role": "user", "content": "Say hello."}]
JSON = {"content-type": "application/json"}
USED = Usage(input_tokens=1000, output_tokens=300, cache_read_tokens=400, cache_write_tokens=200, reasoning_tokens=120)


@dataclass(frozen=True)
class Sample:
    """A request that asks for a stream."""

    name: str
    host: str
    path: str
    body: dict[str, Any]
    provider: ModuleType
    place: Place = Place()  # noqa: RUF009  # frozen

    def request(self, **more: Any) -> ModelRequest:
        return read(self.host, self.path, self.body | more)

    def generation(self, behaviour: Behaviour, **more: Any) -> Generation:
        """What the provider makes of the request as we would send it."""
        sent = self.request(**more).to_send()
        return generate(self.provider.read(sent, self.place), behaviour, request_id="r1", created_s=1)

    def frames(self, behaviour: Behaviour = Behaviour(), **more: Any) -> Frames:  # noqa: B008  # frozen
        return self.provider.stream(self.generation(behaviour, **more))

    def headers(self) -> dict[str, str]:
        return {"content-type": self.frames().content_type}


def read(host: str, path: str, body: Any, headers: dict[str, str] = JSON) -> Any:
    """What a POST to there asks for."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(recognise("POST", host, path), headers, data)


def joined(frames: Frames) -> bytes:
    return b"".join([*frames.opening, *frames.chunks, *frames.closing])


_GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
_CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}

SAMPLES = [
    Sample(
        "chat", "api.openai.com", "/v1/chat/completions",
        {"model": "gpt-4o", "messages": HELLO, "stream": True}, openai_chat,
    ),
    Sample(
        "responses", "api.openai.com", "/v1/responses",
        {"model": "gpt-5", "input": HELLO, "stream": True}, openai_responses,
    ),
    Sample(
        "messages", "api.anthropic.com", "/v1/messages",
        {"model": "claude-sonnet-4-5", "messages": HELLO, "max_tokens": 500, "stream": True}, anthropic_messages,
    ),
    Sample(
        "gemini", "generativelanguage.googleapis.com", f"{_GEMINI}?alt=sse", _CONTENTS, gemini,
        Place("gemini-2.5-flash", stream=True, as_events=True),
    ),
    Sample(
        "gemini-list", "generativelanguage.googleapis.com", _GEMINI, _CONTENTS, gemini,
        Place("gemini-2.5-flash", stream=True),
    ),
    Sample(
        "converse", "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-sonnet-4-5/converse-stream",
        {"messages": [{"role": "user", "content": [{"text": "Say hello."}]}]}, bedrock_converse,
        Place("anthropic.claude-sonnet-4-5", stream=True),
    ),
]  # fmt: skip
BY_NAME = {sample.name: sample for sample in SAMPLES}
