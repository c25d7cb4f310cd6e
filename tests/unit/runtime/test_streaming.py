"""An answer that is streamed is read no further than it is paid for."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc
from hivecost.runtime.admission import Admission
from hivecost.runtime.streaming import Coverage
from hivecost.runtime.turn_bound import TurnTokens
from hivecost.usage import UsageStream

pytestmark = pytest.mark.anyio

#: Nano-USD per token: 1,000 in, 2,000 out.
IN, OUT = 1_000, 2_000
START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 100, "output_tokens": 1}}}


def piece(text: str) -> dict:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}


def end(output_tokens: int) -> dict:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output_tokens}}


class Provider:
    """Streams an answer of so many tokens, one byte and one chunk each, and bills what it has sent."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.sent = 0
        self.closed = False

    @property
    def billed(self) -> int:
        return 100 * IN + self.sent * OUT

    def __iter__(self):
        yield START
        for _ in range(self.tokens):
            self.sent += 1
            yield piece("x")
        yield end(self.tokens)

    def __aiter__(self):
        self.chunks = iter(self)
        return self

    async def __anext__(self):
        await anyio.lowlevel.checkpoint()
        try:
            return next(self.chunks)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.closed = True


class SyncProvider(Provider):
    __aiter__ = None
    aclose = None

    def close(self) -> None:
        self.closed = True


def hard(limit: str, name: str = "b", **settings) -> hc.Budget:
    return hc.Budget(name, limit=limit, mode="hard", **settings)


@pytest.fixture
def run(make_runtime, collect):
    """Run an agent under budgets; gives the result, the account of the first budget, and the events."""

    async def running(agent, *budgets, executions=1):
        runtime = make_runtime(budgets=budgets)
        runtime.entry_point("agent")(agent)
        seen = collect(runtime)
        results = []

        async def one() -> None:
            results.append(await runtime.trigger_and_wait("agent"))

        async with runtime:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    for _ in range(executions):
                        group.start_soon(one)
            rows = await runtime._parts.gate.ledger.status() if budgets else []
        account = next((row for row in rows if row.budget == budgets[0].name), None)
        return results if executions > 1 else results[0], account, seen

    return running


def reads(provider, *, max_tokens=1_000, stream_tokens=50, got=None, **more):
    """An agent that streams one answer; what it read is in `got`."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=100, max_tokens=max_tokens, stream_tokens=stream_tokens, **more) as turn:
            async for chunk in turn.stream(provider):
                if got is not None:
                    got.append(chunk)
            turn.settle()

    return agent


async def test_a_stream_stops_before_the_money_does(run):
    """The budget pays for 100 tokens in and 300 out, the answer has 800: hung up on in time, and all read is given."""
    provider, got = Provider(800), []
    result, account, seen = await run(reads(provider, got=got), hard("$0.0007"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert (result.error.budget, result.error.execution_id) == ("b", result.execution_id)
    assert provider.closed
    assert len(got) == 1 + provider.sent
    assert 200 <= provider.sent < 300
    assert provider.billed <= account.in_doubt <= account.limit
    assert (account.settled, account.held) == (0, 0)
    (exceeded,) = [event for event in seen if isinstance(event, hc.BudgetExceeded)]
    assert (exceeded.action, exceeded.budget, exceeded.limit) == ("stopped", "b", 700_000)


async def test_what_was_seen_is_counted_when_it_stops(run):
    """The turn is an estimate with the usage so far, its stop reason is the budget."""
    _, _, seen = await run(reads(Provider(800)), hard("$0.0007"))
    (turn,) = [event for event in seen if isinstance(event, hc.LLMTurnComplete)]
    assert (turn.cost.status, turn.stop_reason) == ("estimated", "budget")
    assert turn.usage.input_tokens == 100


async def test_a_short_answer_passes_where_its_maximum_would_not(run):
    """1,000 tokens of output could never be held here; the answer has 120, and is settled at its bill."""
    provider = Provider(120)
    result, account, _ = await run(reads(provider), hard("$0.0007"))
    assert (result.status, provider.closed) == ("completed", False)
    assert (account.settled, account.held, account.in_doubt) == (provider.billed, 0, 0)
    refused, _, _ = await run(reads(Provider(120), stream_tokens=0), hard("$0.0007", "other", on_short="refuse"))
    assert isinstance(refused.error, hc.BudgetExhaustedError)


async def test_two_streams_share_what_could_not_hold_both_in_full(run):
    """Each may have 1,000 tokens of output, the budget pays for 1,000 in all: both answers fit, none is refused."""
    answers = []

    async def agent(ctx, _):
        provider = Provider(350)
        answers.append(provider)
        await reads(provider)(ctx, _)

    results, account, _ = await run(agent, hard("$0.0022", on_short="refuse"), executions=2)
    assert {result.status for result in results} == {"completed"}
    assert account.settled == sum(provider.billed for provider in answers)


@pytest.mark.parametrize("tokens", [120, 800])
async def test_a_sync_agent_streams_alike(run, tokens):
    """`for chunk in turn.stream(response)` over a plain iterable, in a thread."""
    provider = SyncProvider(tokens)

    def agent(ctx, _):
        with ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=50) as turn:
            for _chunk in turn.stream(provider):
                pass
            turn.settle()

    result, account, _ = await run(agent, hard("$0.0007"))
    assert provider.closed is (tokens == 800)
    assert provider.billed <= account.settled + account.in_doubt <= account.limit
    assert isinstance(result.error, hc.BudgetExceededError) is (tokens == 800)
    assert result.refusals == (tokens == 800)


async def test_a_plain_iterable_may_be_read_by_an_async_agent(run):
    """As boto3's event streams are: `async for` takes them, too, and closes them."""
    provider = SyncProvider(800)
    result, account, _ = await run(reads(provider), hard("$0.0007"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert provider.closed
    assert provider.billed <= account.in_doubt


async def test_a_plain_loop_over_an_async_stream_says_what_to_write(run):
    """A TypeError that names the way out."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            with pytest.raises(TypeError, match="async for"):
                for _chunk in turn.stream(anyio.Event()):
                    pass
            turn.release()

    result, _, _ = await run(agent)
    assert result.status == "completed"


async def test_without_a_hard_budget_the_chunks_just_pass(run):
    """Observed, counted and otherwise untouched."""
    got = []
    provider = Provider(300)
    result, _, seen = await run(reads(provider, got=got))
    assert result.status == "completed"
    assert got == list(Provider(300))
    (turn,) = [event for event in seen if isinstance(event, hc.LLMTurnComplete)]
    assert (turn.usage.output_tokens, turn.cost.nanousd) == (300, provider.billed)


async def test_a_budget_in_tokens_stops_a_stream_alike(run):
    """The same bound, counted in tokens."""
    provider = Provider(800)
    result, account, _ = await run(reads(provider), hard("400 tokens"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert 100 + provider.sent <= account.in_doubt <= 400


async def test_a_budget_in_calls_never_does(run):
    """A call is a call, however long."""
    result, account, _ = await run(reads(Provider(800), stream_tokens=10), hard("5 calls"))
    assert (result.status, account.settled) == ("completed", 1)


class Thinker(Provider):
    """Generates reasoning that nobody sees, and counts it at the end."""

    def __iter__(self):
        yield START
        yield piece("x")
        self.sent = self.tokens
        yield end(self.tokens)


async def test_hidden_reasoning_is_held_for_when_it_is_counted(run):
    """One token seen, 800 billed: no incident where the budget can pay for them."""
    provider = Thinker(800)
    result, account, seen = await run(reads(provider), hard("$0.002"))
    assert result.status == "completed"
    assert (account.settled, account.in_doubt, account.frozen) == (provider.billed, 0, False)
    assert not [event for event in seen if isinstance(event, hc.AlertRaised)]


async def test_hidden_reasoning_that_nothing_is_left_for_is_an_overrun(run):
    """H9: it was billed, so it is charged in full and said; a hold in steps is no mistake, so nothing is frozen."""
    provider = Thinker(800)
    result, account, seen = await run(reads(provider), hard("$0.0007"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert (account.settled, account.in_doubt, account.frozen) == (provider.billed, 0, False)
    (alert,) = [event for event in seen if isinstance(event, hc.AlertRaised)]
    assert (alert.rule, alert.severity) == ("budget.overrun", "P2")
    assert alert.message == (
        "a bill of $0.0017 was above its hold of $0.0002: budget 'b' is charged in full and goes on, because the turn "
        "was held in steps"
    )


@pytest.mark.parametrize(("stream_tokens", "frozen"), [(0, True), (1_000, True), (999, False)])
async def test_only_an_answer_that_is_held_whole_freezes(run, stream_tokens, frozen):
    """H9: a bill above the bound of all of it is a mistake; steps that cover the longest answer hold all of it."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=stream_tokens) as turn:
            turn.settle(hc.Usage(100, 1_500))

    _, account, seen = await run(agent, hard("$1"))
    assert (account.settled, account.frozen) == (100 * IN + 1_500 * OUT, frozen)
    assert [event.rule for event in seen if isinstance(event, hc.AlertRaised)] == ["budget.overrun"]


async def test_the_end_of_an_answer_needs_no_money_ahead(run):
    """With the final count nothing more is to come: a budget that pays exactly for the answer lets it end."""
    result, account, _ = await run(reads(Thinker(800)), hard("900 tokens"))
    assert (result.status, account.settled) == ("completed", 900)


class Wordy:
    """A provider that ignores max_tokens and counts as it goes."""

    def __init__(self, *counts: int) -> None:
        self.counts = counts
        self.read = 0
        self.closed = False

    async def __aiter__(self):
        for count in self.counts:
            self.read += 1
            yield {
                "candidates": [{"content": {"parts": [{"text": "x"}]}}],
                "modelVersion": "m",
                "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": count},
            }
        yield {
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": self.counts[-1]},
        }

    async def close(self) -> None:
        self.closed = True


async def test_a_provider_that_ignores_max_tokens_is_stopped(run):
    """Its own count says that the hold was passed: no more is read, and what is known is charged."""
    provider = Wordy(10, 20, 25, 30, 35)
    agent = reads(provider, max_tokens=20, stream_tokens=0)
    result, account, _ = await run(agent, hard("$0.00014", on_short="refuse"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert (provider.read, provider.closed) == (3, True)
    assert account.settled + account.in_doubt == 100 * IN + 25 * OUT


async def test_a_provider_that_ignores_max_tokens_is_held_for_where_there_is_money(run):
    """The hold follows its count, so its bill is no incident."""
    result, account, seen = await run(reads(Wordy(10, 25, 60), max_tokens=20, stream_tokens=0), hard("$1"))
    assert result.status == "completed"
    assert (account.settled, account.frozen) == (100 * IN + 60 * OUT, False)
    assert not [event for event in seen if isinstance(event, hc.AlertRaised)]


async def test_an_input_that_was_said_too_small_is_held_for_too(run):
    """Anthropic counts the prompt at the beginning: the hold follows before the answer comes."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=50) as turn:
            async for _chunk in turn.stream(Provider(40)):
                pass
            turn.settle()

    result, account, _ = await run(agent, hard("$1"))
    assert result.status == "completed"
    assert (account.settled, account.frozen) == (100 * IN + 40 * OUT, False)
    refused, account, _ = await run(agent, hard("$0.00012", "other"))
    assert isinstance(refused.error, hc.BudgetExhaustedError)
    assert (account.settled + account.in_doubt, account.frozen) == (110_000, False)


async def test_retries_that_nobody_saw_are_held_in_full(run):
    """With attempts=2 the first may have generated all it was allowed to: only the last one is held step by step."""
    held = []

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=50, attempts=2) as turn:
            (account,) = await runtime_ledger(ctx)
            held.append(account.held)
            turn.release()

    async def runtime_ledger(ctx):
        return await ctx._running.gate.ledger.status()

    await run(agent, hard("$1"))
    assert held == [2 * 100 * IN + 1_000 * OUT + 50 * OUT]


@pytest.mark.parametrize("stream_tokens", [0, 50])
async def test_a_stream_that_is_cancelled_is_counted_with_what_was_seen(run, stream_tokens):
    """anyio cancels the reader: usage so far as an estimate, the whole hold in doubt, and nothing is lost."""
    provider = Provider(800)

    async def agent(ctx, _):
        with anyio.CancelScope() as scope:
            async with ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=stream_tokens) as turn:
                async for _chunk in turn.stream(provider):
                    if provider.sent == 100:
                        scope.cancel()
        return scope.cancelled_caught

    result, account, seen = await run(agent, hard("$1"))
    assert result.output is True
    (turn,) = [event for event in seen if isinstance(event, hc.LLMTurnComplete)]
    assert (turn.cost.status, turn.stop_reason, turn.usage.input_tokens) == ("estimated", "cancelled", 100)
    assert provider.billed <= account.in_doubt < (100 * IN + 1_000 * OUT if stream_tokens else account.limit)
    assert (account.settled, account.held) == (0, 0)


async def test_a_reader_that_walks_away_leaves_the_stream_to_its_owner(run):
    """`break` closes nothing; the turn is settled as far as it was read, and stays in doubt."""
    provider = Provider(800)

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=50) as turn:
            async for _chunk in turn.stream(provider):
                break

    result, account, _ = await run(agent, hard("$1"))
    assert (result.status, provider.closed) == ("completed", False)
    assert account.in_doubt == 100 * IN + 50 * OUT


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_stream_that_cannot_be_closed_does_not_hide_why(run, caplog, is_async):
    """The budget is the reason that the agent sees; the provider's fault is in the log."""

    class Stubborn(Provider):
        async def aclose(self) -> None:
            raise OSError("no such socket")

    class SyncStubborn(SyncProvider):
        def close(self) -> None:
            raise OSError("no such socket")

    result, _, _ = await run(reads((Stubborn if is_async else SyncStubborn)(800)), hard("$0.0007"))
    assert isinstance(result.error, hc.BudgetExhaustedError)
    assert "no such socket" in caplog.text


async def test_a_stream_without_a_ledger_stops(make_runtime):
    """H8: what cannot be asked is not granted, in mid-answer either."""
    provider, outcome = Provider(800), []
    runtime = make_runtime(budgets=[hard("$1")])

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        turn = ctx.turn("m", input_tokens=100, max_tokens=1_000, stream_tokens=50)
        await turn.__aenter__()
        outcome.append(turn.stream(provider))

    async with runtime:
        await runtime.trigger_and_wait("agent")
    with pytest.raises(hc.LedgerUnavailableError):
        async for _chunk in outcome[0]:
            pass
    assert provider.closed
    assert provider.sent <= 50


@pytest.mark.parametrize("wrong", [-1, 0.5, True, "512"])
async def test_stream_tokens_is_a_count(run, wrong):
    """Named in the error."""

    async def agent(ctx, _):
        ctx.turn("m", stream_tokens=wrong)

    result, _, _ = await run(agent)
    assert isinstance(result.error, hc.ConfigError)
    assert "stream_tokens" in str(result.error)


class Gate:
    """Grants everything."""

    def __init__(self, tokens: TurnTokens) -> None:
        self.tokens, self.held = tokens, tokens[:2]

    def tokens_held(self, admission) -> TurnTokens:
        return self.tokens

    async def extend(self, admission, input_tokens, output_tokens) -> None:
        self.held = (input_tokens, output_tokens)


class Agent:
    def __init__(self, tokens: TurnTokens) -> None:
        self.gate = Gate(tokens)

    async def extend(self, admission, input_tokens, output_tokens) -> None:
        await self.gate.extend(admission, input_tokens, output_tokens)


@given(
    sizes=st.lists(st.integers(0, 40), max_size=40),
    max_tokens=st.integers(1, 400),
    stream_tokens=st.integers(0, 100),
)
async def test_the_hold_is_always_ahead_of_what_was_seen(sizes, max_tokens, stream_tokens):
    """Before anything is read: what came, and half of stream_tokens more, or max_tokens, where a provider ends."""
    request = hc.TurnRequest(model="m", input_tokens=10, max_tokens=max_tokens, stream_tokens=stream_tokens)
    tokens = TurnTokens(10, min(stream_tokens or max_tokens, max_tokens), max_tokens)
    agent, seen = Agent(tokens), UsageStream()
    coverage = Coverage(agent, Admission(request), seen)
    extensions = 0
    for size in sizes:
        if not coverage.is_enough:
            await coverage.extend()
            extensions += 1
        assert coverage.is_enough
        assert agent.gate.held[1] >= min(seen.output_bound + stream_tokens / 2, max_tokens)
        assert agent.gate.held[1] <= max_tokens
        seen.observe(piece("x" * size))
    # Each step but the last takes the hold half a step further: chunks do not ask one by one.
    if stream_tokens:
        assert extensions <= 1 + 2 * max_tokens / stream_tokens
