"""Mistakes that a ledger can have, by name; `ledger_simulation.py` must catch each of them."""

from __future__ import annotations

from functools import wraps

from msgspec.structs import replace

from hivecost.backends.sqlite.lease_bank import accounts, budget_rows, database, granting, in_doubt, recovery, status
from hivecost.backends.sqlite.lease_bank.database import LedgerDatabase
from hivecost.backends.sqlite.lease_bank.granting import LeaseGrantor
from hivecost.backends.sqlite.lease_bank.in_doubt import doubt
from hivecost.leasing import local_holds, local_ledger
from hivecost.leasing.journal import Journal
from hivecost.leasing.leases import Leases
from hivecost.leasing.local_ledger import LocalLedger
from hivecost.ledger import UNITS, LedgerState, Settlement

#: By name: what puts the mistake in place while a stack is open, and the steps that show it.
MUTANTS = {"none": (lambda stack: None, ())}


def mutant(*places, shown_by=()):
    """The mistake gets the real one, and what it makes of it stands in all the places."""

    def decorate(mistake):
        def mutate(stack):
            for owner, name in places:
                real = getattr(owner, name)
                setattr(owner, name, wraps(real)(mistake(real)))
                stack.callback(setattr, owner, name, real)

        MUTANTS[mistake.__name__.replace("_", " ")] = mutate, shown_by
        return mistake

    return decorate


@mutant((recovery, "doubt"), shown_by=("kill",))
def refund_on_crash(real):
    return lambda *arguments, **more: False


@mutant((recovery, "how_restarted"), shown_by=("power loss",))
def journal_of_another_boot_is_believed(real):
    return lambda then, now: ""


@mutant((database, "doubt"))
def doubt_is_not_charged(real):
    return lambda connection, hold_id, amounts, **more: doubt(connection, hold_id, {}, **more)


@mutant((local_ledger, "sums_of_bills"), (database, "sums_of_bills"), shown_by=("doubt", "settle late"))
def late_bill_is_charged_twice(real):
    def sums(bills, **above):
        late = [bill for bill in bills if bill.late]
        for bill in late:
            bill.late = False
        try:
            return real(bills, **above)
        finally:
            for bill in late:
                bill.late = True

    return sums


@mutant((LocalLedger, "put_back"), shown_by=("failing commit",))
def lease_counts_before_its_commit(real):
    def put_back(self, batch):
        real(self, batch)
        for request in batch.requests:
            for account in request.accounts:
                account.cap += request.amounts[account.unit] if account.bank_id and account.leased else 0

    return put_back


@mutant((LocalLedger, "put_back"), shown_by=("failing commit",))
def bills_of_a_failed_commit_are_forgotten(real):
    def put_back(self, batch):
        batch.bills = []
        real(self, batch)

    return put_back


@mutant((LedgerDatabase, "_require_known"), shown_by=("unacknowledged commit",))
def bills_of_an_unacknowledged_commit_are_charged_again(real):
    return lambda self, connection: real(self, connection) * 0


@mutant((recovery, "is_known"), shown_by=("doubt", "settle late", "kill"))
def doubts_of_the_dead_are_settled_again(real):
    return lambda connection, hold_id: False


@mutant((LocalLedger, "_collect"), shown_by=("kill",))
def journal_is_freed_before_the_commit(real):
    def collect(self, requests, contested):
        batch = real(self, requests, contested)
        for bill in batch.bills:
            if bill.slot is not None:
                self.journal.release(bill.slot)
                bill.slot = None
        return batch

    return collect


@mutant((database, "configure"), shown_by=("raise limit", "leave"))
def raised_limit_is_lost(real):
    def configure(connection, budgets, now_ns):
        real(connection, budgets, now_ns)
        for budget in budgets:
            connection.execute(
                "UPDATE ledger_budgets SET limit_amount = ? WHERE name = ?", [budget.limit_amount, budget.name]
            )

    return configure


@mutant((granting, "own_limit_of_account"), shown_by=("set own limit", "reserve"))
def own_limit_is_not_gone_by(real):
    return lambda connection, account: None


@mutant((budget_rows, "configure_own"), shown_by=("set own limit", "leave"))
def own_limit_is_lost(real):
    def configure(connection, budget, **more):
        connection.execute("DELETE FROM ledger_own_limits WHERE budget = ?", [budget.name])
        real(connection, budget, **more)

    return configure


@mutant((LedgerState, "add"), shown_by=("add guest", "retire guest"))
def added_budget_binds_nobody(real):
    return lambda self, budgets: None


@mutant((LedgerState, "retire"), shown_by=("retire guest", "add guest", "set limit"))
def lease_of_a_retired_budget_stays_open(real):
    """As if nothing was held there any more, whoever holds it still."""

    def retire(self, budget):
        for account in self.accounts(budget):
            account.cap += account.held
        real(self, budget)

    return retire


@mutant((Leases, "give_back"))
def contested_lease_is_not_shrunk(real):
    def give_back(self, contested):
        caps = {account: account.cap for account in self._leased}
        shrunk = real(self, contested)
        for account in shrunk:
            account.cap = caps[account]
        return shrunk

    return give_back


@mutant((accounts, "change_lease"), shown_by=("reserve", "send", "settle", "sync", "set limit"))
def lease_is_not_used_up(real):
    return lambda connection, process_id, row_id, by: None


@mutant((LeaseGrantor, "_left"))
def doubts_are_lent_again(real):
    return lambda self, account, sums: real(self, account, sums) + sums.in_doubt


@mutant((LedgerState, "freeze"), shown_by=("freeze", "reserve"))
def frozen_is_not_checked(real):
    return lambda self, budget, reason: None


@mutant((LocalLedger, "_charge"), shown_by=("move clock",))
def period_is_taken_at_settle(real):
    """Of each account, the one of its budget's newest period."""

    def charge(self, hold, held, *shares):
        by_period = sorted(self._state._book.accounts(), key=lambda account: account.period.start_ns)
        newest = {(account.budget.name, account.values): account for account in by_period if account.bank_id}
        hold.made_on = tuple(newest.get((one.budget.name, one.values), one) for one in hold.made_on)
        return real(self, hold, held, *shares)

    return charge


@mutant((LocalLedger, "defer"))
def finalizer_is_forgotten(real):
    return lambda self, call: None


@mutant((LocalLedger, "_settle_after_all"), shown_by=("leave poisoned",))
def late_bill_to_a_poisoned_ledger_is_lost(real):
    def settle(self, hold, amounts):
        if hold.transferred:
            hold.state = "settled"
            return Settlement()
        return real(self, hold, amounts)

    return settle


@mutant((database, "settle_late"), (recovery, "settle_late"), shown_by=("doubt", "resolve", "settle what was resolved"))
def bill_above_what_was_resolved_is_lost(real):
    def settle_late(connection, hold_id, billed, *, now_ns):
        in_doubt.resolve(connection, hold_id, billed, by="usage", now_ns=now_ns)
        return ()

    return settle_late


@mutant((in_doubt, "_keep_amount"), shown_by=("doubt", "resolve", "settle what was resolved"))
def what_was_resolved_is_forgotten(real):
    return lambda connection, hold_id, row_id, amount: None


@mutant((LedgerState, "charge"), shown_by=("charge what was not held", "reserve"))
def frozen_budget_is_not_charged(real):
    def charge(self, attribution, at_ns, amounts, **others):
        return real(self, attribution, at_ns, dict.fromkeys(amounts, 0) if self.frozen else amounts, **others)

    return charge


@mutant((LocalLedger, "settle_another"), shown_by=("settle another",))
def further_answer_is_lost(real):
    return lambda self, hold, amounts: Settlement()


@mutant((database, "charge_unleased"), shown_by=("reserve", "settle another"))
def further_answer_is_no_overrun(real):
    def charge_unleased(connection, row_id, amount):
        connection.execute("UPDATE ledger_accounts SET settled = settled + ? WHERE id = ?", [amount, row_id])
        return 0

    return charge_unleased


@mutant((local_holds, "_shares_of"), shown_by=("settle another",))
def further_answer_is_paid_by_no_lease(real):
    return lambda another, rooms: real(another, dict.fromkeys(rooms, 10**9))


@mutant((LocalLedger, "doubt_another"), shown_by=("doubt another",))
def further_answer_is_not_in_doubt(real):
    return lambda self, hold, units: None


@mutant((database, "unleased"), shown_by=("doubt another", "reserve", "sync"))
def further_answer_takes_what_is_lent(real):
    return lambda connection, row_id: 10**9


@mutant((LocalLedger, "drop"), shown_by=("drop",))
def dropped_hold_is_forgotten(real):
    return lambda self, hold: None


@mutant((Journal, "extend"), shown_by=("extend", "kill"))
def extension_is_not_written_down(real):
    return lambda self, place, amounts: None


@mutant((status._Reading, "_late"), shown_by=("doubt", "settle late"))
def late_bill_is_not_read(real):
    return lambda self, process, entries: ()


@mutant((Journal, "settle"), shown_by=("kill", "settle", "send"))
def journal_forgets_what_is_partial(real):
    def settle(self, place, settlement, billed):
        real(self, place, settlement, billed)
        self._map[place] &= 127

    return settle


@mutant((Journal, "settle_part"), shown_by=("settle what is known",))
def what_is_known_is_not_written_down(real):
    return lambda *_: None


@mutant((recovery, "read_journal"), shown_by=("settle what is known", "kill"))
def what_is_known_is_taken_for_the_whole_bill(real):
    return lambda path: [replace(slot, settled_units=UNITS if slot.settlement else ()) for slot in real(path)]
