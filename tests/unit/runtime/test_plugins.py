"""Plugins start in order, stop in reverse, and harm nobody when they fail."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import anyio
import pytest

import hivecost as hc
import hivecost.runtime.plugins as plugin_rack

pytestmark = pytest.mark.anyio


class Recorder:
    """A plugin that writes down what happens to it, and fails where it is told to."""

    def __init__(self, name: str, diary: list[str], *, fails: str = "") -> None:
        self.name = name
        self._diary = diary
        self._fails = fails

    @asynccontextmanager
    async def attached(self, host):
        if self._fails == "start":
            raise RuntimeError("cannot start")
        self._diary.append(f"start {self.name}")
        yield
        if self._fails == "stop":
            raise RuntimeError("cannot stop")
        self._diary.append(f"stop {self.name}")


@pytest.fixture
def diary() -> list[str]:
    return []


async def test_plugins_start_in_order_and_stop_in_reverse(make_runtime, diary):
    """Who came later may rely on who came earlier, at both ends."""
    runtime = make_runtime(plugins=[Recorder("a", diary), Recorder("b", diary)])
    runtime.register_plugin(Recorder("c", diary))
    assert diary == []
    async with runtime:
        assert diary == ["start a", "start b", "start c"]
        assert runtime.plugins["b"].status == "running"
    assert diary[3:] == ["stop c", "stop b", "stop a"]
    assert runtime.plugins["b"].status == "stopped"


async def test_a_plugin_may_be_registered_while_running(runtime, diary):
    """It is attached at once, and `wait_ready` returns when it runs."""
    async with runtime:
        await runtime.register_plugin(Recorder("late", diary)).wait_ready()
        assert diary == ["start late"]
    assert diary == ["start late", "stop late"]


@pytest.mark.parametrize("fails", ["start", "stop"])
async def test_a_plugin_that_fails_is_named_and_harms_nobody(make_runtime, diary, fails, caplog):
    """The error names plugin and moment; the others, before and after it, live as if it were not there."""
    runtime = make_runtime(
        plugins=[Recorder("before", diary), Recorder("bad", diary, fails=fails), Recorder("after", diary)]
    )

    @runtime.entry_point("api")
    async def api(ctx, _):
        return "fine"

    async with runtime:
        assert (await runtime.trigger_and_wait("api")).output == "fine"
    failed = runtime.plugins["bad"]
    assert failed.status == "failed"
    assert isinstance(failed.error, hc.PluginError)
    assert failed.error.plugin == "bad"
    assert str(failed.error) == f"plugin 'bad': failed to {fails}: RuntimeError('cannot {fails}')"
    assert isinstance(failed.error.__cause__, RuntimeError)
    others = [line for line in diary if "bad" not in line]
    assert others == ["start before", "start after", "stop after", "stop before"]
    assert "plugin 'bad'" in caplog.text


async def test_waiting_for_a_plugin_that_cannot_start_raises_its_error(runtime, diary):
    """`wait_ready` is where a PluginError is raised for one that is registered while running."""
    async with runtime:
        with pytest.raises(hc.PluginError, match="'bad': failed to start"):
            await runtime.register_plugin(Recorder("bad", diary, fails="start")).wait_ready()


async def test_a_plugin_that_dies_at_work_is_named(runtime, diary):
    """A background task of a plugin that raises ends that plugin, not the runtime."""

    class Dies:
        name = "dies"

        @asynccontextmanager
        async def attached(self, host):
            async def work() -> None:
                await now.wait()
                raise RuntimeError("out of luck")

            async with anyio.create_task_group() as group:
                group.start_soon(work)
                yield

    now = anyio.Event()
    runtime.register_plugin(Dies())
    runtime.register_plugin(Recorder("other", diary))

    @runtime.entry_point("api")
    async def api(ctx, _):
        now.set()
        while runtime.plugins["dies"].error is None:
            await anyio.lowlevel.checkpoint()
        return "fine"

    async with runtime:
        assert (await runtime.trigger_and_wait("api")).output == "fine"
    assert "failed to run on" in str(runtime.plugins["dies"].error)
    assert diary == ["start other", "stop other"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_plugin_that_awaits_something_cancelled_harms_nobody(runtime, diary):
    """A CancelledError that leaks from a plugin is its failure, not the end of the runtime."""

    class Leaks:
        name = "leaks"

        @asynccontextmanager
        async def attached(self, host):
            inner = asyncio.ensure_future(asyncio.sleep(3600))
            inner.cancel()
            await inner
            yield

    runtime.register_plugin(Leaks())
    runtime.register_plugin(Recorder("other", diary))

    @runtime.entry_point("api")
    async def api(ctx, _):
        await anyio.sleep(0)
        return "fine"

    async with runtime:
        assert (await runtime.trigger_and_wait("api")).output == "fine"
    assert "'leaks': failed to start: CancelledError" in str(runtime.plugins["leaks"].error)
    assert diary == ["start other", "stop other"]


class NoName:
    @asynccontextmanager
    async def attached(self, host):
        yield


class NotAttachable:
    name = "half"


class RaisesAtCall:
    name = "raises-at-call"

    def attached(self, host):
        raise RuntimeError("not today")


class GivesNoContext:
    name = "gives-no-context"

    def attached(self, host):
        return None


class NeverYields:
    name = "never-yields"

    @asynccontextmanager
    async def attached(self, host):
        if host is None:
            yield


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Recorder, r"plugin 'Recorder': is a class; register an instance: Recorder\(\)"),
        (NoName(), "plugin 'NoName': has no `name`"),
        (NotAttachable(), "plugin 'half': has no `attached"),
        (object(), "plugin 'object': has no `name`"),
        (None, "plugin 'NoneType'"),
        ("no-such-plugin", r"plugin 'no-such-plugin': is not installed .*pip install hivecost-no-such-plugin"),
    ],
)
async def test_what_is_no_plugin_is_refused_by_name(make_runtime, candidate, message):
    """The error says which object and what it lacks, before and while running."""
    runtime = make_runtime()
    with pytest.raises(hc.PluginError, match=message):
        runtime.register_plugin(candidate)
    async with runtime:
        with pytest.raises(hc.PluginError, match=message):
            runtime.register_plugin(candidate)


@pytest.mark.parametrize("plugin", [RaisesAtCall(), GivesNoContext(), NeverYields()])
async def test_a_plugin_whose_attached_is_broken_is_named(make_runtime, diary, plugin):
    """`attached` that raises, gives no context manager or never yields is that plugin's failure alone."""
    runtime = make_runtime(plugins=[plugin, Recorder("other", diary)])
    async with runtime:
        with pytest.raises(hc.PluginError, match=f"'{plugin.name}': failed to start"):
            await runtime.plugins[plugin.name].wait_ready()
    assert diary == ["start other", "stop other"]


async def test_a_name_is_given_once(make_runtime, diary):
    """A second plugin of the same name is refused; the built-in ones' names are taken, too."""
    runtime = make_runtime(plugins=[Recorder("a", diary)])
    for taken in ("a", "usage-aggregator"):
        with pytest.raises(hc.PluginError, match=f"'{taken}': is registered already"):
            runtime.register_plugin(Recorder(taken, diary))
    with pytest.raises(hc.PluginError, match="'nobody': is not registered"):
        runtime.plugins["nobody"]


async def test_a_plugin_that_registers_another_finds_it_running(runtime, diary):
    """From inside `attached`, a second plugin is started and can be waited for."""

    class Family:
        name = "family"

        @asynccontextmanager
        async def attached(self, host):
            with anyio.fail_after(10):
                await runtime.register_plugin(Recorder("child", diary)).wait_ready()
            yield

    runtime.register_plugin(Family())
    async with runtime:
        assert runtime.plugins["family"].status == "running"
        assert runtime.plugins["child"].status == "running"
    assert diary == ["start child", "stop child"]


@pytest.mark.parametrize("moment", ["start", "stop"])
async def test_a_plugin_that_takes_forever_is_given_up(make_runtime, diary, monkeypatch, moment):
    """After the timeout it is cancelled and named; the runtime opens, or closes, without it."""
    monkeypatch.setattr(plugin_rack, f"{moment.upper()}_TIMEOUT_S", 0.05)

    class Slow:
        name = "slow"

        @asynccontextmanager
        async def attached(self, host):
            if moment == "start":
                await anyio.sleep_forever()
            yield
            await anyio.sleep_forever()

    runtime = make_runtime(plugins=[Recorder("before", diary), Slow(), Recorder("after", diary)])
    with anyio.fail_after(20):
        async with runtime:
            assert diary == ["start before", "start after"]
    assert runtime.plugins["slow"].status == "failed"
    assert "given up" in str(runtime.plugins["slow"].error)
    assert diary[2:] == ["stop after", "stop before"]


async def test_a_turn_that_a_plugin_publishes_while_stopping_is_counted(make_runtime):
    """The built-in subscribers stop last and take in what others still say."""

    class LastWords:
        name = "last-words"

        @asynccontextmanager
        async def attached(self, host):
            yield
            host.bus.publish_nowait(hc.LLMTurnComplete(model="m", usage=hc.Usage(10, 5)))

    runtime = make_runtime(plugins=[LastWords()])
    async with runtime:
        pass
    assert runtime.usage.total.total_tokens == 15
    assert runtime.bus.statistics().dropped == 0


async def test_a_gate_check_may_refuse_and_be_removed(runtime):
    """What a check raises reaches the agent, nothing is sent or counted; a removed check is gone."""
    asked = []

    async def check(request: hc.TurnRequest) -> None:
        asked.append((request.model, request.max_tokens, request.agent_id))
        if len(asked) == 1:
            raise hc.BudgetExhaustedError("not today", budget="mine")

    remove = runtime.add_gate_check(check)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", max_tokens=7) as turn:
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        refused = await runtime.trigger_and_wait("api")
        assert (await runtime.trigger_and_wait("api")).status == "completed"
        remove()
        assert (await runtime.trigger_and_wait("api")).status == "completed"
    assert (refused.status, str(refused.error), refused.metrics["llm_calls"]) == ("cancelled", "not today", 0)
    assert asked == [("m", 7, "api")] * 2


async def test_removing_a_gate_check_again_changes_nothing(runtime):
    """A check that was added twice is asked twice; each addition is removed once, however often that is asked for."""
    asked = []

    async def check(request: hc.TurnRequest) -> None:
        asked.append(request.model)

    removals = [runtime.add_gate_check(check) for _ in range(2)]

    @runtime.entry_point("api")
    async def api(ctx, _):
        asked.clear()
        async with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 1))
        return len(asked)

    async with runtime:
        assert (await runtime.trigger_and_wait("api")).output == 2
        for remove, left in zip(removals, (1, 0), strict=True):
            remove()
            remove()
            assert (await runtime.trigger_and_wait("api")).output == left
    for remove in removals:
        remove()


async def test_a_check_that_passes_at_once_is_not_awaited(runtime):
    """While one of several cannot say so, or one says no, all of them are awaited; removed, none is asked."""
    asked, awaited, verdicts = [], [], {"a": True, "b": True}

    def checking(name):
        async def check(request: hc.TurnRequest) -> None:
            awaited.append(name)

        def passes(request: hc.TurnRequest) -> bool:
            asked.append((name, request.resolved_model))
            return verdicts[name]

        return check, passes

    @runtime.entry_point("api")
    async def api(ctx, _):
        asked.clear()
        awaited.clear()
        async with ctx.turn("m") as turn:
            turn.settle(hc.Usage(1, 1))
        return list(asked), list(awaited)

    async def found():
        return (await runtime.trigger_and_wait("api")).output

    removals = []
    for name in "ab":
        check, passes = checking(name)
        removals.append(runtime.add_gate_check(check, passes=passes))
    async with runtime:
        assert await found() == ([("a", "m"), ("b", "m")], [])
        verdicts["b"] = False
        assert (await found())[1] == ["a", "b"]
        verdicts["b"] = True
        remove = runtime.add_gate_check(checking("c")[0])
        assert await found() == ([], ["a", "b", "c"])
        remove()
        removals.pop()()
        assert await found() == ([("a", "m")], [])
        removals.pop()()
        assert await found() == ([], [])


async def test_what_a_check_cancels_while_it_is_asked_is_not_sent(make_runtime):
    """The turn is refused as one of a cancelled execution, and gives back what it holds."""
    runtime = make_runtime(budgets=[hc.Budget("all", "$10")])

    async def check(request: hc.TurnRequest) -> None: ...

    def passes(request: hc.TurnRequest) -> bool:
        return runtime.cancel_execution_nowait(request.execution_id, "enough", after_turn=True)

    runtime.add_gate_check(check, passes=passes)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", input_tokens=1, max_tokens=1):
            raise AssertionError("it was sent")

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        accounts = await runtime.budgets.status()
    assert (result.status, str(result.error)) == ("cancelled", "enough")
    assert [(account.held, account.in_doubt, account.settled) for account in accounts] == [(0, 0, 0)] * len(accounts)


async def test_what_cancels_the_surroundings_leaves_plugins_at_work_to_the_end(make_runtime, forever, tmp_path):
    """A deadline around the runtime ends its executions; plugins see their ends, the log too, before they stop."""
    seen = []

    class Watcher:
        name = "watcher"

        @asynccontextmanager
        async def attached(self, host):
            host.bus.subscribe(handler=lambda event: seen.append(event.type))
            yield
            seen.append("stop")

    runtime = make_runtime(plugins=[Watcher()], config={})
    runtime.entry_point("wait")(forever)
    with anyio.CancelScope() as scope:
        async with runtime:
            await runtime.trigger("wait", session_id="s")
            await forever.started.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert seen == ["execution_started", "execution_completed", "stop"]
    assert (await hc.SessionStore(tmp_path).read_state("s")).status == "cancelled"


async def test_a_deadline_while_a_plugin_starts_is_kept(make_runtime):
    """A plugin that does not come to its feet is cancelled with its surroundings."""

    class Slow:
        name = "slow"

        @asynccontextmanager
        async def attached(self, host):
            await anyio.sleep_forever()
            yield

    with anyio.fail_after(20), anyio.move_on_after(0.05) as deadline:
        async with make_runtime(plugins=[Slow()]):
            pytest.fail("it started")
    assert deadline.cancelled_caught
