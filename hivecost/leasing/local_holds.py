"""What a process decides in memory: holds against its leases, each written to the journal before it counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from hivecost.attribution import Attributes
from hivecost.clock import Clock
from hivecost.errors import LedgerUnavailableError
from hivecost.leasing.atomic import Atomic, atomic
from hivecost.leasing.batch import Batch, Bill, LeaseRequest, Share
from hivecost.leasing.journal import Journal, key_bytes
from hivecost.leasing.leases import Leases, accounts_max, execution_of, is_durable
from hivecost.leasing.ledger_hold import ExtendHold, LedgerHold
from hivecost.ledger import (
    UNITS,
    AccountStatus,
    Budget,
    Hold,
    LedgerState,
    Overrun,
    Refusal,
    Settlement,
    Unit,
)
from hivecost.ledger.account import Account
from hivecost.ledger.amounts import AMOUNT_MAX, overrun_reason
from hivecost.signals import settled_late


class LocalHolds(Atomic):
    """Thread-safe, and never waits. Its leases are always committed before they count here.

    Poisoned, by an exception from outside or because its leases are not its own any more, it decides nothing any more:
    the journal is right at every step, and is recovered from as after a crash.

    In the middle of its own work it puts off what a finalizer or a signal handler of the same thread settles, releases
    or doubts; `settled_late` tells how that ended.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        journal: Journal,
        process_id: int,
        clock: Clock,
        *,
        sender: object,
        extend: ExtendHold,
    ) -> None:
        """`sender` is who `settled_late` comes from, `extend` what its holds are extended by."""
        super().__init__()
        self.process_id = process_id
        self.journal = journal
        #: Why nothing is decided any more; "" while it is.
        self.closed = ""
        self._sender, self._extend, self._clock = sender, extend, clock
        self._leases = Leases()
        self._state = LedgerState(
            without_own_limits(budgets),
            accounts_max=accounts_max,
            opened=self._leases.opened,
            dropped=self._leases.dropped,
        )
        #: The newest entry of the audit trail that limits here go by.
        self._last_change = -1
        self._in_doubt: dict[int, Hold] = {}
        #: Holds in doubt on an execution's own accounts, by execution.
        self._in_doubt_of: dict[str, list[Hold]] = {}
        self._bills: list[Bill] = []
        self._freezes: dict[str, str] = {}
        self._settlements = 0
        #: The batch that is on its way to the bank.
        self._under_way: Batch | None = None

    def _settle_later(self, hold: Hold, amounts: Mapping[Unit, int]) -> None:
        self.defer(lambda: self._tell(hold, self.settle(hold, amounts)))

    def _settle_known_later(self, hold: Hold, amounts: Mapping[Unit, int]) -> None:
        self.defer(lambda: self._tell(hold, self.settle_known(hold, amounts)))

    def _settle_another_later(self, hold: Hold, amounts: Mapping[Unit, int]) -> None:
        self.defer(lambda: self._tell(hold, self.settle_another(hold, amounts)))

    def _tell(self, hold: Hold, settlement: Settlement | None) -> None:
        """Tell how a bill ended whose `settle()` had to return before."""
        settled_late.announce(self._sender, hold=self._handle(hold), settlement=settlement or Settlement())

    def _handle_of(self, hold: Hold) -> LedgerHold:
        """Return what users have of a hold; one more reference to it is out."""
        hold.handles += 1
        return LedgerHold(self._extend, self, hold)

    _handle = atomic()(_handle_of)

    def _release_later(self, hold: Hold) -> bool:
        self.defer(lambda: self.release(hold))
        return hold.state == "held"

    def _doubt_later(self, hold: Hold) -> bool:
        self.defer(lambda: self.doubt(hold))
        return hold.state == "held"

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budgets by name."""
        return self._state.budgets

    @atomic(lambda *_: None)
    def reserve(
        self,
        attribution: Attributes,
        ancestors: Sequence[Attributes],
        amounts: Mapping[Unit, int],
        key: str | None,
        is_partial: bool = False,
    ) -> LedgerHold | Refusal | None:
        """Return a hold, or what these leases have against it, or None when the bank must be asked first."""
        at_ns = self._clock.now_ns()
        if self.closed or self.poisoned:
            self._require_order()
        entry = self._state.reserve(attribution, at_ns, amounts, key, ancestors=ancestors, is_partial=is_partial)
        if isinstance(entry, Refusal):
            return entry
        if not entry.handles and not self._write_down(entry):
            return None
        entry.handles += 1
        return LedgerHold(self._extend, self, entry)

    @atomic()
    def extend(self, hold: Hold, amounts: Mapping[Unit, int]) -> Refusal | None:
        """Set more aside on all accounts or on none. Return None when it is done, else the refusal."""
        self._require_order()
        refusal = self._state.extend(hold, amounts)
        if refusal is None and hold.slot is not None:
            self.journal.extend(hold.slot, hold.amounts)
        return refusal

    @atomic(_settle_known_later)
    def settle_known(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Charge what is known of the bill, once, and doubt the rest."""
        if hold.state != "held" or self.closed or self.poisoned:
            return None
        if all(account.unit in amounts for account in hold.made_on):
            return self._settle(hold, amounts)
        settlement = self._state.settle_known(hold, amounts) or Settlement()
        if hold.known is not None:
            self._charge_known(hold, hold.known)
        self._note_doubt(hold)
        if settlement.incidents:
            self._freeze_for(hold, settlement.incidents)
        return settlement

    def _settle(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Charge the bill, once."""
        if hold.state == "settled":
            return None
        if self.closed or self.poisoned:
            return self._settle_after_all(hold, amounts)
        held = _nothing_of(hold) if hold.state == "released" else hold.amounts
        settlement = self._state.settle(hold, amounts) or Settlement()
        if hold.accounts is not hold.made_on:
            settlement = _with_transferred(hold, settlement, amounts)
        if self._in_doubt and not hold.transferred:
            self._in_doubt.pop(hold.hold_id, None)
        self._charge(hold, held)
        if settlement.incidents:
            self._freeze_for(hold, settlement.incidents)
        return settlement

    settle = atomic(_settle_later)(_settle)

    @atomic(_settle_another_later)
    def settle_another(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Charge the bill of one more answer."""
        if self.closed:
            hold_id = f"{self.process_id}-{hold.hold_id}"
            raise LedgerUnavailableError(f"{self.closed}; a further bill of hold {hold_id} is not charged")
        rooms = {account: account.room for account in hold.made_on if account.leased}
        another, settlement = self._state.settle_another(hold, amounts)
        shares = _shares_of(another, rooms)
        if self.poisoned:
            another.amounts = _nothing_of(another)  # nobody knows any more what there is room for
            return self._settle_after_all(another, another.billed or {})
        self._charge_another(another, settlement, shares)
        return settlement

    @atomic()
    def charge(
        self,
        attribution: Attributes,
        ancestors: Sequence[Attributes],
        budgets: Collection[str] | None,
        amounts: Mapping[Unit, int],
    ) -> tuple[LedgerHold, Settlement] | None:
        """Charge the bill of a turn that nothing was held for; None while the bank does not know its accounts."""
        self._require_order()
        at_ns = self._clock.now_ns()
        accounts = self._state.accounts_for(attribution, at_ns, ancestors, budgets)
        if self._packed(accounts) is None:
            return None
        rooms = {account: account.room for account in accounts if account.leased}
        another, settlement = self._state.charge(attribution, at_ns, amounts, ancestors=ancestors, budgets=budgets)
        self._charge_another(another, settlement, _shares_of(another, rooms))
        return self._handle_of(another.further_of or another), settlement

    def _charge_another(self, another: Hold, settlement: Settlement, shares: Mapping[int, Share]) -> None:
        self._charge(another, _paid_everywhere(another, shares), shares)
        if settlement.incidents:
            self._freeze_for(another, settlement.incidents)

    @atomic(lambda self, hold, units: self.defer(lambda: self.doubt_another(hold, units)))
    def doubt_another(self, hold: Hold, units: Collection[Unit]) -> None:
        """Set aside what is left in these units for one more answer, until its bill is known."""
        if self.closed or self.poisoned:
            return
        another = self._state.hold_another(hold, units)
        accounts = self._leases.packed(another.made_on)
        if accounts and self.journal.free:
            self._write(another, accounts)
        self._doubt(another)
        if any(map(is_durable, another.made_on)):
            self._in_doubt[another.hold_id] = another  # also when the journal has no room for it

    @atomic(_release_later)
    def release(self, hold: Hold) -> bool:
        """Give the whole hold back."""
        self._require_order()
        if not self._state.release(hold):
            return False
        if hold.slot is not None:
            self.journal.release(hold.slot)
            hold.slot = None
        return True

    @atomic(_doubt_later)
    def doubt(self, hold: Hold) -> bool:
        """Keep it charged until its bill is known."""
        return self._doubt(hold)

    @atomic(lambda self, hold: self.defer(lambda: self.drop(hold)))
    def drop(self, hold: Hold) -> None:
        """Count one reference to the hold less; the last one that is dropped leaves it in doubt."""
        if hold.handles > 1:
            hold.handles -= 1
        else:
            self._doubt(hold)

    def _doubt(self, hold: Hold) -> bool:
        if self.closed or self.poisoned or not self._state.doubt(hold):
            return False
        self._note_doubt(hold)
        return True

    def _note_doubt(self, hold: Hold) -> None:
        if hold.slot is not None:
            self._in_doubt[hold.hold_id] = hold
        for account in hold.doubted:
            if not is_durable(account):
                self._in_doubt_of.setdefault(execution_of(account), []).append(hold)
                if account.over:  # it comes after the end of its execution
                    self._let_pass(execution_of(account))

    @atomic()
    def request_for(
        self,
        attribution: Attributes,
        ancestors: Sequence[Attributes],
        budgets: Collection[str] | None,
        amounts: Mapping[Unit, int],
    ) -> LeaseRequest:
        """Return what to ask the bank for, so that this could be held; on these budgets, None being all."""
        accounts = self._state.accounts_for(attribution, self._clock.now_ns(), ancestors, budgets)
        return LeaseRequest(accounts, {"calls": 1, **amounts})

    def decides_alone(self, budget: str) -> bool:
        """Return whether accounts of this budget are in memory only."""
        return budget in self.budgets and self.budgets[budget].window == "execution"

    @atomic()
    def status_of_executions(self) -> list[AccountStatus]:
        """Return how the accounts stand that are in memory only."""
        return [row for row in self._state.status() if self.decides_alone(row.budget)]

    @atomic(lambda self, execution_id: self.defer(lambda: self.forget_execution(execution_id)))
    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over; what is in doubt on them stands in nobody's way any more."""
        self._state.forget_execution(execution_id)
        self._let_pass(execution_id)

    def _let_pass(self, execution_id: str) -> None:
        for hold in self._in_doubt_of.pop(execution_id, ()):
            if hold.state == "in_doubt":
                self._state.transfer(hold, [account for account in hold.accounts if not is_durable(account)])

    def _require_order(self) -> None:
        if self.closed:
            raise LedgerUnavailableError(self.closed)
        if self.poisoned:
            raise LedgerUnavailableError(self.poisoned)

    def _write_down(self, hold: Hold) -> bool:
        """Write a hold to the journal. Return False, and undo the hold, where that cannot be yet."""
        leases, journal = self._leases, self.journal
        packed = leases.packed(hold.accounts)
        if packed is None or (leases.unread and not leases.unread.isdisjoint(hold.accounts)):
            self._state.release(hold)
            return False
        if packed:
            if not journal.has_room_for(packed):
                self._state.release(hold)
                self._require_room_for(hold.accounts, packed)
                return False
            self._write(hold, packed)
        return True

    def _packed(self, accounts: tuple[Account, ...]) -> bytes | None:
        packed = self._leases.packed(accounts)
        if packed is not None:
            self._require_room_for(accounts, packed)
        return packed

    def _require_room_for(self, accounts: tuple[Account, ...], packed: bytes) -> None:
        if len(packed) > self.journal.accounts_bytes:
            raise LedgerUnavailableError(
                f"the turn counts on {len(accounts)} hard budgets, so many were added since the ledger was opened "
                "that it has no room to write that down; open it again"
            )

    def _write(self, hold: Hold, packed: bytes) -> None:
        key = key_bytes(hold.key) if hold.key else b""
        hold.slot = self.journal.hold(hold.hold_id, hold.at_ns, hold.amounts, key, packed, is_partial=hold.is_partial)

    def _charge(self, hold: Hold, held: Mapping[Unit, int], shares: Mapping[int, Share] | None = None) -> None:
        """Write the bill down, in the slot of its hold or, where that is not its own any more, in a new one."""
        slot, accounts, billed = hold.slot, hold.made_on, hold.billed or {}
        number = self._settlements + 1
        if slot is not None and not hold.transferred:
            if hold.known is not None:  # that part was not on its way yet, and is now charged with the rest
                self._bills = [bill for bill in self._bills if bill.hold is not hold]
            self.journal.settle(slot, number, billed)
            hold.slot = None
        else:
            accounts = hold.doubted
            packed = self._leases.packed(accounts)
            if not packed:
                return
            slot = None
            if self.journal.free:
                content = hold.hold_id, hold.at_ns, held, key_bytes(hold.key), packed
                slot = self.journal.settled(content, number, billed, is_partial=hold.is_partial)
        self._settlements = number
        self._bills.append(Bill(number, hold, accounts, billed, held, slot, hold.transferred, shares))

    def _charge_known(self, hold: Hold, known: Mapping[Unit, int]) -> None:
        """Write a part of the bill down, in the slot of its hold, which keeps it while other accounts are in doubt."""
        charged = tuple(account for account in hold.made_on if account.unit in known)
        slot = hold.slot
        if slot is None or not any(map(is_durable, charged)):
            return
        self._settlements += 1
        if any(map(is_durable, hold.doubted)):
            self.journal.settle_part(slot, self._settlements, known)
            slot = None
        else:
            self.journal.settle(slot, self._settlements, known)
            hold.slot = None
        self._bills.append(Bill(self._settlements, hold, charged, known, hold.amounts, slot, late=False))

    def _settle_after_all(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Write the bill to the journal alone, from which it is recovered."""
        if self.closed:
            hold_id = f"{self.process_id}-{hold.hold_id}"
            raise LedgerUnavailableError(f"{self.closed}; hold {hold_id} is in doubt: settle it with resolve()")
        billed = {**hold.amounts, **amounts, **(hold.known or {})}
        if hold.slot is not None and not hold.transferred:
            self._settlements += 1
            self.journal.settle(hold.slot, self._settlements, billed)
        elif self.journal.free and (accounts := self._leases.packed(hold.doubted)):
            self._settlements += 1
            held = _nothing_of(hold) if hold.state == "released" else hold.amounts
            content = hold.hold_id, hold.at_ns, held, key_bytes(hold.key), accounts
            self.journal.settled(content, self._settlements, billed, is_partial=hold.is_partial)
        hold.state, hold.billed = "settled", billed
        return Settlement()

    def _freeze_for(self, hold: Hold, incidents: Iterable[Overrun]) -> None:
        """Freeze for all, until someone has looked, also where the budget was retired here; shadow budgets go on."""
        enforced = {account.budget.name for account in hold.made_on if not account.budget.shadow}
        for incident in incidents:
            if incident.freezes and incident.budget in enforced:
                reason = overrun_reason(incident.billed, incident.held, incident.unit)
                self._freezes[incident.budget] = reason
                if incident.budget in self.budgets:
                    self._state.freeze(incident.budget, reason)


def without_own_limits(budgets: Iterable[Budget]) -> list[Budget]:
    """Return the budgets without limits of single values, for which the bank's limits are in force."""
    return [budget.without_own_limits() for budget in budgets]


def _nothing_of(hold: Hold) -> dict[Unit, int]:
    return dict.fromkeys(hold.amounts, 0)


def _shares_of(another: Hold, rooms: Mapping[Account, int]) -> dict[int, Share]:
    """Return what pays for a further answer, by number of its accounts, given the room that the leased ones had."""
    shares = {}
    for account in filter(is_durable, another.made_on):
        due = min((another.billed or {})[account.unit], another.amounts[account.unit])
        leased = min(due, rooms.get(account, due))
        shares[account.bank_id] = Share(leased, due - leased)
    return shares


def _paid_everywhere(another: Hold, shares: Mapping[int, Share]) -> dict[Unit, int]:
    """Return what of a further answer is leased on all its accounts, by unit: what the journal can say of it."""
    paid = dict.fromkeys(UNITS, AMOUNT_MAX)
    for account in filter(is_durable, another.made_on):
        paid[account.unit] = min(paid[account.unit], shares[account.bank_id].leased)
    return {unit: min(amount, another.amounts[unit]) for unit, amount in paid.items()}


def _with_transferred(hold: Hold, settlement: Settlement, amounts: Mapping[Unit, int]) -> Settlement:
    """Return the settlement, with the overruns on accounts that the bank charges."""
    incidents = tuple(
        Overrun(
            budget=account.budget.name,
            scope=account.scope,
            period=account.period.name,
            unit=account.unit,
            held=hold.amounts[account.unit],
            billed=amounts[account.unit],
            freezes=not hold.is_partial,
        )
        for account in set(hold.doubted) - set(hold.accounts)
        if amounts.get(account.unit, 0) > hold.amounts[account.unit]
    )
    return Settlement(settlement.crossings, settlement.incidents + incidents)
