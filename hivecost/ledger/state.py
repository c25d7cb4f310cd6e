"""The ledger as a state machine over integers: money is held before a turn, and settled, released or in doubt after it.

For every account, after every step: settled + held + in_doubt ≤ limit, but for bills above their holds, which are
charged, counted in `Account.overrun` and freeze the budget unless the hold was a partial one, and for limits that were
lowered below what was spent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from hivecost.attribution import Attributes
from hivecost.errors import ConfigError
from hivecost.ledger.account import Account, ThresholdCrossing
from hivecost.ledger.amounts import AMOUNT_MAX, UNITS, Unit, overrun_reason
from hivecost.ledger.book import AccountDropped, AccountOpened, AccountsMax
from hivecost.ledger.budget import Budget
from hivecost.ledger.hard_accounts import HardAccounts
from hivecost.ledger.hold import Hold, HoldState, Overrun, Refusal, Settlement, finality, refusal_of
from hivecost.ledger.own_limits import is_value
from hivecost.ledger.snapshot import HoldSnapshot, LedgerSnapshot, load_account, save_account

_NOTHING: Final = Settlement()
_ZEROS: Final[dict[Unit, int]] = dict.fromkeys(UNITS, 0)


class LedgerState(HardAccounts):
    """The accounts of hard budgets, and the holds on them. One at a time: not for several threads at once.

    Amounts are integers by unit: nano-USD, tokens, calls (one, if nothing is said).
    `accounts_max`, `opened` and `dropped` are those of AccountBook: only where the sums are kept elsewhere may accounts
    be dropped because they are many.
    Raises ConfigError for a budget that is not `mode="hard"`, and for two budgets of one name.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        accounts_max: AccountsMax = lambda _: None,
        opened: AccountOpened = lambda account: account,
        dropped: AccountDropped = lambda _: None,
    ) -> None:
        super().__init__(budgets, accounts_max=accounts_max, opened=opened, dropped=dropped)
        self._open: dict[int, Hold] = {}
        self._open_by_key: dict[str, Hold] = {}
        self._last_hold_id = 0

    @property
    def open_holds(self) -> Mapping[int, Hold]:
        """Holds that are held or in doubt, by id."""
        return self._open

    def reserve(
        self,
        attribution: Attributes,
        at_ns: int,
        amounts: Mapping[Unit, int],
        key: str | None = None,
        *,
        ancestors: Sequence[Attributes] = (),
        is_partial: bool = False,
    ) -> Hold | Refusal:
        """Set the amounts aside on every account they count on, or on none of them.

        `ancestors` are those of AccountBook. The period is that of `at_ns`, whenever the hold is settled. With a `key`
        that an open hold already has, gives that hold. Of several refusals gives the one that will last longest. With
        `is_partial` more than the amounts may be billed: that is charged, and freezes nothing.
        The mapping is kept as it is. Raise ConfigError for an attribute or a key that is no text, and for an amount
        that is no integer from zero, or that a budget counts and nobody gave.
        """
        if key is not None:
            if not is_value(key):
                raise ConfigError("key", "a text", got=key)
            if key in self._open_by_key:
                return self._open_by_key[key]
        accounts = self._book.find(attribution, at_ns, ancestors)
        wanted = _checked(amounts if "calls" in amounts else {**amounts, "calls": 1})
        refusals: tuple[Refusal, ...] = ()
        if self._frozen or not _have_room(accounts, wanted):
            refusals = self._refusals(accounts, wanted)
            enforced = self._enforced(refusals)
            if enforced is not None:
                return enforced
        for account in accounts:
            account.held += wanted[account.unit]
            account.open_holds += 1
            account.used_at_ns = at_ns
        number = self._last_hold_id = self._last_hold_id + 1
        hold = self._open[number] = Hold(number, accounts, wanted, key, "held", refusals, at_ns, accounts)
        if is_partial:
            hold.is_partial = True
        if key is not None:
            self._open_by_key[key] = hold
        return hold

    def extend(self, hold: Hold, amounts: Mapping[Unit, int]) -> Refusal | None:
        """Set more aside on the accounts of a hold, all or none; None when it is done.

        Raise ConfigError for an amount that is no integer from zero, and for a hold that is not held any more.
        """
        if hold.state != "held":
            raise ConfigError(f"hold {hold.hold_id}", "a hold that is still held", got=hold.state)
        more = _checked({**_ZEROS, **amounts})
        refusals = self._refusals(hold.accounts, more)
        enforced = self._enforced(refusals)
        if enforced is not None:
            return enforced
        for account in hold.accounts:
            account.held += more[account.unit]
        hold.amounts = {unit: more[unit] + hold.amounts.get(unit, 0) for unit in UNITS}
        hold.shadowed += refusals
        return None

    def settle(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Charge the bill and give the rest of the hold back; None, and nothing changes, if that was done before.

        A unit that the bill does not name is charged as it was held. A bill above its hold, or for a hold that
        was released, is charged in full: an Overrun, and the budget is frozen unless the hold is partial. So is what
        a bill is above the amount that the hold was resolved at; of one below that nothing is given back.
        Raise ConfigError for an amount that is no integer from zero.
        """
        if hold.state == "settled":
            return self._settle_resolved(hold, _checked(amounts)) if hold.is_resolved else None
        billed: dict[Unit, int] = {**hold.amounts, **_checked(amounts)}
        if hold.known is not None:
            billed |= hold.known
        hold.billed = billed
        before, reserved = hold.state, hold.amounts
        if before == "released":
            reserved = dict.fromkeys(reserved, 0)
        else:
            self._forget(hold)
        hold.state = "settled"
        has_news = False
        for account in hold.accounts:  # once over them, because every turn passes here
            unit = account.unit
            amount, held = billed[unit], reserved[unit]
            if before == "held":
                account.open_holds -= 1
                account.held -= held
            elif before == "in_doubt":
                account.open_holds -= 1
                account.in_doubt -= held
            settled = account.settled = account.settled + amount
            if settled >= account.alarm_at or amount > held or account.over:
                has_news = True
        return self._news_of(hold, hold.accounts, billed, reserved) if has_news else _NOTHING

    def settle_known(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement | None:
        """Charge what is known of the bill; on accounts of a unit that is not named the hold is in doubt.

        None, and nothing changes, for a hold that is not held any more. Raise ConfigError as `settle` does.
        """
        if hold.state != "held":
            return None
        charged = tuple(account for account in hold.accounts if account.unit in amounts)
        if charged == hold.accounts:
            return self.settle(hold, amounts)
        billed = {account.unit: amounts[account.unit] for account in charged}
        _checked(amounts)
        self.doubt(hold)
        for account in charged:
            account.in_doubt -= hold.amounts[account.unit]
            account.open_holds -= 1
            account.settled += billed[account.unit]
        if charged:
            hold.known = billed
            hold.accounts = tuple(account for account in hold.accounts if account.unit not in billed)
        return self._news_of(hold, charged, billed, hold.amounts)

    def release(self, hold: Hold) -> bool:
        """Give the whole hold back, because it is sure that nothing was sent; False if it is not held any more."""
        if hold.state != "held":
            return False
        self._forget(hold)
        for account in hold.accounts:
            account.open_holds -= 1
            account.held -= hold.amounts[account.unit]
        hold.state = "released"
        hold.is_partial = False  # nothing was sent, so any bill is a mistake
        self._book.drop_over(hold.accounts)
        return True

    def doubt(self, hold: Hold) -> bool:
        """Keep the hold charged until the bill is known, because it may have been sent; False if it is not held."""
        if hold.state != "held":
            return False
        for account in hold.accounts:
            amount = hold.amounts[account.unit]
            account.held -= amount
            account.in_doubt += amount
        hold.state = "in_doubt"
        return True

    def charge(
        self,
        attribution: Attributes,
        at_ns: int,
        amounts: Mapping[Unit, int],
        *,
        ancestors: Sequence[Attributes] = (),
        budgets: Collection[str] | None = None,
    ) -> tuple[Hold, Settlement]:
        """Charge the bill of a turn that nothing was held for: in full, whatever is left, and on frozen budgets too.

        Of `budgets`, if they are named, only these are charged. What its accounts have room for pays for it; what is
        above is an Overrun, and freezes the budget. A unit that the bill does not name is charged at nothing, calls at
        one. Gives the settled hold of the bill, a further answer of one that was settled at nothing. Raise ConfigError
        for an amount that is no integer from zero.
        """
        billed = {**_ZEROS, "calls": 1, **_checked(amounts)}
        accounts = self.accounts_for(attribution, at_ns, ancestors, budgets)
        self._last_hold_id += 1
        unheld = Hold(self._last_hold_id, accounts, billed, None, "settled", (), at_ns, accounts, billed=_ZEROS)
        return self.settle_another(unheld, billed)

    def settle_another(self, hold: Hold, amounts: Mapping[Unit, int]) -> tuple[Hold, Settlement]:
        """Charge the bill of one more answer on the accounts of a hold: as a hold of its own, which is settled.

        What earlier bills left of the hold pays for it, as far as its accounts have room; those that are leased are not
        asked. What is above is charged in full: an Overrun, and the budget is frozen. A unit that the bill does
        not name is charged at nothing, calls at one. Raise ConfigError for an amount that is no integer from zero.
        """
        billed = {**_ZEROS, "calls": 1, **_checked(amounts)}
        another = self._another(hold, hold.made_on, hold.left(), "settled")
        another.billed = billed
        _take_further(hold, billed)
        crossings: list[ThresholdCrossing] = []
        incidents: list[Overrun] = []
        for account in another.accounts:
            amount = billed[account.unit]
            paid = min(amount, another.amounts[account.unit])
            if not (account.leased or account.budget.shadow):
                paid = min(paid, account.room)
            account.settled += amount
            if amount > paid:
                incidents.append(self._overrun(another, account, paid, amount))
            if account.settled >= account.alarm_at:
                crossings.extend(account.crossings())
        self._book.drop_over(another.accounts)
        return another, Settlement(tuple(crossings), tuple(incidents))

    def hold_another(self, hold: Hold, units: Collection[Unit] = UNITS) -> Hold:
        """Hold what earlier bills left for one more answer, on the accounts of these units, as far as there is room.

        On no account, it is none.
        """
        wanted = {unit: left if unit in units else 0 for unit, left in hold.left().items()}
        amounts = dict(wanted)
        accounts = tuple(account for account in hold.made_on if account.unit in units)
        for account in accounts:
            if not account.budget.shadow:
                amounts[account.unit] = min(amounts[account.unit], account.room)
        another = self._another(hold, accounts, amounts, "held")
        another.wanted = wanted
        _take_further(hold, wanted)
        for account in another.accounts:
            account.held += amounts[account.unit]
            account.open_holds += 1
        if accounts:
            self._open[another.hold_id] = another
        return another

    def _another(
        self, hold: Hold, accounts: tuple[Account, ...], amounts: Mapping[Unit, int], state: HoldState
    ) -> Hold:
        self._last_hold_id += 1
        number, at_ns = self._last_hold_id, hold.at_ns
        another = Hold(number, accounts, amounts, None, state, (), at_ns, accounts, further_of=hold)
        another.is_partial = hold.is_partial
        return another

    def transfer(self, hold: Hold, accounts: Iterable[Account]) -> None:
        """Hand over some accounts of a hold in doubt, which are charged elsewhere from now on; here the others stay.

        Its key is free again; on no account any more, it is forgotten.
        """
        transferred = set(accounts)
        for account in transferred:
            account.in_doubt -= hold.amounts[account.unit]
            account.open_holds -= 1
        hold.accounts = tuple(account for account in hold.accounts if account not in transferred)
        if hold.key is not None:
            self._open_by_key.pop(hold.key, None)
        if not hold.accounts:
            self._open.pop(hold.hold_id, None)
        self._book.drop_over(transferred)

    def resolve(self, hold_id: int, amounts: Mapping[Unit, int]) -> Settlement:
        """Settle a hold that is in doubt at what it really cost; zeros, if it was never sent.

        Raise ConfigError when no hold of this id is in doubt.
        """
        hold = self._open.get(hold_id)
        settlement = self.settle(hold, amounts) if hold is not None and hold.state == "in_doubt" else None
        if hold is None or settlement is None:
            raise ConfigError(f"hold {hold_id}", "the id of a hold that is in doubt")
        hold.is_resolved = True
        return settlement

    def snapshot(self) -> LedgerSnapshot:
        """Return the whole state, for `restore`."""
        accounts = {id(account): place for place, account in enumerate(self._book.accounts())}
        holds = (
            HoldSnapshot(
                hold_id=hold.hold_id,
                key=hold.key if self._open_by_key.get(hold.key or "") is hold else None,  # a further answer has none
                state=hold.state,
                accounts=tuple(accounts[id(account)] for account in hold.accounts),
                amounts=dict(hold.amounts),
                is_partial=hold.is_partial,
            )
            for hold in self._open.values()
        )
        saved = tuple(map(save_account, self._book.accounts()))
        return LedgerSnapshot(saved, tuple(holds), dict(self._frozen), self._last_hold_id)

    @classmethod
    def restore(cls, budgets: Iterable[Budget], snapshot: LedgerSnapshot) -> LedgerState:
        """Return the state of a snapshot under the budgets as they are now: limits may differ, budgets may come and go.

        Single values have the limits of their own that the budgets say, whatever was set since they were made.
        Holds are as they were: `doubt` those whose process is gone.
        Raise ConfigError for a budget that now counts in another unit, window, time zone or per other attributes.
        """
        state = cls(budgets)
        accounts = [
            load_account(saved, state.budgets[saved.budget]) if saved.budget in state.budgets else None
            for saved in snapshot.accounts
        ]
        for account in accounts:
            if account is not None:
                state._book.put(account)
        for saved in snapshot.holds:
            on = tuple(account for place in saved.accounts if (account := accounts[place]) is not None)
            for account in on:
                account.open_holds += 1
            hold = Hold(saved.hold_id, on, saved.amounts, saved.key, saved.state, made_on=on)
            hold.is_partial = saved.is_partial
            state._keep(hold)
        state._frozen = {name: reason for name, reason in snapshot.frozen.items() if name in state.budgets}
        state._last_hold_id = snapshot.last_hold_id
        return state

    def _keep(self, hold: Hold) -> None:
        self._open[hold.hold_id] = hold
        if hold.key is not None:
            self._open_by_key[hold.key] = hold

    def _news_of(
        self, hold: Hold, accounts: tuple[Account, ...], billed: Mapping[Unit, int], reserved: Mapping[Unit, int]
    ) -> Settlement:
        """Return what a bill that is charged on these accounts now brought about."""
        crossings: list[ThresholdCrossing] = []
        incidents: list[Overrun] = []
        for account in accounts:
            amount, held = billed[account.unit], reserved[account.unit]
            if amount > held:
                incidents.append(self._overrun(hold, account, held, amount))
            if account.settled >= account.alarm_at:
                crossings.extend(account.crossings())
        self._book.drop_over(accounts)
        return Settlement(tuple(crossings), tuple(incidents)) if crossings or incidents else _NOTHING

    def _settle_resolved(self, hold: Hold, amounts: Mapping[Unit, int]) -> Settlement:
        """Charge what a bill is above the amount that somebody resolved its hold at; what was known before stays."""
        resolved, known = hold.billed or {}, hold.known or {}
        amounts = {**amounts, **known}
        billed = {unit: max(amount, amounts.get(unit, amount)) for unit, amount in resolved.items()}
        hold.billed, hold.is_resolved = billed, False
        for account in hold.accounts:
            account.settled += billed[account.unit] - resolved[account.unit]
        return self._news_of(hold, hold.accounts, billed, resolved)

    def _refusals(self, accounts: tuple[Account, ...], amounts: Mapping[Unit, int]) -> tuple[Refusal, ...]:
        """Return the reasons for which the accounts refuse the amounts; a frozen budget always refuses."""
        refusals: list[Refusal] = []
        for account in accounts:
            if account.unit not in amounts:
                raise ConfigError(f"amounts[{account.unit!r}]", f"an amount: budget {account.budget.name!r} counts it")
            needed = amounts[account.unit]
            frozen = self._frozen.get(account.budget.name)
            if frozen is not None or needed > account.cap - account.settled - account.held - account.in_doubt:
                shadow = account.budget.shadow
                refusals.append(refusal_of(account.status(), needed, frozen=frozen, shadow=shadow))
        return tuple(refusals)

    def _enforced(self, refusals: tuple[Refusal, ...]) -> Refusal | None:
        """Return the refusal that counts, if any: shadow budgets only say what they would have done."""
        enforced = [refusal for refusal in refusals if not refusal.shadow]
        return max(enforced, key=finality, default=None)

    def _forget(self, hold: Hold) -> None:
        """Forget a hold that is neither held nor in doubt any more."""
        self._open.pop(hold.hold_id, None)
        if hold.key is not None and self._open_by_key.get(hold.key) is hold:
            del self._open_by_key[hold.key]

    def _overrun(self, hold: Hold, account: Account, held: int, billed: int) -> Overrun:
        account.overrun += billed - held
        name = account.budget.name
        incident = Overrun(
            budget=name,
            scope=account.scope,
            period=account.period.name,
            unit=account.unit,
            held=held,
            billed=billed,
            freezes=not hold.is_partial,
        )
        if incident.freezes and not account.budget.shadow and name in self.budgets:
            self._frozen[name] = overrun_reason(billed, held, account.unit)
        return incident


def _take_further(hold: Hold, amounts: Mapping[Unit, int]) -> None:
    further = hold.further or {}
    hold.further = {unit: further.get(unit, 0) + amounts[unit] for unit in UNITS}


def _have_room(accounts: tuple[Account, ...], amounts: Mapping[Unit, int]) -> bool:
    """Tell whether each account has room for its amount; False where an amount is missing."""
    for account in accounts:
        unit = account.unit
        if unit not in amounts or account.settled + account.held + account.in_doubt + amounts[unit] > account.cap:
            return False
    return True


def _checked(amounts: Mapping[Unit, int]) -> Mapping[Unit, int]:
    for unit, amount in amounts.items():
        if type(amount) is not int or not 0 <= amount <= AMOUNT_MAX:
            raise ConfigError(f"amounts[{unit!r}]", "an integer from zero", got=amount)
    return amounts
