"""What a request asks for, and the body that is sent in its place."""

from __future__ import annotations

import json

import pytest

from hivecost.dialects import ModelRequest
from hivecost.dialects.limits import TOKENS_MAX
from tests.unit.dialects.samples import BY_NAME, HELLO, JSON, SAMPLES, read

OPENAI, CHAT = "api.openai.com", "/v1/chat/completions"
ANTHROPIC, MESSAGES = "api.anthropic.com", "/v1/messages"
GEMINI, GENERATE = "generativelanguage.googleapis.com", "/v1beta/models/gemini-2.5-pro:generateContent"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
AZURE = "me.openai.azure.com"
OLD, NEW = (("max_tokens",),), (("max_completion_tokens",),)


def keys(request: ModelRequest):
    return request.asked.limit_keys, request.asked.max_tokens


@pytest.mark.parametrize(
    ("host", "path", "body", "limit_keys", "limit"),
    [
        (OPENAI, CHAT, {"model": "gpt-4o", "max_tokens": 7}, OLD, 7),
        (OPENAI, CHAT, {"model": "gpt-5", "max_completion_tokens": 7}, NEW, 7),
        (OPENAI, CHAT, {"model": "gpt-4o"}, NEW, 0),
        (OPENAI, CHAT, {"model": "gpt-4o", "max_tokens": None}, NEW, 0),
        (OPENAI, CHAT, {"model": "m", "max_tokens": 5, "max_completion_tokens": 9}, OLD + NEW, 9),
        ("api.groq.com", "/openai/v1/chat/completions", {"model": "m"}, OLD, 0),
        ("api.mistral.ai", CHAT, {"model": "m"}, OLD, 0),
        ("localhost:8000", CHAT, {"model": "my-model"}, OLD, 0),
        ("localhost:8000", CHAT, {"model": "openai/gpt-5-mini"}, NEW, 0),
        (AZURE, "/openai/deployments/d/chat/completions?api-version=2024-02-01", {}, OLD, 0),
        (AZURE, "/openai/deployments/d/chat/completions?api-version=2025-04-01-preview", {}, NEW, 0),
        (OPENAI, "/v1/responses", {"model": "gpt-5", "max_output_tokens": 99}, (("max_output_tokens",),), 99),
        (OPENAI, "/v1/embeddings", {"model": "e", "input": "x"}, (), 0),
        (ANTHROPIC, MESSAGES, {"model": "claude", "max_tokens": 100}, OLD, 100),
        (GEMINI, GENERATE, {}, (("generationConfig", "maxOutputTokens"),), 0),
        (GEMINI, GENERATE, {"generationConfig": {"maxOutputTokens": 8}}, (("generationConfig", "maxOutputTokens"),), 8),
        (
            GEMINI,
            GENERATE,
            {"generation_config": {"max_output_tokens": 8}},
            (("generation_config", "max_output_tokens"),),
            8,
        ),
        (GEMINI, GENERATE, {"generation_config": {"temperature": 1}}, (("generation_config", "maxOutputTokens"),), 0),
        (BEDROCK, "/model/m/converse", {"inferenceConfig": {"maxTokens": 4}}, (("inferenceConfig", "maxTokens"),), 4),
        (
            BEDROCK,
            "/model/m/converse",
            {"inferenceConfig": {"maxTokens": 4}, "additionalModelRequestFields": {"max_gen_len": 9}},
            (("inferenceConfig", "maxTokens"), ("additionalModelRequestFields", "max_gen_len")),
            9,
        ),
        (BEDROCK, "/model/us.anthropic.claude-x/invoke", {"max_tokens": 4}, OLD, 4),
        (
            BEDROCK,
            "/model/arn:aws:bedrock:x:1:application-inference-profile%2Fa/invoke",
            {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4},
            OLD,
            4,
        ),
        (
            BEDROCK,
            "/model/amazon.nova-pro-v1:0/invoke",
            {"inferenceConfig": {"max_new_tokens": 4}},
            (("inferenceConfig", "max_new_tokens"),),
            4,
        ),
        (
            BEDROCK,
            "/model/amazon.titan-text-lite-v1/invoke",
            {"inputText": "x"},
            (("textGenerationConfig", "maxTokenCount"),),
            0,
        ),
        (BEDROCK, "/model/amazon.titan-embed-text-v2:0/invoke", {"inputText": "x"}, (), 0),
        (
            BEDROCK,
            "/model/meta.llama3-70b-instruct-v1:0/invoke",
            {"prompt": "x", "max_gen_len": 4},
            (("max_gen_len",),),
            4,
        ),
        (BEDROCK, "/model/mistral.mistral-7b-instruct-v0:2/invoke", {"prompt": "x", "max_tokens": 4}, OLD, 4),
        (BEDROCK, "/model/openai.gpt-oss-120b-1:0/invoke", {"messages": [], "max_completion_tokens": 4}, NEW, 4),
        (
            "localhost:11434",
            "/api/chat",
            {"model": "m", "options": {"num_predict": 4}},
            (("options", "num_predict"),),
            4,
        ),
        (
            "localhost:11434",
            "/api/chat",
            {"model": "m", "options": {"num_predict": -1}},
            (("options", "num_predict"),),
            0,
        ),
    ],
)
def test_a_limit_stands_where_its_dialect_has_it(host, path, body, limit_keys, limit):
    """Where it is, and else where one would be understood; how much it is."""
    assert keys(read(host, path, body)) == (limit_keys, limit)


@pytest.mark.parametrize("limit", [0, -1, "100", True, [], {}, 0.0])
def test_what_is_no_limit_limits_nothing(limit):
    """A provider may take it for none: the request is held with all that the model can write."""
    assert read(OPENAI, CHAT, {"model": "gpt-4o", "max_tokens": limit}).asked.max_tokens == 0
    assert read(OPENAI, CHAT, {"model": "m", "max_tokens": 5, "max_completion_tokens": limit}).asked.max_tokens == 0


@pytest.mark.parametrize(("limit", "read_as"), [(1e18, TOKENS_MAX), (10**400, TOKENS_MAX), (9.5, 10), (3.0, 3)])
def test_a_limit_beyond_all_is_a_number_that_sums_can_hold(limit, read_as):
    """It is never read as less than it says, but for what no model writes."""
    assert read(OPENAI, CHAT, {"model": "gpt-4o", "max_tokens": limit}).asked.max_tokens == read_as


@pytest.mark.parametrize(
    ("host", "path", "body", "sent"),
    [
        (
            OPENAI,
            CHAT,
            b'{"model": "gpt-4o",\n "max_tokens": 900 , "n":1}',
            b'{"model": "gpt-4o",\n "max_tokens": 5 , "n":1}',
        ),
        (OPENAI, CHAT, b' {"model":"\xc3\xa9\\u00e9" } ', b' {"model":"\xc3\xa9\\u00e9","max_completion_tokens":5 } '),
        (
            OPENAI,
            CHAT,
            b'{"max_tokens":1,"model":"m","max_completion_tokens":2}',
            b'{"max_tokens":5,"model":"m","max_completion_tokens":5}',
        ),
        (GEMINI, GENERATE, b"{}", b'{"generationConfig":{"maxOutputTokens": 5}}'),
        (
            GEMINI,
            GENERATE,
            b'{"generationConfig": null, "contents": []}',
            b'{"generationConfig": {"maxOutputTokens":5}, "contents": []}',
        ),
        (
            GEMINI,
            GENERATE,
            b'{"generationConfig": { "topK" : 1 }}',
            b'{"generationConfig": { "topK" : 1,"maxOutputTokens":5 }}',
        ),
        (
            BEDROCK,
            "/model/m/converse",
            b'{"inferenceConfig":{"maxTokens":9,"topP":1},"messages":[]}',
            b'{"inferenceConfig":{"maxTokens":5,"topP":1},"messages":[]}',
        ),
    ],
)
def test_a_limit_is_set_and_nothing_else_is_changed(host, path, body, sent):
    """Other keys keep their order, their spelling and the space around them."""
    assert read(host, path, body).to_send(5).replace(b": 5}", b":5}") == sent.replace(b": 5}", b":5}")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_limit_that_is_set_is_read_again(sample):
    """By the dialect itself, and by its provider."""
    sent = sample.request().to_send(17)
    assert read(sample.host, sample.path, sent).asked.max_tokens == 17
    assert sample.provider.read(sent, sample.place).max_tokens == 17


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_body_that_need_not_change_keeps_its_bytes(sample):
    """The very bytes that the client gave, encoded as they were."""
    body = json.dumps(sample.body | {"stream_options": {"include_usage": True}}).encode()
    assert read(sample.host, sample.path, body).to_send() is body


def test_the_least_limit_is_known():
    """Below what the model may think, or what its provider takes, a limit would only be an error."""
    thinking = {"model": "claude", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}}
    request = read(ANTHROPIC, MESSAGES, thinking)
    assert request.asked.limit_min == 4001
    assert json.loads(request.to_send(4001))["max_tokens"] == 4001
    with pytest.raises(ValueError, match="4,001 tokens or more, not 4000"):
        request.to_send(4000)
    assert read(OPENAI, "/v1/responses", {"model": "gpt-5"}).asked.limit_min == 16


@pytest.mark.parametrize(
    ("host", "more", "options"),
    [
        (OPENAI, {}, {"include_usage": True}),
        (OPENAI, {"stream_options": None}, {"include_usage": True}),
        (
            OPENAI,
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        (OPENAI, {"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (OPENAI, {"stream": False}, None),
        ("api.mistral.ai", {}, None),
        ("openrouter.ai", {}, None),
        ("api.groq.com", {}, {"include_usage": True}),
    ],
)
def test_usage_is_asked_for_where_a_stream_says_it_only_then(host, more, options):
    """And not where it comes anyway, or the caller asked already."""
    request = read(host, CHAT, {"model": "m", "messages": HELLO, "stream": True} | more)
    assert json.loads(request.to_send()).get("stream_options") == options
    assert bool(request.asked.usage_key) == (options is not None)
    asked = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    assert not read(host, CHAT, asked).asked.usage_key


def test_an_old_api_of_azure_is_not_asked_for_usage():
    """It would refuse the request."""
    path = "/openai/deployments/d/chat/completions?api-version="
    asked = [
        bool(read(AZURE, path + version, {"stream": True}).asked.usage_key) for version in ("2024-06-01", "2024-10-21")
    ]
    assert asked == [False, True]


def test_what_decides_the_price_is_read():
    """Answers at once, tier, cache writes, tools, other models, and what is answered later."""
    body = {
        "model": "m", "messages": HELLO, "n": 128, "service_tier": "flex", "models": ["a", "b", 5],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }  # fmt: skip
    request = read(OPENAI, CHAT, body)
    assert (request.answers, request.asked.service_tier, request.asked.other_models) == (128, "flex", ("a", "b"))
    assert (request.tools, request.cache_write, request.asked.stream) == (body["tools"], "", False)
    assert read(OPENAI, "/v1/responses", {"model": "m", "background": True}).asked.is_background
    assert read(ANTHROPIC, MESSAGES, {"model": "m", "speed": "fast"}).asked.service_tier == "fast"
    config = {"generationConfig": {"candidateCount": 3}}
    assert read(GEMINI, GENERATE, config).answers == 3
    tier = read(GEMINI, GENERATE, config, JSON | {"X-Vertex-AI-LLM-Shared-Request-Type": "priority"})
    assert tier.asked.service_tier == "priority"


@pytest.mark.parametrize(
    ("mark", "asked"),
    [
        ({}, ""),
        ({"cache_control": {"type": "ephemeral"}}, "5m"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "1h"),
    ],
)
def test_cache_writes_are_found_wherever_they_are_asked_for(mark, asked):
    """In messages, system prompts and tools, however their keys are written."""
    part = {"type": "text", "text": "long"} | mark
    for body in (
        {"model": "m", "messages": [{"role": "user", "content": [part]}]},
        {"model": "m", "system": [part]},
        {"model": "m", "tools": [{"name": "f", "input_schema": {}} | mark]},
    ):
        assert read(ANTHROPIC, MESSAGES, body).cache_write == asked
        spelled = json.dumps(body).replace("cache_", "\\u0063ache\\u005f").encode()
        assert read(ANTHROPIC, MESSAGES, spelled).cache_write == asked


def test_a_prompt_is_what_the_model_reads():
    """Without settings; with what else `ctx.turn(prompt=…)` looks for."""
    body = {"model": "m", "messages": HELLO, "n": 2, "tools": [], "temperature": 1, "metadata": {"user_id": "u"}}
    assert read(OPENAI, CHAT, body).prompt == {"messages": HELLO, "n": 2, "tools": []}


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("text", 0), (["a", "b"], 0), ([1, 2, 3], 3), ([[1, 2], [3]], 3), ([], 0), (["a", [1]], 0), (None, 0)],
)
def test_an_input_of_tokens_is_counted(given, tokens):
    """An embedding's input may come as tokens, which need no bound."""
    assert read(OPENAI, "/v1/embeddings", {"model": "e", "input": given}).asked.input_tokens == tokens


def test_a_stream_is_known_by_body_or_path():
    """Ollama streams unless it is told not to."""
    assert [sample.request().asked.stream for sample in SAMPLES] == [True] * len(SAMPLES)
    assert read("localhost:11434", "/api/chat", {"model": "m"}).asked.stream
    assert not read("localhost:11434", "/api/chat", {"model": "m", "stream": False}).asked.stream
    assert not BY_NAME["chat"].request(stream=False).asked.stream
