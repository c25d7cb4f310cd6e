"""What is billed by the piece, or on other terms: counted, or named."""

from __future__ import annotations

import pytest

from hivecost.events import Usage
from hivecost.usage import UsageStatus, UsageStream, read_usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
RESPONSE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
GEMINI = {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}


def of_gemini(model, grounding):
    candidates = [{"finishReason": "STOP", "groundingMetadata": grounding}]
    return {"modelVersion": model, "usageMetadata": GEMINI, "candidates": candidates}


def interaction(model, **more):
    usage = {"total_tokens": 120, "total_input_tokens": 100, "total_output_tokens": 20}
    return {"object": "interaction", "model": model, **more, "usage": usage | more.pop("usage", {})}


SEARCH = {"type": "google_search_call", "arguments": {"queries": ["a", "b"]}}
COUNTED = {
    "a container of a shell": (
        {
            "object": "response",
            "usage": RESPONSE,
            "output": [
                {"type": "shell_call", "environment": {"type": "container_reference", "container_id": "c"}},
                {"type": "code_interpreter_call", "container_id": "c"},
                {"type": "shell_call", "environment": {"type": "local"}},
            ],
        },
        {"code_containers": 1},
    ),
    "searches for images": (
        of_gemini("gemini-3.1-flash-image", {"webSearchQueries": ["a"], "imageSearchQueries": ["a"]}),
        {"web_search_requests": 2},
    ),
    "a search that names no query": (
        of_gemini("gemini-2.5-flash", {"groundingChunks": [{"web": {"uri": "x"}}]}),
        {"web_search_requests": 1},
    ),
    "an interaction, by its items": (
        interaction("gemini-3-flash-preview", outputs=[SEARCH, {"type": "google_search_result"}]),
        {"web_search_requests": 2},
    ),
    "an interaction, by its count": (
        interaction("gemini-3-flash-preview", usage={"grounding_tool_count": [{"type": "google_search", "count": 2}]}),
        {"web_search_requests": 2},
    ),
    "an interaction of a Gemini before 3": (
        interaction("gemini-2.5-flash", usage={"grounding_tool_count": [{"type": "google_search", "count": 2}]}),
        {"web_search_requests": 1},
    ),
    "the tools of xAI's own protocol": (
        {**CHAT, "prompt_text_tokens": 100, "server_side_tools_used": ["SERVER_SIDE_TOOL_WEB_SEARCH"] * 2},
        {"web_search_requests": 2},
    ),
    "Perplexity's agents": (
        {"model": "gpt-5", "usage": {**RESPONSE, "tool_calls_details": {"web_search": {"invocation": 2}}}},
        {"web_search_requests": 2},
    ),
    "tools of Anthropic's that are free": (
        {
            "type": "message",
            "usage": {**RESPONSE, "server_tool_use": {"web_fetch_requests": 3, "tool_search_requests": 2}},
        },
        {},
    ),
}


@pytest.mark.parametrize("kind", COUNTED)
def test_a_piece_is_counted(kind):
    """Whoever lists it."""
    payload, pieces = COUNTED[kind]
    reading = read_usage(payload)
    assert (reading.status, reading.reason, reading.usage) == (UsageStatus.OK, "", Usage(100, 20, **pieces))


NAMED = {
    "sources of xAI's live search": (
        {"model": "grok-4", "usage": {**CHAT, "num_sources_used": 5}},
        "num_sources_used=5",
    ),
    "searches of X": (
        {"model": "grok-4", "usage": {**RESPONSE, "server_side_tool_usage_details": {"x_search_calls": 1}}},
        "x_search_calls=1",
    ),
    "runs of code": (
        {"type": "message", "usage": {**RESPONSE, "server_tool_use": {"code_execution_requests": 2}}},
        "code_execution_requests=2",
    ),
    "tokens in a list": (
        {"model": "ernie", "usage": {**CHAT, "plugins": [{"name": "search", "search_tokens": 7}]}},
        "plugins.search_tokens=7",
    ),
    "images that Cohere embeds": (
        {"meta": {"billed_units": {"input_tokens": 4, "images": 1}}},
        "billed_units.images=1",
    ),
    "maps, beside a search": (
        of_gemini("gemini-2.5-flash", {"webSearchQueries": ["a"], "groundingChunks": [{"maps": {"uri": "x"}}]}),
        "1 grounding on maps",
    ),
    "searches that a Gemini since 3 does not name": (
        of_gemini("gemini-3-pro-preview", {"groundingChunks": [{"web": {"uri": "x"}}]}),
        "searches whose queries it does not name",
    ),
    "a request of Perplexity's with little context": (
        {"model": "sonar", "usage": {**CHAT, "search_context_size": "low"}},
        "and this one was low",
    ),
    "an optimized latency": (
        {
            "stopReason": "end_turn",
            "usage": {"inputTokens": 5, "outputTokens": 1},
            "performanceConfig": {"latency": "optimized"},
        },
        "latency was optimized",
    ),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_piece_without_a_price_is_named(kind):
    """An estimate, never silence."""
    payload, said = NAMED[kind]
    reading = read_usage(payload)
    assert reading.status is UsageStatus.ESTIMATED
    assert said in reading.reason


def test_what_was_only_billed_by_pieces_that_nobody_knows_is_no_turn_for_nothing():
    """It has no usage that has a price; the piece is named."""
    reading = read_usage({"meta": {"billed_units": {"images": 1}}})
    assert (reading.status, reading.reason) == (UsageStatus.MISSING, "unread: billed_units.images=1")


def test_a_live_turn_keeps_its_searches():
    """They come before its end."""
    stream = UsageStream()
    stream.observe({"serverContent": {"groundingMetadata": {"webSearchQueries": ["a"]}}})
    stream.observe({"serverContent": {"turnComplete": True}, "usageMetadata": GEMINI})
    assert stream.reading().usage == Usage(100, 20, web_search_requests=1)
