"""Whose a call is, as the hook finds it out without a line of the program."""

from __future__ import annotations

import contextvars
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("hook_path")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch):
    """Load a module that has only what it is given."""
    for name in ("langchain_core.runnables.config", "agents.tracing.scope", "opentelemetry.trace"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def load(name: str, **contents: Any) -> None:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    return load


def attributed() -> dict[str, Any]:
    from hivecost_hook.attribution import attributed

    known: dict[str, Any] = attributed()
    return known


def variable(value: Any) -> contextvars.ContextVar[Any]:
    """A variable of a framework, with a value."""
    return contextvars.ContextVar("of a framework", default=value)


@pytest.mark.anyio
async def test_an_execution_of_hivecosts_own_says_whose_it_is(tmp_path: Path) -> None:
    """A program may have a runtime, too."""
    import hivecost as hc

    runtime = hc.AgentRuntime(tmp_path / "data")
    async with runtime, runtime.execution(agent_id="planner", user_id="ada", session_id="chat 12") as ctx:
        async with ctx.node("plan"):
            known = attributed()
        assert "node" not in attributed()
    assert (known["node"], known["agent"], known["session"], known["user"]) == ("plan", "planner", "chat 12", "ada")
    assert not {"node", "agent", "session", "user"} & attributed().keys()


def test_langgraph_says_node_and_thread(loaded) -> None:
    """What the program itself names goes before it."""
    import hivecost as hc

    config = {"metadata": {"langgraph_node": "plan"}, "configurable": {"thread_id": 7}}
    loaded("langchain_core.runnables.config", var_child_runnable_config=variable(config))
    assert attributed().items() >= {"node": "plan", "session": "7", "failed_probes": 0}.items()
    with hc.node("mine"):
        assert (attributed()["node"], attributed()["session"]) == ("mine", "7")
    loaded("langchain_core.runnables.config", var_child_runnable_config=variable(None))
    assert not {"node", "session"} & attributed().keys()


def test_the_agent_is_looked_for_around_the_span_of_the_call(loaded) -> None:
    """From the span of the call outwards; a group of traces is a session."""
    current = contextvars.ContextVar[Any]("current_span")

    def enter(kind: str, name: str) -> None:
        span = SimpleNamespace(span_data=SimpleNamespace(type=kind, name=name))
        span._prev_span_token = current.set(span)

    def run() -> dict[str, Any]:
        group = SimpleNamespace(group_id="chat 12")
        scope = SimpleNamespace(get_current_span=lambda: current.get(None), get_current_trace=lambda: group)
        loaded("agents.tracing.scope", Scope=scope)
        enter("custom", "outermost")
        assert "agent" not in attributed()
        enter("agent", "triage")
        enter("agent", "writer")
        enter("response", "")
        return attributed()

    known = contextvars.Context().run(run)
    assert (known["agent"], known["node"], known["session"], known["failed_probes"]) == (
        *("writer", "writer", "chat 12"),
        0,
    )


def test_spans_and_baggage_say_session_and_user(loaded) -> None:
    """A span's own attributes go before baggage; a span without any says nothing."""
    said = {"session.id": "of the baggage", "user.id": "ada"}
    span = SimpleNamespace(attributes={"session.id": "of the span", "gen_ai.agent.name": "writer"})
    loaded("opentelemetry.baggage", get_baggage=said.get)
    loaded("opentelemetry.trace", get_current_span=lambda: span)
    known = attributed()
    assert (known["session"], known["user"], known["agent"]) == ("of the span", "ada", "writer")
    loaded("opentelemetry.trace", get_current_span=SimpleNamespace)
    assert attributed()["session"] == "of the baggage"


def test_a_probe_that_raises_is_counted_and_changes_nothing(loaded) -> None:
    """A framework of another version, or one that is imported just now; the others are still read."""
    loaded("langchain_core.runnables.config")
    loaded("opentelemetry.trace", get_current_span=lambda: 1 / 0)
    loaded("opentelemetry.baggage", get_baggage={"user.id": "ada"}.get)
    known = attributed()
    assert (known["user"], known["failed_probes"]) == ("ada", 2)
    loaded("opentelemetry.trace", get_current_span=SimpleNamespace)
    assert attributed()["failed_probes"] == 1


def test_what_is_said_can_be_sent(loaded) -> None:
    """Whatever it is: it is text of a bounded length, and Unicode."""
    loaded("opentelemetry.trace", get_current_span=SimpleNamespace)
    loaded("opentelemetry.baggage", get_baggage={"session.id": "x" * 5_000, "user.id": "half \ud800"}.get)
    known = attributed()
    assert (len(known["session"]), known["user"]) == (1_000, "half ?")


def test_nothing_is_imported_to_find_out() -> None:
    """Frameworks that the program has not imported are not there."""
    import hivecost_hook  # noqa: F401  # its own modules are loaded with it

    before = set(sys.modules)
    attributed()
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("python a/agent.py --key secret.py", "agent.py"),
        ("python agent.py -m secret", "agent.py"),
        ("python -m agent.cli secret", "agent.cli"),
        ("python -Imagent secret", "agent"),
        ("python -u -W error -Xdev -X utf8 agent.py secret", "agent.py"),
        ("/env/bin/python /env/bin/agent secret.py", "agent"),
        ("python -c code secret.py", ""),
        ("python -uc code secret.py", ""),
        ("python - secret.py", ""),
        ("python", ""),
    ],
)
def test_a_program_is_named_after_its_script(line: str, name: str) -> None:
    """Never after an argument, which may be a secret."""
    from hivecost_hook.hello import script_name

    assert script_name(line.split()) == name


def test_the_line_is_the_programs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The innermost one in the folder where it began; neither a library in it nor code without a file."""
    monkeypatch.chdir(tmp_path)
    library = tmp_path / "lib" / "site-packages"
    library.mkdir(parents=True)
    scope: dict[str, Any] = {}
    for path, code in (
        (library / "client.py", "def send(whose):\n    return whose()['where']"),
        (tmp_path / "agent.py", "def ask(whose):\n\n    return send(whose)"),
        (Path("<string>"), "def run(whose):\n    return ask(whose)"),
    ):
        exec(compile(code, path, "exec"), scope)
    assert scope["run"](attributed) == "agent.py:3"
    monkeypatch.chdir("/")
    exec(compile("def ask(whose): return send(whose)", tmp_path / "later.py", "exec"), scope)
    assert scope["run"](attributed) == "later.py:1"
