"""Bad input ends as a named error or as a counted, visible status; nothing is half-written, and the agent completes."""

from __future__ import annotations

import math
import sqlite3
import threading
from typing import Any

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

MODEL = "gpt-4o-mini"
GOOD = hc.Usage(1_000, 500)  # at 150 and 600 nano-USD a token
GOOD_NANOUSD = 450_000


async def run_once(runtime: hc.AgentRuntime, *payloads: Any) -> hc.ExecutionResult:
    """An agent that settles each payload in a turn of its own, then a good one."""

    @runtime.entry_point("api")
    async def api(ctx: hc.Execution, _: object) -> str:
        for payload in (*payloads, GOOD):
            async with ctx.turn(MODEL) as turn:
                turn.settle(payload)
        return "completed all the same"

    async with runtime:
        with anyio.fail_after(30):
            return await runtime.trigger_and_wait("api")


def chat_usage(**odd: Any) -> dict[str, Any]:
    """A response of OpenAI's chat with this in its usage."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **odd}
    return {"object": "chat.completion", "model": MODEL, "choices": [], "usage": usage}


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": -1},
        {"output_tokens": -(2**63)},
        {"input_tokens": 1.5},
        {"input_tokens": math.nan},
        {"input_tokens": math.inf},
        {"input_tokens": "100"},
        {"input_tokens": None},
        {"input_tokens": True},
        {"input_tokens": 10**10},
        {"output_tokens": 10**30},
        {"input_tokens": 5, "cache_read_tokens": 6},
        {"output_tokens": 5, "reasoning_tokens": 6},
    ],
)
async def test_counts_that_cannot_be_are_refused_by_name(counts):
    """`hc.Usage` never holds them; the error names the field, and is a ValueError, too."""
    with pytest.raises(hc.UsageInvalidError, match=next(reversed(counts))) as raised:
        hc.Usage(**counts)
    assert isinstance(raised.value, ValueError)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (chat_usage(prompt_tokens=-5), "invalid"),
        (chat_usage(completion_tokens=2.5), "invalid"),
        (chat_usage(prompt_tokens=math.nan), "invalid"),
        (chat_usage(prompt_tokens=math.inf), "invalid"),
        (chat_usage(prompt_tokens="many"), "invalid"),
        (chat_usage(prompt_tokens=10**30), "invalid"),
        (chat_usage(prompt_tokens=[1]), "invalid"),
        (chat_usage(prompt_tokens_details={"cached_tokens": 10**6}), "invalid"),
        ({"model": MODEL}, "unpriced"),
        ({"model": MODEL, "usage": None}, "unpriced"),
        ({"model": MODEL, "usage": {}}, "unpriced"),
        ({}, "unpriced"),
        ([], "unpriced"),
        (42, "unpriced"),
        (object(), "unpriced"),
        ("no JSON at all", "invalid"),
        (b"\xff\xfe", "invalid"),
        ('{"usage": ', "invalid"),
    ],
)
async def test_payloads_that_make_no_sense_are_counted_and_visible(runtime, base_path, payload, status):
    """Whatever settle() is given, the agent completes; the turn is in metrics and log with its status and a reason."""
    result = await run_once(runtime, payload)
    assert (result.status, result.output) == ("completed", "completed all the same")
    assert result.metrics[f"{status}_calls"] == 1
    assert (result.metrics["llm_calls"], result.metrics["cost_nanousd"]) == (2, GOOD_NANOUSD)
    first, second = await hc.RuntimeLogStore(base_path).load_steps(result.session_id)
    assert (first.cost_status, first.cost_nanousd, first.model) == (status, None, MODEL)
    assert first.reason
    assert (second.cost_status, second.cost_nanousd) == ("priced", GOOD_NANOUSD)
    state = await hc.SessionStore(base_path).read_state(result.session_id)
    assert getattr(state.metrics, f"{status}_calls") == 1
    assert runtime.log.lost == 0


async def test_an_object_that_raises_when_it_is_read(runtime):
    """A response whose properties raise is invalid, not an exception in the agent."""

    class Hostile:
        @property
        def usage(self) -> object:
            raise RuntimeError("not for you")

    result = await run_once(runtime, Hostile())
    assert result.status == "completed"
    assert (result.metrics["unpriced_calls"], result.metrics["invalid_calls"]) in ((1, 0), (1, 1))


class ClosedError(Exception):
    """Its repr raises, too, and so does whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("closed")

    @property
    def response(self) -> object:
        raise RuntimeError("closed")


class Broken:
    """A response of an SDK that works no more."""

    @property
    def usage(self) -> object:
        raise ClosedError

    def __repr__(self) -> str:
        raise ClosedError


@pytest.mark.parametrize(
    "payload",
    [
        chat_usage(prompt_tokens=10**5_000),
        chat_usage(prompt_tokens=Broken(), x=10**5_000),
        '{"model": "gpt-4o-mini", "usage": {"prompt_tokens": ' + "9" * 5_000 + "}}",
        Broken(),
        {**chat_usage(prompt_tokens=-1), "model": "\ud800"},
    ],
    ids=range(5),
)
async def test_what_cannot_be_written_out_is_logged_all_the_same(base_path, prices, payload):
    """An invalid turn under a hard budget: settled at its hold, in the log with its reason, nothing lost."""
    runtime = hc.AgentRuntime(base_path, prices=prices, budgets=[hc.Budget("all", limit="$1", mode="hard")])

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn(MODEL, input_tokens=10, max_tokens=20) as turn:
            turn.settle(payload)
        async with ctx.turn(MODEL, input_tokens=10, max_tokens=20) as turn:
            turn.observe(payload)
        return "fine"

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        await runtime.flush()
    assert (result.status, result.output, runtime.log.lost) == ("completed", "fine", 0)
    steps = await hc.RuntimeLogStore(base_path).load_steps(result.session_id)
    assert [step.cost_status for step in steps] in (["invalid", "invalid"], ["invalid", "unpriced"])
    assert all(step.reason for step in steps)


async def test_an_error_that_raises_when_it_is_looked_at_is_the_one_that_leaves(runtime):
    """What a turn reads of it, to know whether it was billed, hides it from nobody."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn(MODEL):
            raise ClosedError

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert (result.status, type(result.error)) == ("failed", ClosedError)


async def test_an_unknown_model_is_unpriced_everywhere(base_path):
    """Its tokens count, its cost is nobody's guess: metrics, session, node and spend say `unpriced`, never zero."""
    runtime = hc.AgentRuntime(base_path)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.node("ask"), ctx.turn("a-model-from-next-year") as turn:
            turn.settle(GOOD)

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    details = await hc.RuntimeLogStore(base_path).load_details(result.session_id)
    state = await hc.SessionStore(base_path).read_state(result.session_id)
    (spend,) = await hc.SpendStore(base_path).totals(by=("model",))
    for sums in (details.nodes[0], state.metrics, spend, runtime.usage.total):
        assert (sums.unpriced_calls, sums.total_tokens, sums.cost_nanousd) == (1, 1_500, 0)
    assert "a-model-from-next-year" in details.nodes[0].steps[0].reason
    with pytest.raises(hc.PriceUnknownError, match="a-model-from-next-year"):
        hc.calculate_cost("a-model-from-next-year", 1, 1)


async def test_an_event_of_an_unknown_execution_is_kept_and_counted(runtime, base_path):
    """It is priced, logged under its session and counted as foreign; no execution of ours is charged for it."""
    async with runtime:
        await runtime.bus.publish(
            hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_elsewhere", execution_id="exec_elsewhere")
        )
        await runtime.flush()
    assert runtime.statistics().foreign_turns == 1
    state = await hc.SessionStore(base_path).read_state("session_elsewhere")
    assert (state.metrics.cost_nanousd, state.metrics.llm_calls) == (GOOD_NANOUSD, 1)


def cost(**fields: Any) -> hc.Cost:
    return hc.Cost(**{"status": hc.CostStatus.PRICED, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"input_tokens": -5}},
        {"usage": None},
        {"usage": 12},
        {"cost": cost(nanousd=-5)},
        {"cost": cost(nanousd=1.5)},
        {"cost": cost(nanousd=10**30)},
        {"cost": cost(nanousd=math.nan)},
        {"cost": cost(nanousd=None)},
        {"cost": cost(status=hc.CostStatus.INVALID, nanousd=5)},
        {"cost": cost(status="priced", nanousd=5)},
        {"cost": 0.05},
    ],
)
async def test_published_turns_that_cannot_be_count_as_invalid(base_path, prices, fields):
    """What an adapter publishes by hand was billed all the same: one invalid call, in every sum, and nothing else."""
    runtime = hc.AgentRuntime(
        base_path, prices=prices, budgets=[hc.Budget("day", limit="$50", window="day", mode="stop_after")]
    )
    async with runtime:
        await runtime.bus.publish(
            hc.LLMTurnComplete(**{"model": MODEL, "usage": GOOD, "session_id": "session_of_both", **fields})
        )
        await runtime.bus.publish(hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_of_both"))
        await runtime.flush()
        await runtime.bus.drain()
        (account,) = runtime.plugins["budget-watcher"].plugin.status()
    state = await hc.SessionStore(base_path).read_state("session_of_both")
    for sums in (state.metrics, runtime.usage.total):
        assert (sums.llm_calls, sums.invalid_calls, sums.unpriced_calls, sums.cost_nanousd) == (2, 1, 0, GOOD_NANOUSD)
    assert account.settled == GOOD_NANOUSD
    assert (runtime.log.lost, runtime.bus.statistics().failed) == (0, 0)
    steps = await hc.RuntimeLogStore(base_path).load_steps("session_of_both")
    assert [step.cost_status for step in steps] == ["invalid", "priced"]


UNATTRIBUTABLE = [
    {"model": None},
    {"model": 5},
    {"execution_id": None},
    {"session_id": 7},
    {"user_id": b"ada"},
    {"event_id": None},
    {"tags": None},
    {"tags": ["customer"]},
    {"timestamp_ns": 10**30},
    {"timestamp_ns": -1},
    {"timestamp_ns": "now"},
    {"latency_ms": None},
    {"latency_ms": 10**30},
]


@pytest.mark.parametrize("fields", UNATTRIBUTABLE)
async def test_published_turns_that_nobody_could_attribute_are_refused_by_field(runtime, base_path, fields):
    """The publisher gets an EventFormatError that names the field; the turns around it are kept."""
    async with runtime:
        with pytest.raises(hc.EventFormatError, match=next(iter(fields))) as raised:
            await runtime.bus.publish(hc.LLMTurnComplete(**{"model": MODEL, "usage": GOOD, **fields}))
        assert len(str(raised.value)) < 500
        await runtime.bus.publish(hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_after"))
        await runtime.flush()
    assert runtime.usage.total.cost_nanousd == GOOD_NANOUSD
    assert (await hc.SessionStore(base_path).read_state("session_after")).metrics.llm_calls == 1


async def test_a_bad_turn_from_a_thread_takes_no_good_one_along(runtime, base_path):
    """In a thread nobody is there to be told: it is counted as dropped and logged by id; those behind it arrive."""

    def publish() -> None:
        for number in range(10):
            timestamp_ns = 10**30 if number == 3 else runtime.clock.now_ns()
            runtime.bus.publish_nowait(
                hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_t", timestamp_ns=timestamp_ns)
            )

    async with runtime:
        thread = threading.Thread(target=publish)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        await runtime.bus.drain()
        assert runtime.bus.statistics().inbox_dropped == 1
    assert (await hc.SessionStore(base_path).read_state("session_t")).metrics.llm_calls == 9


async def test_what_the_log_cannot_hold_is_lost_by_name(runtime, base_path):
    """Text that is no Unicode, or a payload that no codec writes: counted as lost, named by event, alone."""
    async with runtime:
        lost = [
            hc.LLMTurnComplete(model="\ud800", usage=GOOD, session_id="session_x"),
            hc.CustomEvent(session_id="session_x", payload={"odd": object()}),
        ]
        for event in (*lost, hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_x")):
            await runtime.bus.publish(event)
        with pytest.raises(hc.StoreError, match="cannot be logged"):
            await runtime.flush()
    assert runtime.log.lost == len(lost)
    assert (await hc.SessionStore(base_path).read_state("session_x")).metrics.llm_calls == 1


@pytest.mark.parametrize("odd", [10**30, 10**5_000, object(), "\ud800", math.nan, b"5"], ids=range(6))
async def test_raw_usage_that_no_codec_writes_costs_no_turn(runtime, base_path, odd):
    """The turn is money; what its provider wrote beside it is never a reason to lose it."""
    async with runtime:
        await runtime.bus.publish(
            hc.LLMTurnComplete(
                model=MODEL, usage=GOOD, session_id="session_raw", raw_usage={"input_tokens": odd, "prompt": 5}
            )
        )
        await runtime.flush()
    assert runtime.log.lost == 0
    (step,) = await hc.RuntimeLogStore(base_path).load_steps("session_raw")
    assert step.cost_nanousd == GOOD_NANOUSD


async def test_a_megabyte_of_tags(runtime, base_path):
    """At trigger it is refused by its key; published by hand it is logged with its start, and counted as truncated."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        raise AssertionError("never started")

    async with runtime:
        with pytest.raises(hc.ConfigError, match=r"tags\.note: expected at most 1,024 characters"):
            await runtime.trigger("api", tags={"note": "x" * 2**20})
        await runtime.bus.publish(
            hc.LLMTurnComplete(model=MODEL, usage=GOOD, session_id="session_big", tags={"note": "x" * 2**20})
        )
        await runtime.flush()
        assert runtime.log.statistics.truncated == 1
    (step,) = await hc.RuntimeLogStore(base_path).load_steps("session_big")
    assert step.tags["note"].startswith("xxx")
    assert len(step.tags["note"]) <= 1_024
    assert step.cost_nanousd == GOOD_NANOUSD


async def spent_without_a_log(runtime: hc.AgentRuntime, error: type[Exception], words: str) -> None:
    """The agent completes and is counted; the error is named at `log.error` and by flush, the events are counted."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn(MODEL) as turn:
            turn.settle(GOOD)
        return "fine"

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        with pytest.raises(error, match=words):
            await runtime.flush()
    assert (result.status, result.output, result.metrics["cost_nanousd"]) == ("completed", "fine", GOOD_NANOUSD)
    assert isinstance(runtime.log.error, error)
    assert runtime.log.lost == 3
    assert runtime.usage.total.llm_calls == 1


async def test_a_base_path_that_is_a_file(runtime, base_path):
    """StoreUnusablePathError, and the file is as it was."""
    base_path.write_text("precious")
    await spent_without_a_log(runtime, hc.StoreUnusablePathError, "use a folder as base path")
    assert base_path.read_text() == "precious"


async def test_a_base_path_that_cannot_be_made(prices):
    """A folder that the system does not let us make."""
    await spent_without_a_log(
        hc.AgentRuntime("/proc/self/no-such-folder", prices=prices), hc.StoreUnusablePathError, "/proc/self"
    )


async def test_a_database_that_is_none(runtime, base_path):
    """StoreCorruptError, and its bytes are as they were."""
    base_path.mkdir()
    (base_path / "hivecost.db").write_bytes(b"these are not the pages you are looking for " * 500)
    before = (base_path / "hivecost.db").read_bytes()
    await spent_without_a_log(runtime, hc.StoreCorruptError, "hivecost.db")
    assert (base_path / "hivecost.db").read_bytes() == before


async def test_a_database_with_a_wrong_byte(runtime, base_path, prices):
    """One byte of the header flipped after it was written: a named error, and the agent completes."""
    await run_once(hc.AgentRuntime(base_path, prices=prices))
    path = base_path / "hivecost.db"
    data = bytearray(path.read_bytes())
    data[5] ^= 0xFF
    path.write_bytes(data)
    await spent_without_a_log(runtime, hc.StoreCorruptError, "restore a backup")


async def test_a_database_from_the_future(runtime, base_path, prices):
    """StoreVersionError: an older hivecost does not touch what a newer one wrote."""
    await run_once(hc.AgentRuntime(base_path, prices=prices))
    with sqlite3.connect(base_path / "hivecost.db") as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    await spent_without_a_log(runtime, hc.StoreVersionError, "upgrade hivecost")


async def test_what_is_no_plugin_and_no_handler(runtime):
    """Named errors where they are handed in, and the runtime runs on."""
    with pytest.raises(hc.PluginError, match="'dict'"):
        runtime.register_plugin({"name": "a dict"})
    with pytest.raises(hc.ConfigError, match="handler"):
        runtime.bus.subscribe(event_types=[hc.EventType.CUSTOM], handler="not callable")
    with pytest.raises(hc.ConfigError):
        runtime.bus.subscribe(event_types=["no_such_type"], handler=print)
    with pytest.raises(hc.ConfigError, match="max_queue"):
        runtime.bus.subscribe(handler=print, max_queue=0)
    assert (await run_once(runtime)).status == "completed"


async def test_what_is_no_event(runtime):
    """The publisher is told, on the loop and in a thread, and nobody else hears of it."""
    async with runtime:
        for stranger in (None, {"type": "llm_turn_complete"}, "event", object()):
            with pytest.raises(TypeError, match="hivecost events"):
                await runtime.bus.publish(stranger)
            with pytest.raises(TypeError, match="hivecost events"):
                await anyio.to_thread.run_sync(runtime.bus.publish_nowait, stranger)
        await runtime.bus.drain()
    assert runtime.bus.statistics().failed == 0


@pytest.mark.parametrize(
    "budget",
    [
        {"limit": "-$5"},
        {"limit": "free"},
        {"limit": math.nan},
        {"limit": "1.5 tokens"},
        {"limit": "$1", "window": "fortnight"},
        {"limit": "$1", "timezone": "Mars/Olympus"},
        {"limit": "$1", "warn": (1.5,)},
        {"limit": "$1", "mode": "soft"},
        {"limit": "$1", "match": {"user": []}},
    ],
)
async def test_budgets_that_cannot_be_are_refused_by_key(budget):
    """The error names the budget and the key that is wrong."""
    with pytest.raises(hc.ConfigError, match="budget 'b'") as raised:
        hc.Budget("b", **budget)
    assert raised.value.key == f"budget 'b'.{'match.user' if 'match' in budget else list(budget)[-1]}"


@pytest.mark.parametrize(
    "table",
    [{"m": {"input": -1, "output": 1}}, {"m": {"inputs": 1}}, {"m": 5}, {"m": {"input": math.nan, "output": 1}}],
)
async def test_prices_that_cannot_be_are_refused_by_key(base_path, table):
    """When the runtime is made, not at the first turn."""
    with pytest.raises(hc.ConfigError, match="m"):
        hc.AgentRuntime(base_path, prices=table)
