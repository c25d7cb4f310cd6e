"""Everything the emulator can be told to do wrong, seen through the real SDKs, and what it bills for it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from hivecost.errors import ConfigError
from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def provider() -> Iterator[ProviderEmulator]:
    with ProviderEmulator() as provider:
        yield provider


@pytest.fixture
def openai_client(provider: ProviderEmulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.openai_base_url, api_key="any", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def anthropic_client(provider: ProviderEmulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider.anthropic_base_url, api_key="any", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def chat(openai_client: openai.OpenAI) -> Callable[..., Any]:
    return lambda **more: openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, **more)


@pytest.fixture
def message(anthropic_client: anthropic.Anthropic) -> Callable[..., Any]:
    return lambda **more: anthropic_client.messages.create(
        model="claude-sonnet-5", max_tokens=100, messages=HELLO, **more
    )


def drain(stream: Any, seen: list[Any]) -> None:
    """Keep what came before the stream broke."""
    with stream:
        for item in stream:
            seen.append(item)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (529, "InternalServerError"),
    ],
)
def test_errors_are_the_sdks_own_and_not_billed(
    provider: ProviderEmulator, chat: Callable[..., Any], message: Callable[..., Any], status: int, name: str
) -> None:
    """Each SDK raises its own class for the status; the bill notes the attempt and charges nothing."""
    provider.always(Behaviour(status=status))
    with pytest.raises(getattr(openai, name)) as of_openai:
        chat()
    assert of_openai.value.status_code == status
    assert of_openai.value.body["type"]
    kind = anthropic.APIStatusError if status == 529 else getattr(anthropic, name)
    with pytest.raises(kind) as of_anthropic:
        message()
    assert of_anthropic.value.body["error"]["type"]
    assert of_anthropic.value.request_id == f"req_{provider.bill[1].request_id}"
    assert [(entry.status, entry.billed) for entry in provider.bill] == [(status, False)] * 2
    assert provider.billed_tokens().total_tokens == 0


def test_an_automatic_retry_is_a_second_entry(
    provider: ProviderEmulator, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    """429 with Retry-After: the SDKs try again by themselves; two attempts on the bill, one charged."""
    for client in (openai_client, anthropic_client):
        provider.script(Behaviour(status=429, retry_after_s=0.01))
        retrying = client.with_options(max_retries=1)
        if isinstance(retrying, openai.OpenAI):
            retrying.chat.completions.create(model="gpt-4o", messages=HELLO)
        else:
            retrying.messages.create(model="claude-sonnet-5", max_tokens=100, messages=HELLO)
    assert [(entry.status, entry.billed) for entry in provider.bill] == [(429, False), (200, True)] * 2
    assert provider.billed_tokens().calls == 2


def test_retry_after_reaches_the_client(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """The header is there for clients that pace themselves."""
    provider.script(Behaviour(status=429, retry_after_s=30))
    with pytest.raises(openai.RateLimitError) as refused:
        chat()
    assert refused.value.response.headers["retry-after"] == "30"


def test_a_cut_stream_is_billed_up_to_its_last_chunk(
    provider: ProviderEmulator, chat: Callable[..., Any], message: Callable[..., Any]
) -> None:
    """The connection dies mid-stream: the client has part of the text, no usage, and pays for that part."""
    provider.always(Behaviour(cut_after_chunks=3))
    chunks: list[Any] = []
    with pytest.raises(openai.APIConnectionError):
        drain(chat(stream=True, stream_options={"include_usage": True}), chunks)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "lore", "m ip", "sum "]
    assert [chunk.usage for chunk in chunks] == [None] * 4
    assert provider.bill[0].usage.output_tokens == 3
    events: list[Any] = []
    with pytest.raises(Exception, match="incomplete chunked read"):
        drain(message(stream=True), events)
    assert [event.type for event in events] == ["message_start", "content_block_start", *["content_block_delta"] * 3]
    assert [entry.usage.output_tokens for entry in provider.bill] == [3, 3]


def test_a_cut_without_a_stream_is_billed_in_full(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """The answer was generated, then lost: the client knows nothing, and pays."""
    provider.script(Behaviour(cut_after_chunks=3), Behaviour(cut_after_chunks=0))
    with pytest.raises(openai.APIConnectionError):
        chat()
    with pytest.raises(openai.APIConnectionError):
        chat(stream=True)
    whole, nothing = (entry.usage for entry in provider.bill)
    assert whole.output_tokens == 16
    assert (nothing.input_tokens, nothing.output_tokens) == (whole.input_tokens, 0)


def test_a_cut_of_a_fixed_usage_is_billed_by_its_share(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """A scripted usage has fewer chunks than tokens: each stands for its share, rounded up; reasoning came before."""
    usage = Usage(input_tokens=10, output_tokens=1000, reasoning_tokens=900)
    provider.script(Behaviour(usage=usage, cut_after_chunks=4))
    with pytest.raises(openai.APIConnectionError), chat(stream=True) as stream:
        list(stream)
    assert provider.bill[0].usage == Usage(input_tokens=10, output_tokens=925, reasoning_tokens=900)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_ends_at_the_clients_timeout_and_is_billed(
    provider: ProviderEmulator, openai_client: openai.OpenAI, stream: bool
) -> None:
    """A provider that hangs, at once or in mid-stream, is left by the client's own timeout; it bills in full."""
    provider.script(Behaviour(stall_after_chunks=2))
    impatient = openai_client.with_options(timeout=0.3)
    chunks: list[Any] = []
    with pytest.raises(openai.APITimeoutError):
        drain(impatient.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream), chunks)
    assert len(chunks) == (3 if stream else 0)
    assert [(entry.billed, entry.usage.output_tokens) for entry in provider.bill] == [(True, 16)]


@pytest.mark.parametrize(("on_hang_up", "billed"), [("write_on", 16), ("stop", 3)])
def test_a_provider_stops_or_writes_on_when_hung_up_on(
    provider: ProviderEmulator, chat: Callable[..., Any], on_hang_up: Any, billed: int
) -> None:
    """A stream that its client leaves is billed to its end, or up to what was sent until then."""
    provider.script(Behaviour(stall_after_chunks=3, on_hang_up=on_hang_up))
    with chat(stream=True) as stream:
        seen = [next(iter(stream)) for _ in range(4)]
    provider.wait_for_bill(1)
    assert seen[-1].choices[0].delta.content
    assert [entry.usage.output_tokens for entry in provider.bill] == [billed]


def test_a_provider_that_stops_may_be_far_ahead(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """It generates at its own pace: what was sent when the client left is billed, though nobody read it."""
    provider.script(Behaviour(text="word " * 50_000, on_hang_up="stop", chunk_interval_s=0.0001))
    with chat(stream=True) as stream:
        for _ in range(21):
            assert next(iter(stream)).choices[0].finish_reason is None
    provider.wait_for_bill(1)
    assert 20 <= provider.bill[0].usage.output_tokens < 62_500


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_would_stop_bills_what_is_read_to_the_end(
    provider: ProviderEmulator, message: Callable[..., Any], stream: bool
) -> None:
    """A client that stays pays for the whole answer, streamed or not, and for no more."""
    provider.script(Behaviour(on_hang_up="stop"))
    answer = message(stream=stream)
    if stream:
        drain(answer, [])
    provider.wait_for_bill(1)
    assert [entry.usage.output_tokens for entry in provider.bill] == [16]


def test_a_client_that_leaves_before_the_first_byte_pays_for_its_prompt(
    provider: ProviderEmulator, openai_client: openai.OpenAI
) -> None:
    """A provider that stops, and had said nothing yet, bills the input alone."""
    provider.script(Behaviour(stall_after_chunks=0, on_hang_up="stop"))
    with pytest.raises(openai.APITimeoutError):
        openai_client.with_options(timeout=0.3).responses.create(model="gpt-5", input="hi", stream=True)
    provider.wait_for_bill(1)
    assert (provider.bill[0].usage.input_tokens > 0, provider.bill[0].usage.output_tokens) == (True, 0)


def test_stopping_bills_the_streams_it_ends() -> None:
    """A stream that would be billed at its end is billed when the emulator stops, up to what was sent."""
    with ProviderEmulator() as provider:
        provider.script(Behaviour(stall_after_chunks=4, on_hang_up="stop"))
        connection = _send(provider, "/v1/messages", _message_body(stream=True))
        lines = iter(connection.getresponse().readline, b"")
        for _ in range(4):
            assert any(b"event: content_block_delta" in line for line in lines)
        assert provider.bill == []
    assert [entry.usage.output_tokens for entry in provider.bill] == [4]
    connection.close()


def test_stopping_ends_stalls_and_latencies() -> None:
    """Whatever its requests wait for, an emulator leaves no thread behind; its clients see the connection end."""
    before = set(threading.enumerate())
    with ProviderEmulator() as provider:
        idle = _send(provider, "/v1/messages", _message_body())
        assert idle.getresponse().read()
        provider.script(Behaviour(stall_after_chunks=0), Behaviour(latency_s=3600))
        hanging = [_send(provider, "/v1/messages", _message_body()) for _ in range(2)]
        provider.wait_for_bill(3)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=2)
        assert not thread.is_alive()
    for connection in hanging:
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
        connection.close()
    idle.close()


def test_latency_comes_before_the_answer(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """A slow answer is a whole answer."""
    provider.script(Behaviour(latency_s=0.05))
    assert chat().usage.completion_tokens == 16


def test_omitted_usage_is_billed(
    provider: ProviderEmulator, openai_client: openai.OpenAI, chat: Callable[..., Any], message: Callable[..., Any]
) -> None:
    """A provider may keep silent about usage, in one piece and streamed; the bill does not."""
    provider.always(Behaviour(omit_usage=True))
    assert chat().usage is None
    with chat(stream=True, stream_options={"include_usage": True}) as stream:
        assert [chunk.usage for chunk in stream] == [None] * 18
    assert openai_client.responses.create(model="gpt-5", input="hi").usage is None
    with openai_client.responses.create(model="gpt-5", input="hi", stream=True) as events:
        assert [*events][-1].response.usage is None
    with message(stream=True) as events:
        assert not any("usage" in event.to_dict() or "usage" in event.to_dict().get("message", {}) for event in events)
    assert [entry.usage.output_tokens for entry in provider.bill] == [16] * 5


@pytest.mark.parametrize("odd", [-5, "many", 10**30, 1.5, None, float("nan"), {"a": 1}])
def test_odd_usage_is_sent_as_it_is_and_billed_honestly(
    provider: ProviderEmulator, chat: Callable[..., Any], message: Callable[..., Any], odd: Any
) -> None:
    """Whatever a provider might put in its usage object can be put there; the bill keeps the truth."""
    provider.script(
        Behaviour(usage_override={"prompt_tokens": odd, "cost": 0.5}), Behaviour(usage_override={"input_tokens": odd})
    )
    answer = chat()
    assert repr(answer.usage.prompt_tokens) == repr(odd)
    assert answer.usage.cost == 0.5
    assert repr(message().usage.input_tokens) == repr(odd)
    assert [entry.usage.output_tokens for entry in provider.bill] == [16, 16]
    assert all(entry.usage.input_tokens > 8 for entry in provider.bill)


def test_another_model_may_answer_and_is_billed(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """An alias is answered, and charged, as the model behind it."""
    provider.always(Behaviour(model="gpt-4o-2024-11-20"), model="gpt-4o")
    assert chat().model == "gpt-4o-2024-11-20"
    assert provider.billed_tokens(model="gpt-4o-2024-11-20").calls == 1
    assert provider.billed_tokens(model="gpt-4o").calls == 0


def test_a_request_may_steer_itself(provider: ProviderEmulator, chat: Callable[..., Any]) -> None:
    """The behaviour header beats the queue, which keeps its turn; a header that is none is a bad request."""
    provider.script(Behaviour(status=500))
    steered = Behaviour(text="größer", usage=Usage(input_tokens=7, output_tokens=9))
    answer = chat(extra_headers=steered.as_header())
    assert (answer.choices[0].message.content, answer.usage.prompt_tokens) == ("größer", 7)
    with pytest.raises(openai.InternalServerError):
        chat()
    for nonsense in ('{"latency": 1}', '{"status": 302}', "{"):
        with pytest.raises(openai.BadRequestError):
            chat(extra_headers={"x-hivecost-behaviour": nonsense})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b'{"model": "m"}',
        b'{"messages": []}',
        b'{"model": 1, "messages": []}',
        b"[" * 5000 + b"]" * 5000,
        b'{"model": "m", "messages": [], "max_tokens": 0, "max_output_tokens": 0, "input": ""}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_a_bad_request_gets_the_providers_own_error(provider: ProviderEmulator, path: str, body: bytes) -> None:
    """What cannot be read is a 400 in the provider's shape, on the bill and not charged."""
    connection = _send(provider, path, body)
    response = connection.getresponse()
    payload = json.loads(response.read())
    connection.close()
    assert response.status == 400
    assert payload["error"]["type"] == "invalid_request_error"
    assert (payload.get("type") == "error") == (path == "/v1/messages")
    assert [(entry.status, entry.billed) for entry in provider.bill] == [(400, False)]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/completions"), ("GET", "/v1/messages"), ("GET", "/"), ("DELETE", "/v1/responses")],
)
def test_an_unknown_route_is_not_found(provider: ProviderEmulator, method: str, path: str) -> None:
    """404 as JSON, naming the routes there are; nothing on the bill."""
    connection = _send(provider, path, b"", method=method)
    response = connection.getresponse()
    assert response.status == 404
    assert "/v1/chat/completions" in json.loads(response.read())["error"]["message"]
    connection.close()
    assert provider.bill == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Length: -1", 400),
        ("Content-Length: ten", 400),
        ("Content-Length: 99999999999", 413),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_a_body_of_no_known_length_is_refused(provider: ProviderEmulator, header: str, status: int) -> None:
    """The body is not read, the refusal is JSON, the connection ends."""
    with socket.create_connection(provider.url.removeprefix("http://").split(":"), timeout=10) as connection:
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'"invalid_request_error"' in answer


def test_a_client_that_hangs_up_disturbs_nobody(
    provider: ProviderEmulator, chat: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """A client may leave in the middle of a stream, or of its own request; the next is served, and stderr is silent."""
    provider.script(Behaviour(text="word " * 50_000))
    with chat(stream=True) as stream:
        next(iter(stream))
    with socket.create_connection(provider.url.removeprefix("http://").split(":"), timeout=10) as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert chat().usage.completion_tokens == 16
    assert [entry.usage.output_tokens for entry in provider.bill] == [62_500, 16]
    assert capfd.readouterr().err == ""


def test_a_connection_is_kept_alive(provider: ProviderEmulator) -> None:
    """Many requests go over one connection, streams and errors among them."""
    connection = _send(provider, "/v1/messages", _message_body())
    first_socket = connection.sock
    for behaviour in (Behaviour(), Behaviour(status=500), Behaviour(text="")):
        assert connection.getresponse().read()
        assert connection.sock is first_socket
        body = _message_body(stream=True)
        connection.request("POST", "/v1/messages", body, headers=behaviour.as_header())
    assert connection.getresponse().read().endswith(b'{"type": "message_stop"}\n\n')
    connection.close()


def test_nonsense_is_refused_where_it_is_written() -> None:
    """A Behaviour that cannot be names its field."""
    for name, value in [
        ("status", 302),
        ("latency_s", -1),
        ("chunk_interval_s", -1),
        ("cut_after_chunks", -1),
        ("retry_after_s", -0.5),
    ]:
        with pytest.raises(ConfigError, match=name):
            Behaviour(**{name: value})


def test_an_emulator_that_does_not_run_has_no_address() -> None:
    """The error says how to start it."""
    with pytest.raises(RuntimeError, match="with ProviderEmulator"):
        _ = ProviderEmulator().url


def test_waiting_for_requests_that_do_not_come_ends(provider: ProviderEmulator) -> None:
    """The error says how many came."""
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        provider.wait_for_bill(1, timeout_s=0.01)


def test_a_port_in_use_is_an_error_at_once(provider: ProviderEmulator, tmp_path: Any) -> None:
    """Starting fails as a whole: the bill's file is closed again."""
    port = int(provider.url.rpartition(":")[2])
    second = ProviderEmulator(port=port, bill_path=tmp_path / "bill.jsonl")
    with pytest.raises(OSError, match="in use"), second:
        pass


def _message_body(**more: Any) -> bytes:
    return json.dumps({"model": "claude", "max_tokens": 10, "messages": HELLO} | more).encode()


def _send(provider: ProviderEmulator, path: str, body: bytes, *, method: str = "POST") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(provider.url.removeprefix("http://"), timeout=10)
    connection.request(method, path, body)
    return connection
