"""Shapes of providers, frameworks and spans, as they were recorded, and what each of them means."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hivecost.events import Usage
from hivecost.usage import UsagePass, UsageStatus, UsageStream, read_usage

CLAUDE = {"type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_reason": "end_turn"}
#: A payload, the usage that it means, and facts around it.
SHAPES = {
    "Interactions of Gemini": (
        {
            "object": "interaction",
            "model": "gemini-2.5-flash",
            "service_tier": "flex",
            "usage": {
                "total_tokens": 1242,
                "total_input_tokens": 1009,
                "total_cached_tokens": 500,
                "total_output_tokens": 13,
                "total_tool_use_tokens": 0,
                "total_thought_tokens": 220,
                "input_tokens_by_modality": [{"modality": "text", "tokens": 909}, {"modality": "audio", "tokens": 100}],
            },
        },
        Usage(1009, 233, cache_read_tokens=500, reasoning_tokens=220, input_audio_tokens=100),
        {"service_tier": "flex", "hinted_provider": "google"},
    ),
    "Gemini Live": (
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "responseTokenCount": 50,
                "totalTokenCount": 150,
                "promptTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": 90},
                    {"modality": "TEXT", "tokenCount": 10},
                ],
                "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
            }
        },
        Usage(100, 50, input_audio_tokens=90, output_audio_tokens=50),
        {},
    ),
    "Vertex AI with numbers for modalities": (
        {
            "modelVersion": "gemini-2.5-flash",
            "usageMetadata": {
                "promptTokenCount": 1000,
                "candidatesTokenCount": 0,
                "promptTokensDetails": [{"modality": 4, "tokenCount": 900}, {"modality": 3, "tokenCount": 100}],
            },
        },
        Usage(1000, 0, input_audio_tokens=900, input_video_tokens=100),
        {},
    ),
    "a document that was cached": (
        {
            "modelVersion": "gemini-2.5-flash",
            "usageMetadata": {
                "promptTokenCount": 345,
                "candidatesTokenCount": 51,
                "totalTokenCount": 396,
                "cachedContentTokenCount": 230,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 87},
                    {"modality": "DOCUMENT", "tokenCount": 258},
                ],
                "cacheTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 58},
                    {"modality": "DOCUMENT", "tokenCount": 172},
                ],
            },
        },
        Usage(345, 51, cache_read_tokens=230, input_image_tokens=258, cache_image_read_tokens=172),
        {},
    ),
    "Llama on Bedrock": (
        {"generation": "…", "prompt_token_count": 158, "generation_token_count": 128, "stop_reason": "length"},
        Usage(158, 128),
        {"stop_reason": "length", "hinted_provider": "aws"},
    ),
    "Nova on Bedrock": (
        {
            "output": {"message": {"role": "assistant"}},
            "stopReason": "end_turn",
            "usage": {
                "inputTokens": 10,
                "outputTokens": 5,
                "cacheReadInputTokenCount": 100,
                "cacheWriteInputTokenCount": 20,
            },
        },
        Usage(130, 5, cache_read_tokens=100, cache_write_tokens=20),
        {},
    ),
    "the metrics of an invocation on Bedrock": (
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 11, "outputTokenCount": 7}},
        Usage(11, 7),
        {},
    ),
    "Ollama": (
        {"model": "llama3.1", "done": True, "done_reason": "stop", "prompt_eval_count": 17, "eval_count": 79},
        Usage(17, 79),
        {"model": "llama3.1", "hinted_provider": "ollama", "stop_reason": "stop"},
    ),
    "embeddings of Voyage": (
        {"object": "list", "model": "voyage-3.5", "usage": {"total_tokens": 18}},
        Usage(18),
        {"model": "voyage-3.5"},
    ),
    "a reranker of Cohere": (
        {"id": "r-1", "results": [{"index": 0}], "meta": {"billed_units": {"search_units": 3}}},
        Usage(search_units=3),
        {"provider": "cohere"},
    ),
    "tokens of Cohere that are not billed": (
        {"usage": {"tokens": {"input_tokens": 71, "output_tokens": 9}, "billed_units": {"input_tokens": 5}}},
        Usage(5),
        {},
    ),
    "speech by the second": (
        {"text": "x", "usage": {"type": "duration", "seconds": 11}},
        Usage(audio_seconds=11),
        {},
    ),
    "speech by the token": (
        {
            "text": "x",
            "usage": {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
                "output_tokens": 45,
                "total_tokens": 59,
            },
        },
        Usage(14, 45, input_audio_tokens=10),
        {},
    ),
    "pages that Mistral read": (
        {"model": "mistral-ocr-latest", "pages": [{}], "usage_info": {"pages_processed": 29, "doc_size_bytes": 3_002}},
        Usage(pages=29),
        {"provider": "mistral"},
    ),
    "cached tokens of Mistral": (
        {"usage": {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010, "num_cached_tokens": 400}},
        Usage(1000, 10, cache_read_tokens=400),
        {},
    ),
    "Codex": (
        {
            "input_tokens": 1000,
            "cached_input_tokens": 250,
            "output_tokens": 125,
            "reasoning_output_tokens": 75,
            "total_tokens": 1125,
        },
        Usage(1000, 125, cache_read_tokens=250, reasoning_tokens=75),
        {},
    ),
    "inspect_ai": (
        {
            "model": "anthropic/claude-sonnet-5",
            "usage": {
                "input_tokens": 6,
                "output_tokens": 500,
                "total_tokens": 21506,
                "input_tokens_cache_read": 20000,
                "input_tokens_cache_write": 1000,
            },
        },
        Usage(21006, 500, cache_read_tokens=20000, cache_write_tokens=1000),
        {},
    ),
    "LangChain, writes by their lifetime": (
        {
            "usage_metadata": {
                "input_tokens": 12100,
                "output_tokens": 50,
                "total_tokens": 12150,
                "input_token_details": {
                    "cache_read": 9000,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 1000,
                    "ephemeral_1h_input_tokens": 2000,
                    "audio": 7,
                },
                "output_token_details": {"reasoning": 5, "audio": 3},
            },
            "response_metadata": {"model_name": "claude-sonnet-4-5"},
        },
        Usage(
            12100,
            50,
            cache_read_tokens=9000,
            cache_write_tokens=3000,
            cache_write_1h_tokens=2000,
            reasoning_tokens=5,
            input_audio_tokens=7,
            output_audio_tokens=3,
        ),
        {"model": "claude-sonnet-4-5"},
    ),
    "LangChain, Claude inclusive": (
        {
            "model": "claude-sonnet-4-5",
            "usage_metadata": {
                "input_tokens": 10000,
                "output_tokens": 100,
                "total_tokens": 10100,
                "input_token_details": {"cache_read": 9000, "cache_creation": 0},
            },
        },
        Usage(10000, 100, cache_read_tokens=9000),
        {},
    ),
    "Strands, a model of OpenAI's": (
        {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100, "cacheReadInputTokens": 800},
        Usage(1000, 100, cache_read_tokens=800),
        {"provider": ""},
    ),
    "Bedrock's own, exclusive": (
        {"inputTokens": 200, "outputTokens": 100, "totalTokens": 1100, "cacheReadInputTokens": 800},
        Usage(1000, 100, cache_read_tokens=800),
        {"hinted_provider": "aws"},
    ),
    "ADK, a model of OpenAI's": (
        {
            "model_version": "gpt-4o",
            "usage_metadata": {
                "prompt_token_count": 1000,
                "candidates_token_count": 100,
                "total_token_count": 1100,
                "cached_content_token_count": 800,
            },
        },
        Usage(1000, 100, cache_read_tokens=800),
        {"model": "gpt-4o", "hinted_provider": "google"},
    ),
    "OpenLLMetry before the conventions": (
        {
            "gen_ai.system": "Anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.usage.prompt_tokens": 1200,
            "gen_ai.usage.completion_tokens": 50,
            "gen_ai.usage.cache_read_input_tokens": 1000,
            "gen_ai.usage.cache_creation_input_tokens": 100,
        },
        Usage(1200, 50, cache_read_tokens=1000, cache_write_tokens=100),
        {"provider": "Anthropic", "model": "claude-sonnet-4-5"},
    ),
    "a span of Bedrock, whose total shows that it is exclusive": (
        {
            "gen_ai.usage.input_tokens": 200,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.total_tokens": 9300,
            "gen_ai.usage.cache_read_input_tokens": 9000,
        },
        Usage(9200, 100, cache_read_tokens=9000),
        {},
    ),
    "a span with details": (
        {
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.details.reasoning_tokens": 7,
            "gen_ai.usage.details.cache_read_tokens": 30,
        },
        Usage(100, 20, cache_read_tokens=30, reasoning_tokens=7),
        {},
    ),
    "a span in OTLP/JSON, whose integers are texts": (
        {
            "name": "chat gpt-4o",
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.response.model", "value": {"stringValue": "gpt-4o"}},
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1200"}},
                {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "50"}},
            ],
        },
        Usage(1200, 50),
        {"model": "gpt-4o"},
    ),
    "OpenInference": (
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 1200,
            "llm.token_count.completion": 50,
            "llm.token_count.total": 1250,
            "llm.token_count.prompt_details.cache_read": 1000,
            "llm.token_count.completion_details.reasoning": 20,
        },
        Usage(1200, 50, cache_read_tokens=1000, reasoning_tokens=20),
        {"provider": "openai", "model": "gpt-4o"},
    ),
    "a span of Vercel's AI SDK": (
        {
            "ai.model.id": "gpt-4o",
            "ai.usage.inputTokens": 1200,
            "ai.usage.outputTokens": 50,
            "ai.usage.totalTokens": 1250,
            "ai.usage.cachedInputTokens": 1000,
            "ai.usage.reasoningTokens": 20,
        },
        Usage(1200, 50, cache_read_tokens=1000, reasoning_tokens=20),
        {"model": "gpt-4o"},
    ),
    "a result of Vercel's AI SDK": (
        {"usage": {"inputTokens": 1200, "outputTokens": 50, "totalTokens": 1250, "cachedInputTokens": 1000}},
        Usage(1200, 50, cache_read_tokens=1000),
        {},
    ),
    "Langfuse": (
        {
            "model": "claude-sonnet-4-5",
            "usageDetails": {"input": 100, "output": 50, "cache_read_input_tokens": 900, "total": 1050},
        },
        Usage(1000, 50, cache_read_tokens=900),
        {},
    ),
    "Gemini in OpenAI's shape, whose thoughts only the total shows": (
        {
            "object": "chat.completion",
            "model": "gemini-2.5-pro",
            "usage": {"prompt_tokens": 758, "completion_tokens": 102, "total_tokens": 1725},
        },
        Usage(758, 967, reasoning_tokens=865),
        {},
    ),
    "reasoning beside a completion of nothing": (
        {
            "model": "gemini-2.5-flash",
            "usage": {
                "prompt_tokens": 21,
                "completion_tokens": 0,
                "total_tokens": 81,
                "completion_tokens_details": {"reasoning_tokens": 60},
            },
        },
        Usage(21, 60, reasoning_tokens=60),
        {},
    ),
    "the searches of xAI": (
        {
            "model": "grok-4",
            "usage": {
                "input_tokens": 10,
                "output_tokens": 5,
                "server_side_tool_usage_details": {"web_search_calls": 3},
            },
        },
        Usage(10, 5, web_search_requests=3),
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_to_the_token(shape):
    """Whatever its names, and whether parts stand inside their totals or beside them."""
    payload, usage, facts = SHAPES[shape]
    reading = read_usage(payload)
    assert (reading.status, reading.reason, reading.usage) == (UsageStatus.OK, "", usage)
    assert {name: getattr(reading, name) for name in facts} == facts
    assert read_usage(json.dumps(payload)) == reading


@pytest.mark.parametrize(
    ("body", "host"),
    [
        ({"x_groq": {"id": "req_1"}, "model": "openai/gpt-oss-120b"}, "groq"),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 1, "queue_time": 0.1}}, "groq"),
        ({"time_info": {"queue_time": 0.1}}, "cerebras"),
        ({"id": "gen-1762000000-x", "provider": "Z.AI"}, "openrouter"),
        ({"id": "chatcmpl-1", "provider": "me"}, ""),
        ({"_hidden_params": {"custom_llm_provider": "groq"}}, "groq"),
    ],
)
def test_a_host_is_known_by_what_only_it_writes(body, host):
    """Where the caller named none."""
    assert read_usage({"usage": {"prompt_tokens": 5, "completion_tokens": 1}, **body}).provider == host


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        ({"total_tokens": 623}, "405 of the 623 tokens of total_tokens are in no part: not included"),
        ({"total_tokens": 200}, "total_tokens is 200, and its parts add up to 218"),
        ({"total_tokens": 218, "prefix_tokens": 7}, "unread: prefix_tokens=7"),
        ({"prompt_tokens_details": {"tool_tokens": 3}}, "unread: prompt_tokens_details.tool_tokens=3"),
    ],
)
def test_what_does_not_add_up_or_is_not_known_is_said(usage, reason):
    """An estimate, with the numbers; the usage is kept as it came."""
    given = {"prompt_tokens": 20, "completion_tokens": 198, **usage}
    reading = read_usage({"model": "gpt-4o", "usage": given})
    assert (reading.status, reading.reason) == (UsageStatus.ESTIMATED, reason)
    assert reading.usage == Usage(20, 198)
    assert reading.raw == given


@pytest.mark.parametrize("name", ["queue_time", "tokens_per_second", "max_tokens", "prompt_tokens_limit", "seed"])
def test_a_measure_is_no_count(name):
    """Times, rates, limits and whatever is no count of anything."""
    reading = read_usage({"usage": {"prompt_tokens": 20, "completion_tokens": 8, name: 12}})
    assert reading.status is UsageStatus.OK


def grounded(model, *queries):
    return {
        "modelVersion": model,
        "candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": list(queries)}}],
        "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110},
    }


@pytest.mark.parametrize(
    ("payload", "searches"),
    [
        (grounded("gemini-2.5-flash", "a", "b"), 1),
        (grounded("gemini-3-flash-preview", "a", "b", "a"), 2),
        (grounded("gemini-2.5-flash"), 0),
    ],
)
def test_gemini_is_billed_by_the_prompt_and_from_version_3_by_the_query(payload, searches):
    """As its price list has it, in a whole answer and in a stream that names them before its end."""
    assert read_usage(payload).usage.web_search_requests == searches
    last = {**payload, "candidates": [{"finishReason": "STOP"}]}
    first = {"modelVersion": payload["modelVersion"], "candidates": payload["candidates"]}
    stream = UsageStream()
    stream.observe(
        {"candidates": [{key: one[key] for key in one if key != "finishReason"} for one in first["candidates"]]}
    )
    stream.observe(last)
    assert stream.reading().usage.web_search_requests == searches


def test_the_tools_of_openai_are_counted_by_the_piece():
    """Each search of files, each container, and each image, which nobody can price: that is said."""
    output = [
        {"type": "file_search_call"},
        {"type": "file_search_call"},
        {"type": "code_interpreter_call", "container_id": "a"},
        {"type": "code_interpreter_call", "container_id": "a"},
        {"type": "code_interpreter_call", "container_id": "b"},
        {"type": "message"},
    ]
    usage = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050}
    reading = read_usage({"object": "response", "model": "gpt-5", "output": output, "usage": usage})
    assert reading.usage == Usage(1000, 50, file_search_calls=2, code_containers=2)
    assert reading.status is UsageStatus.OK
    drawn = read_usage({"object": "response", "output": [{"type": "image_generation_call"}], "usage": usage})
    assert drawn.status is UsageStatus.ESTIMATED
    assert "1 image_generation_call" in drawn.reason


def iteration(kind, read, said, **more):
    return {"type": kind, "input_tokens": read, "output_tokens": said, **more}


def test_every_pass_of_claude_is_kept_apart():
    """The counts around them leave passes out; an advisor is a model of its own."""
    iterations = [
        iteration("compaction", 60_000, 130, cache_creation_input_tokens=500),
        iteration("message", 200, 10),
        iteration("advisor_message", 2_500, 20, model="claude-opus-4-8"),
    ]
    usage = {"input_tokens": 200, "output_tokens": 10, "iterations": iterations}
    reading = read_usage({**CLAUDE, "usage": usage})
    assert reading.status is UsageStatus.OK
    assert reading.passes == (
        UsagePass(Usage(60_500, 130, cache_write_tokens=500)),
        UsagePass(Usage(200, 10)),
        UsagePass(Usage(2_500, 20), "claude-opus-4-8"),
    )
    assert reading.usage == Usage(63_200, 160, cache_write_tokens=500)
    assert reading.requests == 1


def test_an_ordinary_answer_of_claude_has_one_pass():
    """It is the answer; a pass that says less than the whole is in doubt."""
    usage = {"input_tokens": 200, "output_tokens": 10, "server_tool_use": {"web_search_requests": 2}}
    reading = read_usage({**CLAUDE, "usage": {**usage, "iterations": [iteration("message", 200, 10)]}})
    assert (reading.status, reading.passes, reading.usage) == (
        *(UsageStatus.OK, ()),
        Usage(200, 10, web_search_requests=2),
    )
    less = read_usage({**CLAUDE, "usage": {**usage, "iterations": [iteration("message", 100, 10)]}})
    assert (less.status, less.usage.input_tokens) == (UsageStatus.ESTIMATED, 200)


ENTRY = {"input_tokens": 200_000, "output_tokens": 1_000, "total_tokens": 201_000}
SUM = {"requests": 3, "input_tokens": 600_000, "output_tokens": 3_000, "total_tokens": 603_000}


def test_the_requests_of_a_sum_are_read_one_by_one():
    """As openai-agents keeps them; where a framework kept none, equal parts are an estimate."""
    reading = read_usage({**SUM, "request_usage_entries": [ENTRY] * 3})
    assert (reading.status, reading.requests) == (UsageStatus.OK, 3)
    assert reading.passes == (UsagePass(Usage(200_000, 1_000)),) * 3
    summed = read_usage(SUM)
    assert (summed.status, summed.requests) == (UsageStatus.ESTIMATED, 3)
    assert sum((one.usage for one in summed.passes), Usage()) == Usage(600_000, 3_000)


@pytest.mark.parametrize("operation", ["invoke_agent", "invoke_workflow", "create_agent", "execute_tool"])
def test_a_span_around_calls_is_no_call(operation):
    """Its usage is the sum of the spans below it."""
    span = {"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 1}
    assert read_usage(span).status is UsageStatus.MISSING
    assert operation in read_usage(span).reason
    assert read_usage({**span, "gen_ai.operation.name": "chat"}).usage == Usage(5, 1)


@pytest.mark.parametrize(
    "answer", [{"input_tokens": 2095}, {"totalTokens": 31}, SimpleNamespace(input_tokens=14, context_management=None)]
)
def test_a_count_of_a_prompt_is_no_turn(answer):
    """It is free."""
    reading = read_usage(answer)
    assert reading.status is UsageStatus.MISSING
    assert reading.reason


CHUNK = {"model": "gpt-4o", "object": "chat.completion.chunk"}
STOP = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COUNT = {**CHUNK, "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}
ENDS = {
    "usage beside a choice, after the stop": [STOP, {**COUNT, "choices": [{"index": 0, "delta": {}}]}],
    "the stop after the usage": [{**COUNT, "choices": [{"index": 0, "delta": {}}]}, STOP],
    "nothing but the end after the usage": [{**COUNT, "choices": [{"index": 0, "delta": {}}]}, "data: [DONE]"],
    "a run of an assistant": [
        {"event": "thread.run.completed", "data": {**COUNT, "object": "thread.run", "status": "completed"}}
    ],
    "Ollama": [
        {"model": "llama3.1", "done": False, "message": {"content": "hi"}},
        {"model": "llama3.1", "done": True, "done_reason": "stop", "prompt_eval_count": 100, "eval_count": 10},
    ],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_is_at_its_end_once_its_stop_and_its_usage_are_known(end):
    """In any order, as servers differ."""
    stream = UsageStream()
    for chunk in ENDS[end]:
        stream.observe(chunk)
    assert stream.is_finished
    assert (stream.reading().status, stream.reading().usage) == (UsageStatus.OK, Usage(100, 10))


def test_a_cut_stream_counts_what_was_read():
    """The provider's count is one token; fifteen thousand bytes came after it. Both are told apart."""
    stream = UsageStream()
    stream.observe(
        {
            "type": "message_start",
            "message": {**CLAUDE, "stop_reason": None, "usage": {"input_tokens": 1200, "output_tokens": 1}},
        }
    )
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "every word costs " * 6}}
    for _ in range(150):
        stream.observe(delta)
    reading = stream.reading()
    assert reading.status is UsageStatus.ESTIMATED
    assert reading.counted == Usage(1200, 1)
    assert reading.usage == Usage(1200, 1 + 102 * 150 // 3)


class Raw:
    """As SDKs give a response that nobody has parsed."""

    def __init__(self, body):
        self.http_response = SimpleNamespace(content=json.dumps(body).encode())

    def parse(self):
        raise AssertionError("parsing is the caller's")


def test_a_raw_response_is_its_body():
    """With `with_raw_response`, and of an HTTP client itself."""
    body = {"model": "gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    assert read_usage(Raw(body)).usage == Usage(3, 4)
    assert read_usage(SimpleNamespace(content=json.dumps(body).encode(), json=lambda: body)).usage == Usage(3, 4)


def test_a_list_is_read_as_a_stream():
    """Gemini's streams are one JSON array where nobody asked for events."""
    chunks = [
        {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 11, "totalTokenCount": 11}},
        {
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 16, "totalTokenCount": 27},
        },
    ]
    assert read_usage(json.dumps(chunks)).usage == Usage(11, 16)
    assert read_usage(chunks).status is UsageStatus.OK


def test_our_own_names_are_meant_exactly():
    """Where the caller says that they are ours: a slip of one is no count of zero."""
    usage = {"input_tokens": 100_000, "cached_tokens": 90_000, "output_tokens": 10}
    reading = read_usage(usage, flavor="canonical")
    assert reading.status is UsageStatus.INVALID
    assert "'cached_tokens' is no count of hivecost.Usage" in reading.reason
