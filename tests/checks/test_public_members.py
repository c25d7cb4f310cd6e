"""What users reach with a dot: no more than they need, and each of it told somewhere."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hivecost as hc

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio

#: All that is reached from what agents, plugins and programs are handed. A name that is added here is a promise.
SHOWN = {
    "ctx": """agent_id attribution charge entry_point execution_id is_cancelled node parent_execution_id publish result
        session_id tags totals tree_totals turn""",
    "node": "agent_id node_id",
    "turn": """cost is_last max_tokens max_tool_calls messages model observe prompt release request settle spilled
        stream tool_calls""",
    "charge": "cost settle",
    "block": "",
    "runtime": """add_gate_check base_path budgets bus cancel_execution cancel_execution_nowait clock config entry_point
        execution flush for_model log plugins prices register_plugin reload_config resolved statistics summarizer
        trigger trigger_and_wait usage wait""",
    "bus": "aclose drain publish publish_nowait statistics subscribe unsubscribe wait_for",
    "plugins": "",
    "attached": "error plugin status wait_ready",
    "usage": "add as_dict attached by forgotten name top total reset statistics",
    "budgets": """configure freeze has in_doubt raise_limit resolve set_limit status unfreeze unset_limit""",
    "ledger": """budgets changes charge close_timeout_s configure forget_execution freeze in_doubt limit_in_force open
        raise_limit remaining reserve reserve_nowait resolve set_limit status unfreeze unset_limit""",
    "hold": """amounts budgets doubt doubt_another extend hold_id key observe release settle settle_another settle_known
        shadowed state status units""",
}
#: What a mapping has, and what each event has.
UNDERSTOOD = {"keys", "values", "items", "get", "type"}

#: Of what a log answers with: what still has no word of its own.
UNTOLD = {
    "cached_tokens",
    "llm_call_count",
    "pruned_steps",
    "total_cached_tokens",
    "total_cost_nanousd",
    "total_input_tokens",
    "total_output_tokens",
}


def public(thing: object) -> set[str]:
    """Return the names that `dir` shows."""
    return {name for name in dir(thing) if not name.startswith("_")}


async def test_who_is_handed_something_sees_what_is_meant_for_them(tmp_path: Path) -> None:
    """`dir` of what agents and users get shows these names and no others."""
    budget = hc.Budget("per day", limit="$5", window="day", mode="hard")
    async with hc.AgentRuntime(tmp_path, budgets=[budget]) as runtime:
        block = runtime.execution(agent_id="planner")
        async with block as ctx:
            async with ctx.node("plan") as node, ctx.turn("gpt-4o", input_tokens=1, max_tokens=1) as turn:
                turn.settle(hc.Usage(1, 1))
            async with ctx.charge("search", usd="0.01") as charge:
                pass
        (attached, *_) = runtime.plugins
    async with (
        hc.Ledger.open(tmp_path, budgets=[budget]) as ledger,
        await ledger.reserve({}, usd="0.01", tokens=1) as hold,
    ):
        hold.release()
    given = {
        "ctx": ctx,
        "node": node,
        "turn": turn,
        "charge": charge,
        "block": block,
        "runtime": runtime,
        "bus": runtime.bus,
        "plugins": runtime.plugins,
        "attached": attached,
        "usage": runtime.usage,
        "budgets": runtime.budgets,
        "ledger": ledger,
        "hold": hold,
    }
    assert {name: public(thing) for name, thing in given.items()} == {
        name: {*names.split()} for name, names in SHOWN.items()
    }


def named_in_docs() -> set[str]:
    """Return the words in the code of README.md, CONTRIBUTING.md and docs/: in blocks and between backticks."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    code = (found for page in pages for found in re.findall(r"```.*?```|`[^`]+`", page.read_text(), re.DOTALL))
    return {word for piece in code for word in re.findall(r"\w+", piece)}


def exported_classes() -> Iterator[type]:
    """Give the classes that users can name; errors and enums are told by their names."""
    for name in hc.__all__:
        exported = getattr(hc, name)
        if inspect.isclass(exported) and not issubclass(exported, BaseException | enum.Enum):
            yield exported


def undescribed(kind: type) -> set[str]:
    """Return the public names of a class that neither it nor what it is made from describes."""
    own = {name for home in kind.__mro__ if home.__module__.startswith("hivecost.") for name in vars(home)}
    return {name for name in public(kind) & own if not is_described(kind, name)} | attributes_without_a_word(kind)


def is_described(kind: type, name: str) -> bool:
    """Whether a docstring says what it is; fields are described by the docstring of their class."""
    for home in kind.__mro__:
        member: Any = vars(home).get(name)
        if member is None or inspect.ismemberdescriptor(member) or isinstance(member, str | int):
            continue
        if (member.__func__ if isinstance(member, classmethod | staticmethod) else member).__doc__:
            return True
    return inspect.ismemberdescriptor(inspect.getattr_static(kind, name)) or isinstance(
        inspect.getattr_static(kind, name), str | int | tuple
    )


def attributes_without_a_word(kind: type) -> set[str]:
    """Return the attributes that its `__init__` sets and no `#:` line above describes."""
    if getattr(vars(kind).get("__init__"), "__name__", "") != "__init__":  # a Protocol has one of its own
        return set()
    source = textwrap.dedent(inspect.getsource(kind.__init__))
    lines = source.splitlines()
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not node.attr.startswith("_")
        and "#:" not in lines[node.lineno - 2]
    }


@pytest.mark.parametrize("kind", list(exported_classes()), ids=lambda kind: kind.__name__)
def test_what_users_can_call_is_described(kind: type) -> None:
    """By its docstring, or in README.md, CONTRIBUTING.md or docs/."""
    untold = UNTOLD if kind.__module__.startswith("hivecost.log.") else set()
    assert undescribed(kind) - named_in_docs() - UNDERSTOOD - untold == set()


class Undescribed:
    """Has what nobody describes, and one thing that is described."""

    def __init__(self) -> None:
        self.bare = 1
        #: Is told.
        self.told = 2

    @property
    def silent(self) -> int:
        return 3


def test_what_nobody_describes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute without a `#:` line, and a property without a docstring."""
    monkeypatch.setattr(Undescribed, "__module__", "hivecost.nowhere")
    assert undescribed(Undescribed) == {"bare", "silent"}
