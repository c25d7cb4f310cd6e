"""What became of a configuration file since it was read: which limits change now, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from hivecost.ledger import Budget
from hivecost.runtime.config import RuntimeConfig
from hivecost.runtime.config_file import ConfigFile


class ConfigReload(msgspec.Struct, frozen=True, kw_only=True):
    """What `AgentRuntime.reload_config` did."""

    #: The budgets whose limit is another one from now on; what was spent stays.
    limits: tuple[Budget, ...] = ()
    #: What the file says and is not in force: `budget "org day": window`, `budget "new": added`, `[prices]`, ….
    needs_restart: tuple[str, ...] = ()


def compare(in_force: ConfigFile, fresh: ConfigFile) -> ConfigReload:
    """What to do about the differences."""
    old = {budget.name: budget for budget in in_force.budgets}
    return ConfigReload(
        limits=tuple(budget for budget in fresh.budgets if _is_new_limit(old.get(budget.name), budget)),
        needs_restart=tuple(_waiting(in_force, fresh)),
    )


def with_limits(in_force: ConfigFile, changed: tuple[Budget, ...]) -> ConfigFile:
    """What is in force once these limits are."""
    new = {budget.name: budget for budget in changed}
    return replace(in_force, budgets=tuple(new.get(budget.name, budget) for budget in in_force.budgets))


def _is_new_limit(old: Budget | None, new: Budget) -> bool:
    return old is not None and _differing(old, new) == ["limit"]


def _waiting(in_force: ConfigFile, fresh: ConfigFile) -> Iterator[str]:
    old, new = ({budget.name: budget for budget in file.budgets} for file in (in_force, fresh))
    for name in old | new:
        if name not in new:
            yield f'budget "{name}": removed'
        elif name not in old:
            yield f'budget "{name}": added'
        elif (fields := _differing(old[name], new[name])) not in ([], ["limit"]):
            yield f'budget "{name}": {", ".join(fields)}'
    for field in _differing(in_force.runtime, fresh.runtime):
        yield "[runaway]" if field == "runaway_rules" else f"[runtime] {field}"
    for table in ("prices", "aliases"):
        if in_force.prices.get(table) != fresh.prices.get(table):
            yield f"[{table}]"


def _differing(old: Budget | RuntimeConfig, new: Budget | RuntimeConfig) -> list[str]:
    return [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
