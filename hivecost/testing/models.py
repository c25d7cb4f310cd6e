"""Which models the emulator lists, and by which name each answers: GET /v1/models. It serves any other name as well."""

from __future__ import annotations

from typing import Any, Final

#: What OpenAI's and Anthropic's short names stood for in November 2026, by their lists of models.
DATED_MODELS: Final = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}

_LISTED: Final = tuple(sorted({*DATED_MODELS, *DATED_MODELS.values(), "text-embedding-3-small"}))
_CREATED: Final = "2025-01-01T00:00:00Z"
_CREATED_S: Final = 1_735_689_600


def listing(*, anthropic: bool) -> dict[str, Any]:
    """Return all models of one provider, in one page of its own form."""
    models = [entry for name in _LISTED if (entry := model(name, anthropic=anthropic))]
    if not anthropic:
        return {"object": "list", "data": models}
    return {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}


def model(name: str, *, anthropic: bool) -> dict[str, Any] | None:
    """Return one of the models; None for a name that the provider does not list."""
    if name not in _LISTED or name.startswith("claude") != anthropic:
        return None
    if anthropic:
        limits = {"max_input_tokens": 200_000, "max_tokens": 64_000}
        return {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": _CREATED,
            "lifecycle": "active",
        } | limits
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": "system"}
