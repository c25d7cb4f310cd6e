"""What a node or a graph may be told about its loop, checked when it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Final, TypeVar, get_args

import msgspec

from hivecost.errors import ConfigError
from hivecost.runtime.loop_config import LoopConfig, LoopRules, rules_of

#: How to call the values of a type.
_KINDS: Final[Mapping[Any, str]] = {int: "a whole number", float: "a number", bool: "true, false", str: "a text"}
_Spec = TypeVar("_Spec", bound=msgspec.Struct)


class NodeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named step of a graph. `loop_config` may be given as a dict; it becomes a LoopConfig."""

    id: str
    node_type: str = "event_loop"
    model: str = ""
    loop_config: Any = LoopConfig()  # a LoopConfig, once it is made: no type of msgspec's says "or what it is made of"

    def __post_init__(self) -> None:
        _require_id("NodeSpec", self.id)
        msgspec.structs.force_setattr(self, "loop_config", loop_config_of(f"NodeSpec {self.id!r}", self.loop_config))


class GraphSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nodes that share a loop configuration where they have none of their own."""

    id: str
    nodes: tuple[NodeSpec, ...] = ()
    loop_config: Any = LoopConfig()  # as above

    def __post_init__(self) -> None:
        _require_id("GraphSpec", self.id)
        msgspec.structs.force_setattr(self, "loop_config", loop_config_of(f"GraphSpec {self.id!r}", self.loop_config))
        msgspec.structs.force_setattr(self, "nodes", tuple(self.nodes))
        twice = next((id_ for id_, times in Counter(node.id for node in self.nodes).items() if times > 1), None)
        if twice is not None:
            raise ConfigError(f"GraphSpec {self.id!r}.nodes", f"node ids that differ, and {twice!r} comes twice")

    def rules(self, node_id: str, own: LoopConfig | None = None) -> LoopRules:
        """Return what the loop of a node obeys: key by key its own, else the graph's, else the default.

        A node that is not named in the graph has nothing of its own but `own`, which comes before what the graph says
        of the node.
        """
        named = next((node.loop_config for node in self.nodes if node.id == node_id), LoopConfig())
        return rules_of(self.loop_config, named, own or LoopConfig())


def read_spec(spec_type: type[_Spec], values: Mapping[str, Any], *, where: str) -> _Spec:
    """Return a spec from a mapping, such as a TOML table.

    Raise ConfigError with the path of the wrong key below `where`.
    """
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


def loop_config_of(owner: str, given: LoopConfig | Mapping[str, Any]) -> LoopConfig:
    """Return a loop configuration that may be given as a mapping. Raise ConfigError with the path below `owner`."""
    if isinstance(given, LoopConfig):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{owner}.loop_config", "a LoopConfig or a dict", got=given)
    return read_spec(LoopConfig, given, where=f"{owner}.loop_config")


def _expected(spec_type: type[msgspec.Struct], problem: str, key: str) -> str:
    """Return msgspec's problem with `key`, or with the spec itself, as an expectation that names the keys there are."""
    name = key.partition("[")[0]
    kind = next((field.type for field in msgspec.structs.fields(spec_type) if field.name == name), spec_type)
    if "unknown field" in problem:
        unknown = problem.rpartition("field ")[2]
        return f"no key {unknown}, but some of {', '.join(kind.__struct_fields__)}"
    if "enum value" in problem:
        return f"one of {', '.join(dict.fromkeys(_choices(kind)))}"
    return problem.removeprefix("Expected ")


def _choices(kind: Any) -> Iterator[str]:
    """Yield what may stand there, by the type: its words, and the kinds of other values."""
    for one in get_args(kind):
        if isinstance(one, str):
            yield one
        elif one not in (NoneType, Ellipsis):
            yield from _choices(one) if get_args(one) else (_KINDS.get(one, one.__name__),)


def _require_id(kind: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{kind}.id", "a text that is not empty", got=value)
