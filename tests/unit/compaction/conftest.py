"""Conversations in three dialects, and what no compaction may do to one, said once more and independently."""

from __future__ import annotations

import json

import pytest

SHAPES = ("openai_chat", "anthropic", "responses")


@pytest.fixture(params=SHAPES)
def shape(request):
    return request.param


@pytest.fixture
def talk():
    """Writes messages of a dialect: `talk(shape).user("Hi").tools(("a", "42")).messages`."""
    return Talk


@pytest.fixture
def harm():
    """Says what a compaction broke."""
    return harm_of


@pytest.fixture
def texts_of():
    """All the strings in a value."""
    return _strings


class Talk:
    def __init__(self, shape):
        self.shape, self.messages, self._thoughts = shape, [], 0

    def add(self, *messages):
        self.messages += messages
        return self

    def system(self, text):
        return self if self.shape == "anthropic" else self.add({"role": "system", "content": text})

    def user(self, text):
        if self.shape == "responses":
            return self.add({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
        return self.add({"role": "user", "content": text})

    def says(self, text):
        if self.shape == "responses":
            part = {"type": "output_text", "text": text}
            return self.add({"type": "message", "role": "assistant", "content": [part]})
        content = [{"type": "text", "text": text}] if self.shape == "anthropic" else text
        return self.add({"role": "assistant", "content": content})

    def calls(self, *names, arguments=None, tool="look"):
        """A batch of calls, by id; `tools` is with their results."""
        arguments = {} if arguments is None else arguments
        if self.shape == "openai_chat":
            function = {"name": tool, "arguments": json.dumps(arguments)}
            calls = [{"id": name, "type": "function", "function": function} for name in names]
            return self.add({"role": "assistant", "content": None, "tool_calls": calls})
        if self.shape == "anthropic":
            calls = [{"type": "tool_use", "id": name, "name": tool, "input": arguments} for name in names]
            return self.add({"role": "assistant", "content": calls})
        function = {"name": tool, "arguments": json.dumps(arguments)}
        return self.add(*({"type": "function_call", "call_id": name, **function} for name in names))

    def results(self, *results):
        """(id, text) of each, or (id, text, True) of an error."""
        if self.shape == "anthropic":
            blocks = [
                {"type": "tool_result", "tool_use_id": name, "content": text} | ({"is_error": True} if error else {})
                for name, text, *error in results
            ]
            return self.add({"role": "user", "content": blocks})
        if self.shape == "openai_chat":
            return self.add(
                *(
                    {"role": "tool", "tool_call_id": name, "content": text} | ({"is_error": True} if error else {})
                    for name, text, *error in results
                )
            )
        return self.add(
            *(
                {"type": "function_call_output", "call_id": name, "output": text}
                | ({"status": "failed"} if error else {})
                for name, text, *error in results
            )
        )

    def tools(self, *results, **how):
        return self.calls(*(name for name, *_ in results), **how).results(*results)

    def thinks(self):
        """Reasoning, or thinking in a message of its own calls; chat completions have none."""
        self._thoughts += 1
        if self.shape == "responses":
            self.add({"type": "reasoning", "id": f"rs_{self._thoughts}", "summary": [], "encrypted_content": "b3Bh"})
        return self

    def thinking(self, name, result):
        """A call with thinking before it, and its result."""
        thought = {"type": "thinking", "thinking": f"thought {name}", "signature": f"signature {name}"}
        call = {"type": "tool_use", "id": name, "name": "look", "input": {}}
        return self.add({"role": "assistant", "content": [thought, call]}).results((name, result))


def harm_of(before, after, shape):
    """What is wrong with `after` that was not wrong with `before`; nothing where the compaction is sound."""
    harm = sorted(_broken_pairs(after, shape) - _broken_pairs(before, shape))
    if [message for message in after if _role(message) in ("system", "developer")] != [
        message for message in before if _role(message) in ("system", "developer")
    ]:
        harm.append("a system message is lost")
    words = [own for message in before if (own := _own_words(message))]
    if words and words[-1] not in [_own_words(message) for message in after]:
        harm.append("the user's last words are lost")
    kept = iter(before)
    if any(message not in kept for message in after if message in before):
        harm.append("the order changed")
    harm += [f"{problem} is new" for problem in _own_problems(after, shape) - _own_problems(before, shape)]
    for message in before:
        if "compaction" in _kinds(message) and message not in after:
            harm.append("a compaction item is lost")
    return harm + _harm_to_thoughts(before, after, shape)


def _broken_pairs(messages, shape):
    """(what, id) of each call and result that has no partner, but for calls of a batch at the very end."""
    broken, waiting = set(), []
    for message in messages:
        calls, results = _calls(message), _results(message)
        if shape == "responses":
            waiting += calls
            for name in results:
                if name in waiting:
                    waiting.remove(name)
                else:
                    broken.add(("result", name))
            continue
        for name in results:
            if name in waiting:
                waiting.remove(name)
            else:
                broken.add(("result", name))
        if shape == "anthropic" or not results:
            broken |= {("call", name) for name in waiting}
            waiting = [*calls]
    if shape == "responses":
        broken |= {("call", name) for name in waiting}
    return broken


def _own_problems(messages, shape):
    problems = set()
    for message in messages:
        content = message.get("content")
        if shape == "anthropic":
            problems |= {"empty content"} if not content else set()
            if isinstance(content, list):
                kinds = [part.get("type") == "tool_result" for part in content]
                problems |= {"results are not first"} if kinds != sorted(kinds, reverse=True) else set()
                problems |= {"empty text" for part in content if part.get("type") == "text" and not part.get("text")}
        if shape == "openai_chat" and _role(message) == "assistant" and not content and not message.get("tool_calls"):
            problems |= set() if message.get("refusal") else {"says nothing"}
    first = next((message for message in messages if _role(message) not in ("system", "developer")), None)
    if shape == "anthropic" and first is not None and _role(first) != "user":
        problems.add("does not begin with the user")
    if shape == "anthropic" and json.dumps(messages, default=str).count('"cache_control"') > 4:
        problems.add("too many marks")
    return problems


def _harm_to_thoughts(before, after, shape):
    if shape == "responses":
        follows, kept = _what_follows_reasoning(before), _what_follows_reasoning(after)
        return [f"{name} lost what followed it" for name, following in kept.items() if follows.get(name) != following]
    if shape != "anthropic":
        return []
    known = [thoughts for message in before if (thoughts := _thoughts(message))]
    harm = ["thinking was changed" for message in after if _thoughts(message) and _thoughts(message) not in known]
    last = max((index for index, message in enumerate(before) if _own_words(message)), default=-1)
    present = [_thoughts(message) for message in after]
    lost = [message for message in before[last + 1 :] if _thoughts(message) and _thoughts(message) not in present]
    return harm + ["thinking of the running turn is lost" for _ in lost]


def _what_follows_reasoning(items):
    followed = zip(items, [*items[1:], None], strict=True) if items else ()
    return {item["id"]: following for item, following in followed if item.get("type") == "reasoning"}


def _parts(message):
    content = message.get("content")
    return content if isinstance(content, list) else []


def _kinds(message):
    return {message.get("type"), *(part.get("type") for part in _parts(message))}


def _role(message):
    return message.get("role")


def _thoughts(message):
    return [part for part in _parts(message) if part.get("type") in ("thinking", "redacted_thinking")]


def _calls(message):
    names = [call["id"] for call in message.get("tool_calls") or ()]
    names += [part["id"] for part in _parts(message) if part.get("type") == "tool_use"]
    return names + ([message["call_id"]] if message.get("type") == "function_call" else [])


def _results(message):
    names = [message["tool_call_id"]] if _role(message) == "tool" else []
    names += [part["tool_use_id"] for part in _parts(message) if part.get("type") == "tool_result"]
    return names + ([message["call_id"]] if message.get("type") == "function_call_output" else [])


def _own_words(message):
    if _role(message) != "user":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return None if content.startswith("[hivecost: summary") else content
    own = [part for part in _parts(message) if part.get("type") != "tool_result"]
    if own and str(own[0].get("text")).startswith("[hivecost: summary"):
        return None
    return own or None


def _strings(value):
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _strings(item)]
