"""What an agent's loop obeys, as it is written down for a graph and its nodes, and as it is in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from hivecost.compaction import CompactionConfig, StrategyName
from hivecost.errors import ConfigError

#: No limit, also where the graph has one.
Unlimited = Literal["unlimited"]
OnLimit = Literal["stop", "wind_down"]
#: Who said a value that is in force.
Origin = Literal["node", "graph", "default"]

_LIMITS: Final = (
    "max_history_tokens",
    "max_iterations",
    "max_tool_calls_per_turn",
    "max_tool_result_tokens",
    "max_output_tokens",
    "tool_result_budget",
)
#: Those that a compaction has, too: the same may be said of both.
_OF_COMPACTION: Final = (
    *("context_overflow_strategy", "compact_to", "keep_tool_results", "protected_tools", "clear_tool_inputs"),
    *("spill", "summary_share"),
)


def _said(config: msgspec.Struct, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key in keys if (value := getattr(config, key)) is not None}


class LoopConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of an agent's loop, and how its conversation is kept within them.

    What is None, a node takes from its graph, and a graph from the defaults: no limits. `"unlimited"` is no limit,
    whatever the graph says.
    """

    #: The context budget of a conversation, in tokens: one of more is compacted before the next turn.
    max_history_tokens: int | Unlimited | None = None
    #: Turns; the one behind the last raises LoopLimitError, which completes the execution.
    max_iterations: int | Unlimited | None = None
    #: Of the calls that one answer asks for, so many are to run: `turn.tool_calls(answer)` picks them.
    max_tool_calls_per_turn: int | Unlimited | None = None
    #: A result of more tokens is cut in the middle when it comes.
    max_tool_result_tokens: int | Unlimited | None = None
    #: The most that one answer may have.
    max_output_tokens: int | Unlimited | None = None
    #: Results of tools that stay after a turn; older ones are replaced, if that pays.
    tool_result_budget: int | Unlimited | None = None
    #: How a conversation is compacted: one strategy, or several in the order they are tried.
    context_overflow_strategy: StrategyName | tuple[StrategyName, ...] | None = None
    #: How much of the context budget a compaction leaves in use, 0.1 to 0.75.
    compact_to: float | None = None
    #: How many of the newest results of tools a compaction never replaces.
    keep_tool_results: int | None = None
    #: Tools whose results are never replaced.
    protected_tools: tuple[str, ...] | None = None
    #: Whether long arguments of old calls are replaced, too.
    clear_tool_inputs: bool | None = None
    #: Where the agent keeps results that were replaced, such as a folder: it finds them in `turn.spilled`.
    spill: str | None = None
    #: Who writes summaries: a model, or "same", the agent's own. "" is the cheapest of the user's tiers that fits.
    summary_model: str | None = None
    #: How much of the context budget a summary may have.
    summary_share: float | None = None
    #: Within how many turns an edit has to pay that is made to save money.
    turns_ahead: int | None = None
    #: With `wind_down` there is one turn more than `max_iterations`, to come to an end in: its `turn.is_last` is true.
    on_limit: OnLimit | None = None

    def __post_init__(self) -> None:
        for key in _LIMITS:
            value = getattr(self, key)
            if value not in (None, "unlimited") and (type(value) is not int or not 0 < value < 2**63):
                raise ConfigError(f"loop_config.{key}", 'a whole number, 1 or more, or "unlimited"', got=value)
        for key in ("context_overflow_strategy", "protected_tools"):
            if isinstance(getattr(self, key), list):
                msgspec.structs.force_setattr(self, key, tuple(getattr(self, key)))
        try:
            CompactionConfig(**_said(self, _OF_COMPACTION))
        except ConfigError as error:
            raise ConfigError(f"loop_config.{error.key}", error.expected, got=getattr(self, error.key)) from None
        turns = self.turns_ahead
        if turns is not None and (type(turns) is not int or not 0 < turns < 2**63):
            raise ConfigError("loop_config.turns_ahead", "a whole number of turns, 1 or more", got=turns)
        if self.summary_model is not None and not isinstance(self.summary_model, str):
            raise ConfigError("loop_config.summary_model", 'the name of a model, "same", or ""', got=self.summary_model)
        if self.on_limit not in (None, *get_args(OnLimit)):
            raise ConfigError("loop_config.on_limit", f"one of {', '.join(get_args(OnLimit))}", got=self.on_limit)


class LoopRules(msgspec.Struct, frozen=True, kw_only=True):
    """A loop's configuration as it is in force, and where each value is from; a limit of None is none."""

    max_history_tokens: int | None = None
    max_iterations: int | None = None
    max_tool_calls_per_turn: int | None = None
    max_tool_result_tokens: int | None = None
    max_output_tokens: int | None = None
    tool_result_budget: int | None = None
    compaction: CompactionConfig = CompactionConfig()
    summary_model: str = ""
    turns_ahead: int = 5
    on_limit: OnLimit = "stop"
    #: By the name in a LoopConfig.
    origins: Mapping[str, Origin] = {}

    def value(self, key: str) -> Any:
        """Return what is in force, by its name in a LoopConfig."""
        if key == "context_overflow_strategy":
            return self.compaction.strategies
        return getattr(self.compaction if key in _OF_COMPACTION else self, key)


def rules_of(graph: LoopConfig, *node: LoopConfig) -> LoopRules:
    """Return what a node obeys: key by key what it says, the last first, then what its graph says, then the default."""
    said: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(LoopConfig.__struct_fields__, "default")
    for place, config in enumerate((graph, *node)):  # the later ones win
        origin: Origin = "node" if place else "graph"
        for key, value in _said(config, LoopConfig.__struct_fields__).items():
            said[key], origins[key] = None if value == "unlimited" else value, origin
    compaction = CompactionConfig(**{key: said.pop(key) for key in _OF_COMPACTION if key in said})
    return LoopRules(**said, compaction=compaction, origins=origins)
