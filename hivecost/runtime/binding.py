"""Which hard budgets bind a turn, and in which units they count it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from hivecost.attribute_names import PATTERNED
from hivecost.errors import ConfigError
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Ancestors, Budget, Matches, Unit, ancestry, attributes_of, matcher

_ARGUMENTS: Final = {
    "provider": (
        "ctx.turn(provider=…)",
        "the provider of {model!r}, which the price book does not know: budget {budget!r} matches on it",
    ),
    "model": (
        "prices",
        "a price, or an alias, that says which model {model!r} is: budget {budget!r} matches on the model",
    ),
}


class Asked(msgspec.Struct, frozen=True):
    """Whose request it is, and what the budgets count that bind it."""

    who: Mapping[str, str]
    ancestors: Ancestors
    units: frozenset[Unit]
    #: Those of them that not only shadow budgets count.
    enforced: frozenset[Unit]


class _Binding(NamedTuple):
    """What a budget needs to be asked."""

    unit: Unit
    matches: Matches
    is_of_executions: bool
    is_shadow: bool


class BindingBudgets:
    """Hard budgets, asked which of them bind a request."""

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        listed = tuple(budgets)
        #: What those count that bind every turn.
        self._units_of_all = frozenset(budget.counted_unit for budget in listed if not budget.match)
        self._enforced_of_all = frozenset(
            budget.counted_unit for budget in listed if not (budget.match or budget.shadow)
        )
        self._matching = [
            _Binding(
                budget.counted_unit, matcher(budget.match), "execution" in budget.account_attributes, budget.shadow
            )
            for budget in listed
            if budget.match
        ]
        #: Those that match on a model or a provider.
        self._named = [budget for budget in listed if not budget.shadow and not PATTERNED.isdisjoint(budget.match)]

    def asked(self, request: TurnRequest, answered: tuple[str, ...]) -> Asked:
        """Return who asks, and by what they are bound, also by the names of models that `answered`.

        Raise ConfigError, with the argument to give, where nobody knows whether a budget binds the request.
        """
        who, ancestors = attributes_of(request, answered), ancestry(request, answered)
        if self._named and request.charge_nanousd is None:
            self._refuse_unknown(request, (who, *ancestors))
        units, enforced = self._units_of_all, self._enforced_of_all
        for unit, matches, is_of_executions, is_shadow in self._matching:
            if unit not in enforced and (matches(who) or (is_of_executions and any(map(matches, ancestors)))):
                units |= {unit}
                if not is_shadow:
                    enforced |= {unit}
        return Asked(who, ancestors, units, enforced)

    def _refuse_unknown(self, request: TurnRequest, everybody: Sequence[Mapping[str, str]]) -> None:
        """Raise ConfigError where a budget may bind the request by a name that nobody knows.

        `everybody` are the attributes of the turn and of its ancestors. A name that is matched as it stands is known.
        """
        known = {"model": request.resolved_model, "provider": request.resolved_provider}
        if all(known.values()):
            return
        for budget in self._named:
            unknown = [name for name in PATTERNED if name in budget.match and not known[name]]
            rest = {name: values for name, values in budget.match.items() if name not in unknown}
            whose = everybody if "execution" in budget.account_attributes else everybody[:1]
            for who in whose if unknown else ():
                if matcher(rest)(who) and not matcher(budget.match)(who):
                    key, expected = _ARGUMENTS[unknown[0]]
                    raise ConfigError(key, expected.format(model=request.model, budget=budget.name))
