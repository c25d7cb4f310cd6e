"""The meter over an execution: what passes, what is refused, and what each answer settles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

import hivecost as hc
from hivecost.attach.attributed_executions import INNER_MAX, AttributedExecutions
from hivecost.attach.execution_meter import ExecutionMeter, TurnPass
from hivecost.attach.meter import Attempt, Refused
from hivecost.attach.prompt_tags import PromptTags
from hivecost.attach.tally import Tally

pytestmark = pytest.mark.anyio

PRICES = {"gpt-4o": {"input": 2.50, "output": 10.00}}
JSON = {"content-type": "application/json"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
async def meter(tally: Tally, tmp_path: Path) -> AsyncIterator[ExecutionMeter]:
    runtime = hc.AgentRuntime(tmp_path / "data", prices=PRICES, config={"runaway": "off"})
    async with (
        runtime,
        runtime.execution(limit="$0.05"),
        AttributedExecutions.opened(runtime, "agent.py") as executions,
    ):
        yield ExecutionMeter(executions, tally, is_hard=True)


def chat(host: str = "api.openai.com", **fields: object) -> Attempt:
    body = {"model": "gpt-4o", "max_tokens": 1_000, "messages": [{"role": "user", "content": "hi"}], **fields}
    path = "/v1/chat/completions"
    return Attempt(method="POST", host=host, path=path, headers=JSON, body=json.dumps(body).encode(), where="a.py:1")


def answered(**usage: int) -> bytes:
    return json.dumps({"id": "1", "model": "gpt-4o", "choices": [], "usage": usage}).encode()


async def test_an_answer_is_settled_by_its_usage(meter: ExecutionMeter, tally: Tally) -> None:
    """And counted by model and line."""
    passed = await meter.ask(chat())
    assert isinstance(passed, TurnPass)
    assert (passed.body, passed.asks_stream) == (None, False)
    passed.answer(200, JSON)
    passed.data(answered(prompt_tokens=10, completion_tokens=20, total_tokens=30))
    passed.end()
    passed.doubt("too late")
    assert (tally.total.calls, tally.total.nanousd, tally.total.in_doubt) == (1, 225_000, 0)
    assert (tally.by_model["gpt-4o"].calls, tally.by_line["a.py:1"].calls) == (1, 1)


async def test_money_is_held_until_it_is_told(meter: ExecutionMeter) -> None:
    """Four holds of some $0.01 fit into $0.05; one that was not sent makes room, one in doubt does not."""
    passes = [await meter.ask(chat(max_tokens=1_200)) for _ in range(4)]
    assert all(isinstance(one, TurnPass) for one in passes)
    passes[0].doubt("cut")
    passes[1].unsent()
    passes.append(await meter.ask(chat(max_tokens=1_200)))
    assert isinstance(passes[-1], TurnPass)
    for passed in passes[2:]:
        passed.answer(500, JSON)
        passed.data(b"{}")
        passed.end()
    refused = await meter.ask(chat(max_tokens=1_200))
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.answer.status, refused.needed > refused.remaining > 0) == ("exhausted", 402, True)
    assert "cap of this execution" in refused.message


async def test_what_nobody_can_price_is_refused(meter: ExecutionMeter, tally: Tally) -> None:
    """An unknown model, a paid path, a body that is a stream; what is free or of others passes."""
    kinds = []
    for attempt in (
        chat(model="no-such-model"),
        Attempt(method="POST", host="api.openai.com", path="/v1/images/generations", headers=JSON, body=b"{}"),
        Attempt(method="POST", host="api.openai.com", path="/v1/chat/completions", headers=JSON, body=None),
    ):
        refused = await meter.ask(attempt)
        assert isinstance(refused, Refused)
        kinds.append(refused.kind)
    assert kinds == ["unpriced", "misconfigured", "misconfigured"]
    assert tally.unmetered == 2
    assert await meter.ask(Attempt(method="POST", host="example.org", path="/", headers=JSON, body=b"{}")) is None
    assert await meter.ask(Attempt(method="GET", host="api.openai.com", path="/v1/models")) is None


async def test_what_is_asked_for_is_held_as_it_may_be_billed(meter: ExecutionMeter) -> None:
    """All answers that are asked for at once; a limit that no model reaches is its longest answer."""
    several = await meter.ask(chat(n=128, max_tokens=100))
    longest = await meter.ask(chat(max_tokens=10**18))
    for refused, output_tokens in ((several, 128 * 100), (longest, 16_384)):
        assert isinstance(refused, Refused)
        assert (refused.kind, 0 <= refused.needed - output_tokens * 10_000 < 1_000_000) == ("exhausted", True)


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "br, gzip"])
async def test_a_body_that_nobody_can_decode_is_refused(meter: ExecutionMeter, encoding: str) -> None:
    """As it may ask for anything."""
    sent = chat()
    refused = await meter.ask(replace(sent, headers={**JSON, "content-encoding": encoding}, body=b"\x28\xb5\x2f\xfd"))
    assert isinstance(refused, Refused)
    assert (refused.kind, "the request cannot be read" in refused.message) == ("misconfigured", True)


@pytest.mark.parametrize(
    ("status", "headers", "is_in_doubt"),
    [
        (401, JSON, False),
        (407, {"content-type": "text/html"}, False),
        (429, JSON, False),
        (307, {"location": "https://example.org/"}, True),
        (500, JSON, True),
        (200, {"content-type": "text/html"}, True),
    ],
)
async def test_what_is_no_answer_is_in_doubt_unless_it_costs_nothing(
    meter: ExecutionMeter, tally: Tally, status: int, headers: dict[str, str], is_in_doubt: bool
) -> None:
    """A proxy that wants to know who asks has asked nobody; of a page nobody knows what is behind it."""
    passed = await meter.ask(chat())
    assert isinstance(passed, TurnPass)
    passed.answer(status, headers)
    passed.data(b"<p>")
    passed.end()
    assert (tally.total.nanousd, tally.total.in_doubt) == (0, int(is_in_doubt))


async def test_a_host_that_nobody_knows_may_count_by_another_tokenizer(meter: ExecutionMeter) -> None:
    """There each byte is held as a token; at OpenAI's own, what its tokenizer says."""
    prompt = "word " * 240
    inputs = []
    for host in ("api.openai.com", "127.0.0.1:8000"):
        refused = await meter.ask(chat(host, max_tokens=10_000, messages=[{"role": "user", "content": prompt}]))
        assert isinstance(refused, Refused)
        inputs.append((refused.needed - 10_000 * 10_000) // 2_500)
    assert 240 < inputs[0] < len(prompt) < inputs[1]


async def test_tags_and_node_are_those_of_the_call(tally: Tally, tmp_path: Path) -> None:
    """The turn in the log has them, beside those of its execution."""
    runtime, turns = hc.AgentRuntime(tmp_path / "data", prices=PRICES, config={"runaway": "off"}), []
    runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=turns.append)
    async with (
        runtime,
        runtime.execution(tags={"team": "blue"}),
        AttributedExecutions.opened(runtime, "agent.py") as executions,
    ):
        meter = ExecutionMeter(executions, tally, is_hard=True)
        passed = await meter.ask(replace(chat(), node="plan", tags={"customer": "acme"}))
        assert isinstance(passed, TurnPass)
        passed.doubt("cut")
        refused = await meter.ask(replace(chat(), tags={"user": "bob"}))
        assert isinstance(refused, Refused)
        await runtime.bus.drain()
    assert [(turn.node_id, dict(turn.tags)) for turn in turns] == [("plan", {"team": "blue", "customer": "acme"})]
    assert "'user' is no tag" in refused.message


async def test_agents_sessions_and_users_are_those_of_the_call(tally: Tally, tmp_path: Path) -> None:
    """Calls of one session and user are in one execution inside of the process's own; an agent is a node, too."""
    runtime, turns = hc.AgentRuntime(tmp_path / "data", prices=PRICES, config={"runaway": "off"}), []
    runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=turns.append)
    async with runtime, AttributedExecutions.opened(runtime, "agent.py") as executions:
        meter = ExecutionMeter(executions, tally, is_hard=True)
        calls = [
            chat(),
            replace(chat(), agent="writer"),
            replace(chat(), agent="writer", node="plan"),
            *[replace(chat(), session="chat 7", user="ada")] * 2,
            replace(chat(), user="bob"),
        ]
        passes = await asyncio.gather(*(meter.ask(call) for call in calls))
        for passed in passes:
            assert isinstance(passed, TurnPass)
            passed.doubt("cut")
        await runtime.bus.drain()
    assert [(turn.agent_id, turn.node_id, turn.user_id) for turn in turns] == [
        ("agent.py", "", ""),
        ("writer", "writer", ""),
        ("writer", "plan", ""),
        *[("agent.py", "", "ada")] * 2,
        ("agent.py", "", "bob"),
    ]
    own, *_ = turns
    assert [turn.session_id for turn in turns] == [*[own.session_id] * 3, "chat 7", "chat 7", own.session_id]
    assert len({turn.execution_id for turn in turns}) == 3
    assert {agent: sums.calls for agent, sums in tally.by_agent.items()} == {"agent.py": 4, "writer": 2}


async def test_sessions_without_end_are_not_kept(tally: Tally, tmp_path: Path) -> None:
    """The one whose last call is longest ago ends; what is in flight there is settled all the same."""
    runtime, ended = hc.AgentRuntime(tmp_path / "data", prices=PRICES, config={"runaway": "off"}), []
    runtime.bus.subscribe(event_types=[hc.EventType.EXECUTION_COMPLETED], handler=ended.append)
    async with runtime, AttributedExecutions.opened(runtime, "agent.py") as executions:
        meter = ExecutionMeter(executions, tally, is_hard=True)
        first = await meter.ask(replace(chat(), session="first"))
        assert isinstance(first, TurnPass)
        for number in range(INNER_MAX):
            await executions.of(f"session {number}", "")
        with anyio.fail_after(10):
            while not ended:
                await anyio.sleep(0.01)
        first.answer(200, JSON)
        first.data(answered(prompt_tokens=10, completion_tokens=20, total_tokens=30))
        first.end()
        assert [event.session_id for event in ended] == ["first"]
        assert not (await executions.of("first", "")).is_cancelled
    assert (tally.total.nanousd, tally.total.in_doubt) == (225_000, 0)


async def test_a_prompt_is_tagged_where_that_is_wanted(tally: Tally, tmp_path: Path) -> None:
    """Beside the tags of the program, which go before."""
    runtime, turns = hc.AgentRuntime(tmp_path / "data", prices=PRICES, config={"runaway": "off"}), []
    runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=turns.append)
    tags = PromptTags(b"salt")
    async with runtime, AttributedExecutions.opened(runtime, "agent.py") as executions:
        meter = ExecutionMeter(executions, tally, is_hard=True, prompt_tags=tags)
        messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
        for call in (
            chat(messages=messages),
            replace(chat(messages=messages), tags={"prompt": "v2", "customer": "acme"}),
            replace(chat(), failed_probes=3),
        ):
            passed = await meter.ask(call)
            assert isinstance(passed, TurnPass)
            passed.doubt("cut")
        await runtime.bus.drain()
    hashed, named, none = (dict(turn.tags) for turn in turns)
    assert (len(hashed["prompt"]), named, none) == (16, {"prompt": "v2", "customer": "acme"}, {})
    assert tally.failed_probes == 3


async def test_a_stream_is_asked_for_its_usage(meter: ExecutionMeter, tally: Tally) -> None:
    """The chunk that is there because of us is taken out again; one that is cut stays in doubt."""
    passed, cut = await meter.ask(chat(stream=True)), await meter.ask(chat(stream=True))
    assert isinstance(passed, TurnPass)
    assert isinstance(cut, TurnPass)
    assert json.loads(passed.body or b"")["stream_options"] == {"include_usage": True}
    events = {"content-type": "text/event-stream"}
    text = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "hi"}}]}\n\n'
    usage = b"data: " + answered(prompt_tokens=10, completion_tokens=20, total_tokens=30) + b"\n\n"
    for one in (passed, cut):
        one.answer(200, events)
        assert one.asks_usage
        assert one.data(text) == text
    assert (passed.data(usage), passed.end()) == (b"", b"")
    cut.doubt("closed")
    assert (tally.total.calls, tally.total.in_doubt) == (2, 1)
