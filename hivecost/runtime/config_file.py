"""`hivecost.toml`: budgets, the runtime's settings, what loops obey, thresholds for runaways and prices, in one file.

data = "spent"          # where `hivecost run` keeps it, beside this file; or a URL

[[budget]]
name = "org day"
limit = "$50"
window = "day"
timezone = "Europe/Berlin"
match = { org = "acme" }

[runtime]
cancel_grace_s = 10

[runaway]
repeats = 40

[reports]
tags = ["feature"]      # the log keeps sums by these

[graph.loop_config]
max_history_tokens = 128_000

[[graph.nodes]]
id = "researcher"
loop_config = { max_history_tokens = 100_000, max_iterations = 50 }

[prices."my-model"]
input = 3.00          # USD per 1M tokens
output = 15.00
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from hivecost.errors import ConfigError
from hivecost.ledger import Budget
from hivecost.pricing import PriceBook
from hivecost.runtime.config import TAGS_EXPECTED, RuntimeConfig, are_tags
from hivecost.runtime.loop_config import LoopConfig
from hivecost.runtime.specs import GraphSpec, NodeSpec, read_spec
from hivecost.subscribers import RunawayRules
from hivecost.toml_document import KeyPath, TomlDocument

_PRICES: Final[tuple[str, ...]] = ("prices", "aliases")
_DATA: Final = "data"
_KEYS: Final = (_DATA, "budget", "runtime", "graph", "runaway", "reports", *_PRICES)
#: What a RuntimeConfig has, and the file in tables of their own.
_ELSEWHERE: Final = ("runaway_rules", "graph", "summed_tags")
_Spec = TypeVar("_Spec", bound=msgspec.Struct)


class ConfigFile(msgspec.Struct, frozen=True):
    """What the file says."""

    path: Path
    budgets: tuple[Budget, ...] = ()
    runtime: RuntimeConfig = RuntimeConfig()
    #: The tables `prices` and `aliases` as they stand there, checked; a PriceBook reads them from the path.
    prices: Mapping[str, Any] = {}
    #: Where a command keeps what it spent: a folder beside the file, or a URL; "" where it does not say.
    data: str = ""

    def prices_or(self, given: Any) -> Any:
        """Return the table for a PriceBook. Raise ConfigError for prices both in the file and in Python."""
        if self.prices and given is not None:
            raise ConfigError("prices", "prices in this file or in Python, not in both", file=str(self.path))
        return self.path if self.prices else given


def read_config_file(path: str | os.PathLike[str]) -> ConfigFile:
    """Return the file's content, checked. Raise ConfigError with file, line, key and what was expected there."""
    document = TomlDocument(path)
    document.require_keys((), document.values, _KEYS)
    prices = {name: document.values[name] for name in _PRICES if name in document.values}
    if prices:
        PriceBook(document.path)  # it says itself what is wrong with them, and where
    rules = _read_table(document, "runaway", RunawayRules, RunawayRules.__struct_fields__)
    known = [name for name in RuntimeConfig.__struct_fields__ if name not in _ELSEWHERE]
    runtime = _read_table(document, "runtime", RuntimeConfig, known)
    graph, tags = _read_graph(document), _read_tags(document)
    runtime = msgspec.structs.replace(runtime, runaway_rules=rules, graph=graph, summed_tags=tags)
    data = document.values.get(_DATA, "")
    if not isinstance(data, str):
        raise document.error((_DATA,), "the path of a folder, or a URL, in quotes", got=data)
    return ConfigFile(document.path, _read_budgets(document), runtime, prices, data)


def require_distinct(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Return the budgets. Raise ConfigError when two of them, of whatever mode, have one name."""
    listed = tuple(budgets)
    names: set[str] = set()
    for budget in listed:
        if budget.name in names:
            raise ConfigError(f"budget {budget.name!r}.name", "a name that no other budget has, here or in its file")
        names.add(budget.name)
    return listed


def _read_table(document: TomlDocument, name: str, spec_type: type[_Spec], known: Iterable[str]) -> _Spec:
    values = document.values.get(name, {})
    if not isinstance(values, dict):
        raise document.error((name,), f"a table [{name}]", got=values)
    document.require_keys((name,), values, known)
    return _read(document, (name,), spec_type, values)


def _read_tags(document: TomlDocument) -> tuple[str, ...]:
    table = document.values.get("reports", {})
    if not isinstance(table, dict):
        raise document.error(("reports",), "a table [reports]", got=table)
    document.require_keys(("reports",), table, ("tags",))
    tags = table.get("tags", [])
    if not are_tags(tags):
        raise document.error(("reports", "tags"), TAGS_EXPECTED, got=tags)
    return tuple(tags)


def _read_graph(document: TomlDocument) -> GraphSpec | None:
    if "graph" not in document.values:
        return None
    table = document.values["graph"]
    if not isinstance(table, dict):
        raise document.error(("graph",), "a table [graph]", got=table)
    document.require_keys(("graph",), table, GraphSpec.__struct_fields__)
    nodes = table.get("nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise document.error(("graph", "nodes"), "a list of tables, each under [[graph.nodes]] in double brackets")
    read = tuple(_read_node(document, place, node) for place, node in enumerate(nodes))
    table = {"id": "graph", **table, "nodes": read, "loop_config": _read_loop(document, ("graph",), table)}
    return _read(document, ("graph",), GraphSpec, table)


def _read_node(document: TomlDocument, place: int, table: dict[str, Any]) -> NodeSpec:
    where = ("graph", "nodes", place)
    document.require_keys(where, table, NodeSpec.__struct_fields__)
    return _read(document, where, NodeSpec, {"id": "", **table, "loop_config": _read_loop(document, where, table)})


def _read_loop(document: TomlDocument, where: KeyPath, table: dict[str, Any]) -> LoopConfig:
    where, values = (*where, "loop_config"), table.get("loop_config", {})
    if not isinstance(values, dict):
        raise document.error(where, "a table", got=values)
    document.require_keys(where, values, LoopConfig.__struct_fields__)
    return _read(document, where, LoopConfig, values)


def _read(document: TomlDocument, where: KeyPath, spec_type: type[_Spec], values: dict[str, Any]) -> _Spec:
    """Return the spec of a table whose keys are known."""
    try:
        return read_spec(spec_type, values, where="")
    except ConfigError as error:
        key = error.key.removeprefix(".").partition(".")[0].partition("[")[0]  # what is in its value has no line
        got = values.get(key)  # as it stands there: tables in it were read before, into a tuple
        raise document.error((*where, key), error.expected, got=None if isinstance(got, tuple) else got) from None


def _read_budgets(document: TomlDocument) -> tuple[Budget, ...]:
    tables = document.values.get("budget", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise document.error(("budget",), "a list of tables, each under [[budget]] in double brackets")
    budgets: dict[str, Budget] = {}
    for place, table in enumerate(tables):
        budget = _read_budget(document, place, table)
        if budget.name in budgets:
            key = ("budget", place, "name")
            raise document.error(key, "a name that no other budget has", owner=_owner(place, {}), got=budget.name)
        budgets[budget.name] = budget
    return tuple(budgets.values())


def _read_budget(document: TomlDocument, place: int, table: dict[str, Any]) -> Budget:
    where, owner = ("budget", place), _owner(place, table)
    document.require_keys(where, table, Budget.__struct_fields__, owner=owner)
    for known in msgspec.structs.fields(Budget):
        if known.required and known.name not in table:
            raise document.error((*where, known.name), "a value: every budget has one", owner=owner)
        if known.type is str and not isinstance(table.get(known.name, ""), str):
            raise document.error((*where, known.name), "a text in quotes", owner=owner, got=table[known.name])
    try:
        return Budget(**table)
    except ConfigError as error:
        field, _, rest = error.key.removeprefix(f"budget {table['name']!r}.").removeprefix("budget.").partition(".")
        key = (*where, field, rest) if rest else (*where, field)
        got = table.get(field) if not rest else table[field].get(rest)
        raise document.error(key, error.expected, owner=f"{owner}.{field}" if rest else owner, got=got) from None


def _owner(place: int, table: Mapping[str, Any]) -> str:
    """Return what to call a budget: its name, or its place in the file where it has none."""
    name = table.get("name")
    return f'budget "{name}"' if isinstance(name, str) and name.strip() else f"budget[{place}]"
