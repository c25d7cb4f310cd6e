"""What a node or a graph may be told about its loop, checked when it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from hivecost.errors import ConfigError

ContextOverflow = Literal["prune_old_tool_results", "summarize", "keep_recent"]
_OVERFLOWS: Final = ("prune_old_tool_results", "summarize", "keep_recent")
_Spec = TypeVar("_Spec", bound=msgspec.Struct)


class LoopConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of an agent's loop; None means no limit."""

    #: The context budget of a conversation, in tokens.
    max_history_tokens: int | None = None
    max_iterations: int | None = None
    max_tool_calls_per_turn: int | None = None
    #: What to do first when the context is full.
    context_overflow_strategy: ContextOverflow = "prune_old_tool_results"

    def __post_init__(self) -> None:
        for key in ("max_history_tokens", "max_iterations", "max_tool_calls_per_turn"):
            value = getattr(self, key)
            if value is not None and (type(value) is not int or not 0 < value < 2**63):
                raise ConfigError(f"loop_config.{key}", "a whole number, 1 or more", got=value)
        if self.context_overflow_strategy not in _OVERFLOWS:
            expected = f"one of {', '.join(_OVERFLOWS)}"
            raise ConfigError("loop_config.context_overflow_strategy", expected, got=self.context_overflow_strategy)


class NodeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named step of a graph. `loop_config` may be given as a dict; it becomes a LoopConfig."""

    id: str
    node_type: str = "event_loop"
    model: str = ""
    loop_config: LoopConfig | Mapping[str, Any] = LoopConfig()

    def __post_init__(self) -> None:
        _require_id("NodeSpec", self.id)
        msgspec.structs.force_setattr(self, "loop_config", _loop_config(f"NodeSpec {self.id!r}", self.loop_config))


class GraphSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nodes that share a loop configuration where they have none of their own."""

    id: str
    nodes: tuple[NodeSpec, ...] = ()
    loop_config: LoopConfig | Mapping[str, Any] = LoopConfig()

    def __post_init__(self) -> None:
        _require_id("GraphSpec", self.id)
        msgspec.structs.force_setattr(self, "loop_config", _loop_config(f"GraphSpec {self.id!r}", self.loop_config))
        msgspec.structs.force_setattr(self, "nodes", tuple(self.nodes))
        ids = [node.id for node in self.nodes]
        if len(set(ids)) != len(ids):
            raise ConfigError(f"GraphSpec {self.id!r}.nodes", "node ids that differ", got=ids)


def read_spec(spec_type: type[_Spec], values: Mapping[str, Any], *, where: str) -> _Spec:
    """A spec from a mapping, such as a TOML table. Raises ConfigError with the path of the wrong key below `where`."""
    try:
        return msgspec.convert(dict(values), spec_type)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        place = f"{where}{path.rstrip('`')}"
        if isinstance(error.__cause__, ConfigError):  # what the spec itself says, with the place it does not know
            key = error.__cause__.key.rpartition(".")[2]
            got = None if path else values.get(key)
            raise ConfigError(f"{place}.{key}", error.__cause__.expected, got=got) from None
        raise ConfigError(place, _expected(spec_type, problem, path.strip(".`"))) from None


def _loop_config(owner: str, given: LoopConfig | Mapping[str, Any]) -> LoopConfig:
    if isinstance(given, LoopConfig):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{owner}.loop_config", "a LoopConfig or a dict", got=given)
    return read_spec(LoopConfig, given, where=f"{owner}.loop_config")


def _expected(spec_type: type[msgspec.Struct], problem: str, key: str) -> str:
    """msgspec's complaint about `key`, or the spec itself, as an expectation that names the keys or words there are."""
    kind = next((field.type for field in msgspec.structs.fields(spec_type) if field.name == key), spec_type)
    if "unknown field" in problem:
        unknown = problem.rpartition("field ")[2]
        return f"no key {unknown}, but some of {', '.join(kind.__struct_fields__)}"
    if "enum value" in problem:
        return f"one of {', '.join(get_args(kind))}"
    return problem.removeprefix("Expected ")


def _require_id(kind: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{kind}.id", "a text that is not empty", got=value)
