"""What became of a configuration file since it was read: which budgets change now, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from hivecost.ledger import Budget
from hivecost.ledger.budget import CHANGEABLE
from hivecost.runtime.config import RuntimeConfig
from hivecost.runtime.config_file import ConfigFile


class ConfigReload(msgspec.Struct, frozen=True, kw_only=True):
    """What `AgentRuntime.reload_config` did."""

    #: The budgets whose limit is another one from now on, otherwise as they are in force; what was spent stays.
    limits: tuple[Budget, ...] = ()
    #: The budgets that bind from now on, and did not before.
    added: tuple[Budget, ...] = ()
    #: The budgets that are not in the file any more, and bind no more.
    retired: tuple[Budget, ...] = ()
    #: What the file says and is not in force: `budget "org day": match`, `[runtime] log`, `[prices]`, ….
    needs_restart: tuple[str, ...] = ()
    #: What a restart refuses as well, `budget "org day": window`: a hard budget that is to count anew needs a new name.
    needs_new_name: tuple[str, ...] = ()


def compare(in_force: ConfigFile, fresh: ConfigFile) -> ConfigReload:
    """Return what to do about the differences."""
    old, new = ({budget.name: budget for budget in file.budgets} for file in (in_force, fresh))
    return ConfigReload(
        limits=tuple(_with_new_limits(old, new)),
        added=tuple(budget for name, budget in new.items() if name not in old),
        retired=tuple(budget for name, budget in old.items() if name not in new),
        needs_restart=tuple(_waiting(in_force, fresh)),
        needs_new_name=tuple(f'budget "{name}": {", ".join(fields)}' for name, fields in _counting_anew(old, new)),
    )


def in_force_after(in_force: ConfigFile, reload: ConfigReload) -> ConfigFile:
    """Return what is in force of a file once it was read again."""
    changed, retired = {budget.name: budget for budget in reload.limits}, {budget.name for budget in reload.retired}
    kept = (changed.get(budget.name, budget) for budget in in_force.budgets if budget.name not in retired)
    return replace(in_force, budgets=(*kept, *reload.added))


def _with_new_limits(old: Mapping[str, Budget], new: Mapping[str, Budget]) -> Iterator[Budget]:
    """Yield the budgets in force with their limits in the file, if they go on to count what they count."""
    for name in (name for name in new if name in old):
        before, now = old[name], new[name]
        if _counts(before) == _counts(now) and not set(CHANGEABLE).isdisjoint(before.differences(now)):
            yield before.with_limits_of(now)


def _waiting(in_force: ConfigFile, fresh: ConfigFile) -> Iterator[str]:
    old, new = ({budget.name: budget for budget in file.budgets} for file in (in_force, fresh))
    refused = {name for name, _ in _counting_anew(old, new)}
    for name in (name for name in old if name in new and name not in refused):
        applied = CHANGEABLE if _counts(old[name]) == _counts(new[name]) else ()
        fields = [field for field in old[name].differences(new[name]) if field not in applied]
        if fields:
            yield f'budget "{name}": {", ".join(fields)}'
    for field in _differing(in_force.runtime, fresh.runtime):
        yield {"runaway_rules": "[runaway]", "summed_tags": "[reports]"}.get(field, f"[runtime] {field}")
    for table in ("prices", "aliases"):
        if in_force.prices.get(table) != fresh.prices.get(table):
            yield f"[{table}]"


def _counting_anew(old: Mapping[str, Budget], new: Mapping[str, Budget]) -> Iterator[tuple[str, list[str]]]:
    """Yield the hard budgets whose sums in the ledger are not what they would be now, and the fields that differ."""
    for name in (name for name in old if name in new):
        before, now = old[name], new[name]
        if before.mode == now.mode == "hard" and _counts(before) != _counts(now):
            yield name, before.differences(now)


def _counts(budget: Budget) -> tuple[object, ...]:
    return budget.counted_unit, budget.window, budget.timezone, budget.account_attributes


def _differing(old: RuntimeConfig, new: RuntimeConfig) -> list[str]:
    return [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
