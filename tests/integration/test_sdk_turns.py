"""The real SDKs inside `ctx.turn(...)`: what settle and observe are handed is what the provider billed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import anthropic
import anyio
import openai
import pytest

import hivecost as hc
from hivecost.events import Usage
from hivecost.testing import Behaviour, ProviderEmulator

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "Say hello to everybody in the room."}]
GPT, CLAUDE = "gpt-4o", "claude-4-5-sonnet-20250514"
APIS = ("chat", "responses", "messages")
MODELS = {"chat": GPT, "responses": GPT, "messages": CLAUDE}
RICH = {
    "chat": Usage(2_000, 300, cache_read_tokens=1_200, reasoning_tokens=120),
    "responses": Usage(2_000, 300, cache_read_tokens=1_200, reasoning_tokens=120),
    "messages": Usage(
        2_000, 300, cache_read_tokens=1_200, cache_write_tokens=500, cache_write_1h_tokens=100, reasoning_tokens=120
    ),
}


class Clients:
    """The four clients, made when they are asked for, and how each API is called with them."""

    KINDS: Final = {
        "gpt": openai.OpenAI,
        "claude": anthropic.Anthropic,
        "async_gpt": openai.AsyncOpenAI,
        "async_claude": anthropic.AsyncAnthropic,
    }

    def __init__(self, provider: ProviderEmulator, *, max_retries: int = 0) -> None:
        self._urls = {"gpt": provider.openai_base_url, "claude": provider.anthropic_base_url}
        self._settings = {"api_key": "any", "max_retries": max_retries, "timeout": 10}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            url = self._urls[name.removeprefix("async_")]
            self._made[name] = self.KINDS[name](base_url=url, **self._settings)
        return self._made[name]

    def create(self, api: str, *, is_async: bool, **more: Any) -> Any:
        """`client.….create(...)`: a response, or something to await."""
        prefix = "async_" if is_async else ""
        if api == "messages":
            more.setdefault("max_tokens", 100)
            return self[f"{prefix}claude"].messages.create(model=CLAUDE, messages=HELLO, **more)
        if api == "responses":
            return self[f"{prefix}gpt"].responses.create(model=GPT, input=HELLO, **more)
        if more.get("stream"):
            more.setdefault("stream_options", {"include_usage": True})
        return self[f"{prefix}gpt"].chat.completions.create(model=GPT, messages=HELLO, **more)

    async def close(self) -> None:
        for name, client in self._made.items():
            if name.startswith("async_"):
                await client.close()
            else:
                client.close()


@pytest.fixture
async def make_clients(provider: ProviderEmulator):
    made: list[Clients] = []

    def make(**settings: Any) -> Clients:
        made.append(Clients(provider, **settings))
        return made[-1]

    yield make
    for clients in made:
        await clients.close()


@pytest.fixture
def run_agent(runtime: hc.AgentRuntime):
    """Run one agent to its end; gives the result, the turns on the bus and the steps in the log."""

    async def run(agent: Callable[..., Any]) -> tuple[hc.ExecutionResult, list[hc.LLMTurnComplete]]:
        seen: list[hc.LLMTurnComplete] = []
        runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=seen.append)
        runtime.entry_point("api")(agent)
        async with runtime:
            with anyio.fail_after(60):
                result = await runtime.trigger_and_wait("api")
        steps = await hc.RuntimeLogStore(runtime.base_path).load_steps(result.session_id)
        assert [step.event_id for step in steps] == [turn.event_id for turn in seen]
        return result, seen

    return run


def async_agent(clients: Clients, api: str, *, stream: bool, **more: Any) -> Callable[..., Any]:
    async def agent(ctx: hc.Execution, _: object) -> None:
        async with ctx.turn(MODELS[api], max_tokens=100) as turn:
            response = await clients.create(api, is_async=True, stream=stream, **more)
            if not stream:
                turn.settle(response)
                return
            async with response:
                async for chunk in response:
                    turn.observe(chunk)
            turn.settle()

    return agent


def sync_agent(clients: Clients, api: str, *, stream: bool, **more: Any) -> Callable[..., Any]:
    def agent(ctx: hc.Execution, _: object) -> None:
        with ctx.turn(MODELS[api], max_tokens=100) as turn:
            response = clients.create(api, is_async=False, stream=stream, **more)
            if not stream:
                turn.settle(response)
                return
            with response:
                for chunk in response:
                    turn.observe(chunk)
            turn.settle()

    return agent


KINDS = {"async": async_agent, "sync": sync_agent}
every_way = pytest.mark.parametrize(
    ("api", "kind", "stream"),
    [(api, kind, stream) for api in APIS for kind in KINDS for stream in (False, True)],
)
every_api = pytest.mark.parametrize("api", APIS)
every_kind = pytest.mark.parametrize("kind", list(KINDS))


@every_way
async def test_tokens_and_cost_are_those_of_the_bill(provider, make_clients, run_agent, rates, api, kind, stream):
    """Cached, written and reasoning tokens in the provider's own shape end at its own bill, to the nano-USD."""
    provider.always(Behaviour(usage=RICH[api]))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(), api, stream=stream))
    assert result.status == "completed", result.error
    expected = RICH[api]
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"):
        assert getattr(turn.usage, name) == getattr(expected, name), name
    if api != "messages":  # Anthropic says nothing of its thinking tokens
        assert turn.usage.reasoning_tokens == expected.reasoning_tokens
    assert (turn.cost.status, turn.cost.nanousd) == ("priced", provider.bill_nanousd(rates))
    assert result.metrics["cost_nanousd"] == provider.bill_nanousd(rates) > 0
    assert result.metrics["total_tokens"] == provider.billed_tokens().total_tokens
    assert (turn.model, turn.stop_reason != "") == (MODELS[api], True)


@every_api
async def test_usage_that_is_derived_from_the_text_is_billed_alike(provider, make_clients, run_agent, rates, api):
    """Without a script the emulator counts prompt and answer: both sides still agree."""
    result, (turn,) = await run_agent(async_agent(make_clients(), api, stream=False))
    billed = provider.billed_tokens()
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (billed.input_tokens, billed.output_tokens)
    assert result.metrics["cost_nanousd"] == provider.bill_nanousd(rates)


async def test_the_streaming_helpers_work_too(provider, make_clients, run_agent, rates):
    """`messages.stream`, `responses.stream` and `chat.completions.stream`: events or the final object, as one likes."""
    clients = make_clients()

    async def agent(ctx: hc.Execution, _: object) -> None:
        message: Any = {"model": CLAUDE, "max_tokens": 50, "messages": HELLO}
        completion: Any = {"model": GPT, "messages": HELLO, "stream_options": {"include_usage": True}}
        async with ctx.turn(CLAUDE) as turn, clients["async_claude"].messages.stream(**message) as stream:
            turn.settle(await stream.get_final_message())
        async with ctx.turn(CLAUDE) as turn, clients["async_claude"].messages.stream(**message) as stream:
            async for event in stream:
                turn.observe(event)
        async with ctx.turn(GPT) as turn, clients["async_gpt"].responses.stream(model=GPT, input=HELLO) as stream:
            async for event in stream:
                turn.observe(event)
        async with ctx.turn(GPT) as turn, clients["async_gpt"].chat.completions.stream(**completion) as stream:
            turn.settle(await stream.get_final_completion())

    result, turns = await run_agent(agent)
    assert result.status == "completed", result.error
    assert [turn.cost.status for turn in turns] == ["priced"] * 4
    assert result.metrics["cost_nanousd"] == provider.bill_nanousd(rates)


@every_api
@every_kind
async def test_a_retry_inside_the_sdk_is_one_turn(provider, make_clients, run_agent, rates, api, kind):
    """429, then 200: the SDK tries again by itself, the refused attempt costs nothing, the turn is counted once."""
    provider.script(Behaviour(status=429, retry_after_s=0.01))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(max_retries=2), api, stream=False))
    assert [entry.status for entry in provider.bill] == [429, 200]
    assert result.metrics["llm_calls"] == provider.billed_tokens().calls == 1
    assert turn.cost.nanousd == provider.bill_nanousd(rates)


@every_api
@pytest.mark.parametrize(("kind", "status"), [("async", 400), ("async", 429), ("sync", 429)])
async def test_a_refused_call_costs_nothing_and_is_seen(provider, make_clients, run_agent, rates, api, kind, status):
    """When the SDK gives up with a 4xx error: priced 0 with the status in the reason, as on the bill."""
    provider.always(Behaviour(status=status, retry_after_s=0.01))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(), api, stream=False))
    assert result.status == "failed"
    assert (turn.cost.status, turn.cost.nanousd, turn.stop_reason) == ("priced", 0, "refused")
    assert str(status) in turn.cost.reason
    assert provider.bill_nanousd(rates) == 0


@every_api
@pytest.mark.parametrize(("kind", "status"), [("async", 500), ("sync", 529)])
async def test_a_fault_of_the_provider_is_unpriced(provider, make_clients, run_agent, api, kind, status):
    """A 5xx says nothing about the bill: the provider may have generated, and billed, before it broke."""
    provider.always(Behaviour(status=status, billed=True))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(), api, stream=False))
    assert (result.status, turn.cost.status, turn.cost.nanousd) == ("failed", "unpriced", None)
    assert (result.metrics["unpriced_calls"], provider.billed_tokens().calls) == (1, 1)


@every_api
@every_kind
async def test_no_connection_is_no_turn(make_clients, run_agent, api, kind):
    """The SDK's APIConnectionError over a refused connection proves that nothing was sent: no event, no count."""
    with ProviderEmulator() as gone:
        clients = Clients(gone)
    try:
        result, turns = await run_agent(KINDS[kind](clients, api, stream=False))
    finally:
        await clients.close()
    assert type(result.error).__name__ == "APIConnectionError"
    assert turns == []
    assert result.metrics["llm_calls"] == 0


@every_api
@every_kind
async def test_an_answer_that_never_comes_is_unpriced(provider, make_clients, run_agent, api, kind):
    """The connection broke after the request was sent: it is on the bill, so it must not count as zero."""
    provider.always(Behaviour(cut_after_chunks=0))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(), api, stream=False))
    assert result.status == "failed"
    assert (turn.cost.status, turn.cost.nanousd) == ("unpriced", None)
    assert (result.metrics["unpriced_calls"], provider.billed_tokens().calls) == (1, 1)


@every_kind
@every_api
async def test_a_stream_that_is_cut(provider, make_clients, run_agent, api, kind):
    """Anthropic says the input at the start; OpenAI says nothing before the end, so only what was read is counted."""
    provider.always(Behaviour(usage=RICH[api], cut_after_chunks=3))
    result, (turn,) = await run_agent(KINDS[kind](make_clients(), api, stream=True))
    assert result.status == "failed"
    assert turn.cost.status == "estimated"
    if api == "messages":
        assert turn.usage.input_tokens == provider.billed_tokens().input_tokens
        assert turn.usage.output_tokens <= provider.billed_tokens().output_tokens
    assert result.metrics["llm_calls"] == 1
    assert (result.metrics["estimated_calls"], result.metrics["unpriced_calls"]) == (1, 0)


@every_api
@pytest.mark.parametrize("stream", [False, True])
async def test_omitted_usage_is_estimated_not_free(provider, make_clients, run_agent, api, stream):
    """A provider that says nothing of usage has billed all the same: what was read of its answer is an estimate."""
    provider.always(Behaviour(omit_usage=True))
    result, (turn,) = await run_agent(async_agent(make_clients(), api, stream=stream))
    assert turn.cost.status == "estimated"
    assert turn.usage.output_tokens > 0
    assert provider.billed_tokens().calls == result.metrics["llm_calls"] == 1


async def test_a_chat_stream_without_include_usage_is_estimated(provider, make_clients, run_agent):
    """OpenAI's default: nobody asked for usage, so it is guessed."""
    agent = async_agent(make_clients(), "chat", stream=True, stream_options={"include_usage": False})
    result, (turn,) = await run_agent(agent)
    assert (result.status, turn.cost.status, turn.model) == ("completed", "estimated", GPT)
    assert provider.billed_tokens().calls == 1


def odd_usages() -> Iterator[tuple[str, dict[str, Any]]]:
    names = {
        "chat": ("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
        "responses": ("input_tokens", "output_tokens", "input_tokens_details"),
        "messages": ("input_tokens", "output_tokens", ""),
    }
    for api, (tokens_in, tokens_out, details) in names.items():
        yield api, {tokens_in: -5}
        yield api, {tokens_in: "twelve"}
        yield api, {tokens_out: 10**15}
        yield api, {tokens_out: 2.5}
        if details:
            yield api, {tokens_in: 10, details: {"cached_tokens": 500}}
        else:
            yield api, {"cache_read_input_tokens": -1}


@pytest.mark.parametrize(("api", "odd"), list(odd_usages()))
async def test_impossible_usage_is_invalid_and_the_agent_completes(provider, make_clients, run_agent, api, odd):
    """Negative counts, words, fractions, a quadrillion, more cached than sent: status invalid, counted, kept raw."""
    provider.always(Behaviour(usage_override=odd))
    result, (turn,) = await run_agent(async_agent(make_clients(), api, stream=False))
    assert result.status == "completed"
    assert turn.cost.status == "invalid", turn
    assert turn.cost.nanousd is None
    assert turn.cost.reason
    assert turn.raw_usage is not None
    assert (result.metrics["invalid_calls"], result.metrics["cost_nanousd"]) == (1, 0)


async def test_cancelling_a_call_that_has_arrived_leaves_it_unpriced(provider, make_clients, runtime):
    """The provider goes on and bills: the turn is counted as unknown, not forgotten."""
    provider.always(Behaviour(stall_after_chunks=0))
    clients = make_clients()
    runtime.entry_point("api")(async_agent(clients, "chat", stream=False))
    async with runtime:
        execution_id = await runtime.trigger("api")
        await anyio.to_thread.run_sync(provider.wait_for_bill, 1)
        await runtime.cancel_execution(execution_id, "enough")
        with anyio.fail_after(30):
            result = await runtime.wait(execution_id)
    assert (result.status, result.metrics["unpriced_calls"]) == ("cancelled", 1)
    (step,) = await hc.RuntimeLogStore(runtime.base_path).load_steps(result.session_id)
    assert (step.cost_status, step.stop_reason, step.cost_nanousd) == ("unpriced", "cancelled", None)


async def test_another_model_that_answers_is_the_one_that_is_priced(provider, make_clients, run_agent, rates):
    """A provider that served a cheaper model is billed at that model's rate; the turn names who answered."""
    provider.always(Behaviour(model="gpt-4o-mini"))
    result, (turn,) = await run_agent(async_agent(make_clients(), "chat", stream=False))
    assert turn.model == "gpt-4o-mini"
    assert result.metrics["cost_nanousd"] == provider.bill_nanousd(rates)


# -- streams that are paid for as they come --------------------------------------------------------------------------

#: Two answers in full, at 2,000 tokens each, could not be held: $0.02 (GPT) and $0.03 (Claude) apiece.
LIMITS = {"chat": "$0.009", "responses": "$0.009", "messages": "$0.013"}
MAX_TOKENS = {"chat": "max_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}


def async_reader(clients: Clients, api: str, counts: list[int]) -> Callable[..., Any]:
    async def agent(ctx: hc.Execution, _: object) -> None:
        chunks = 0
        async with ctx.turn(MODELS[api], prompt=HELLO, max_tokens=2_000, stream_tokens=100) as turn:
            limit = {MAX_TOKENS[api]: turn.max_tokens}
            async with await clients.create(api, is_async=True, stream=True, **limit) as response:
                try:
                    async for _chunk in turn.stream(response):
                        chunks += 1
                finally:
                    counts.append(chunks)
            turn.settle()

    return agent


def sync_reader(clients: Clients, api: str, counts: list[int]) -> Callable[..., Any]:
    def agent(ctx: hc.Execution, _: object) -> None:
        chunks = 0
        with ctx.turn(MODELS[api], prompt=HELLO, max_tokens=2_000, stream_tokens=100) as turn:
            limit = {MAX_TOKENS[api]: turn.max_tokens}
            with clients.create(api, is_async=False, stream=True, **limit) as response:
                try:
                    for _chunk in turn.stream(response):
                        chunks += 1
                finally:
                    counts.append(chunks)
            turn.settle()

    return agent


READERS = {"async": async_reader, "sync": sync_reader}


@pytest.fixture
def run_readers(base_path, prices, make_clients):
    """Run agents that read streams under one hard budget, at once; gives their results, the account, the chunks."""

    async def run(api: str, kind: str, executions: int = 1) -> tuple[list[hc.ExecutionResult], hc.AccountStatus, list]:
        budget = hc.Budget("all", limit=LIMITS[api], mode="hard", on_short="refuse")
        runtime = hc.AgentRuntime(base_path, prices=prices, budgets=[budget])
        results: list[hc.ExecutionResult] = []
        counts: list[int] = []
        runtime.entry_point("api")(READERS[kind](make_clients(), api, counts))

        async def one() -> None:
            results.append(await runtime.trigger_and_wait("api"))

        async with runtime:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for _ in range(executions):
                        group.start_soon(one)
            (account,) = await runtime._parts.gate.ledger.status()
        return results, account, counts

    return run


@every_api
@every_kind
async def test_a_stream_stops_before_its_budget_is_passed(provider, run_readers, rates, api, kind):
    """An answer of 1,000 tokens where the budget pays for fewer: hung up on, and the bill is within what is held.

    The provider stops generating when it is hung up on, here 50 tokens after what was read at most.
    """
    provider.always(Behaviour(text="word " * 800, cut_after_chunks=250))
    (result,), account, (chunks,) = await run_readers(api, kind)
    assert isinstance(result.error, hc.BudgetExhaustedError), result.error
    assert 100 < chunks < 250
    assert 0 < provider.bill_nanousd(rates) <= account.settled + account.held + account.in_doubt <= account.limit
    assert (account.settled, account.held) == (0, 0)


@every_api
@every_kind
async def test_a_short_answer_passes_under_the_same_budget(provider, run_readers, rates, api, kind):
    """Its maximum could not be held; what it really takes can, and is settled at the bill."""
    provider.always(Behaviour(text="word " * 100))
    (result,), account, _ = await run_readers(api, kind)
    assert result.status == "completed", result.error
    assert (account.settled, account.held, account.in_doubt) == (provider.bill_nanousd(rates), 0, 0)


@every_api
async def test_two_streams_at_once_share_a_budget(provider, run_readers, rates, api):
    """Neither could be held in full, and both pass."""
    provider.always(Behaviour(text="word " * 40))
    results, account, _ = await run_readers(api, "async", executions=2)
    assert [result.status for result in results] == ["completed"] * 2, [result.error for result in results]
    assert (account.settled, account.held, account.in_doubt) == (provider.bill_nanousd(rates), 0, 0)
