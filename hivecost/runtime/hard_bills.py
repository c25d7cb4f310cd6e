"""Hard budgets after the call: a turn's bill is charged to its hold, and what that brought about is told."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from hivecost.errors import LedgerUnavailableError
from hivecost.events import Cost, CostStatus, Usage
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import UNITS, Budget, LedgerStore, LedgerStoreHold, Overrun, Settlement, Unit
from hivecost.ledger.amounts import overrun_reason
from hivecost.loops import Loop
from hivecost.runtime.admission import Admission
from hivecost.runtime.answered_models import AnsweredModels
from hivecost.runtime.money_line import MoneyLine
from hivecost.subscribers.budget_policy import BudgetPolicy

#: How many turns are remembered of whose bills the ledger may have something to tell later.
EXPECTED_MAX: Final = 1_000

_log = logging.getLogger("hivecost.budgets")


class HardBills:
    """Charges bills, in the units in which they are known; in the others holds stay in doubt. From any thread."""

    def __init__(self, ledger: LedgerStore, loop: Loop, line: MoneyLine, policy: BudgetPolicy) -> None:
        #: The models that answered to names, and the bills of those who learned it first.
        self.answers = AnsweredModels(ledger, loop, self._charged)
        self._line = line
        self._policy = policy
        self._shadows: frozenset[str] = frozenset()
        #: Turns of whose bills the ledger may tell later what they brought about, by hold.
        self._expected: OrderedDict[str, TurnRequest] = OrderedDict()

    def set_budgets(self, budgets: Iterable[Budget]) -> None:
        """Charge these budgets from now on."""
        listed = tuple(budgets)
        self._shadows = frozenset(budget.name for budget in listed if budget.shadow)
        self.answers.set_budgets(listed)

    def settle(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, answered: str = "") -> None:
        """Charge the bill.

        What was used for sure, and is more than the hold already, is charged as a bill. `answered` is the model that
        did.
        """
        if answered and self.answers.has_budgets:
            self._learn(admission, answered, usage, cost)
        hold, request = admission.hold, admission.request
        if hold is None:
            return
        known = _known_bill(request, hold.amounts, usage, cost, is_final=is_final)
        settle = hold.settle if len(known) == len(UNITS) or hold.units <= known.keys() else hold.settle_known
        try:
            settlement = settle(nanousd=known.get("usd"), tokens=known.get("tokens"), calls=known.get("calls"))
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn came after its ledger was closed, it stays in doubt: %s", error)
            return
        self._line.freed()
        if settlement is not None:
            if settlement.incidents or settlement.crossings:
                self._tell(settlement, request)
        elif hold.state not in ("settled", "released"):
            self._expect(hold, request)

    def settle_another(
        self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, answered: str = ""
    ) -> None:
        """Charge the bill of one more answer; in units in which nobody knows it for sure, what is left is in doubt."""
        if answered and self.answers.has_budgets:
            self._learn(admission, answered, usage, cost)
        hold, request = admission.hold, admission.request
        if hold is None:
            return
        tokens = 0 if cost.status is CostStatus.INVALID else usage.total_tokens
        unknown = unknown_units(cost, is_final=is_final)
        self._expect(hold, request)
        try:
            settlement = hold.settle_another(nanousd=cost.nanousd or 0, tokens=tokens, calls=1)
            if not hold.units.isdisjoint(unknown):
                hold.doubt_another(unknown)
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn's further answer came after its ledger was closed, and is lost: %s", error)
            return
        if settlement is not None:
            self._tell(settlement, request)

    def release(self, admission: Admission) -> None:
        """Give all of it back: nothing was sent."""
        if admission.hold is not None:
            admission.hold.release()
            self._line.freed()

    def on_settled_late(self, _: LedgerStore, *, hold: LedgerStoreHold, settlement: Settlement) -> None:
        """Tell what a settlement brought about that the ledger had put off."""
        request = self._expected.get(hold.hold_id)
        if request is not None:
            self._tell(settlement, request)
        self._line.freed()

    def _learn(self, admission: Admission, answered: str, usage: Usage, cost: Cost) -> None:
        held_by = () if admission.hold is None else admission.hold.budgets
        self.answers.learn(admission.request, held_by, answered, usage, cost)

    def _charged(self, hold: LedgerStoreHold, settlement: Settlement, request: TurnRequest) -> None:
        self._expect(hold, request)
        self._tell(settlement, request)

    def _expect(self, hold: LedgerStoreHold, request: TurnRequest) -> None:
        self._expected[hold.hold_id] = request
        if len(self._expected) > EXPECTED_MAX:
            self._expected.popitem(last=False)

    def _tell(self, settlement: Settlement, request: TurnRequest) -> None:
        for incident in settlement.incidents:
            self._tell_overrun(incident, request)
        self._policy.warn(settlement.crossings, request)

    def _tell_overrun(self, incident: Overrun, request: TurnRequest) -> None:
        if not incident.freezes:
            outcome = "is charged in full and goes on, because the turn was held in steps"
        elif incident.budget in self._shadows:
            outcome = "would be frozen, and is a shadow"
        else:
            outcome = "is frozen until someone looks"
        reason = overrun_reason(incident.billed, incident.held, incident.unit)
        severity = "P1" if incident.freezes else "P2"
        message = f"{reason}: budget {incident.budget!r} {outcome}"
        self._policy.alert(request, rule="budget.overrun", severity=severity, message=message)


def unknown_units(cost: Cost, *, is_final: bool) -> frozenset[Unit]:
    """Return in what a further answer's bill is not known for sure: never in calls, of which it is one."""
    if not is_final:
        return frozenset({"usd", "tokens"})
    return frozenset({"usd"} if cost.nanousd is None else ())


def _known_bill(
    request: TurnRequest, held: Mapping[Unit, int], usage: Usage, cost: Cost, *, is_final: bool
) -> dict[Unit, int]:
    """Return what a turn is billed for sure, by unit.

    That is what final usage says, a call where one was sent at most, and what is more than its hold already.
    """
    used = usage.input_tokens + usage.output_tokens
    known: dict[Unit, int] = {}
    if cost.nanousd is not None and (is_final or cost.nanousd > held.get("usd", 0)):
        known["usd"] = cost.nanousd
    if is_final or used > held.get("tokens", 0):
        known["tokens"] = used
    if request.charge_nanousd is not None:
        known |= {"tokens": 0, "calls": 0}
    elif is_final or held.get("calls") == 1:
        known["calls"] = 1
    return known
