"""What was used is made up at random and written down as each shape writes it: it is read to the token, whatever stands
around it; and whatever is wrong with it is said."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from hivecost.events import Usage
from hivecost.usage import UsageStatus, read_usage

EXAMPLES = int(os.environ.get("HIVECOST_SOAK_FUZZ", "500")) // 10
COUNTS = st.integers(0, 50_000)


class Used(Struct, frozen=True):
    """What a provider knows: disjoint parts, whatever it makes of them."""

    plain: int
    read: int
    written: int
    written_1h: int
    said: int
    thought: int
    audio: int

    @property
    def cached(self):
        return self.read + self.written + self.written_1h

    @property
    def input(self):
        return self.plain + self.cached

    @property
    def output(self):
        return self.said + self.thought

    @property
    def total(self):
        return self.input + self.output

    def usage(self, *, cached="rwh", thought=True, audio=True):
        """What a shape that tells so much of it can be read as."""
        return Usage(
            self.input,
            self.output,
            cache_read_tokens=self.read if "r" in cached else 0,
            cache_write_tokens=self.written + self.written_1h if "w" in cached else 0,
            cache_write_1h_tokens=self.written_1h if "h" in cached else 0,
            reasoning_tokens=self.thought if thought else 0,
            input_audio_tokens=min(self.audio, self.plain) if audio else 0,
        )

    @property
    def heard(self):
        return min(self.audio, self.plain)


USED = st.builds(Used, *[COUNTS] * 7)


def openai(used):
    usage = {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.total,
        "prompt_tokens_details": {
            "cached_tokens": used.read,
            "cache_write_tokens": used.written + used.written_1h,
            "audio_tokens": used.heard,
        },
        "completion_tokens_details": {"reasoning_tokens": used.thought, "accepted_prediction_tokens": 0},
    }
    return {"model": "gpt-4o", "choices": [{"finish_reason": "stop"}]}, "usage", usage, used.usage(cached="rw")


def responses(used):
    usage = {
        "input_tokens": used.input,
        "input_tokens_details": {"cached_tokens": used.read, "audio_tokens": used.heard},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.thought},
        "total_tokens": used.total,
    }
    return {"object": "response", "model": "gpt-5", "output": []}, "usage", usage, used.usage(cached="r")


def anthropic(used):
    usage = {
        "input_tokens": used.plain,
        "output_tokens": used.output,
        "cache_read_input_tokens": used.read,
        "cache_creation_input_tokens": used.written + used.written_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.written,
            "ephemeral_1h_input_tokens": used.written_1h,
        },
        "output_tokens_details": {"thinking_tokens": used.thought},
    }
    return {"type": "message", "model": "claude-sonnet-4-5"}, "usage", usage, used.usage(audio=False)


def iterations(used):
    """Two passes: half of it, and what is left."""
    first = {name: getattr(used, name) // 2 for name in ("plain", "read", "written", "written_1h", "said", "thought")}
    parts = [
        Used(**first, audio=0),
        Used(**{name: getattr(used, name) - count for name, count in first.items()}, audio=0),
    ]
    runs = [{"type": kind, **anthropic(part)[2]} for kind, part in zip(("compaction", "message"), parts, strict=True)]
    usage = {**anthropic(parts[1])[2], "iterations": runs}
    return {"type": "message", "model": "claude-sonnet-4-5"}, "usage", usage, used.usage(audio=False)


def gemini(used):
    usage = {
        "promptTokenCount": used.input,
        "candidatesTokenCount": used.said,
        "thoughtsTokenCount": used.thought,
        "cachedContentTokenCount": used.read,
        "totalTokenCount": used.total,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": used.input - used.heard},
            {"modality": "AUDIO", "tokenCount": used.heard},
        ],
    }
    return {"modelVersion": "gemini-2.5-pro"}, "usageMetadata", usage, used.usage(cached="r")


def interactions(used):
    usage = {
        "total_input_tokens": used.input,
        "total_output_tokens": used.said,
        "total_thought_tokens": used.thought,
        "total_cached_tokens": used.read,
        "total_tool_use_tokens": 0,
        "total_tokens": used.total,
    }
    return {"object": "interaction"}, "usage", usage, used.usage(cached="r", audio=False)


def bedrock(used):
    usage = {
        "inputTokens": used.plain,
        "outputTokens": used.output,
        "totalTokens": used.total,
        "cacheReadInputTokens": used.read,
        "cacheWriteInputTokens": used.written + used.written_1h,
        "cacheDetails": [{"ttl": "5m", "inputTokens": used.written}, {"ttl": "1h", "inputTokens": used.written_1h}],
    }
    return {"stopReason": "end_turn"}, "usage", usage, used.usage(thought=False, audio=False)


def strands(used):
    """Bedrock's names, for a model whose provider counts inclusively."""
    usage = {
        "inputTokens": used.input,
        "outputTokens": used.output,
        "totalTokens": used.total,
        "cacheReadInputTokens": used.read,
    }
    return {"model": "gpt-4o"}, "usage", usage, used.usage(cached="r", thought=False, audio=False)


def xai(used):
    usage = {
        "prompt_tokens": used.input,
        "completion_tokens": used.said,
        "reasoning_tokens": used.thought,
        "cached_prompt_text_tokens": used.read,
        "total_tokens": used.total,
    }
    return {"model": "grok-4"}, "usage", usage, used.usage(cached="r", audio=False)


def deepseek(used):
    usage = {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.total,
        "prompt_cache_hit_tokens": used.read,
        "prompt_cache_miss_tokens": used.input - used.read,
    }
    return {"model": "deepseek-chat"}, "usage", usage, used.usage(cached="r", thought=False, audio=False)


def langchain(used):
    usage = {
        "input_tokens": used.input,
        "output_tokens": used.output,
        "total_tokens": used.total,
        "input_token_details": {
            "cache_read": used.read,
            "cache_creation": 0,
            "ephemeral_5m_input_tokens": used.written,
            "ephemeral_1h_input_tokens": used.written_1h,
            "audio": used.heard,
        },
        "output_token_details": {"reasoning": used.thought},
    }
    return {"response_metadata": {"model_name": "claude-sonnet-4-5"}}, "usage_metadata", usage, used.usage()


def inspect_ai(used):
    usage = {
        "input_tokens": used.plain,
        "output_tokens": used.output,
        "total_tokens": used.total,
        "input_tokens_cache_read": used.read,
        "input_tokens_cache_write": used.written + used.written_1h,
        "reasoning_tokens": used.thought,
    }
    return {"model": "anthropic/claude-sonnet-5"}, "usage", usage, used.usage(cached="rw", audio=False)


def langfuse(used):
    usage = {
        "input": used.plain,
        "output": used.output,
        "cache_read_input_tokens": used.read,
        "cache_creation_input_tokens": used.written + used.written_1h,
        "total": used.total,
    }
    return {"model": "claude-sonnet-4-5"}, "usageDetails", usage, used.usage(cached="rw", thought=False, audio=False)


def span(used):
    usage = {
        "gen_ai.usage.input_tokens": used.input,
        "gen_ai.usage.output_tokens": used.output,
        "gen_ai.usage.cache_read.input_tokens": used.read,
        "gen_ai.usage.cache_write.input_tokens": used.written + used.written_1h,
        "gen_ai.usage.reasoning.output_tokens": used.thought,
    }
    return {}, "attributes", usage, used.usage(cached="rw", audio=False)


def openinference(used):
    usage = {
        "llm.token_count.prompt": used.input,
        "llm.token_count.completion": used.output,
        "llm.token_count.total": used.total,
        "llm.token_count.prompt_details.cache_read": used.read,
        "llm.token_count.prompt_details.audio": used.heard,
        "llm.token_count.completion_details.reasoning": used.thought,
    }
    return {}, "attributes", usage, used.usage(cached="r")


def vercel(used):
    usage = {
        "ai.usage.inputTokens": used.input,
        "ai.usage.outputTokens": used.output,
        "ai.usage.totalTokens": used.total,
        "ai.usage.cachedInputTokens": used.read,
        "ai.usage.reasoningTokens": used.thought,
    }
    return {}, "attributes", usage, used.usage(cached="r", audio=False)


def ollama(used):
    usage = {"prompt_eval_count": used.input, "eval_count": used.output, "eval_duration": 4_000_000}
    return {"model": "llama3.1", "done": True}, "", usage, used.usage(cached="", thought=False, audio=False)


def llama(used):
    usage = {"prompt_token_count": used.input, "generation_token_count": used.output, "stop_reason": "stop"}
    return {"generation": "…"}, "", usage, used.usage(cached="", thought=False, audio=False)


SHAPES = [
    openai, responses, anthropic, iterations, gemini, interactions, bedrock, strands, xai, deepseek, langchain,
    inspect_ai, langfuse, span, openinference, vercel, ollama, llama,
]  # fmt: skip
TOTALS = {
    "total_tokens", "totalTokenCount", "totalTokens", "total", "llm.token_count.total", "ai.usage.totalTokens",
}  # fmt: skip
#: What stands around counts and is none, and what says that there is no count.
BESIDE = st.dictionaries(
    st.sampled_from(["note", "queue_time", "tokens_per_second", "max_tokens", "x", "is_final"]),
    st.sampled_from([None, "", "text", True, 0.5, 12, [], {}, ["a"], {"b": 1}]),
    max_size=3,
)


def put_together(around, key, usage):
    if key == "attributes":
        return usage | around
    return {**around, key: usage} if key else around | usage


def as_object(value):
    """As SDKs give it."""
    if isinstance(value, dict) and all(name.isidentifier() for name in value):
        return SimpleNamespace(**{name: as_object(part) for name, part in value.items()})
    return [as_object(part) for part in value] if isinstance(value, list) else value


def as_text(value):
    """As protocols write integers that have none."""
    if isinstance(value, dict):
        return {name: as_text(part) for name, part in value.items()}
    return str(value) if type(value) is int else value


def as_floats(value):
    if isinstance(value, dict):
        return {name: as_floats(part) for name, part in value.items()}
    return float(value) if type(value) is int else value


FORMS = {"dict": lambda payload: payload, "json": json.dumps, "bytes": lambda payload: json.dumps(payload).encode()}
NUMBERS = {"int": lambda usage: usage, "float": as_floats}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@given(used=USED, beside=BESIDE, data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_was_used_is_read_to_the_token(shape, used, beside, data):
    """In any order, as a dict, JSON or an SDK's object, with anything around it that is no count."""
    around, key, usage, meant = shape(used)
    mixed = data.draw(st.permutations([*usage.items(), *(one for one in beside.items() if one[0] not in usage)]))
    number = data.draw(st.sampled_from(sorted(NUMBERS))) if shape not in (bedrock, iterations, gemini) else "int"
    payload = put_together(around, key, NUMBERS[number](dict(mixed)))
    given_as = data.draw(st.sampled_from([*FORMS.values(), as_object]))
    reading = read_usage(given_as(payload))
    assert (reading.status, reading.reason) == (UsageStatus.OK, "")
    assert reading.usage == meant


@pytest.mark.parametrize("shape", [span, openinference, vercel], ids=lambda shape: shape.__name__)
@given(used=USED)
@settings(max_examples=EXAMPLES, deadline=None)
def test_integers_may_come_as_text(shape, used):
    """As OTLP/JSON writes them."""
    around, key, usage, meant = shape(used)
    assert read_usage(put_together(around, key, as_text(usage))).usage == meant


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@given(used=USED, more=st.integers(1, 10_000))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_count_that_nobody_knows_is_said(shape, used, more):
    """By its name and number, whatever else is read."""
    around, key, usage, meant = shape(used)
    name = next((f"{prefix}.prefill_tokens" for prefix in ("gen_ai.usage", "ai.usage") if key == "attributes"), "")
    reading = read_usage(put_together(around, key, {**usage, name or "prefill_tokens": more}))
    assert reading.status is UsageStatus.ESTIMATED
    assert f"prefill_tokens={more}" in reading.reason
    assert reading.usage == meant
    assert reading.raw


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@given(used=USED, more=st.integers(1, 10_000))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_total_that_no_parts_make_up_is_said(shape, used, more):
    """With both numbers; what only Gemini's total shows was thought, and is output. The parts may fit another way: then
    no token is missing."""
    around, key, usage, meant = shape(used)
    name = next((name for name in usage if name in TOTALS), None)
    if name is None:
        return
    usage = {**usage, name: usage[name] + more}
    reading = read_usage(put_together(around, key, usage))
    if shape in (gemini, interactions):
        assert (reading.status, reading.usage.total_tokens) == (UsageStatus.OK, usage[name])
        # Else what was cached may as well stand beside the prompt, with thoughts beside the text or in it.
        if more not in (used.read, used.read - used.thought):
            assert reading.usage.reasoning_tokens == meant.reasoning_tokens + more
    elif reading.status is UsageStatus.OK:
        assert reading.usage.total_tokens == usage[name]
    else:
        assert reading.status is UsageStatus.ESTIMATED
        assert f"{usage[name]:,}" in reading.reason
