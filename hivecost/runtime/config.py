"""A runtime's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from hivecost.errors import ConfigError
from hivecost.plain_text import encodable
from hivecost.runtime.specs import GraphSpec, read_spec
from hivecost.subscribers import RunawayRules

_TAGS_MAX: Final = 8
TAGS_EXPECTED: Final = "the names of eight tags at most, in a list"


class RuntimeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it has working defaults."""

    #: What the loops of agents obey, node by node.
    graph: GraphSpec | None = None
    #: Write every event to the runtime log of `base_path`.
    log: bool = True
    #: What happens to an execution that looks like a runaway.
    runaway: Literal["warn", "throttle", "cancel", "off"] = "warn"
    #: The seconds between its turns when it is throttled.
    runaway_throttle_s: float = 5.0
    #: When it looks like one.
    runaway_rules: RunawayRules = RunawayRules()
    #: How long closing waits for subscribers, plugins, the log and the ledger together. What is not done by then is
    #: given up, and counted as lost; each has two seconds for that.
    close_timeout_s: float = 10.0
    #: A cancelled execution that still runs after this is reported, and again each time the wait doubles.
    cancel_grace_s: float = 5.0
    #: SIGTERM ends the runtime as SIGINT does: executions are cancelled, what they did is settled and logged. Then the
    #: process ends (status 143), or what handled the signal before is called; a second SIGTERM ends it at once. The
    #: runtime is then to be entered in the main thread.
    handle_signals: bool = False
    #: While the runtime runs, `sys.setswitchinterval` of the whole process is at most this; None leaves it alone.
    #: 0.0005 has turns logged sooner where agents compute in threads or on the event loop.
    switch_interval_s: float | None = None
    #: The tags that reports go by, eight at most: the log keeps sums by them, beside the first that turns have.
    summed_tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.runaway not in ("warn", "throttle", "cancel", "off"):
            raise ConfigError("config.runaway", "one of warn, throttle, cancel, off", got=self.runaway)
        for key in ("runaway_throttle_s", "close_timeout_s", "cancel_grace_s"):
            value = getattr(self, key)
            if not isinstance(value, int | float) or not 0 < value < 1e6:
                raise ConfigError(f"config.{key}", "seconds above 0", got=value)
        interval_s = self.switch_interval_s
        if interval_s is not None and not (isinstance(interval_s, int | float) and 1e-6 <= interval_s <= 1):
            raise ConfigError("config.switch_interval_s", "seconds from 0.000001 to 1, or None", got=interval_s)
        if not are_tags(self.summed_tags):
            raise ConfigError("config.summed_tags", TAGS_EXPECTED, got=self.summed_tags)
        if not isinstance(self.graph, GraphSpec | None):
            raise ConfigError("config.graph", "a GraphSpec, or a dict of one", got=self.graph)
        if not isinstance(self.runaway_rules, RunawayRules):
            raise ConfigError("config.runaway_rules", "RunawayRules, or a dict of them", got=self.runaway_rules)


def are_tags(names: object) -> bool:
    """Return whether these are names of tags that sums can be kept by."""
    if not isinstance(names, list | tuple) or len(names) > _TAGS_MAX:
        return False
    return all(isinstance(name, str) and name and encodable(name) == name for name in names)


def read_config(given: RuntimeConfig | Mapping[str, Any] | None) -> RuntimeConfig:
    """Return the settings from a Struct or a mapping. Raise ConfigError with the path of what is wrong."""
    if given is None:
        return RuntimeConfig()
    if isinstance(given, RuntimeConfig):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError("config", "a RuntimeConfig or a dict", got=given)
    return read_spec(RuntimeConfig, given, where="config")
