"""Mistakes of a ledger backend: each makes `the memory ledger` wrong in one way, and names tests that say so."""

from __future__ import annotations

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from hivecost.errors import ConfigError
from hivecost.ledger import Refusal, Settlement, state
from hivecost.ledger import book as books
from hivecost.ledger.account import Account
from hivecost.ledger.state import LedgerState
from hivecost.money import to_usd

#: name → (what makes it wrong, given a MonkeyPatch and the memory ledger; the tests that catch it)
MISTAKES = {}


def caught_by(*tests):
    def register(mistake):
        MISTAKES[mistake.__name__] = mistake, tests
        return mistake

    return register


# -- holds -----------------------------------------------------------------------------------------------------------


@caught_by(
    "test_what_is_held_is_set_aside",
    "test_of_many_at_once_no_more_are_granted_than_fit",
    "test_what_another_ledger_holds_is_busy",
)
def checks_without_holding(patch, memory):
    right = LedgerState.reserve

    def reserve(self, *args, **kwargs):
        hold = right(self, *args, **kwargs)
        if not isinstance(hold, Refusal):
            for account in hold.accounts:
                account.held -= hold.amounts[account.unit]
            hold.amounts = dict.fromkeys(hold.amounts, 0)
        return hold

    patch.setattr(LedgerState, "reserve", reserve)


@caught_by(
    "test_of_many_at_once_no_more_are_granted_than_fit",
    "test_many_spend_one_account_to_its_end_and_no_further",
)
def looks_and_then_holds(patch, memory):
    look, hold = memory.MemoryLedger.reserve, memory.MemoryLedger.reserve_nowait

    async def reserve(self, *args, **kwargs):
        (await look(self, *args, **kwargs)).release()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        with patch.context() as unchecked:
            unchecked.setattr(state, "_have_room", lambda *_: True)
            return hold(self, *args, **kwargs)

    patch.setattr(memory.MemoryLedger, "reserve", reserve)
    patch.setattr(memory.MemoryLedger, "reserve_nowait", lambda *_, **__: None)


@caught_by("test_all_accounts_or_none")
def holds_what_fits(patch, memory):
    right = LedgerState.reserve

    def reserve(self, attribution, at_ns, amounts, key=None, **others):
        answer = right(self, attribution, at_ns, amounts, key, **others)
        for account in self.accounts_for(attribution, at_ns) if isinstance(answer, Refusal) else ():
            account.held += min(account.remaining, amounts[account.unit])
        return answer

    patch.setattr(LedgerState, "reserve", reserve)


@caught_by("test_a_hold_grows_on_all_accounts_or_none")
def extends_what_fits(patch, memory):
    right = LedgerState.extend

    def extend(self, hold, amounts):
        answer = right(self, hold, amounts)
        if answer is not None:
            hold.accounts[0].held += amounts["usd"]
        return answer

    patch.setattr(LedgerState, "extend", extend)


@caught_by("test_a_key_gives_its_open_hold_again")
def forgets_keys(patch, memory):
    right = memory.MemoryLedger.decide
    patch.setattr(
        memory.MemoryLedger, "decide", lambda self, who, amounts, _, *others: right(self, who, amounts, None, *others)
    )


@caught_by("test_what_was_not_sent_costs_nothing")
def releases_nothing(patch, memory):
    patch.setattr(memory.MemoryHold, "release", lambda self: True)


@caught_by("test_busy_and_exhausted_differ", "test_what_another_ledger_holds_is_busy")
def is_never_busy(patch, memory):
    right = state.refusal_of
    patch.setattr(state, "refusal_of", lambda *args, **kwargs: replace(right(*args, **kwargs), kind="exhausted"))


@caught_by("test_a_shadow_budget_only_says_what_it_would_do")
def enforces_shadows(patch, memory):
    patch.setattr(LedgerState, "_enforced", lambda self, refusals: next(iter(refusals), None))


@caught_by("test_each_unit_is_held_where_it_counts")
def holds_money_alone(patch, memory):
    right = LedgerState.reserve

    def reserve(self, who, at_ns, amounts, key=None, **others):
        return right(self, who, at_ns, {"tokens": 0, "calls": 0, "usd": amounts["usd"]}, key, **others)

    patch.setattr(LedgerState, "reserve", reserve)


@caught_by("test_a_hold_knows_its_accounts")
def shows_no_sums(patch, memory):
    right = memory.MemoryHold.status
    patch.setattr(memory.MemoryHold, "status", lambda *of: tuple(replace(row, settled=0) for row in right(*of)))


@caught_by("test_a_hold_knows_its_accounts")
def shows_accounts_nobody_asked_for(patch, memory):
    right = memory.MemoryHold.status
    patch.setattr(memory.MemoryHold, "status", lambda self, budgets=None: right(self))


@caught_by("test_a_hold_knows_its_accounts")
def names_units_for_budgets(patch, memory):
    patch.setattr(memory.MemoryHold, "budgets", memory.MemoryHold.units)


@caught_by("test_amounts_that_cannot_be_hold_nothing", "test_a_bill_that_cannot_be_changes_nothing")
def believes_any_amount(patch, memory):
    patch.setattr(state, "_checked", lambda amounts: amounts)


# -- bills -----------------------------------------------------------------------------------------------------------


@caught_by(
    "test_a_bill_is_charged_once_and_the_rest_goes_back",
    "test_many_threads_settle_each_hold_once",
    "test_usage_that_arrives_late_settles_what_was_in_doubt",
)
def settles_twice(patch, memory):
    right = memory.MemoryHold.settle

    def settle(self, *args, **kwargs):
        if self.state == "settled":
            for account in self.pure.accounts:
                account.settled += self.pure.billed[account.unit]
        return right(self, *args, **kwargs)

    patch.setattr(memory.MemoryHold, "settle", settle)


@caught_by(
    "test_a_bill_is_charged_once_and_the_rest_goes_back",
    "test_a_cancelled_turn_may_still_be_settled",
    "test_what_a_bill_does_not_name_is_charged_as_held",
    "test_a_bill_above_its_hold_is_charged_and_freezes_for_all",
    "test_a_bill_above_the_limit_is_charged_all_the_same",
)
def charges_the_hold(patch, memory):
    right = memory.MemoryHold.settle
    patch.setattr(memory.MemoryHold, "settle", lambda self, *_, **__: right(self))


@caught_by(
    "test_a_bill_above_its_hold_is_charged_and_freezes_for_all",
    "test_a_bill_above_the_limit_is_charged_all_the_same",
    "test_a_doubt_is_resolved_at_whatever_it_cost",
)
def never_freezes_by_itself(patch, memory):
    right = LedgerState._overrun

    def overrun(self, *args):
        incident = right(self, *args)
        self._frozen.clear()
        return incident

    patch.setattr(LedgerState, "_overrun", overrun)


@caught_by("test_a_bill_above_a_partial_hold_is_charged_and_freezes_nothing")
def freezes_for_partial_holds(patch, memory):
    right = memory.MemoryLedger.decide
    patch.setattr(memory.MemoryLedger, "decide", lambda self, *args: right(self, *args[:-1], False))


@caught_by("test_a_bill_above_a_partial_hold_is_charged_and_freezes_nothing")
def forgets_that_a_doubt_is_partial(patch, memory):
    right = LedgerState.doubt

    def doubt(self, hold):
        hold.is_partial = False
        return right(self, hold)

    patch.setattr(LedgerState, "doubt", doubt)


@caught_by("test_what_was_released_and_sent_after_all_is_charged")
def believes_releases(patch, memory):
    right = LedgerState.settle

    def settle(self, hold, amounts):
        return None if hold.state == "released" else right(self, hold, amounts)

    patch.setattr(LedgerState, "settle", settle)


@caught_by(
    "test_what_a_hold_has_left_pays_for_further_answers", "test_a_further_answer_that_nothing_is_left_for_freezes"
)
def charges_one_answer_alone(patch, memory):
    patch.setattr(memory.MemoryHold, "settle_another", lambda *_, **__: state.Settlement())


@caught_by("test_what_a_hold_has_left_pays_for_further_answers", "test_a_bill_that_nothing_was_held_for_is_charged")
def takes_further_answers_for_overruns(patch, memory):
    patch.setattr(state.Hold, "left", lambda self: dict.fromkeys(self.amounts, 0) | {"tokens": 0})


@caught_by("test_a_further_answer_that_nothing_is_left_for_freezes", "test_a_further_answer_without_a_bill_is_in_doubt")
def pays_twice_with_what_went_back(patch, memory):
    patch.setattr(Account, "room", property(lambda self: self.limit))


@caught_by("test_a_further_answer_without_a_bill_is_in_doubt")
def takes_unknown_answers_for_free(patch, memory):
    patch.setattr(memory.MemoryHold, "doubt_another", lambda self: None)


@caught_by("test_a_warning_is_given_once")
def warns_again(patch, memory):
    right = Account.crossings

    def crossings(self):
        self.warned = 0
        yield from right(self)
        self.alarm_at = 0

    patch.setattr(Account, "crossings", crossings)


@caught_by("test_shielded_code_of_a_cancelled_task_may_wait_for_it")
def is_cancelled_with_its_opener(patch, memory):
    enter, leave, right = memory.MemoryLedger.__aenter__, memory.MemoryLedger.__aexit__, memory.MemoryLedger.status

    async def work(ledger):
        try:
            await anyio.sleep_forever()
        finally:
            ledger.is_open = False

    async def open_with_a_task(self):
        self.tasks = await anyio.create_task_group().__aenter__()
        self.tasks.start_soon(work, self)
        return await enter(self)

    async def close_with_it(self, *_):
        await leave(self)
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)

    async def status(self):
        await anyio.wait_all_tasks_blocked()
        return await right(self)

    patch.setattr(memory.MemoryLedger, "__aenter__", open_with_a_task)
    patch.setattr(memory.MemoryLedger, "__aexit__", close_with_it)
    patch.setattr(memory.MemoryLedger, "status", status)


# -- doubts ----------------------------------------------------------------------------------------------------------


@caught_by(
    "test_left_unsettled_it_is_in_doubt",
    "test_wherever_a_turn_is_cancelled_its_money_is_known",
    "test_a_doubt_outlives_its_ledger_until_someone_resolves_it",
    "test_a_doubt_is_resolved_at_whatever_it_cost",
    "test_what_is_open_when_the_ledger_closes_is_in_doubt",
)
def refunds_what_is_in_doubt(patch, memory):
    patch.setattr(memory.MemoryHold, "doubt", lambda self, *_: self.release())


@caught_by("test_a_bill_above_what_its_hold_was_resolved_at_is_charged")
def believes_whoever_resolved(patch, memory):
    patch.setattr(LedgerState, "_settle_resolved", lambda *_: None)


@caught_by("test_what_nobody_keeps_is_in_doubt")
def keeps_every_hold(patch, memory):
    patch.setattr(memory, "WeakValueDictionary", dict)


@caught_by("test_wherever_a_turn_is_cancelled_its_money_is_known")
def waits_before_it_doubts(patch, memory):
    async def leave(self, *_):
        await anyio.lowlevel.checkpoint()
        self.doubt()

    patch.setattr(memory.MemoryHold, "__aexit__", leave)


@caught_by("test_usage_that_arrives_late_settles_what_was_in_doubt")
def ignores_late_usage(patch, memory):
    right = LedgerState.settle

    def settle(self, hold, amounts):
        return None if hold.state == "in_doubt" else right(self, hold, amounts)

    patch.setattr(LedgerState, "settle", settle)


@caught_by(
    "test_what_is_known_of_a_bill_is_charged_and_the_rest_is_in_doubt",
    "test_the_rest_of_a_bill_may_come_late",
    "test_of_a_bill_all_or_nothing_may_be_known",
)
def knows_all_or_nothing(patch, memory):
    patch.setattr(memory.MemoryHold, "settle_known", lambda self, *_, **__: Settlement() if self.doubt() else None)


@caught_by(
    "test_what_is_known_of_a_bill_is_charged_and_the_rest_is_in_doubt",
    "test_of_a_bill_all_or_nothing_may_be_known",
)
def takes_what_it_does_not_know_for_held(patch, memory):
    patch.setattr(memory.MemoryHold, "settle_known", memory.MemoryHold.settle)


@caught_by("test_the_rest_of_a_bill_may_come_late")
def charges_what_it_knew_again(patch, memory):
    right = memory.MemoryHold.settle

    def settle(self, *args, tokens=None, **kwargs):
        settlement = right(self, *args, tokens=tokens, **kwargs)
        if settlement is not None and self.pure.known:
            account = next(one for one in self.ledger.place.state.status() if one.unit == "tokens")
            for found in self.ledger.place.state._book.accounts(account.budget):
                found.settled += tokens or 0
        return settlement

    patch.setattr(memory.MemoryHold, "settle", settle)


@caught_by("test_what_is_not_open_grants_nothing", "test_what_is_open_when_the_ledger_closes_is_in_doubt")
def works_while_closed(patch, memory):
    always = property(lambda self: True, lambda self, is_open: None)
    patch.setattr(memory.MemoryLedger, "is_open", always, raising=False)


@caught_by("test_only_hard_budgets_can_be_held_on")
def takes_any_budget(patch, memory):
    right = memory.MemoryLedger.__init__

    def take(self, place, budgets, clock):
        hard = {budget.name: replace(budget, mode="hard") for budget in budgets}
        right(self, place, hard.values(), clock)

    patch.setattr(memory.MemoryLedger, "__init__", take)


# -- accounts and periods --------------------------------------------------------------------------------------------


@caught_by("test_a_hold_counts_in_the_period_it_was_made_in")
def stamps_when_it_settles(patch, memory):
    right = memory.MemoryHold.settle

    def settle(self, *args, **kwargs):
        ledgers_state = self.ledger.place.state
        if ledgers_state.release(self.pure):
            self.pure = ledgers_state.reserve(self.attribution, self.ledger.clock.now_ns(), self.amounts)
        return right(self, *args, **kwargs)

    patch.setattr(memory.MemoryHold, "settle", settle)


@caught_by("test_days_and_hours_are_those_of_the_zone", "test_busy_and_exhausted_differ")
def counts_days_in_utc(patch, memory):
    right = books.Calendar
    patch.setattr(books, "Calendar", lambda window, timezone: right(window))


@caught_by("test_periods_that_are_over_are_left_out")
def shows_what_is_over(patch, memory):
    async def status(self):
        return self.place.state.status()

    patch.setattr(memory.MemoryLedger, "status", status)


@caught_by("test_an_execution_has_an_account_of_its_own")
def forgets_no_execution(patch, memory):
    patch.setattr(memory.MemoryLedger, "forget_execution", lambda *_: None)


@caught_by("test_a_budget_counts_those_it_is_about")
def counts_everybody(patch, memory):
    patch.setattr(books, "matcher", lambda _: lambda _: True)


@caught_by("test_an_execution_holds_on_those_that_it_is_inside_of")
def lets_sub_agents_spend_for_themselves(patch, memory):
    right = LedgerState.reserve

    def reserve(self, *args, ancestors=(), **kwargs):
        return right(self, *args, **kwargs)

    patch.setattr(LedgerState, "reserve", reserve)


@caught_by("test_only_the_budgets_that_are_named_are_charged")
def charges_every_budget(patch, memory):
    right = LedgerState.charge

    def charge(self, *args, budgets=None, **kwargs):
        return right(self, *args, **kwargs)

    patch.setattr(LedgerState, "charge", charge)


@caught_by("test_a_bill_that_nothing_is_left_for_is_charged_and_freezes")
def charges_nothing_that_it_would_refuse(patch, memory):
    right = LedgerState.charge

    def charge(self, attribution, at_ns, amounts, **others):
        accounts = self.accounts_for(attribution, at_ns, (), others["budgets"])
        refused = self._refusals(accounts, amounts)
        return right(self, attribution, at_ns, dict.fromkeys(amounts, 0) if refused else amounts, **others)

    patch.setattr(LedgerState, "charge", charge)


# -- sharing and controls --------------------------------------------------------------------------------------------


@caught_by(
    "test_many_spend_one_account_to_its_end_and_no_further",
    "test_of_many_at_once_no_more_are_granted_than_fit",
    "test_one_ledger_gets_what_another_does_not_need",
    "test_a_bill_above_its_hold_is_charged_and_freezes_for_all",
    "test_a_higher_limit_is_in_force_for_all",
    "test_a_frozen_budget_grants_nothing_to_anybody",
    "test_an_operators_limit_stays_until_another_is_configured",
)
def shares_nothing(patch, memory):
    right = memory.MemoryLedger.__init__
    patch.setattr(
        memory.MemoryLedger, "__init__", lambda self, _, budgets, clock: right(self, memory.Place(), budgets, clock)
    )


@caught_by("test_one_ledger_gets_what_another_does_not_need")
def keeps_what_it_took(patch, memory):
    """Whoever comes first has half of the account, for good."""
    right = memory.MemoryLedger.decide

    def decide(self, who, amounts, *others):
        first = self.place.__dict__.setdefault("first", self)
        place_state = self.place.state
        for account in place_state.accounts_for(who, self.clock.now_ns()):
            account.cap = account.limit if self is first else account.limit // 2
        return right(self, who, amounts, *others)

    patch.setattr(memory.MemoryLedger, "decide", decide)


@caught_by("test_who_changed_what_is_on_record")
def forgets_who_changed_what(patch, memory):
    async def changes(self, limit=100):
        return []

    patch.setattr(memory.MemoryLedger, "changes", changes)


@caught_by("test_who_changed_what_is_on_record")
def lets_nobody_change_things(patch, memory):
    patch.setattr(memory, "require_name", lambda _: None)


@caught_by(
    "test_of_many_at_once_no_more_are_granted_than_fit",
    "test_one_ledger_gets_what_another_does_not_need",
    "test_what_another_ledger_holds_is_busy",
)
def shows_others_late(patch, memory):
    """What it looks at is as old as its last look, which was a moment ago."""
    show_late(patch, memory, "status")
    show_late(patch, memory, "remaining")


def show_late(patch, memory, name, late_s=0.1):
    right = getattr(memory.MemoryLedger, name)

    async def look(self, *args):
        seen = self.__dict__.setdefault("seen", {})
        at_s, found = seen.get(name, (anyio.current_time(), None))
        if found is None:
            found = [] if name == "status" else dict.fromkeys(await right(self, *args), 0)
        if anyio.current_time() >= at_s + late_s:
            at_s, found = anyio.current_time(), await right(self, *args)
        seen[name] = at_s, found
        return found

    patch.setattr(memory.MemoryLedger, name, look)


@caught_by("test_of_raises_at_once_every_one_counts")
def loses_raises(patch, memory):
    async def raise_limit(self, budget, by_amount, *, by):
        known, _, before = self.place.find(budget, None)
        await anyio.lowlevel.checkpoint()
        return await self.set_limit(budget, to_usd(before + known.amount_of(by_amount)), by=by)

    patch.setattr(memory.MemoryLedger, "raise_limit", raise_limit)


@caught_by("test_a_lower_limit_binds_those_who_took_ahead")
def lends_at_the_old_limit(patch, memory):
    def set_limit(self, limit):
        self.limit, self.cap = limit, max(limit, self.cap)

    patch.setattr(Account, "set_limit", set_limit)


@caught_by(
    "test_an_operators_limit_stays_until_another_is_configured",
    "test_a_configured_limit_is_in_force_at_once",
    "test_an_operators_limit_of_a_value_stays_until_another_is_configured",
)
def configures_at_each_opening(patch, memory):
    def take_limits(self, budget):
        self.limits[budget.name], self.own_limits[budget.name] = budget.limit_amount, budget.own_limits

    patch.setattr(memory.Place, "take_limits", take_limits)


@caught_by("test_a_configuration_that_cannot_be_changes_nothing")
def configures_one_after_the_other(patch, memory):
    async def configure(self, budgets=(), *, retire=(), by):
        for budget in budgets:
            self.place.configure([budget], retire, by, self.clock.now_ns())

    patch.setattr(memory.MemoryLedger, "configure", configure)


@caught_by("test_a_value_has_a_limit_of_its_own", "test_one_session_of_many_has_a_limit_of_its_own")
def knows_one_limit_for_all(patch, memory):
    async def set_limit(self, budget, limit, *, scope=None, by):
        return await right(self, budget, limit, by=by)

    right = memory.MemoryLedger.set_limit
    patch.setattr(memory.MemoryLedger, "set_limit", set_limit)


@caught_by("test_configured_limits_of_values_are_in_force", "test_a_value_has_a_limit_of_its_own")
def grants_at_the_budgets_limit(patch, memory):
    patch.setattr(books, "own_limit_of", lambda *_: None)


@caught_by("test_a_value_has_a_limit_of_its_own", "test_a_limit_of_a_value_outlives_its_accounts")
def forgets_limits_of_new_accounts(patch, memory):
    right = books._BudgetAccounts.set_own_limit

    def set_own_limit(self, key, limit):
        right(self, key, limit)
        self.own_limits.clear()

    patch.setattr(books._BudgetAccounts, "set_own_limit", set_own_limit)


@caught_by("test_what_was_set_for_a_value_can_be_taken_back")
def takes_nothing_back(patch, memory):
    async def unset_limit(self, budget, *, scope=None, by):
        return self.place.find(budget, scope)[2]

    patch.setattr(memory.MemoryLedger, "unset_limit", unset_limit)


@caught_by("test_a_scope_names_the_attributes_of_the_accounts")
def takes_any_scope(patch, memory):
    right = memory.Place.find

    def find(self, name, scope):
        try:
            return right(self, name, scope)
        except ConfigError:
            return right(self, name, None)

    patch.setattr(memory.Place, "find", find)


@caught_by("test_a_budget_is_added_while_others_hold", "test_a_retired_budget_that_comes_again_has_what_was_spent")
def adds_nothing(patch, memory):
    right = memory.MemoryLedger.configure

    async def configure(self, budgets=(), *, retire=(), by):
        own = {budget.name for budget in self.own_budgets}
        await right(self, [budget for budget in budgets if budget.name in own], retire=retire, by=by)

    patch.setattr(memory.MemoryLedger, "configure", configure)


@caught_by("test_a_retired_budget_refuses_no_more")
def retires_nothing(patch, memory):
    patch.setattr(LedgerState, "retire", lambda *_: None)


@caught_by("test_what_is_held_on_a_retired_budget_is_settled")
def loses_what_a_retired_budget_held(patch, memory):
    right = memory.Place.configure

    def configure(self, budgets, retire, *others):
        for hold in list(self.state.open_holds.values()) if retire else ():
            self.state.release(hold)
        right(self, budgets, retire, *others)

    patch.setattr(memory.Place, "configure", configure)


@caught_by("test_a_retired_budget_that_comes_again_has_what_was_spent")
def forgets_what_a_retired_budget_spent(patch, memory):
    patch.setattr(memory.Place, "opened", lambda self, account: account)


@caught_by("test_a_change_that_cannot_be_changes_nothing")
def sets_what_cannot_be(patch, memory):
    right = memory.MemoryLedger.set_limit

    async def set_limit(self, budget, limit, *, scope=None, by):
        return await right(self, budget, limit if limit == 1 else 5, scope=scope, by=by)

    patch.setattr(memory.MemoryLedger, "set_limit", set_limit)


@caught_by("test_its_budgets_can_be_read")
def lists_budgets_in_any_order(patch, memory):
    right = memory.MemoryLedger.budgets

    async def budgets(self):
        return (await right(self))[::-1]

    patch.setattr(memory.MemoryLedger, "budgets", budgets)


@caught_by("test_a_budget_that_counts_anew_needs_a_new_name")
def counts_anew_under_the_old_name(patch, memory):
    patch.setattr(memory.Place, "require_counts_alike", lambda *_: None)
