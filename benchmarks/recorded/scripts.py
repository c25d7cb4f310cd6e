"""What the emulated model answers: a coding task in actions, and each client's own tools for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, NamedTuple

from hivecost.testing import Behaviour, ToolCall


class Action(NamedTuple):
    """One answer: a sentence, and what is to be done: run, read, edit, write, delegate, search, or nothing."""

    say: str
    do: str = ""
    path: str = ""
    #: A command, or the text that is written.
    text: str = ""
    #: What the text takes the place of.
    old: str = ""


ASSUMED_MEDIAN_TOKENS: Final = 300
_ASSUMED_SIGMA: Final = 1.0


def assumed_output_tokens(number: int) -> int:
    """What the n-th answer costs in output, reasoning included: an assumption, not a measurement.

    A log-normal distribution with a median of 300 tokens (95th percentile 1,550), read off in an order that spreads it
    evenly: most answers of agents call a tool with a line or two, few write a file or think for long.
    """
    share = (number * 0.6180339887 + 0.5) % 1 * 0.98 + 0.01
    return round(ASSUMED_MEDIAN_TOKENS * 2.718281828 ** (_ASSUMED_SIGMA * NormalDist().inv_cdf(share)))


def tasks(project: Path) -> list[list[Action]]:
    """Three tasks in the project: reading, editing, running, writing, until the last word."""
    paths = sorted(path.name for path in project.glob("*.py"))
    found: list[list[Action]] = []
    for first, second, third in (paths[0:3], paths[3:6], paths[6:9]):
        line = next(line for line in (project / first).read_text().splitlines() if line.startswith("from "))
        found.append(
            [
                Action("I look at the project first.", "run", text="ls -la && wc -l *.py"),
                Action("Now the module itself.", "read", first),
                Action("What it uses.", "read", second),
                Action("", "run", text=f"grep -n 'def \\|class ' {first} {second}"),
                Action("The third one belongs to it.", "read", third),
                Action("I change the import.", "edit", first, f"{line}\nimport logging", line),
                Action("", "run", text=f"python3 -m py_compile {first} && echo compiled"),
                Action("A test for it.", "write", f"test_{first}", _test_file(first)),
                Action("", "run", text=f"python3 -m py_compile test_{first} && echo compiled"),
                Action("One more look.", "run", text=f"sed -n '1,120p' {second}"),
                Action("It needs a constant.", "edit", third, "LIMIT = 100\n", ""),
                Action("", "run", text=f"head -40 {third}"),
                Action("The notes.", "write", f"NOTES-{first}.md", "What was done, and why.\n" * 20),
                Action("", "run", text="cat *.py | wc && ls"),
                Action("Everything compiles. " + "The module logs what it does, and a test says so. " * 6),
            ]
        )
    return found


def delegation(project: Path) -> list[list[Action]]:
    """A task with a sub-agent, whose answers come in between, and a search of the web; then a summary."""
    first, second = sorted(path.name for path in project.glob("*.py"))[:2]
    task = [
        Action("Somebody should look through this.", "delegate", text=f"Say what {first} and {second} have in common."),
        Action("", "run", text="ls -la"),
        Action("", "read", first),
        Action("", "read", second),
        Action("Both keep what the emulator knows. " * 8),
        Action("What do others do?", "search", text="provider emulator for language models"),
        Action("Nothing was found."),
        Action("", "read", first),
        Action("Both modules keep what the emulator knows."),
    ]
    return [task, [Action("The user asked what two modules have in common. " * 40)]]


def _test_file(name: str) -> str:
    module = name.removesuffix(".py")
    return "\n\n".join(
        f'def test_{module}_{n}():\n    """It holds for {n}."""\n    assert {n} + 1 > {n}' for n in range(12)
    )


Tools = Callable[[Action, Path], ToolCall]


def claude_tools(action: Action, project: Path) -> ToolCall:
    """Claude Code's Bash, Read, Edit and Write."""
    path = str(project / action.path)
    if action.do == "run":
        return ToolCall("Bash", {"command": action.text, "description": "Run a command"})
    if action.do == "read":
        return ToolCall("Read", {"file_path": path})
    if action.do == "delegate":
        given = {"description": "Compare", "prompt": action.text, "subagent_type": "general-purpose"}
        return ToolCall("Agent", given | {"run_in_background": False})
    if action.do == "search":
        return ToolCall("WebSearch", {"query": action.text})
    if action.do == "edit" and action.old:
        return ToolCall("Edit", {"file_path": path, "old_string": action.old, "new_string": action.text})
    if action.do == "edit":
        return ToolCall("Bash", {"command": f"printf '{action.text!r}' >> {path}", "description": "Append a line"})
    return ToolCall("Write", {"file_path": path, "content": action.text})


def _command(action: Action) -> str:
    if action.do == "run":
        return action.text
    if action.do == "read":
        return f"sed -n '1,400p' {action.path}"
    if action.do == "edit":
        change = f"p.write_text(p.read_text().replace({action.old!r}, {action.text!r}, 1))"
        return f"python3 - <<'END'\nimport pathlib\np = pathlib.Path({action.path!r})\n{change}\nEND"
    return f"cat > {action.path} <<'END'\n{action.text}\nEND"


def codex_tools(action: Action, project: Path) -> ToolCall:
    """The function `exec_command` that Codex gives to models up to GPT-5."""
    return ToolCall("exec_command", {"cmd": _command(action), "workdir": str(project), "max_output_tokens": 8000})


def codex_code_tools(action: Action, project: Path) -> ToolCall:
    """The custom tool `exec`, which runs JavaScript, that Codex gives to GPT-6."""
    if action.do == "write":
        added = "\n".join(f"+{line}" for line in action.text.splitlines())
        patch = f"*** Begin Patch\n*** Add File: {action.path}\n{added}\n*** End Patch"
        return ToolCall("exec", f"text(await tools.apply_patch({json.dumps(patch)}));")
    command = json.dumps({"cmd": _command(action), "workdir": str(project)})
    return ToolCall("exec", f"const result = await tools.exec_command({command});\ntext(result.output);")


def agent_tools(action: Action, project: Path) -> ToolCall:
    """The functions of `frameworks.py`."""
    if action.do == "read":
        return ToolCall("read_file", {"path": action.path})
    if action.do == "run":
        return ToolCall("run_command", {"command": action.text})
    return ToolCall("write_file", {"path": action.path, "content": action.text})


def behaviours(actions: Sequence[Action], tools: Tools, project: Path) -> list[Behaviour]:
    """An answer for each action."""

    def of(action: Action) -> dict[str, Any]:
        return {"text": action.say, "tool_calls": (tools(action, project),) if action.do else ()}

    return [Behaviour(**of(action)) for action in actions]
