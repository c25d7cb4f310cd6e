"""The real SDKs take what the emulator sends for the real thing: every field known, every required field there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from hivecost.events import Usage
from hivecost.testing import (
    DATED_MODELS,
    Behaviour,
    FakeClock,
    ProviderEmulator,
    ReceivedRequest,
    ToolCall,
    count_tokens,
    prompt_tokens,
)

HELLO = [{"role": "user", "content": "Say hello."}]
FULL = Usage(
    input_tokens=1000,
    output_tokens=300,
    cache_read_tokens=400,
    cache_write_tokens=200,
    cache_write_1h_tokens=50,
    reasoning_tokens=120,
    web_search_requests=2,
)


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


def assert_genuine(payload: BaseModel) -> None:
    """The SDKs build their objects unchecked, so check: it validates, and holds no field the SDK does not know."""
    type(payload).model_validate(payload.model_dump(by_alias=True, exclude_unset=True))
    assert_no_strangers(payload)


def assert_no_strangers(value: Any) -> None:
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__} knows no {sorted(value.model_extra or {})}"
        for field in type(value).model_fields:
            assert_no_strangers(getattr(value, field))
    elif isinstance(value, list):
        for item in value:
            assert_no_strangers(item)


def test_a_chat_completion(provider: ProviderEmulator, openai_client: openai.OpenAI) -> None:
    """A chat answer has text, a reason to end, and usage with details that include the parts."""
    provider.script(Behaviour(text="Hello!", usage=FULL))
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert_genuine(answer)
    assert answer.choices[0].message.content == "Hello!"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (1000, 300, 1300)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 400
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 200
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 120
    assert answer._request_id == f"req_{provider.bill[0].request_id}"


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_chat_stream_tells_its_usage_only_if_asked(
    provider: ProviderEmulator, openai_client: openai.OpenAI, include_usage: bool
) -> None:
    """Without `include_usage` no chunk has usage; with it the last one does, and it has no choices."""
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    with openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, **options) as stream:
        chunks = list(stream)
    for chunk in chunks:
        assert_genuine(chunk)
    reported = [chunk for chunk in chunks if chunk.usage is not None]
    assert len(reported) == include_usage
    if reported:
        assert reported == [chunks[-1]]
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == provider.bill[0].usage.output_tokens
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_each_of_n_choices_is_billed(provider: ProviderEmulator, openai_client: openai.OpenAI) -> None:
    """`n` answers cost n times the output, each up to max_tokens: in one piece and as a stream."""
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, n=3, max_completion_tokens=5)
    assert_genuine(answer)
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 3
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 15
    with openai_client.chat.completions.create(
        model="gpt-4o", messages=HELLO, n=2, max_tokens=4, stream=True
    ) as stream:
        texts = {0: "", 1: ""}
        for chunk in stream:
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts[0] == texts[1] != ""
    assert [entry.usage.output_tokens for entry in provider.bill] == [15, 8]
    assert [entry.max_tokens for entry in provider.bill] == [5, 4]


def test_a_response(provider: ProviderEmulator, openai_client: openai.OpenAI) -> None:
    """A response is completed and has text, usage with details, and the tier that served it."""
    provider.script(Behaviour(text="Hello!", usage=FULL, service_tier="flex"))
    response = openai_client.responses.create(model="gpt-5", input="Say hello.", instructions="Be brief.")
    assert_genuine(response)
    assert (response.output_text, response.status, response.service_tier) == ("Hello!", "completed", "flex")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (1000, 300)
    assert response.usage.input_tokens_details.cached_tokens == 400
    assert response.usage.input_tokens_details.cache_write_tokens == 200
    assert response.usage.output_tokens_details.reasoning_tokens == 120


@pytest.mark.parametrize(("limit", "last"), [(None, "response.completed"), (3, "response.incomplete")])
def test_a_stream_of_response_events(
    provider: ProviderEmulator, openai_client: openai.OpenAI, limit: int | None, last: str
) -> None:
    """Events are numbered, their deltas add up to the text, and the last carries the usage, cut short or not."""
    stream = openai_client.responses.create(model="gpt-5", input=HELLO, stream=True, max_output_tokens=limit)
    with stream:
        events = list(stream)
    for event in events:
        assert_genuine(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", last)
    final = events[-1].response
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == final.output_text
    assert final.usage.output_tokens == provider.bill[0].usage.output_tokens == (limit or 16)
    assert (final.incomplete_details is None) == (limit is None)


def test_the_sdk_accumulates_a_response(openai_client: openai.OpenAI) -> None:
    """The SDK's own stream helper, which is strict about the order of events, ends with the whole response."""
    with openai_client.responses.stream(model="gpt-5", input="Say hello.") as stream:
        stream.until_done()
        assert stream.get_final_response().usage.output_tokens == 16


def test_a_message(provider: ProviderEmulator, anthropic_client: anthropic.Anthropic) -> None:
    """Anthropic's input excludes what the cache read and wrote; writes are told apart by their time to live."""
    provider.script(Behaviour(text="Hello!", usage=FULL))
    message = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=500, messages=HELLO)
    assert_genuine(message)
    assert message.content[0].text == "Hello!"
    assert (message.stop_reason, message.usage.service_tier) == ("end_turn", "standard")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (400, 300)
    assert message.usage.cache_read_input_tokens == 400
    assert message.usage.cache_creation_input_tokens == 200
    assert message.usage.cache_creation.ephemeral_5m_input_tokens == 150
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 50
    assert message.usage.output_tokens_details.thinking_tokens == 120
    assert message.usage.server_tool_use.web_search_requests == 2


def test_a_stream_of_a_message(provider: ProviderEmulator, anthropic_client: anthropic.Anthropic) -> None:
    """`message_start` knows the input, `message_delta` the whole output: its counts replace, they do not add."""
    provider.script(Behaviour(usage=FULL))
    stream = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=500, messages=HELLO, stream=True)
    with stream:
        events = list(stream)
    for event in events:
        assert_genuine(event)
    start, delta = events[0], events[-2]
    assert (start.type, delta.type, events[-1].type) == ("message_start", "message_delta", "message_stop")
    assert (start.message.usage.input_tokens, start.message.usage.output_tokens) == (400, 1)
    assert (delta.usage.input_tokens, delta.usage.output_tokens) == (400, 300)
    assert delta.usage.cache_read_input_tokens == 400


def test_the_sdk_accumulates_a_message(anthropic_client: anthropic.Anthropic) -> None:
    """The SDK's own stream helper ends with the whole message and its usage."""
    with anthropic_client.messages.stream(model="claude-sonnet-5", max_tokens=3, messages=HELLO) as stream:
        message = stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)
    assert message.content[0].text == "lorem ipsum "


def test_counts_follow_from_the_request(provider: ProviderEmulator, openai_client: openai.OpenAI) -> None:
    """Nothing scripted, the prompt counts what `prompt_tokens` says, whoever asks: tools and instructions too."""
    tools: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=tools)
    openai_client.responses.create(model="gpt-5", input="Say hello.", instructions="Be brief.")
    counted = [entry.usage.input_tokens for entry in provider.bill]
    assert counted == [prompt_tokens(HELLO, tools), prompt_tokens("Say hello.", "Be brief.")]


def test_the_tier_asked_for_is_served(openai_client: openai.OpenAI) -> None:
    """Unless told otherwise the provider serves the tier it was asked for."""
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, service_tier="priority")
    assert answer.service_tier == "priority"
    assert openai_client.chat.completions.create(model="gpt-4o", messages=HELLO).service_tier == "default"


def test_what_the_client_sent_along_is_on_the_bill(
    provider: ProviderEmulator, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    """Metadata, turn and idempotency key let a test match its own calls with the bill."""
    headers = {"x-hivecost-turn": "turn-7", "Idempotency-Key": "key-1"}
    openai_client.chat.completions.create(
        model="gpt-4o", messages=HELLO, metadata={"agent": "planner"}, extra_headers=headers
    )
    anthropic_client.messages.create(model="claude", max_tokens=5, messages=HELLO, metadata={"user_id": "u1"})
    first, second = provider.bill
    assert (first.flavor, first.metadata, first.turn, first.idempotency_key) == (
        "openai.chat",
        {"agent": "planner"},
        "turn-7",
        "key-1",
    )
    assert (second.flavor, second.metadata, second.turn) == ("anthropic.messages", {"user_id": "u1"}, "")


def test_answers_are_dated_by_the_given_clock() -> None:
    """`created` comes from the clock that the emulator was given."""
    clock = FakeClock()
    with (
        ProviderEmulator(clock=clock) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="any") as client,
    ):
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.created == clock.now_ns() // 10**9


TOOLS = (ToolCall("read_file", {"path": "a.py"}), ToolCall("run", {"command": "ls -l", "timeout_s": 5}))
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": tool.name, "parameters": {}}} for tool in TOOLS]


@pytest.mark.parametrize("text", [None, "I look first."])
def test_a_chat_completion_calls_tools(
    provider: ProviderEmulator, openai_client: openai.OpenAI, text: str | None
) -> None:
    """Tool calls have ids of their own and arguments as JSON, after the text if there is one; streamed too."""
    provider.always(Behaviour(text=text, tool_calls=TOOLS))
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=CHAT_TOOLS)
    assert_genuine(answer)
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", text)
    assert choice.message.tool_calls is not None
    assert _told(choice.message.tool_calls) == [(tool.name, tool.arguments) for tool in TOOLS]
    assert len({call.id for call in choice.message.tool_calls}) == 2
    with openai_client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        for event in stream:
            if event.type == "chunk":
                assert_genuine(event.chunk)
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert streamed.message.tool_calls is not None
    assert _told(streamed.message.tool_calls) == _told(choice.message.tool_calls)
    assert [entry.usage.output_tokens for entry in provider.bill] == [_output_tokens(text)] * 2


@pytest.mark.parametrize("text", [None, "I look first."])
def test_a_response_calls_tools(provider: ProviderEmulator, openai_client: openai.OpenAI, text: str | None) -> None:
    """Each tool call is an output item, after the message if there is one; streamed too."""
    provider.always(Behaviour(text=text, tool_calls=TOOLS))
    response = openai_client.responses.create(model="gpt-5", input=HELLO)
    assert_genuine(response)
    assert [item.type for item in response.output] == ["message"] * (text is not None) + ["function_call"] * 2
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (tool.name, tool.arguments) for tool in TOOLS
    ]
    assert len({call.call_id for call in calls} | {call.id for call in calls}) == 4
    with openai_client.responses.create(model="gpt-5", input=HELLO, stream=True) as events:
        seen = list(events)
    for event in seen:
        assert_genuine(event)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    deltas = [event.delta for event in seen if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == "".join(call.arguments for call in calls)
    with openai_client.responses.stream(model="gpt-5", input="Say hello.") as stream:
        final = stream.until_done().get_final_response()
    assert [item.type for item in final.output] == [item.type for item in response.output]
    assert [entry.usage.output_tokens for entry in provider.bill] == [_output_tokens(text)] * 3


@pytest.mark.parametrize("text", [None, "I look first."])
def test_a_message_calls_tools(
    provider: ProviderEmulator, anthropic_client: anthropic.Anthropic, text: str | None
) -> None:
    """Each tool call is a block of content, after the text if there is one; streamed too."""
    provider.always(Behaviour(text=text, tool_calls=TOOLS))
    ask: Any = {"model": "claude-sonnet-5", "max_tokens": 500, "messages": HELLO}
    message = anthropic_client.messages.create(**ask)
    assert_genuine(message)
    with anthropic_client.messages.create(**ask, stream=True) as events:
        for event in events:
            assert_genuine(event)
    with anthropic_client.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    for told in (message, streamed):
        assert told.stop_reason == "tool_use"
        assert [block.text for block in told.content if block.type == "text"] == ([text] if text else [])
        calls = [block for block in told.content if block.type == "tool_use"]
        assert [(call.name, call.input) for call in calls] == [(tool.name, tool.arguments) for tool in TOOLS]
        assert len({call.id for call in calls}) == 2
    assert [entry.usage.output_tokens for entry in provider.bill] == [_output_tokens(text)] * 3


def test_custom_tools_are_called_with_a_text(
    provider: ProviderEmulator, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    """OpenAI's responses give it as it is, in one piece and streamed; to others it is the argument `input`."""
    provider.always(Behaviour(tool_calls=(ToolCall("exec", "ls -l"),)))
    response = openai_client.responses.create(model="gpt-5", input=HELLO)
    assert_genuine(response)
    with openai_client.responses.create(model="gpt-5", input=HELLO, stream=True) as events:
        seen = list(events)
    for event in seen:
        assert_genuine(event)
    deltas = [event.delta for event in seen if event.type == "response.custom_tool_call_input.delta"]
    for call in (response.output[0], seen[-1].response.output[0]):
        assert (call.type, call.name, call.input) == ("custom_tool_call", "exec", "ls -l")
    assert "".join(deltas) == "ls -l"
    message = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=50, messages=HELLO)
    assert message.content[0].input == {"input": "ls -l"}


def test_a_tool_call_ends_at_max_tokens(
    provider: ProviderEmulator, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    """As any output: the arguments end in the middle, and the reason to end says so."""
    provider.always(Behaviour(tool_calls=TOOLS))
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert [call.function.arguments for call in answer.choices[0].message.tool_calls or ()] == ['{"path": "a.']
    response = openai_client.responses.create(model="gpt-5", input=HELLO, max_output_tokens=3)
    assert (response.status, response.output[0].status) == ("incomplete", "incomplete")
    message = anthropic_client.messages.create(model="claude-sonnet-5", max_tokens=3, messages=HELLO)
    assert_genuine(message)
    assert (message.stop_reason, message.content[0].input) == ("max_tokens", {})
    assert [entry.usage.output_tokens for entry in provider.bill] == [3, 3, 3]


def _told(calls: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def _output_tokens(text: str | None) -> int:
    return count_tokens(text or "") + sum(count_tokens(json.dumps(tool.arguments)) for tool in TOOLS)


@pytest.mark.parametrize(("inputs", "tokens"), [("hello", 2), (["hello", "hi"], 3), ([1, 2, 3], 3), ([[1, 2], [3]], 3)])
def test_embeddings(provider: ProviderEmulator, openai_client: openai.OpenAI, inputs: Any, tokens: int) -> None:
    """A vector for each input, with as many dimensions as asked for; only input is billed."""
    answer = openai_client.embeddings.create(model="text-embedding-3-small", input=inputs, dimensions=8)
    assert_genuine(answer)
    as_floats = openai_client.embeddings.create(
        model="text-embedding-3-small", input=inputs, dimensions=8, encoding_format="float"
    )
    assert [item.embedding for item in answer.data] == [item.embedding for item in as_floats.data]
    assert [sum(number**2 for number in item.embedding) for item in answer.data] == [1] * len(answer.data)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)
    assert [(entry.flavor, entry.usage) for entry in provider.bill] == [("openai.embeddings", Usage(tokens, 0))] * 2


def test_models_are_listed_as_their_provider_does(
    provider: ProviderEmulator, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    """Each SDK lists its own provider's models, finds one by name, and no stranger; nothing of it is billed."""
    of_openai, of_anthropic = list(openai_client.models.list()), list(anthropic_client.models.list())
    for listed, client, error in ((of_openai, openai_client, openai), (of_anthropic, anthropic_client, anthropic)):
        for model in listed:
            assert_genuine(model)
        assert client.models.retrieve(listed[0].id) == listed[0]
        with pytest.raises(error.NotFoundError):
            client.models.retrieve("no-such-model")
    assert {model.id for model in of_openai} > {"gpt-4o", "gpt-4o-2024-08-06"}
    assert {model.id.split("-")[0] for model in of_anthropic} == {"claude"}
    assert provider.bill == []


def test_counting_tokens_is_free(provider: ProviderEmulator, anthropic_client: anthropic.Anthropic) -> None:
    """`count_tokens` says what the same request is then billed for."""
    ask: Any = {"model": "claude-sonnet-5", "messages": HELLO, "system": "Be brief."}
    counted = anthropic_client.messages.count_tokens(**ask)
    assert_genuine(counted)
    assert provider.bill == []
    anthropic_client.messages.create(**ask, max_tokens=5)
    assert provider.bill[0].usage.input_tokens == counted.input_tokens
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        anthropic_client.messages.count_tokens(model="claude-sonnet-5", messages="hello")


def test_short_names_may_answer_with_their_date() -> None:
    """As providers do: the dated name is in the answer and on the bill, unless a behaviour names another model."""
    with (
        ProviderEmulator(aliases=DATED_MODELS) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="any") as client,
    ):
        names = [client.chat.completions.create(model=name, messages=HELLO).model for name in ("gpt-4o", "other")]
        provider.script(Behaviour(model="gpt-4o-2024-11-20"))
        names.append(client.chat.completions.create(model="gpt-4o", messages=HELLO).model)
    assert names == ["gpt-4o-2024-08-06", "other", "gpt-4o-2024-11-20"]
    assert [entry.model for entry in provider.bill] == names


def test_what_a_request_meets_may_depend_on_it() -> None:
    """`decide` sees each request as it was sent, and answers it or leaves it to the script."""
    seen: list[ReceivedRequest] = []

    def decide(request: ReceivedRequest) -> Behaviour | None:
        seen.append(request)
        return Behaviour(text="Seen.") if "hello" in request.body.decode() else None

    with (
        ProviderEmulator(Behaviour(text="Scripted."), decide=decide) as provider,
        openai.OpenAI(base_url=provider.openai_base_url, api_key="any") as client,
    ):
        texts = [client.responses.create(model="gpt-5", input=said).output_text for said in ("hello", "bye")]
    assert texts == ["Seen.", "Scripted."]
    assert [(request.flavor, json.loads(request.body)["input"]) for request in seen] == [
        ("openai.responses", "hello"),
        ("openai.responses", "bye"),
    ]
    assert seen[0].headers["Authorization"] == "Bearer any"
