"""A step: one logged turn, as a Struct that also reads like a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from hivecost.events import USAGE_FIELDS, SentPrompt, Usage
from hivecost.log.instants import local_iso
from hivecost.money import to_usd


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One turn: `step.model`, `step["model"]`, `"model" in step` and `step.get("input_tokens", 0)` all work."""

    event_id: str
    timestamp_ns: int
    session_id: str
    execution_id: str
    node_id: str
    agent_id: str
    user_id: str
    org_id: str
    task_id: str
    tags: dict[str, str]
    #: As they were answered; `counted_model` and `counted_provider` are those of sums and budgets.
    model: str
    provider: str
    asked_model: str
    resolved_model: str
    resolved_provider: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    cache_audio_read_tokens: int
    input_image_tokens: int
    output_image_tokens: int
    tool_use_prompt_tokens: int
    web_search_requests: int
    citation_tokens: int = 0
    input_video_tokens: int = 0
    output_video_tokens: int = 0
    cache_image_read_tokens: int = 0
    cache_video_read_tokens: int = 0
    audio_seconds: int = 0
    pages: int = 0
    search_units: int = 0
    file_search_calls: int = 0
    code_containers: int = 0
    #: `priced`, `reported`, `estimated`, `unpriced` or `invalid`.
    cost_status: str
    #: None when unknown, which is not zero.
    cost_nanousd: int | None
    source: str
    rate: str
    snapshot: str
    reason: str
    input_nanousd: int | None
    output_nanousd: int | None
    table_nanousd: int | None
    cached_nanousd: int | None
    written_nanousd: int | None
    reasoning_nanousd: int | None
    fee_nanousd: int | None
    #: What a turn that a subscription pays for would have cost.
    notional_nanousd: int | None
    latency_ms: int
    stop_reason: str
    service_tier: str
    #: `charge` for what is no call of a model: `model` says what was bought.
    kind: str
    #: What is known of its prompt, where a node's loop keeps its conversations.
    prompt: SentPrompt | None = None

    @property
    def timestamp(self) -> str:
        """When it happened: ISO 8601 in local time."""
        return local_iso(self.timestamp_ns)

    @property
    def counted_model(self) -> str:
        """The model as the price book understood it, else as it was answered."""
        return self.resolved_model or self.model

    @property
    def counted_provider(self) -> str:
        """The provider as the price book understood it, else as it was named."""
        return self.resolved_provider or self.provider

    @property
    def usage(self) -> Usage:
        """The token counts, to be priced again."""
        return Usage(*(getattr(self, name) for name in USAGE_FIELDS))

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    @property
    def cached_tokens(self) -> int:
        """The same as `cache_read_tokens`."""
        return self.cache_read_tokens

    @property
    def cost_usd(self) -> float | None:
        """A float for metrics libraries, None when unknown; `cost_nanousd` is exact."""
        return None if self.cost_nanousd is None else float(to_usd(self.cost_nanousd))

    @property
    def compression_ratio(self) -> float:
        """How long its prompt was, by how long it would have been without compactions."""
        return 1.0 if self.prompt is None else self.prompt.compression_ratio(self.input_tokens)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return _KEYS

    def __getitem__(self, key: str) -> Any:
        if key not in _KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in _KEYS

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a field; `default` for a name that is none."""
        return getattr(self, key) if key in _KEYS else default

    def items(self) -> list[tuple[str, Any]]:
        """Return the fields with their values."""
        return [(key, getattr(self, key)) for key in _KEYS]

    def values(self) -> list[Any]:
        """Return the values of the fields."""
        return [getattr(self, key) for key in _KEYS]


Mapping.register(Step)

_KEYS: Final = (*Step.__struct_fields__, "timestamp", "total_tokens", "cached_tokens", "cost_usd", "compression_ratio")
