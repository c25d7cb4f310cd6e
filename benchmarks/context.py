"""`python -m benchmarks.context`: what a conversation of 200 turns with tools costs, kept short in several ways.

The agent runs in a node of a runtime and asks the provider emulator, whose answers say what a provider with a prompt
cache would: it reads the longest beginning that a prompt shares with the one before, from 1,024 tokens on, in steps of
128, and writes the rest where its model charges for that. Tokens are those of the model's tokenizer (extra `tokens`),
else four characters each. The results that the agent gets are the same each time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from urllib.request import Request, urlopen

import anyio
import anyio.to_thread
import msgspec

import hivecost as hc
from hivecost.compaction import prune_tool_results
from hivecost.pricing.tokenizer import can_count_tokens, count_text_tokens
from hivecost.testing import Behaviour, ProviderEmulator, prompt_tokens
from hivecost.testing.emulator import ReceivedRequest
from hivecost.testing.tokens import lorem

TURNS: Final = 200
BUDGET_TOKENS: Final = 32_000
MODELS: Final = ("gpt-5-mini", "gpt-4o", "claude-sonnet-4-5")
#: The whole conversation each time; the newest ten results, after each turn; the oldest results out until it is just
#: under the budget, when it is over; a context budget.
WAYS: Final = ("as it is", "newest 10 results", "just under the budget", "context budget")
_CACHED_MIN: Final = 1_024
_CACHED_STEP: Final = 128
_ANSWER_TOKENS: Final = 60
_RESULT_TOKENS: Final = (100, 1_000)


_DOWN_TO_IT: Final = hc.CompactionConfig()
msgspec.structs.force_setattr(_DOWN_TO_IT, "compact_to", 1.0)  # what nobody may set: it is what this is to show


class Run(NamedTuple):
    """What one conversation came to."""

    model: str
    has_cache: bool
    way: str
    cost_nanousd: int
    input_tokens: int
    #: The longest of its prompts, as the provider counted it.
    longest: int
    compactions: int


class Provider:
    """Decides what the usage of each answer is: that of a provider with a cache, for one conversation."""

    def __init__(self, model: str, *, has_cache: bool, charges_writes: bool) -> None:
        self._model, self._has_cache, self._charges_writes = model, has_cache, charges_writes
        self._sizes: dict[str, int] = {}
        self._before: list[Any] = []
        self.longest = 0

    def decide(self, request: ReceivedRequest) -> Behaviour:
        """Return an answer of one call's length with this usage."""
        body = json.loads(request.body)
        system = [body["system"]] if "system" in body else []
        messages = [*system, *map(_unmarked, body["messages"])]
        sizes = [self._size(message) for message in messages]
        prompt = sum(sizes)
        self.longest = max(self.longest, prompt)
        read = self._read(messages, sizes)
        self._before = messages
        written = prompt - read if self._has_cache and self._charges_writes else 0
        return Behaviour(text="ok", usage=hc.Usage(prompt, _ANSWER_TOKENS, read, written))

    def _size(self, message: Any) -> int:
        text = json.dumps(message)
        if text not in self._sizes:
            if can_count_tokens(self._model):
                self._sizes[text] = 3 + sum(count_text_tokens(part, self._model) for part in _texts(message))
            else:
                self._sizes[text] = prompt_tokens(message)
        return self._sizes[text]

    def _read(self, messages: Sequence[Any], sizes: Sequence[int]) -> int:
        if not self._has_cache:
            return 0
        pairs = enumerate(zip(self._before, messages, strict=False))
        shared = next((at for at, (old, new) in pairs if old != new), min(len(self._before), len(messages)))
        tokens = sum(sizes[:shared])
        return tokens - tokens % _CACHED_STEP if tokens >= _CACHED_MIN else 0


def _texts(message: Any) -> list[str]:
    """Return what counts of a chat's message, by the rule of OpenAI's cookbook."""
    calls = [call["function"] for call in message.get("tool_calls", ())]
    return [message["role"], message["content"] or "", *(text for call in calls for text in call.values())]


def _unmarked(message: Any) -> Any:
    """Return a message as the model reads it: without marks for the cache, and a text alone as one."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [{key: value for key, value in part.items() if key != "cache_control"} for part in content]
    is_text = [part.get("type") for part in parts] == ["text"]
    return {**message, "content": parts[0]["text"] if is_text else parts}


def run(model: str, way: str, *, has_cache: bool, turns: int = TURNS, budget: int = BUDGET_TOKENS) -> Run:
    """Have the conversation, and return what it came to."""
    is_claude = model.startswith("claude")
    provider = Provider(model, has_cache=has_cache, charges_writes=is_claude)
    with ProviderEmulator(decide=provider.decide) as emulator, TemporaryDirectory() as data:
        url = f"{emulator.url}/v1/{'messages' if is_claude else 'chat/completions'}"
        told: list[hc.ContextCompacted] = []
        cost, tokens = anyio.run(_converse, model, way, turns, budget, url, Path(data), told.append)
    compactions = sum(event.status == "done" for event in told)
    return Run(model, has_cache, way, cost, tokens, provider.longest, compactions)


async def _converse(
    model: str, way: str, turns: int, budget: int, url: str, data: Path, tell: Callable[[hc.ContextCompacted], None]
) -> tuple[int, int]:
    is_claude = model.startswith("claude")
    loop_config = {"max_history_tokens": budget} if way == "context budget" else {}
    counter = hc.Counter(model)
    messages: list[Any] = [{"role": "user", "content": f"Fix what is broken. {lorem(200)}"}]
    async with hc.AgentRuntime(data, config={"log": False, "runaway": "off"}) as runtime:
        runtime.bus.subscribe(event_types=[hc.EventType.CONTEXT_COMPACTED], handler=tell)
        async with runtime.execution(agent_id="fixer") as ctx, ctx.node("loop", loop_config=loop_config):
            for added in _results(turns, is_claude=is_claude):
                messages = _kept(messages, way, budget, counter, is_claude=is_claude)
                prompt = _marked(messages) if is_claude and way != "context budget" else messages
                request = {"messages": prompt, **({"system": lorem(300)} if is_claude else {})}
                async with ctx.turn(model, prompt=request, max_tokens=1_000) as turn:
                    body = {**turn.prompt, "model": model, "max_tokens": 1_000}
                    turn.settle(await anyio.to_thread.run_sync(_post, url, body))
                messages += added
        await runtime.bus.drain()
        return ctx.totals.cost_nanousd, ctx.totals.input_tokens


def _kept(messages: list[Any], way: str, budget: int, counter: hc.Counter, *, is_claude: bool) -> list[Any]:
    """Return what the agent itself keeps of a conversation."""
    shape: Any = "anthropic" if is_claude else "openai_chat"
    if way == "newest 10 results":
        return prune_tool_results(messages, shape=shape, keep=10, must_pay=False).messages
    if way == "just under the budget":
        return hc.compact(messages, shape=shape, budget=budget, config=_DOWN_TO_IT, count=counter).messages
    return messages


def _marked(messages: list[Any]) -> list[Any]:
    """Return messages of Claude's with a mark for the cache at their end."""
    content = messages[-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    marked = {**parts[-1], "cache_control": {"type": "ephemeral"}}
    return [*messages[:-1], {**messages[-1], "content": [*parts[:-1], marked]}]


def _results(turns: int, *, is_claude: bool) -> Iterator[list[Any]]:
    """Give the call that each answer makes, and its result."""
    random = Random(1)  # nothing here is secret
    for number in range(turns):
        name, arguments = random.choice(("read_file", "search", "run")), {"path": lorem(20)}
        result = f"{number} {lorem(random.randint(*_RESULT_TOKENS))}"
        if is_claude:
            use = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
            block = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}
            yield [{"role": "assistant", "content": [use]}, {"role": "user", "content": [block]}]
        else:
            function = {"name": name, "arguments": json.dumps(arguments)}
            call = {"id": f"call_{number}", "type": "function", "function": function}
            answer = {"role": "assistant", "content": None, "tool_calls": [call]}
            yield [answer, {"role": "tool", "tool_call_id": f"call_{number}", "content": result}]


def _post(url: str, body: dict[str, Any]) -> Any:
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # on loopback
    with urlopen(request, timeout=60) as answer:  # the same
        return json.load(answer)


def table(runs: Sequence[Run]) -> str:
    """Return the runs as a table in Markdown: a line for each model and kind of cache."""
    lines = [f"| model | prompt cache | {' | '.join(WAYS)} | longest prompt |", "|---" * (len(WAYS) + 3) + "|"]
    for model, has_cache in dict.fromkeys((run.model, run.has_cache) for run in runs):
        group = {run.way: run for run in runs if (run.model, run.has_cache) == (model, has_cache)}
        first = group[WAYS[0]].cost_nanousd
        costs = [f"${group[way].cost_nanousd / 1e9:.3f}{_change(group[way].cost_nanousd, first)}" for way in WAYS]
        longest = " / ".join(f"{group[way].longest:,}" for way in WAYS)
        lines.append(f"| {model} | {'on' if has_cache else 'off'} | {' | '.join(costs)} | {longest} |")
    return "\n".join(lines)


def _change(cost: int, first: int) -> str:
    return "" if cost == first else f" ({100 * (cost / first - 1):+.0f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.context")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--budget", type=int, default=BUDGET_TOKENS, help="in tokens")
    asked = parser.parse_args()
    runs = []
    for model in MODELS:
        for has_cache in (True, False):
            for way in WAYS:
                runs.append(run(model, way, has_cache=has_cache, turns=asked.turns, budget=asked.budget))
                print(runs[-1], file=sys.stderr, flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
