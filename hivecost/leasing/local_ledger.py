"""What a process decides in memory, and what of it its bank knows."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping

from hivecost.errors import LedgerUnavailableError
from hivecost.leasing.atomic import atomic
from hivecost.leasing.batch import Batch, BudgetRow, Committed, LateOverrun, LeaseRequest, sums_of_bills
from hivecost.leasing.leases import is_durable, room_of
from hivecost.leasing.local_holds import LocalHolds, without_own_limits
from hivecost.ledger import Budget, Hold, Settlement
from hivecost.money import to_usd


class LocalLedger(LocalHolds):
    """Its leases are always committed before they count here; what is settled goes to the bank in batches."""

    @property
    def has_leases(self) -> bool:
        """Whether the process has any lease."""
        return bool(self._leases)

    @property
    def has_news(self) -> bool:
        """Whether there is anything that the bank does not know."""
        return bool(self._bills or self._in_doubt or self._freezes)

    @property
    def has_unread_limits(self) -> bool:
        """Whether an account in memory only may have another limit by now."""
        return bool(self._leases.unread)

    @property
    def is_crowded(self) -> bool:
        """Whether settled holds take so much of the journal that they should be committed now."""
        return len(self._bills) * 2 > self.journal.holds_max

    @property
    def is_full_of_open(self) -> bool:
        """Whether no hold can be written down, and none of those that are has been settled or doubted."""
        return not self.journal.free and not self.has_news

    @atomic()
    def collect(self, requests: list[LeaseRequest], contested: Container[int]) -> Batch:
        """Return all that the bank does not know yet. Of `contested` leases it keeps what is held against them.

        One batch at a time: each is applied or put back, once, before the next is collected. Raise
        LedgerUnavailableError before that: of two at once each would count what the other brings.
        """
        self._require_order()
        if self._under_way is not None:
            raise LedgerUnavailableError("the last batch is still on its way to the bank")
        self._under_way = self._collect(requests, contested)
        return self._under_way

    @atomic()
    def put_back(self, batch: Batch) -> None:
        """Say it all again with the next batch, because the sync failed or nobody knows."""
        self._arrive(batch)
        self._bills[:0] = batch.bills

    @atomic()
    def apply(self, batch: Batch, committed: Committed) -> None:
        """Decide by what is durable now: lend what it lent, and forget what the bank knows."""
        self._arrive(batch)
        for hold in batch.in_doubt:
            self._let_go(hold)
        for bill in batch.bills:
            if bill.slot is not None:
                self.journal.release(bill.slot)
        for name, reason in batch.frozen.items():
            if self._freezes.get(name) == reason:
                del self._freezes[name]
        for account, row in committed.accounts.items():
            self._leases.take(account, row, batch.settled_then[account])
        self._take_budgets(committed.budgets)
        if committed.last_change != self._last_change:
            self._last_change = committed.last_change
            self._read_limits_again(committed.budgets)
        self._leases.take_own_limits(committed.own_limits)
        for overrun in committed.overruns:
            self._tell_later(overrun)

    @atomic()
    def reconfigure(self, added: Iterable[Budget], retired: Iterable[str], rows: Mapping[str, BudgetRow]) -> None:
        """Hold on other budgets from now on, by what is in force of them; what is held stays as it is."""
        for name in retired:
            self._state.retire(name)
        self._state.add(without_own_limits(added))
        self._take_budgets(rows)
        self._read_limits_again(rows)

    def _read_limits_again(self, rows: Mapping[str, BudgetRow]) -> None:
        in_memory = (
            account for name in self.budgets if self.decides_alone(name) for account in self._state.accounts(name)
        )
        self._leases.limits_changed((name for name, row in rows.items() if row.has_own_limits), in_memory)

    @atomic()
    def idle_rows(self) -> set[int]:
        """Return the rows of the leases that nobody has used since this was asked last."""
        return self._leases.idle_rows()

    @atomic()
    def leased_rows(self) -> set[int]:
        """Return the rows of the accounts that this process has leases on."""
        return self._leases.rows()

    @atomic()
    def leave(self, why: str) -> Batch | None:
        """Decide nothing any more; what is still open is in doubt.

        Return the last batch; None when only the journal is right.
        """
        self.closed = why
        for hold in self._state.open_holds.values():
            if hold.slot is not None and self._state.doubt(hold):
                self._in_doubt[hold.hold_id] = hold
        return None if self.poisoned else self._collect([], ())

    def poison(self, why: str) -> None:
        """Decide nothing any more; bills are still written to the journal."""
        self.poisoned = self.poisoned or why

    def orphan(self, why: str) -> None:
        """Decide nothing in a forked child, and touch nothing that the parent has."""
        self.lock, self._is_inside = threading.RLock(), False  # a thread of the parent may have been inside
        self.closed = why

    def _arrive(self, batch: Batch) -> None:
        """Raise RuntimeError for a batch that was applied before, whose places in the journal would be freed twice."""
        if self._under_way is not batch:
            raise RuntimeError("this batch was applied or put back before")
        self._under_way = None

    def _collect(self, requests: list[LeaseRequest], contested: Container[int]) -> Batch:
        sums = sums_of_bills(self._bills)
        in_memory = set(self._leases.unread)
        batch = Batch(
            self._bills, sums, list(self._in_doubt.values()), dict(self._freezes), {}, requests, {}, {}, in_memory
        )
        self._bills = []
        for hold in batch.in_doubt:
            if not hold.transferred:
                self._transfer(hold)
        batch.settled_then |= {account: account.settled for account in self._leases.asked_for(contested)}
        for account in self._leases.give_back(contested):
            batch.kept[account.bank_id] = account.held + account.in_doubt
        for request in requests:
            # What is above a hold is charged to the account, and takes nothing of the lease.
            batch.rooms |= {
                account: room_of(account) + sums.not_leased(account.bank_id) for account in request.accounts
            }
            batch.in_memory.update(account for account in request.accounts if not is_durable(account))
        news = (*(bill.hold for bill in batch.bills), *batch.in_doubt)
        for accounts in (*(hold.made_on for hold in news), batch.rooms):
            batch.settled_then |= {account: account.settled for account in accounts if is_durable(account)}
        return batch

    def _transfer(self, hold: Hold) -> None:
        """Take a hold that is on its way to the bank out of our leases, whenever its usage arrives."""
        hold.transferred = True
        durable = [account for account in hold.accounts if is_durable(account)]
        self._state.transfer(hold, durable)
        for account in durable:
            account.cap -= hold.amounts[account.unit] if account.leased else 0

    def _let_go(self, hold: Hold) -> None:
        """Forget a hold in doubt that the bank has."""
        del self._in_doubt[hold.hold_id]
        if hold.slot is not None:
            self.journal.release(hold.slot)
            hold.slot = None

    def _take_budgets(self, rows: Mapping[str, BudgetRow]) -> None:
        for name, budget in list(self.budgets.items()):
            row = rows.get(name)
            if row is None:
                continue
            if row.limit != budget.limit_amount:
                self._state.set_limit(name, to_usd(row.limit) if budget.counted_unit == "usd" else row.limit)
            frozen = self._freezes.get(name, row.frozen)
            if frozen is not None:
                self._state.freeze(name, frozen)
            else:
                self._state.unfreeze(name)

    def _tell_later(self, overrun: LateOverrun) -> None:
        """Announce what was not known when it was settled, once the lock is free."""
        held = overrun.hold.amounts
        untold = tuple(incident for incident in overrun.overruns if incident.billed <= held[incident.unit])
        if untold:
            hold, settlement = overrun.hold.further_of or overrun.hold, Settlement(incidents=untold)
            self.defer(lambda: self._tell(hold, settlement))
