"""How conversations are compacted, checked when it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from hivecost.errors import ConfigError

StrategyName = Literal[
    "prune_old_tool_results", "summarize", "keep_recent", "drop_greetings", "summarize_older", "truncate_longest"
]

DEFAULT_STRATEGIES: Final[tuple[StrategyName, ...]] = ("prune_old_tool_results", "summarize", "keep_recent")

_COMPACT_TO_MAX: Final = 0.75


class CompactionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a compaction may do, and how far."""

    #: One name or several, in the order they are tried until the conversation is small enough.
    context_overflow_strategy: StrategyName | tuple[StrategyName, ...] = DEFAULT_STRATEGIES
    #: How much of the budget a compaction leaves in use, 0.1 to 0.75.
    compact_to: float = 0.5
    #: How many of the newest results of tools are never replaced.
    keep_tool_results: int = 3
    #: Tools whose results are never replaced.
    protected_tools: tuple[str, ...] = ()
    #: Whether long arguments of old calls are replaced too.
    clear_tool_inputs: bool = False
    #: Where the caller keeps results that were replaced, such as a folder; "" where it keeps none.
    spill: str = ""
    #: How much of the budget a summary may have.
    summary_share: float = 0.2

    def __post_init__(self) -> None:
        self._require(
            "compact_to",
            _is_share(self.compact_to, 0.1, _COMPACT_TO_MAX),
            f"0.1 to {_COMPACT_TO_MAX}: compacting to just under a budget breaks the prompt cache at almost each turn, "
            "which turns a saving of 41 % into a loss of 81 % in long sessions (tests/unit/compaction/test_replay.py)",
        )
        self._require("summary_share", _is_share(self.summary_share, 0.01, 0.5), "a share of the budget, 0.01 to 0.5")
        keep = self.keep_tool_results
        self._require("keep_tool_results", type(keep) is int and keep >= 0, "a whole number, 0 or more")
        tools = self.protected_tools
        are_names = isinstance(tools, tuple) and all(isinstance(name, str) for name in tools)
        self._require("protected_tools", are_names, "a tuple of names of tools")
        known = get_args(StrategyName)
        names = self.strategies
        is_known = isinstance(names, tuple) and names and len({*names}) == len(names) and {*names} <= {*known}
        self._require("context_overflow_strategy", bool(is_known), f"one or several, each once, of {', '.join(known)}")

    def _require(self, key: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(key, expected, got=getattr(self, key))

    @property
    def strategies(self) -> tuple[StrategyName, ...]:
        """The names of the strategies, in order."""
        given = self.context_overflow_strategy
        return (given,) if isinstance(given, str) else given


def read_config(given: Any) -> CompactionConfig:
    """Return a configuration from one, a mapping, or whatever has some of its fields, as a node's loop config.

    A field that is missing or None has its default. Raise ConfigError for a value that cannot be, and for a key of a
    mapping that there is not.
    """
    if given is None:
        return CompactionConfig()
    if isinstance(given, CompactionConfig):
        return given
    fields = CompactionConfig.__struct_fields__
    if isinstance(given, Mapping):
        if unknown := {*given} - {*fields}:
            raise ConfigError("config", f"some of {', '.join(fields)}", got=sorted(map(str, unknown)))
        values = dict(given)
    else:
        values = {name: getattr(given, name, None) for name in fields}
    for name in ("context_overflow_strategy", "protected_tools"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return CompactionConfig(**{name: value for name, value in values.items() if value is not None})


def _is_share(value: object, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]
