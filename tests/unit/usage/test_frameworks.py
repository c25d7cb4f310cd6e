"""What frameworks, clients and telemetry make of providers' answers: read to the token, with what stands around it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream, read_usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
CLAUDE = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0}
LANGCHAIN = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
CAMEL = {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}
ENTRY = {**LANGCHAIN, "input_tokens_details": {"cached_tokens": 10}}
SPAN = "gen_ai.usage."


def objects(value):
    """As a framework gives it."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: objects(part) for name, part in value.items()})
    return [objects(part) for part in value] if isinstance(value, list) else value


#: A payload, the usage that it means, and facts around it.
SHAPES = {
    "LangChain, and Claude's passes": (
        {
            "type": "ai",
            "id": "lc_run--1",
            "response_metadata": {
                "id": "msg_1",
                "model_name": "claude-sonnet-4-6",
                "usage": {
                    "input_tokens": 200,
                    "output_tokens": 10,
                    "iterations": [
                        {"type": "compaction", "input_tokens": 50_000, "output_tokens": 100},
                        {"type": "message", "input_tokens": 200, "output_tokens": 10},
                    ],
                },
            },
            "usage_metadata": {"input_tokens": 200, "output_tokens": 10, "total_tokens": 210},
        },
        Usage(50_200, 110),
        {"answer_id": "msg_1", "model": "claude-sonnet-4-6"},
    ),
    "LangChain, and Claude's searches": (
        {
            "response_metadata": {
                "model_name": "claude-sonnet-4-6",
                "usage": {**CLAUDE, "server_tool_use": {"web_search_requests": 2}},
            },
            "usage_metadata": {
                "input_tokens": 100,
                "output_tokens": 5,
                "total_tokens": 105,
                "input_token_details": {"cache_read": 90, "cache_creation": 0},
            },
        },
        Usage(100, 5, cache_read_tokens=90, web_search_requests=2),
        {},
    ),
    "LangChain, and what surrounds it": (
        {
            "id": "run-1",
            "response_metadata": {
                "model_name": "gpt-5-mini",
                "model_provider": "groq",
                "service_tier": "flex",
                "finish_reason": "stop",
                "token_usage": {**CHAT, "cost": 0.001},
            },
            "usage_metadata": LANGCHAIN,
        },
        Usage(100, 20),
        {
            "provider": "groq",
            "service_tier": "flex",
            "stop_reason": "stop",
            "answer_id": "run-1",
            "reported_nanousd": 1_000_000,
        },
    ),
    "LangChain, grounded by Gemini": (
        {
            "response_metadata": {
                "model_name": "gemini-2.5-flash",
                "grounding_metadata": {"web_search_queries": ["a", "b"]},
            },
            "usage_metadata": LANGCHAIN,
        },
        Usage(100, 20, web_search_requests=1),
        {},
    ),
    "LangChain, items of OpenAI's in the content": (
        {
            "content": [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "text", "text": "x"}],
            "response_metadata": {"id": "resp_1", "model_name": "gpt-5"},
            "usage_metadata": LANGCHAIN,
        },
        Usage(100, 20, web_search_requests=1),
        {},
    ),
    "LangChain's result, by the model's own output": (
        {"generations": [[{"text": "x"}]], "llm_output": {"token_usage": CHAT, "model_name": "gpt-4o-mini"}},
        Usage(100, 20),
        {"model": "gpt-4o-mini"},
    ),
    "LangChain's result, by its only message": (
        {
            "generations": [
                [
                    {
                        "message": {
                            "kwargs": {
                                "usage_metadata": LANGCHAIN,
                                "response_metadata": {"model_name": "gemini-2.5-flash"},
                            }
                        }
                    }
                ]
            ],
            "llm_output": {},
        },
        Usage(100, 20),
        {"model": "gemini-2.5-flash"},
    ),
    "LangChain's events": (
        {
            "event": "on_chat_model_end",
            "data": {"output": {"usage_metadata": LANGCHAIN, "response_metadata": {"model_name": "gpt-4o"}}},
            "metadata": {"ls_provider": "openai"},
        },
        Usage(100, 20),
        {"model": "gpt-4o"},
    ),
    "LlamaIndex": (
        {
            "message": {"role": "assistant", "content": "x"},
            "raw": {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-6", "usage": CLAUDE},
            "additional_kwargs": {"prompt_tokens": 10, "completion_tokens": 5},
        },
        Usage(100, 5, cache_read_tokens=90),
        {"model": "claude-sonnet-4-6", "answer_id": "msg_1"},
    ),
    "Haystack, a message": (
        {"role": "assistant", "meta": {"model": "gpt-4o-mini", "finish_reason": "stop", "usage": CHAT}},
        Usage(100, 20),
        {"model": "gpt-4o-mini", "stop_reason": "stop"},
    ),
    "Haystack, a generator": (
        {"replies": ["x"], "meta": [{"model": "gpt-4o-mini", "usage": CHAT}]},
        Usage(100, 20),
        {"model": "gpt-4o-mini"},
    ),
    "AutoGen": (
        {"source": "assistant", "models_usage": {"prompt_tokens": 100, "completion_tokens": 20}},
        Usage(100, 20),
        {},
    ),
    "Semantic Kernel": (
        {"metadata": {"id": "chatcmpl-1", "usage": CHAT}, "ai_model_id": "gpt-4o"},
        Usage(100, 20),
        {"model": "gpt-4o", "answer_id": "chatcmpl-1"},
    ),
    "Microsoft's Agent Framework": (
        {
            "usage_details": {
                "input_token_count": 100,
                "output_token_count": 20,
                "total_token_count": 120,
                "openai.cached_input_tokens": 10,
            },
            "model_id": "gpt-4o",
        },
        Usage(100, 20, cache_read_tokens=10),
        {"hinted_provider": ""},
    ),
    "Agno": (
        {
            "model": "gpt-4o-audio-preview",
            "metrics": {
                **LANGCHAIN,
                "audio_input_tokens": 40,
                "audio_output_tokens": 10,
                "audio_total_tokens": 50,
                "cost": None,
            },
        },
        Usage(100, 20, input_audio_tokens=40, output_audio_tokens=10),
        {"model": "gpt-4o-audio-preview", "provider": ""},
    ),
    "openai-agents, a run": (
        {
            "raw_responses": [],
            "context_wrapper": {
                "usage": {
                    "requests": 2,
                    "input_tokens": 200,
                    "output_tokens": 40,
                    "total_tokens": 240,
                    "input_tokens_details": {"cached_tokens": 20},
                    "request_usage_entries": [ENTRY, ENTRY],
                }
            },
        },
        Usage(200, 40, cache_read_tokens=20),
        {"requests": 2},
    ),
    "pydantic-ai, a response": (
        {
            "parts": [{"part_kind": "builtin-tool-call", "tool_name": "web_search"}, {"part_kind": "text"}],
            "usage": {"input_tokens": 100, "output_tokens": 70, "details": {"reasoning_tokens": 50}},
            "model_name": "gpt-5",
            "provider_name": "azure",
            "provider_response_id": "resp_1",
        },
        Usage(100, 70, reasoning_tokens=50, web_search_requests=1),
        {"model": "gpt-5", "provider": "azure", "answer_id": "resp_1"},
    ),
    "pydantic-ai, what Gemini counts": (
        {
            "input_tokens": 130,
            "output_tokens": 70,
            "cache_read_tokens": 10,
            "details": {
                "thoughts_tokens": 50,
                "tool_use_prompt_tokens": 30,
                "text_tool_use_prompt_tokens": 30,
                "text_prompt_tokens": 60,
                "audio_prompt_tokens": 40,
                "text_candidates_tokens": 20,
                "cached_content_tokens": 10,
                "text_cache_tokens": 10,
            },
        },
        Usage(
            130, 70, cache_read_tokens=10, reasoning_tokens=50, input_audio_tokens=40, tool_use_prompt_tokens=30
        ),
        {},
    ),
    "pydantic-ai, the searches of Claude": (
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "details": {"input_tokens": 100, "output_tokens": 20, "web_search_requests": 2, "web_fetch_requests": 1},
        },
        Usage(100, 20, web_search_requests=2),
        {},
    ),
    "ADK, a grounded event": (
        {
            "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120},
            "modelVersion": "gemini-2.5-flash",
            "groundingMetadata": {"webSearchQueries": ["a"]},
        },
        Usage(100, 20, web_search_requests=1),
        {},
    ),
    "LiteLLM's log": (
        {
            "custom_llm_provider": "groq",
            "model": "gpt-4o",
            "response_cost": 0.00045,
            **CHAT,
            "response": {"id": "1", "model": "gpt-4o", "usage": CHAT},
        },
        Usage(100, 20),
        {"provider": "groq", "reported_nanousd": 450_000},
    ),
    "LiteLLM, grounded by Gemini": (
        {
            "model": "gemini-3-flash-preview",
            "usage": {**CHAT, "prompt_tokens_details": {"web_search_requests": 2}},
            "choices": [],
        },
        Usage(100, 20, web_search_requests=2),
        {},
    ),
    "LiteLLM, a cost that is not there": (
        {"model": "gpt-4o", "usage": {**CHAT, "cost": None}, "choices": []},
        Usage(100, 20),
        {"provider": "", "reported_nanousd": None},
    ),
    "Vercel's AI SDK 4, OpenAI": (
        {
            "usage": {"promptTokens": 100, "completionTokens": 20, "totalTokens": 120},
            "providerMetadata": {"openai": {"reasoningTokens": 5, "cachedPromptTokens": 10}},
            "response": {"modelId": "gpt-4o"},
        },
        Usage(100, 20, cache_read_tokens=10, reasoning_tokens=5),
        {"model": "gpt-4o"},
    ),
    "Vercel's AI SDK 4, Claude": (
        {
            "usage": {"promptTokens": 10, "completionTokens": 20, "totalTokens": 30},
            "providerMetadata": {"anthropic": {"cacheCreationInputTokens": 5, "cacheReadInputTokens": 90}},
        },
        Usage(105, 20, cache_read_tokens=90, cache_write_tokens=5),
        {},
    ),
    "Vercel's AI SDK 5, Claude": (
        {
            "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cachedInputTokens": 90},
            "providerMetadata": {"anthropic": {"usage": CLAUDE}},
        },
        Usage(100, 5, cache_read_tokens=90),
        {},
    ),
    "Vercel's AI SDK 5, grounded by Gemini": (
        {
            "usage": CAMEL,
            "providerMetadata": {"google": {"groundingMetadata": {"webSearchQueries": ["a"]}}},
            "response": {"modelId": "gemini-2.5-flash"},
        },
        Usage(100, 20, web_search_requests=1),
        {"model": "gemini-2.5-flash"},
    ),
    "Vercel's AI SDK 5, several steps": (
        {
            "usage": CAMEL,
            "totalUsage": {"inputTokens": 200, "outputTokens": 40, "totalTokens": 240},
            "steps": [{"usage": CAMEL, "response": {"modelId": "gpt-5"}}] * 2,
        },
        Usage(200, 40),
        {"requests": 2},
    ),
    "Vercel's AI Gateway": (
        {"usage": CAMEL, "providerMetadata": {"gateway": {"cost": "0.0045"}}, "response": {"modelId": "openai/gpt-5"}},
        Usage(100, 20),
        {"reported_nanousd": 4_500_000},
    ),
    "the counter of LangChain's callbacks": (
        {**CHAT, "prompt_tokens_cached": 40, "reasoning_tokens": 5, "successful_requests": 1, "total_cost": 0.01},
        Usage(100, 20, cache_read_tokens=40, reasoning_tokens=5),
        {},
    ),
    "Vercel's AI SDK 6": (
        {
            "usage": {
                **CAMEL,
                "inputTokenDetails": {"noCacheTokens": 30, "cacheReadTokens": 60, "cacheWriteTokens": 10},
                "outputTokenDetails": {"textTokens": 15, "reasoningTokens": 5},
                "raw": {"input_tokens": 30, "output_tokens": 20},
            }
        },
        Usage(100, 20, cache_read_tokens=60, cache_write_tokens=10, reasoning_tokens=5),
        {},
    ),
    "Vercel's AI SDK 6, a model's own result": (
        {
            "usage": {
                "inputTokens": {"total": 100, "noCache": 30, "cacheRead": 60, "cacheWrite": 10},
                "outputTokens": {"total": 20, "text": 15, "reasoning": 5},
            }
        },
        Usage(100, 20, cache_read_tokens=60, cache_write_tokens=10, reasoning_tokens=5),
        {},
    ),
    "Vercel's AI SDK, embeddings": ({"embedding": [0.1], "usage": {"tokens": 10}}, Usage(10), {}),
    "Vercel's AI SDK, a span of embeddings": (
        {"ai.model.id": "text-embedding-3-small", "ai.usage.tokens": 10, "ai.operationId": "ai.embed.doEmbed"},
        Usage(10),
        {"model": "text-embedding-3-small"},
    ),
    "Vercel's AI SDK, a provider's name": (
        {"ai.model.provider": "groq.chat", "ai.usage.inputTokens": 100, "ai.usage.outputTokens": 20},
        Usage(100, 20),
        {"provider": "groq"},
    ),
    "OpenInference, attributes apart": (
        {
            "attributes": {
                "openinference.span.kind": "LLM",
                "llm.token_count.prompt": 100,
                "llm.token_count.completion": 20,
                "llm.token_count.prompt_details.cache_write": 10,
            }
        },
        Usage(100, 20, cache_write_tokens=10),
        {},
    ),
    "OpenInference, attributes nested": (
        {
            "attributes": {
                "openinference": {"span": {"kind": "LLM"}},
                "llm": {
                    "model_name": "gpt-4o",
                    "token_count": {"prompt": 100, "completion": 20, "prompt_details": {"cache_read": 60}},
                },
            }
        },
        Usage(100, 20, cache_read_tokens=60),
        {"model": "gpt-4o"},
    ),
    "a span of pydantic-ai": (
        {
            SPAN + "input_tokens": 100,
            SPAN + "output_tokens": 70,
            SPAN + "details.thoughts_tokens": 50,
            SPAN + "details.text_prompt_tokens": 100,
            SPAN + "details.web_search_requests": 1,
        },
        Usage(100, 70, reasoning_tokens=50, web_search_requests=1),
        {},
    ),
    "Sentry": (
        {
            SPAN + "input_tokens": 100,
            SPAN + "input_tokens.cached": 40,
            SPAN + "input_tokens.cache_write": 10,
            SPAN + "output_tokens": 20,
            SPAN + "output_tokens.reasoning": 5,
            SPAN + "total_tokens": 120,
        },
        Usage(100, 20, cache_read_tokens=40, cache_write_tokens=10, reasoning_tokens=5),
        {},
    ),
    "a span in OTLP/JSON, with a list": (
        {
            "attributes": [
                {"key": SPAN + "input_tokens", "value": {"intValue": "100"}},
                {"key": SPAN + "output_tokens", "value": {"intValue": "20"}},
                {
                    "key": "gen_ai.response.finish_reasons",
                    "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}},
                },
            ]
        },
        Usage(100, 20),
        {"stop_reason": "stop"},
    ),
    "Langfuse, a span": (
        {
            "attributes": {
                "langfuse.observation.model.name": "gpt-4o",
                "langfuse.observation.usage_details": '{"input":100,"output":20,"total":120}',
            }
        },
        Usage(100, 20),
        {"model": "gpt-4o"},
    ),
    "Claude Code, an event": (
        {
            "attributes": {
                "model": "claude-sonnet-4-6",
                "cost_usd": "0.0125",
                "duration_ms": "1200",
                "input_tokens": "100",
                "output_tokens": "20",
                "cache_read_tokens": "900",
                "cache_creation_tokens": "30",
            }
        },
        Usage(1030, 20, cache_read_tokens=900, cache_write_tokens=30),
        {"reported_nanousd": 12_500_000},
    ),
    "Gemini CLI, an event": (
        {
            "attributes": {
                "model": "gemini-2.5-pro",
                "input_token_count": 100,
                "output_token_count": 20,
                "cached_content_token_count": 10,
                "thoughts_token_count": 50,
                "total_token_count": 170,
            }
        },
        Usage(100, 70, cache_read_tokens=10, reasoning_tokens=50),
        {"model": "gemini-2.5-pro"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_framework_tells_is_read_to_the_token(shape):
    """With the model, the host, the tier and the bill, wherever the framework keeps them."""
    payload, usage, facts = SHAPES[shape]
    reading = read_usage(payload)
    assert (reading.status, reading.reason, reading.usage) == (UsageStatus.OK, "", usage)
    assert {name: getattr(reading, name) for name in facts} == facts
    assert read_usage(json.dumps(payload)) == reading


@pytest.mark.parametrize("shape", [name for name in SHAPES if name.startswith(("LangChain", "LlamaIndex", "Haystack"))])
def test_a_framework_s_own_objects_are_read_as_well(shape):
    """As attributes, down to the provider's own part."""
    payload, usage, _ = SHAPES[shape]
    assert read_usage(objects(payload)).usage == usage


@pytest.mark.parametrize(
    "around",
    [
        {"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 5, "ai.usage.outputTokens": 1},
        {"ai.operationId": "ai.embedMany", "ai.usage.tokens": 5},
        {"traceloop.span.kind": "workflow", SPAN + "input_tokens": 5, SPAN + "output_tokens": 1},
    ],
)
def test_a_span_that_sums_up_is_no_turn(around):
    """Those below it are."""
    assert read_usage(around).status is UsageStatus.MISSING


def test_a_session_of_claude_code_is_told_by_model_and_by_its_bill():
    """Its counts leave other models out, and are sums over many calls."""
    by_model = {
        "claude-sonnet-4-6": {"inputTokens": 12, "outputTokens": 300, "cacheReadInputTokens": 30_000},
        "claude-haiku-4-5": {"inputTokens": 100, "outputTokens": 30, "webSearchRequests": 1},
    }
    usage = {"input_tokens": 12, "output_tokens": 300, "cache_read_input_tokens": 30_000}
    reading = read_usage({"type": "result", "total_cost_usd": 0.1, "usage": usage, "modelUsage": by_model})
    assert reading.status is UsageStatus.ESTIMATED
    assert reading.usage == Usage(30_112, 330, cache_read_tokens=30_000, web_search_requests=1)
    assert [one.model for one in reading.passes] == ["claude-sonnet-4-6", "claude-haiku-4-5"]
    assert reading.reported_nanousd == 100_000_000


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70, "cache_read_input_tokens": 900},
        {"inputTokens": 50, "outputTokens": 20, "totalTokens": 70, "cachedInputTokens": 900},
    ],
)
def test_more_cached_than_read_shows_that_the_input_leaves_it_out(usage):
    """Where the names are those of many, and the total helps nobody: an estimate, and never less than was read."""
    reading = read_usage({"model": "claude-sonnet-4-5", "usage": usage})
    assert (reading.status, reading.usage) == (UsageStatus.ESTIMATED, Usage(950, 20, cache_read_tokens=900))


def chunk(read, said, **metadata):
    usage = {"input_tokens": read, "output_tokens": said, "total_tokens": read + said}
    details = {"input_token_details": {"cache_read": 10 if read else 0}}
    return {"type": "AIMessageChunk", "id": "run-1", "usage_metadata": usage | details, "response_metadata": metadata}


def test_langchain_s_chunks_are_added_up():
    """Each brings its own share; the model and the stop are of any of them."""
    stream = UsageStream()
    for one in (chunk(100, 5), chunk(0, 19, finish_reason="STOP", model_name="gemini-2.5-flash"), chunk(0, 1)):
        stream.observe(one)
    reading = stream.reading()
    assert (reading.status, reading.usage) == (UsageStatus.OK, Usage(100, 25, cache_read_tokens=10))
    assert reading.model == "gemini-2.5-flash"


def test_what_each_model_used_is_a_sum_by_model():
    """As LangChain's and DSPy's counters tell it: an estimate, each at its own rates."""
    reading = read_usage({"openai/gpt-4o-mini": CHAT, "claude-sonnet-4-5": LANGCHAIN})
    assert (reading.status, reading.usage) == (UsageStatus.ESTIMATED, Usage(200, 40))
    assert [one.model for one in reading.passes] == ["openai/gpt-4o-mini", "claude-sonnet-4-5"]
    assert read_usage({"gpt-4o": CHAT}).model == "gpt-4o"


def test_the_cycles_of_an_agent_are_requests():
    """Strands sums them up."""
    metrics = {"cycle_count": 2, "accumulated_usage": {"inputTokens": 200, "outputTokens": 40, "totalTokens": 240}}
    reading = read_usage({"stop_reason": "end_turn", "metrics": metrics})
    assert (reading.status, reading.requests, reading.usage) == (UsageStatus.ESTIMATED, 2, Usage(200, 40))


class Unset:
    """Mistral's SDK puts it where nothing was sent."""

    def __bool__(self):
        return False


@pytest.mark.parametrize("nothing", [Unset(), {}])
def test_what_an_sdk_has_not_is_no_count(nothing):
    """It says nothing, and hides nothing."""
    usage = SimpleNamespace(**CHAT, prompt_audio_seconds=nothing)
    reading = read_usage(SimpleNamespace(model="mistral-small-latest", usage=usage))
    assert (reading.status, reading.usage) == (UsageStatus.OK, Usage(100, 20))
