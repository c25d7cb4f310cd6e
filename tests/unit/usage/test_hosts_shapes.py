"""Answers of hosts and of cloud platforms in shapes of their own: read to the token, and by the batch."""

from __future__ import annotations

import json

import pytest

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream, read_usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
CONVERSE = {
    "output": {"message": {"role": "assistant"}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
}
ARN = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
#: A payload, the usage that it means, and facts around it.
SHAPES = {
    "Titan on Bedrock": (
        {"inputTextTokenCount": 10, "results": [{"tokenCount": 20, "outputText": "x", "completionReason": "FINISH"}]},
        Usage(10, 20),
        {"hinted_provider": "aws"},
    ),
    "embeddings of Titan": ({"embedding": [0.1], "inputTextTokenCount": 10}, Usage(10), {}),
    "the headers of Bedrock": (
        {
            "ResponseMetadata": {
                "RequestId": "r",
                "HTTPHeaders": {"x-amzn-bedrock-input-token-count": "15", "x-amzn-bedrock-output-token-count": "3"},
            }
        },
        Usage(15, 3),
        {"answer_id": "r"},
    ),
    "the log of an invocation on Bedrock": (
        {
            "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
            "input": {"inputTokenCount": 12, "cacheReadInputTokenCount": 8, "inputBodyJson": {}},
            "output": {"outputTokenCount": 5, "outputBodyJson": {"usage": {"inputTokens": 12}}},
        },
        Usage(20, 5, cache_read_tokens=8),
        {"model": "anthropic.claude-3-haiku-20240307-v1:0"},
    ),
    "a router of Bedrock": (
        {**CONVERSE, "trace": {"promptRouter": {"invokedModelId": ARN}}},
        Usage(10, 5),
        {"model": ARN},
    ),
    "a line of a batch on Bedrock, Claude": (
        {
            "recordId": "R1",
            "modelInput": {},
            "modelOutput": {
                "id": "msg_bdrk_1",
                "type": "message",
                "model": "claude-3-5-haiku-20241022",
                "usage": {"input_tokens": 10, "output_tokens": 5},
            },
        },
        Usage(10, 5),
        {"batch": True, "answer_id": "msg_bdrk_1", "hinted_provider": "aws"},
    ),
    "a line of a batch on Bedrock, Nova": (
        {"recordId": "R1", "modelInput": {}, "modelOutput": CONVERSE},
        Usage(10, 5),
        {"batch": True, "provider": "aws"},
    ),
    "a line of a batch on Vertex AI": (
        {
            "status": "",
            "processed_time": "2026-11-01T18:13:16.826+00:00",
            "request": {"contents": []},
            "response": {
                "modelVersion": "gemini-2.5-flash",
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10},
            },
        },
        Usage(9, 1),
        {"batch": True},
    ),
    "Claude on Vertex AI": (
        {
            "id": "msg_vrtx_1",
            "type": "message",
            "model": "claude-sonnet-4-5@20250929",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        },
        Usage(10, 5),
        {"hinted_provider": "google"},
    ),
    "Replicate": (
        {
            "id": "p",
            "model": "meta/meta-llama-3-8b-instruct",
            "output": ["x"],
            "metrics": {"input_token_count": 10, "output_token_count": 20, "predict_time": 0.5},
        },
        Usage(10, 20),
        {"model": "meta/meta-llama-3-8b-instruct", "hinted_provider": ""},
    ),
    "watsonx": (
        {"model_id": "ibm/granite-13b", "results": [{"generated_token_count": 20, "input_token_count": 100}]},
        Usage(100, 20),
        {"model": "ibm/granite-13b"},
    ),
    "llama.cpp": (
        {"content": "x", "model": "m", "tokens_predicted": 20, "tokens_evaluated": 100, "tokens_cached": 119},
        Usage(100, 20),
        {},
    ),
    "LM Studio": (
        {
            "model_instance_id": "m",
            "output": [{"type": "message"}],
            "stats": {"input_tokens": 100, "total_output_tokens": 20, "reasoning_output_tokens": 5},
        },
        Usage(100, 20, reasoning_tokens=5),
        {},
    ),
    "a reranker of Pinecone": (
        {"model": "bge-reranker-v2-m3", "usage": {"rerank_units": 1}},
        Usage(search_units=1),
        {},
    ),
    "embeddings of Voyage's client": ({"embeddings": [[0.1]], "total_tokens": 10}, Usage(10), {}),
    "explicit caches of Qwen": (
        {
            "model": "qwen3-coder-plus",
            "usage": {
                **CHAT,
                "prompt_tokens_details": {
                    "cache_creation": {"ephemeral_5m_input_tokens": 64},
                    "cache_creation_input_tokens": 64,
                    "cache_type": "ephemeral",
                },
            },
        },
        Usage(100, 20, cache_write_tokens=64),
        {},
    ),
    "DeepInfra": (
        {"model": "meta-llama/Meta-Llama-3.1-8B-Instruct", "usage": {**CHAT, "estimated_cost": 0.000012}},
        Usage(100, 20),
        {"provider": "deepinfra", "reported_nanousd": 12_000},
    ),
    "OpenRouter in Anthropic's shape": (
        {
            "id": "gen-1",
            "type": "message",
            "model": "anthropic/claude-4.5-sonnet",
            "usage": {
                "input_tokens": 10,
                "output_tokens": 20,
                "cache_read_input_tokens": 90,
                "cost": 0.01,
                "is_byok": False,
            },
        },
        Usage(100, 20, cache_read_tokens=90),
        {"provider": "openrouter", "reported_nanousd": 10_000_000},
    ),
    "OpenRouter's account of a generation": (
        {
            "data": {
                "id": "gen-1",
                "model": "openai/gpt-4o",
                "provider_name": "OpenAI",
                "total_cost": 0.0015,
                "usage": 0.0015,
                "is_byok": False,
                "tokens_prompt": 10,
                "tokens_completion": 25,
                "native_tokens_prompt": 11,
                "native_tokens_completion": 26,
                "native_tokens_reasoning": 5,
                "native_tokens_cached": 3,
            }
        },
        Usage(11, 26, cache_read_tokens=3, reasoning_tokens=5),
        {"provider": "openrouter", "reported_nanousd": 1_500_000},
    ),
    "speech by a part of a second": (
        {"text": "x", "usage": {"type": "duration", "seconds": 7.4}},
        Usage(audio_seconds=8),
        {},
    ),
    "speech that Mistral bills by the second, whose tokens only the total has": (
        {
            "model": "voxtral-mini-latest",
            "usage": {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 3264},
        },
        Usage(4, 635, audio_seconds=203),
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_host_writes_is_read_to_the_token(shape):
    """With the host, the bill, and whether it came out of a batch."""
    payload, usage, facts = SHAPES[shape]
    reading = read_usage(payload)
    assert (reading.status, reading.reason, reading.usage) == (UsageStatus.OK, "", usage)
    assert {name: getattr(reading, name) for name in facts} == facts
    assert read_usage(json.dumps(payload)) == reading


def test_the_manifest_of_a_batch_is_a_sum():
    """Over its lines, each of which was billed."""
    manifest = {"totalRecordCount": 10, "successRecordCount": 8, "errorRecordCount": 2, "inputTokenCount": 1000}
    reading = read_usage({**manifest, "processedRecordCount": 10, "outputTokenCount": 500})
    assert (reading.status, reading.usage) == (UsageStatus.ESTIMATED, Usage(1000, 500))
    assert (reading.requests, reading.batch) == (8, True)


@pytest.mark.parametrize("answer", [{"inputTokens": 31}, {"inputTokens": 31, "ResponseMetadata": {"RequestId": "r"}}])
def test_a_count_on_bedrock_is_no_turn(answer):
    """It is free."""
    assert read_usage(answer).status is UsageStatus.MISSING


def test_models_behind_one_of_groq_s_are_priced_each_by_itself():
    """Its systems answer with several; the tools that they ran are billed, too."""
    runs = [
        {"model": "llama-3.3-70b-versatile", "usage": {"prompt_tokens": 60, "completion_tokens": 10}},
        {"model": "openai/gpt-oss-120b", "usage": {"prompt_tokens": 40, "completion_tokens": 10}},
    ]
    answer = {"model": "groq/compound", "x_groq": {"id": "r"}, "usage": CHAT, "usage_breakdown": {"models": runs}}
    reading = read_usage(answer)
    assert (reading.status, reading.usage) == (UsageStatus.OK, Usage(100, 20))
    assert [one.model for one in reading.passes] == ["llama-3.3-70b-versatile", "openai/gpt-oss-120b"]
    searched = read_usage({**answer, "choices": [{"message": {"executed_tools": [{"type": "search"}]}}]})
    assert searched.status is UsageStatus.ESTIMATED
    assert "1 tools that Groq ran" in searched.reason


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 15, "outputTokenCount": 3}}
CHUNK = {"id": "1", "object": "chat.completion.chunk", "model": "kimi-k2"}
ENDS = {
    "Titan": [
        {"outputText": "x", "inputTextTokenCount": 15, "totalOutputTextTokenCount": None},
        {"outputText": "", "totalOutputTextTokenCount": 3, "completionReason": "FINISH", **METRICS},
    ],
    "Mistral on Bedrock": [
        {"outputs": [{"text": "x", "stop_reason": None}]},
        {"outputs": [{"text": "", "stop_reason": "stop"}], **METRICS},
    ],
    "Moonshot, which counts in the choice": [
        {
            **CHUNK,
            "choices": [
                {
                    "delta": {},
                    "finish_reason": "stop",
                    "usage": {"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18},
                }
            ],
        }
    ],
    "Gemini Live": [
        {"serverContent": {"modelTurn": {"parts": [{"text": "x"}]}}},
        {
            "serverContent": {"turnComplete": True},
            "usageMetadata": {"promptTokenCount": 15, "responseTokenCount": 3, "totalTokenCount": 18},
        },
    ],
    "Vercel's AI SDK": [
        {"type": "text-delta", "text": "x"},
        {"type": "finish", "finishReason": "stop", "totalUsage": {"inputTokens": 15, "outputTokens": 3}},
    ],
    **{
        kind: [{"type": kind, "usage": {"input_tokens": 15, "output_tokens": 3, "total_tokens": 18}}]
        for kind in (
            "transcript.text.done",
            "speech.audio.done",
            "image_generation.completed",
            "image_edit.completed",
            "conversation.item.input_audio_transcription.completed",
        )
    },
}


@pytest.mark.parametrize("end", ENDS)
def test_every_host_s_stream_comes_to_its_end(end):
    """By the event that only it sends last."""
    stream = UsageStream()
    for chunk in ENDS[end]:
        stream.observe(chunk)
    assert stream.is_finished
    assert (stream.reading().status, stream.reading().usage) == (UsageStatus.OK, Usage(15, 3))


def test_a_chunk_that_names_nothing_takes_no_name_away():
    """Azure's filter ends streams with chunks of empty names."""
    stream = UsageStream()
    stream.observe({**CHUNK, "choices": [{"delta": {}, "finish_reason": "stop"}]})
    stream.observe({**CHUNK, "choices": [], "usage": CHAT})
    stream.observe({"id": "", "model": "", "object": "", "choices": [{"content_filter_results": {}}]})
    assert (stream.reading().model, stream.reading().usage) == ("kimi-k2", Usage(100, 20))
