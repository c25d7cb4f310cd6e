"""The real SDKs take what the dialects make for their provider's own: refusals, and streams that were ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest

from hivecost.dialects import REFUSAL_HEADER, Answer, ModelRequest, Refusal, Route, read_request, recognise
from hivecost.events import Usage
from hivecost.testing import Behaviour, ToolCall, anthropic_messages, openai_chat, openai_responses
from hivecost.testing.dialect import Frames, Place
from hivecost.testing.generation import generate
from hivecost.testing.server import HOST, LoopbackServer, Reply, Request

HELLO: Any = [{"role": "user", "content": "Say hello."}]
USED = Usage(input_tokens=40, output_tokens=9)
REFUSAL = Refusal(kind="exhausted", message="budget 'team' is exhausted: needs up to $0.02, $0.01 is left")


@contextmanager
def serving(respond: Callable[[Request], Reply]) -> Iterator[str]:
    server = LoopbackServer(0, respond)
    server.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.stop()


def read(request: Request) -> ModelRequest:
    route = recognise(request.method, HOST, request.path)
    assert isinstance(route, Route)
    read = read_request(route, dict(request.headers), request.body)
    assert isinstance(read, ModelRequest)
    return read


def ask_openai(url: str) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        return client.chat.completions.create(model="gpt-4o", messages=HELLO)


def ask_responses(url: str) -> Any:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client,
        client.responses.stream(model="gpt-5", input=HELLO) as stream,
    ):
        return stream.get_final_response()


def ask_anthropic(url: str) -> Any:
    with anthropic.Anthropic(base_url=url, api_key="any") as client:
        return client.messages.create(model="claude-sonnet-5", max_tokens=50, messages=HELLO)


@pytest.mark.parametrize("kind", ["exhausted", "busy", "unpriced", "misconfigured"])
@pytest.mark.parametrize("ask", [ask_openai, ask_responses, ask_anthropic])
def test_a_refusal_is_asked_for_once(ask: Callable[[str], Any], kind: Any) -> None:
    """With the clients' own settings: one request, and their own error with our words."""
    asked = []

    def refuse(request: Request) -> Reply:
        route = read(request).route
        asked.append(route)
        refusal = Refusal(kind=kind, message=REFUSAL.message, retry_after_s=1)
        answer = route.dialect.refused(refusal, route, dict(request.headers))
        return Reply(status=answer.status, headers=dict(answer.headers), body=answer.body)

    with serving(refuse) as url, pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        ask(url)
    assert len(asked) == 1
    assert raised.value.status_code == (429 if kind == "busy" else 402)
    assert raised.value.response.headers[REFUSAL_HEADER] == kind
    assert REFUSAL.message in str(raised.value)


TOOL = Behaviour(text="I look first.", tool_calls=(ToolCall("read_file", {"path": "a.py", "lines": 12}),))
PROVIDERS = {
    "openai.chat": openai_chat,
    "openai.responses": openai_responses,
    "anthropic.messages": anthropic_messages,
}


def ended_after(chunks: int) -> Callable[[Request], Reply]:
    """A text and a tool call as the emulator streams them, ended after so many chunks."""

    def respond(request: Request) -> Reply:
        asked = read(request)
        provider = PROVIDERS[asked.route.dialect.name]
        call = provider.read(asked.to_send(), Place())
        frames = provider.stream(generate(call, TOOL, request_id="r", created_s=1))
        answer = Answer(asked, headers={"content-type": frames.content_type})
        sent = b"".join(map(answer.feed, [*frames.opening, *frames.chunks[:chunks]]))
        return Reply(frames=Frames([], [], [sent + answer.end_at_limit(USED)], frames.content_type))

    return respond


#: In the text, after it, in the middle of the tool's arguments.
@pytest.mark.parametrize("chunks", [1, 4, 7])
def test_streams_that_were_ended_are_whole_to_their_clients(chunks: int) -> None:
    """They end with all that came of the answer, why it ended, and its usage."""
    with serving(ended_after(chunks)) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
            with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
                reasons = [chunk.choices[0].finish_reason for chunk in stream]
            asked: Any = {"stream_options": {"include_usage": True}}
            with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, **asked) as stream:
                last = list(stream)[-1]
            with client.responses.create(model="gpt-5", input=HELLO, stream=True) as events:
                response = list(events)[-1].response
        with (
            anthropic.Anthropic(base_url=url, api_key="any") as claude,
            claude.messages.stream(model="claude-sonnet-5", max_tokens=500, messages=HELLO) as messages,
        ):
            message = messages.get_final_message()
    assert (reasons[-1], set(reasons[:-1])) == ("length", {None})
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 40, 9)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (response.usage.output_tokens, response.output_text) == (9, "I look first."[: 4 * chunks])
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 9)
    assert message.content[0].text == "I look first."[: 4 * chunks]
