"""Compacting a long conversation that nobody has counted yet, against the `json.dumps` that sending it takes.

Each answer reads a file, as those of a coding agent do; its results are pruned down to a fifth of the context.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import hivecost as hc
from benchmarks.figure import ratio_of
from hivecost.compaction.reading import ShapeName

Result = tuple[str, float, float, bool]

ROUNDS = 31
MESSAGES, CHARS = 1_000, 2_000_000
#: Tokens; what is said is two and a half times as many.
BUDGET = 200_000
#: Of `json.dumps`; blocks are looked at one by one.
GOALS: dict[ShapeName, float] = {"openai_chat": 1.0, "anthropic": 2.0}
#: The text of a tool's result.
LINE = "    return self.pages.get(key) or self.load(key, now_ns)  # the rates may have changed\n"


def results() -> list[Result]:
    """(name, goal, figure, whether the goal is met)."""
    return [_compacting("openai_chat", _openai), _compacting("anthropic", _anthropic)]


def _compacting(shape: ShapeName, exchange: Callable[[int, str], list[Any]]) -> Result:
    text = LINE * (CHARS // (MESSAGES // 2) // len(LINE))
    messages = [{"role": "user", "content": "Find out why the cache is stale."}]
    for number in range(MESSAGES // 2):
        messages += exchange(number, f"{number}\n{text}")
    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        started_s = perf_counter()
        compacted = hc.compact(messages, shape=shape, budget=BUDGET)
        ours_s.append(perf_counter() - started_s)
        assert compacted.status == "done"
        started_s = perf_counter()
        json.dumps(messages)
        theirs_s.append(perf_counter() - started_s)
    ratio = ratio_of(ours_s, theirs_s)
    size = f"{MESSAGES:,} messages of {CHARS // 10**6}M characters"
    name = f"compacting {size}, {shape}: {1_000 * median(ours_s):.1f} ms, over json.dumps of them"
    return name, GOALS[shape], ratio, ratio <= GOALS[shape]


def _openai(number: int, text: str) -> list[Any]:
    function = {"name": "read_file", "arguments": f'{{"path": "src/module_{number}.py"}}'}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": text},
    ]


def _anthropic(number: int, text: str) -> list[Any]:
    called = {"path": f"src/module_{number}.py"}
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": "read_file", "input": called}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": text}
    return [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
