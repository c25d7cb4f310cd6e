"""What is kept of executions that have ended: what somebody may still ask for, and nothing that their agents held."""

from __future__ import annotations

import gc
import traceback
import weakref

import anyio
import pytest

import hivecost as hc
from hivecost.runtime.result import without_traceback

pytestmark = pytest.mark.anyio


class Conversation:
    """What an agent has in hand."""


@pytest.fixture
def held(runtime):
    """What agents of the entry points `fails`, `fails in a thread` and `waits` had in hand, as long as it is alive."""
    references: list[weakref.ref[Conversation]] = []

    def fail() -> None:
        conversation = Conversation()
        references.append(weakref.ref(conversation))
        try:
            raise ValueError("bad answer")
        except ValueError as error:
            raise RuntimeError("agent failed", error) from error

    @runtime.entry_point("fails")
    async def fails(ctx, _):
        fail()

    @runtime.entry_point("fails in a thread")
    def fails_in_a_thread(ctx, _):
        fail()

    @runtime.entry_point("waits")
    async def waits(ctx, _):
        conversation = Conversation()
        references.append(weakref.ref(conversation))
        await anyio.sleep_forever()

    def alive() -> list[Conversation]:
        gc.collect()
        return [conversation for reference in references if (conversation := reference()) is not None]

    return alive


async def ended(runtime: hc.AgentRuntime) -> None:
    while runtime.statistics().running:
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("entry_point", ["fails", "fails in a thread"])
async def test_a_result_that_was_had_keeps_nothing_of_its_agent(runtime, held, entry_point):
    """Not even while the runtime still knows the result: a traceback would hold every local variable."""
    async with runtime:
        for _ in range(3):
            result = await runtime.trigger_and_wait(entry_point)
        assert (len(held()), type(result.error)) == (1, RuntimeError)
        del result
        assert held() == []


@pytest.mark.parametrize("entry_point", ["fails", "fails in a thread"])
async def test_a_result_that_nobody_waits_for_keeps_nothing_of_its_agent(runtime, held, entry_point):
    """What it was is known all the same."""
    async with runtime:
        execution_id = await runtime.trigger(entry_point)
        await ended(runtime)
        assert held() == []
        error = (await runtime.wait(execution_id)).error
        assert isinstance(error, RuntimeError)
        assert (str(error.args[0]), error.__traceback__, error.__cause__) == ("agent failed", None, None)


async def test_a_cancelled_agent_is_not_kept(runtime, held):
    """Nor is what the one who cancelled it had in hand, whose exception was the reason."""
    async with runtime:
        execution_id = await runtime.trigger("waits")
        await anyio.wait_all_tasks_blocked()

        def cancel() -> None:
            reason_of = Conversation()
            known.append(weakref.ref(reason_of))
            try:
                raise hc.BudgetExceededError("enough", budget="b")
            except hc.BudgetExceededError as error:
                runtime.cancel_execution_nowait(execution_id, error)

        known: list[weakref.ref[Conversation]] = []
        cancel()
        await ended(runtime)
        assert (held(), known[0]()) == ([], None)
        error = (await runtime.wait(execution_id)).error
        assert isinstance(error, hc.BudgetExceededError)
        assert (str(error), error.budget) == ("enough", "b")


async def test_whoever_waits_has_the_error_as_it_was_raised(runtime):
    """Each of them, with the traceback and the cause; whoever asks later has its class, arguments and notes."""
    fault = hc.BudgetExhaustedError("spent", budget="b")
    fault.add_note("asked twice")
    results, go = [], anyio.Event()

    @runtime.entry_point("api")
    async def api(ctx, _):
        await go.wait()
        raise fault from KeyError("k")

    async def wait() -> None:
        results.append(await runtime.wait(execution_id))

    async with runtime:
        async with anyio.create_task_group() as tasks:
            execution_id = await runtime.trigger("api")
            for _ in range(2):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            go.set()
        later = (await runtime.wait(execution_id)).error
    assert [result.error for result in results] == [fault, fault]
    assert "raise fault from" in "".join(traceback.format_exception(fault))
    assert isinstance(fault.__cause__, KeyError)
    assert later is not fault
    assert (type(later), later.args, vars(later)) == (type(fault), fault.args, vars(fault))
    assert (later.__traceback__, later.__cause__, later.__context__) == (None, None, None)
    assert fault.__traceback__ is not None


async def test_whoever_gives_up_waiting_keeps_nothing(runtime, held):
    """The result is there for the next one all the same."""
    async with runtime:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                execution_id = await runtime.trigger("waits")
                tasks.start_soon(runtime.wait, execution_id)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        runtime.cancel_execution_nowait(execution_id, "enough")
        await ended(runtime)
        assert held() == []
        assert (await runtime.wait(execution_id)).status == "cancelled"


async def test_cancellations_without_a_reason_share_no_error(runtime, held):
    """Who raises the one would leave its traceback, and all that holds, in the other."""
    async with runtime:
        errors = []
        for _ in range(2):
            execution_id = await runtime.trigger("waits")
            await anyio.wait_all_tasks_blocked()
            await runtime.cancel_execution(execution_id)
            errors.append((await runtime.wait(execution_id)).error)
    assert errors[0] is not errors[1]
    assert [(type(error), str(error)) for error in errors] == [(hc.ExecutionCancelledError, "cancelled")] * 2


class TakesOther(Exception):  # noqa: N818  # an agent's own
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"failed with {code}")
        self.code, self.hint = code, hint


class Holds(Exception):  # noqa: N818  # the same
    def __init__(self, inner: Exception) -> None:
        super().__init__("holds another", [inner])
        self.inner = inner


class CannotBeMade(Exception):  # noqa: N818  # the same
    def __new__(cls, *args: object) -> CannotBeMade:
        if not args:
            raise TypeError("needs an argument")
        return super().__new__(cls)


def ended_with(error: BaseException) -> hc.ExecutionResult:
    try:
        raise error
    except BaseException as raised:
        return hc.ExecutionResult(
            execution_id="e", session_id="s", status=hc.ExecutionStatus.FAILED, output=None, error=raised, metrics={}
        )


@pytest.mark.parametrize(
    "error",
    [
        TakesOther(5, hint="try again"),
        FileNotFoundError(2, "No such file", "/data/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        KeyError("name"),
        SystemExit(3),
        ExceptionGroup("two", [ValueError(1), ExceptionGroup("inner", [OSError(1, "x")])]),
        hc.PriceUnknownError("gpt-9", suggestions=("gpt-4o",)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_copy_reads_like_the_error(error):
    """Class, text and attributes, whatever its class takes to be made."""
    copy = without_traceback(ended_with(error)).error
    assert (type(copy), str(copy)) == (type(error), str(error))
    assert vars(copy) == vars(error)
    assert copy.__traceback__ is None
    assert error.__traceback__ is not None
    if isinstance(error, ExceptionGroup):
        assert [str(inner) for inner in copy.exceptions] == [str(inner) for inner in error.exceptions]


def test_exceptions_inside_are_bare_too():
    """As arguments, in lists of them, and as attributes."""
    inner = ended_with(ValueError("inner")).error
    copy = without_traceback(ended_with(Holds(inner))).error
    assert isinstance(copy, Holds)
    assert (str(copy.inner), copy.inner.__traceback__) == ("inner", None)
    assert copy.args[1][0].__traceback__ is None
    assert inner.__traceback__ is not None


def test_an_error_that_cannot_be_copied_is_described():
    """So is one that holds itself."""
    copy = without_traceback(ended_with(CannotBeMade("once"))).error
    assert str(copy) == str(without_traceback(ended_with(CannotBeMade("once"))).error)
    loop = ValueError("loop")
    loop.args = (loop,)
    copy = without_traceback(ended_with(loop)).error
    assert copy.__traceback__ is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_runtime_that_is_closed_is_kept_by_nobody(tmp_path, backend):
    """A program that makes one for each request does not grow."""

    async def main() -> weakref.ref[hc.AgentRuntime]:
        runtime = hc.AgentRuntime(tmp_path, budgets=[hc.Budget("day", limit="$1", window="day")])
        runtime.entry_point("agent")(agent)
        async with runtime:
            await runtime.trigger_and_wait("agent")
        return weakref.ref(runtime)

    async def agent(ctx, request):
        async with ctx.turn("gpt-4o", input_tokens=10, max_tokens=10) as turn:
            turn.settle(hc.Usage(input_tokens=10))

    kept = anyio.run(main, backend=backend)
    gc.collect()
    assert kept() is None
