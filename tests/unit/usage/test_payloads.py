"""One payload of every provider, as its documentation shows it, and what it means in canonical form."""

from __future__ import annotations

import json

import pytest

from hivecost.errors import ConfigError
from hivecost.events import Usage
from hivecost.usage import FLAVORS, UsageStatus, read_usage

OPENAI = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "service_tier": "priority",
    "choices": [{"index": 0, "finish_reason": "length", "message": {"content": "hi"}}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 3, "accepted_prediction_tokens": 0},
    },
}
RESPONSES = {
    "object": "response",
    "model": "gpt-5",
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "service_tier": "flex",
    "output": [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "message"},
    ],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 150,
    },
}
ANTHROPIC = {
    "type": "message",
    "model": "claude-sonnet-4-5-20250929",
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "service_tier": "standard",
        "inference_geo": "us",
        "server_tool_use": {"web_search_requests": 2},
    },
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "candidates": [{"finishReason": "MAX_TOKENS"}],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 7,
        "cachedContentTokenCount": 40,
        "totalTokenCount": 157,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 80}, {"modality": "AUDIO", "tokenCount": 10}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 6}],
        "trafficType": "ON_DEMAND_FLEX",
    },
}
GEMINI_USAGE = Usage(
    input_tokens=107,
    output_tokens=50,
    cache_read_tokens=40,
    reasoning_tokens=30,
    input_audio_tokens=10,
    cache_audio_read_tokens=4,
    output_image_tokens=6,
    tool_use_prompt_tokens=7,
)
BEDROCK = {
    "output": {"message": {"role": "assistant"}},
    "stopReason": "tool_use",
    "serviceTier": {"type": "flex"},
    "usage": {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 22,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 4,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 2}, {"ttl": "1h", "inputTokens": 2}],
    },
}

CASES = {
    "openai": (
        OPENAI,
        Usage(
            input_tokens=100,
            output_tokens=50,
            cache_read_tokens=20,
            cache_write_tokens=30,
            reasoning_tokens=10,
            input_audio_tokens=5,
            output_audio_tokens=3,
        ),
        {"model": "gpt-4o-2024-08-06", "service_tier": "priority", "stop_reason": "length"},
    ),
    "responses": (
        RESPONSES,
        Usage(
            input_tokens=100, output_tokens=50, cache_read_tokens=20, reasoning_tokens=10, web_search_requests=1
        ),
        {"model": "gpt-5", "service_tier": "flex", "stop_reason": "max_output_tokens"},
    ),
    "anthropic": (
        ANTHROPIC,
        Usage(
            input_tokens=160,
            output_tokens=5,
            cache_read_tokens=100,
            cache_write_tokens=50,
            cache_write_1h_tokens=30,
            web_search_requests=2,
        ),
        {"hinted_provider": "anthropic", "inference_geo": "us", "stop_reason": "end_turn"},
    ),
    "gemini": (
        GEMINI,
        GEMINI_USAGE,
        {"model": "gemini-2.5-flash", "hinted_provider": "google", "stop_reason": "MAX_TOKENS"},
    ),
    "bedrock": (
        BEDROCK,
        Usage(
            input_tokens=17, output_tokens=5, cache_read_tokens=3, cache_write_tokens=4, cache_write_1h_tokens=2
        ),
        {"model": "", "provider": "aws", "service_tier": "flex", "stop_reason": "tool_use"},
    ),
    "cohere": (
        {
            "finish_reason": "COMPLETE",
            "usage": {
                "billed_units": {"input_tokens": 5, "output_tokens": 7},
                "tokens": {"input_tokens": 71, "output_tokens": 9},
                "cached_tokens": 64,
            },
        },
        Usage(input_tokens=5, output_tokens=7),
        {"provider": "cohere", "stop_reason": "COMPLETE"},
    ),
    "deepseek": (
        {
            "model": "deepseek-chat",
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_cache_hit_tokens": 4,
                "prompt_cache_miss_tokens": 6,
            },
        },
        Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4),
        {"model": "deepseek-chat"},
    ),
    "xai": (
        {
            "model": "grok-4",
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "reasoning_tokens": 20,
                "total_tokens": 35,
                "prompt_text_tokens": 10,
                "cached_prompt_text_tokens": 2,
                "cost_in_usd_ticks": 123456785,
            },
        },
        Usage(input_tokens=10, output_tokens=25, cache_read_tokens=2, reasoning_tokens=20),
        {"provider": "x-ai", "reported_nanousd": 12_345_678},
    ),
    "openrouter": (
        {
            "model": "anthropic/claude-sonnet-4.5",
            "usage": {
                "prompt_tokens": 194,
                "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 0},
                "completion_tokens": 2,
                "completion_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 196,
                "cost": 0.00095,
                "is_byok": False,
                "cost_details": {"upstream_inference_cost": None},
            },
        },
        Usage(input_tokens=194, output_tokens=2, cache_read_tokens=100, reasoning_tokens=1),
        {"provider": "openrouter", "reported_nanousd": 950_000},
    ),
    "litellm": (
        {
            "model": "claude-sonnet-4-5",
            "_hidden_params": {"response_cost": 0.0012, "custom_llm_provider": "anthropic"},
            "usage": {
                "prompt_tokens": 160,
                "completion_tokens": 5,
                "total_tokens": 165,
                "prompt_tokens_details": {"cached_tokens": 100},
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 50,
            },
        },
        Usage(input_tokens=160, output_tokens=5, cache_read_tokens=100, cache_write_tokens=50),
        {"provider": "anthropic", "reported_nanousd": 1_200_000},
    ),
    "perplexity": (
        {
            "model": "sonar-pro",
            "usage": {
                "prompt_tokens": 33,
                "completion_tokens": 100,
                "total_tokens": 133,
                "search_context_size": "low",
                "num_search_queries": 2,
                "cost": {"input_tokens_cost": 0.001, "total_cost": 0.0075},
            },
        },
        Usage(input_tokens=33, output_tokens=100, web_search_requests=2),
        {"provider": "perplexity", "reported_nanousd": 7_500_000},
    ),
    "otel": (
        {
            "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.request.model": "asked",
            "gen_ai.response.model": "answered",
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 30,
            "gen_ai.usage.cache_creation.input_tokens": 10,
            "gen_ai.usage.reasoning.output_tokens": 7,
        },
        Usage(
            input_tokens=100, output_tokens=20, cache_read_tokens=30, cache_write_tokens=10, reasoning_tokens=7
        ),
        {"model": "answered", "provider": "aws.bedrock", "stop_reason": "stop"},
    ),
    "canonical": (
        {"input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 30, "cache_write_1h_tokens": 0},
        Usage(input_tokens=100, output_tokens=20, cache_read_tokens=30),
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("flavor", CASES)
@pytest.mark.parametrize("form", ["dict", "json", "bytes", "named"])
def test_every_provider_is_understood(flavor, form):
    """Detected or named, as a dict or as JSON: the same canonical usage."""
    payload, usage, facts = CASES[flavor]
    given = {"dict": payload, "named": payload, "json": json.dumps(payload), "bytes": json.dumps(payload).encode()}
    reading = read_usage(given[form], flavor=flavor if form == "named" else None)
    assert (reading.status, reading.usage, reading.flavor) == (UsageStatus.OK, usage, flavor)
    assert {name: getattr(reading, name) for name in facts} == facts
    assert reading.raw is None


@pytest.mark.parametrize("flavor", ["openai", "responses", "anthropic", "bedrock", "xai", "openrouter", "perplexity"])
def test_the_usage_part_alone_is_enough(flavor):
    """Without the response around it the counts are the same, except those that only the response tells."""
    payload, usage, _ = CASES[flavor]
    reading = read_usage(payload["usage"])
    assert reading.status is UsageStatus.OK
    assert reading.usage.input_tokens == usage.input_tokens
    assert reading.usage.cache_read_tokens == usage.cache_read_tokens
    assert reading.usage.output_tokens == usage.output_tokens


def test_the_sdks_snake_case_is_gemini_too():
    """google-genai's objects name the same counts in snake_case."""
    usage = {
        "prompt_token_count": 100,
        "candidates_token_count": 20,
        "thoughts_token_count": 30,
        "tool_use_prompt_token_count": 7,
        "cached_content_token_count": 40,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 10}],
        "cache_tokens_details": [{"modality": "AUDIO", "token_count": 4}],
        "candidates_tokens_details": [{"modality": "IMAGE", "token_count": 6}],
    }
    reading = read_usage({"model_version": "gemini-2.5-flash", "usage_metadata": usage})
    assert (reading.usage, reading.model, reading.flavor) == (GEMINI_USAGE, "gemini-2.5-flash", "gemini")


def test_mistral_speaks_openais_shape():
    """Named, because nothing in the payload tells it apart."""
    reading = read_usage({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, flavor="mistral")
    assert (reading.usage, reading.provider) == (Usage(input_tokens=3, output_tokens=4), "mistral")


@pytest.mark.parametrize(
    ("total", "output"), [(150, 50), (160, 60), (None, 50)], ids=["inclusive", "exclusive", "not said"]
)
def test_the_total_tells_whether_reasoning_is_inside(total, output):
    """An OpenAI-shaped answer whose total only adds up with reasoning left it out of the completion."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": total,
    }
    assert read_usage({"usage": usage}).usage.output_tokens == output


def test_sonar_bills_reasoning_and_citations_beside_the_completion():
    """Counted as output, and citations apart, as they have a cheaper rate. Its total leaves all of them out."""
    usage = {
        "prompt_tokens": 33,
        "completion_tokens": 7163,
        "total_tokens": 7196,
        "citation_tokens": 20016,
        "num_search_queries": 18,
        "reasoning_tokens": 73997,
    }
    reading = read_usage({"model": "sonar-deep-research", "usage": usage})
    assert reading.usage == Usage(
        input_tokens=33,
        output_tokens=7163 + 20016 + 73997,
        reasoning_tokens=73997,
        citation_tokens=20016,
        web_search_requests=18,
    )


def test_with_ones_own_key_the_bill_is_upstream():
    """OpenRouter then says cost 0; the real spend stands in its details."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0, "is_byok": True}
    spent = {**usage, "cost_details": {"upstream_inference_cost": 0.0005}}
    assert read_usage({"usage": spent}).reported_nanousd == 500_000
    assert read_usage({"usage": usage}).reported_nanousd is None


def test_litellms_zero_is_not_a_bill():
    """It says 0.0 for models it has no price for."""
    payload = {"usage": {"prompt_tokens": 10, "completion_tokens": 5}, "_hidden_params": {"response_cost": 0.0}}
    assert read_usage(payload).reported_nanousd is None


def test_an_exclusive_span_is_noticed():
    """An emitter whose cached tokens exceed the input meant exclusive counts: an estimate, not an error."""
    span = {
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 1,
        "gen_ai.usage.cache_read.input_tokens": 90,
    }
    reading = read_usage(span)
    assert (reading.status, reading.usage.input_tokens) == (UsageStatus.ESTIMATED, 100)


def test_both_names_of_a_written_cache_are_one_count():
    """Old and new attribute on one span do not add up."""
    span = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 10,
        "gen_ai.usage.cache_creation.input_tokens": 10,
    }
    assert read_usage(span).usage.cache_write_tokens == 10


def test_writes_are_summed_from_their_lifetimes_when_the_total_is_missing():
    """genai-prices raises here; the total is what the lifetimes add up to."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
    }
    read = read_usage({"usage": usage}).usage
    assert (read.input_tokens, read.cache_write_tokens, read.cache_write_1h_tokens) == (51, 50, 30)


@pytest.mark.parametrize(
    "line",
    [
        {"custom_id": "a", "response": {"status_code": 200, "body": OPENAI}},
        {"custom_id": "a", "result": {"type": "succeeded", "message": ANTHROPIC}},
        {"key": "a", "response": GEMINI},
    ],
    ids=["openai", "anthropic", "gemini"],
)
def test_a_line_of_a_batch_is_billed_as_batch(line):
    """The three batch APIs' result lines are unwrapped, and marked."""
    reading = read_usage(line)
    assert reading.status is UsageStatus.OK
    assert reading.batch
    assert reading.usage.output_tokens > 0


def test_fast_mode_is_a_tier():
    """Anthropic says it in the usage's speed."""
    fast = {**ANTHROPIC, "usage": {**ANTHROPIC["usage"], "speed": "fast"}}
    assert read_usage(fast).service_tier == "fast"


def test_langchains_metadata_is_inclusive():
    """`usage_metadata` with `input_token_details` is LangChain's, not Gemini's."""
    metadata = {
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "input_token_details": {"cache_read": 30, "cache_creation": 10},
        "output_token_details": {"reasoning": 5},
    }
    assert read_usage({"usage_metadata": metadata}).usage == Usage(
        input_tokens=100, output_tokens=20, cache_read_tokens=30, cache_write_tokens=10, reasoning_tokens=5
    )


def test_usage_itself_and_readings_pass_through():
    """What is canonical already is taken as it is."""
    usage = Usage(input_tokens=3, cache_read_tokens=2)
    assert read_usage(usage).usage is usage
    reading = read_usage(OPENAI)
    assert read_usage(reading) is reading


def test_a_flavor_that_is_none_is_a_config_error():
    """A typo in the caller's own argument is told, with the names that exist."""
    with pytest.raises(ConfigError, match="anthropic"):
        read_usage(OPENAI, flavor="opnai")
    assert set(CASES) < set(FLAVORS)
