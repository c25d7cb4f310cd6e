"""What the runtime log says was spent: before this start, and by other processes since."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

import anyio
import anyio.lowlevel

from hivecost.backends import Place, read_log
from hivecost.clock import Clock
from hivecost.errors import ConfigError, StoreError
from hivecost.ledger import Account, Budget, Calendar, SpendAccounts, attributes_of
from hivecost.log import LogReader, Page, TurnSum
from hivecost.log.account_sums import add_spending
from hivecost.log.spending import (
    ELSEWHERE,
    SPENDING_DIMENSIONS,
    Spending,
    spending_in,
    spending_of,
    spending_windows,
)
from hivecost.subscribers.budget_watcher.dropped_accounts import DroppedAccounts

#: Between two looks into the log.
LOOK_S: Final = 2.0
#: Turns that are read in one go: to count them takes the event loop some milliseconds.
PAGE_TURNS: Final = 200
#: Turns of this process that are counted, and not seen in the log yet.
UNLOGGED_MAX: Final = 100_000

_log = logging.getLogger("hivecost.budgets")

Drain = Callable[[], Awaitable[None]]


class LoggedSpending:
    """Counts on some accounts what was logged and is not counted yet: each turn once, whoever took it.

    Turns of this process are counted as they happen, and `counted` says so: they are left out when they reach the log.
    Where more of them wait for that than are remembered, what others spend meanwhile is left out too. `is_logged` says
    whether turns of this process are logged at all: if not, none waits, and accounts that are dropped begin anew.
    """

    def __init__(self, accounts: SpendAccounts, *, is_logged: bool = True) -> None:
        self.is_logged = is_logged
        self._accounts = accounts
        self._dropped = DroppedAccounts(accounts)
        #: In the order of the bus, which is that of the log; with the accounts that each counts on, so that none of
        #: them is read back from the log before it is there.
        self._unlogged: OrderedDict[str, tuple[Account, ...]] = OrderedDict()
        self._has_forgotten = False
        #: The cursor up to which the log is counted; None: nobody knows.
        self._place: str | None = None
        self._is_recovered = False
        self._is_failing = False
        #: Turns that were counted before budgets were added, and are not in the log yet: not on those.
        self._behind: set[str] = set()
        self._begun = anyio.Event()

    def counted(self, event_id: str, accounts: tuple[Account, ...] = ()) -> None:
        """Note that a turn of this process is counted already, on these accounts."""
        if not self._is_recovered or not self.is_logged:
            return
        if len(self._unlogged) == UNLOGGED_MAX:
            self._forget()
        self._unlogged[event_id] = accounts

    def opened(self, account: Account) -> Account:
        """Return the account to use for a new one, which SpendAccounts asks for."""
        return self._dropped.opened(account, self._place) if self.is_logged else account

    def are_read(self, accounts: Iterable[Account]) -> bool:
        """Return whether what was spent on these accounts before they were dropped is counted."""
        return self._dropped.are_read(accounts)

    async def read_back(self, base_path: Place, accounts: Iterable[Account]) -> None:
        """Wait until it is."""
        if not self.are_read(accounts):
            await self._dropped.read_back(base_path)

    async def add(self, budgets: Iterable[Budget], base_path: Place | None) -> None:
        """Count on these budgets too: what comes, and what was logged in the periods that are open.

        Without a path nothing counts at present: what was logged is read when that begins. Accounts of executions have
        nothing but what comes. Raise ConfigError for the name of a budget that is there.
        """
        listed = tuple(budgets)
        is_first = not self._is_recovered and _oldest_start_ns(listed, 0) is not None
        if is_first and base_path is not None:
            try:
                self._place = await read_log(base_path, _end)
            except StoreError as error:
                _log.error("what was spent before is unknown, the added budgets count from zero: %s", error)
            self._is_recovered = True
            self._begun.set()
        self._accounts.add_budgets(listed, have_past=self._is_recovered)
        self._behind.update(self._unlogged)

    def forget_budget(self, name: str) -> None:
        """Forget a budget that was retired."""
        self._dropped.forget(name)

    def _forget(self) -> None:
        if not self._has_forgotten:
            _log.error("%d turns wait for the log: till one is there, what others spend is not counted", UNLOGGED_MAX)
        self._has_forgotten = True
        self._unlogged.clear()
        self._behind.clear()

    async def recover(self, base_path: Place, clock: Clock) -> None:
        """Count what was logged in the periods that are still open, pruned turns included; a second time what is new.

        Called while nothing else counts on the accounts.
        """
        if self._is_recovered:
            await self.look(base_path, anyio.lowlevel.checkpoint)
            return
        since_ns = _oldest_start_ns(self._accounts.budgets.values(), clock.now_ns())
        if since_ns is None:
            return
        self._is_recovered = True
        try:
            self._place = await read_log(base_path, _end)
            # Page by page: neither memory nor the write-ahead log of a database grows with the number of turns.
            for window in await read_log(base_path, partial(spending_windows, first_ns=since_ns)):
                spent = await read_log(base_path, partial(spending_in, window=window, until=self._place))
                for spending in spent:
                    for account in self._count(spending):
                        if account.settled >= account.alarm_at:
                            account.set_limit(account.limit)  # whoever reached its marks has told so
        except StoreError as error:
            self._place = None
            self._dropped.forget_unread()
            _log.error("what was spent before is unknown, budgets count from zero: %s", error)
        self._accounts.forget_execution(ELSEWHERE)
        await self._read_all_back(base_path)

    async def _read_all_back(self, base_path: Place) -> None:
        """Read back all accounts that are not read yet, from zero.

        Of those that were dropped while the log was read, a part is counted already.
        """
        for account in self._dropped.unread():
            account.settled = account.unpriced_calls = 0
        await self._dropped.read_back(base_path)

    async def follow(self, base_path: Place, clock: Clock, drain: Drain) -> None:
        """Look every `LOOK_S` for as long as this runs, which is beside the turns: none of them waits for it."""
        if not self._is_recovered:
            self._begun = anyio.Event()
            await self._begun.wait()
        while True:
            await clock.sleep(LOOK_S)
            await self.look(base_path, drain)

    async def look(self, base_path: Place, drain: Drain) -> None:
        """Count what others logged since; raises nothing. One at a time: one that is cancelled leaves it to the next.

        `drain` returns when all turns that this process published before are `counted`, or were dropped: those are
        counted here.
        """
        try:
            while await self._count_page(base_path, drain):
                pass
            await self._dropped.read_back(base_path)
        except Exception as error:  # the edge: without it, agents and their own spending go on
            if not self._is_failing:
                _log.error("what other processes spend is unknown, budgets go on without it: %r", error)
            self._is_failing = True
        else:
            self._is_failing = False

    async def _count_page(self, base_path: Place, drain: Drain) -> bool:
        """Count one page of the log's turns; return False if it was the last one."""
        if self._place is None:
            self._place = await read_log(base_path, _end)
        page, self._place = await read_log(base_path, partial(_next_turns, after=self._place))
        await drain()  # whatever of ours is among them was published before
        found, damaged = None, None
        for turn in page.rows:
            try:
                if turn.event_id in self._unlogged:
                    found, self._has_forgotten = turn.event_id, False
                    if turn.event_id in self._behind:
                        self._behind.discard(turn.event_id)
                        self._count(spending_of(turn.sums), but=self._unlogged[turn.event_id])
                elif not self._has_forgotten:
                    self._count(spending_of(turn.sums))
            except StoreError as error:  # one that cannot be read is left out, and no other counts twice
                damaged = error
            self._place = turn.cursor
        # What came before a turn that is logged is logged, too, or lost.
        while found is not None and self._unlogged.popitem(last=False)[0] != found:
            pass
        if self._behind:
            self._behind &= self._unlogged.keys()
        self._accounts.forget_execution(ELSEWHERE)
        if damaged is not None:
            raise damaged
        return len(page.rows) == PAGE_TURNS

    def _count(self, spending: Spending, *, but: tuple[Account, ...] = ()) -> tuple[Account, ...]:
        """Add it up, but on these accounts, where it is counted."""
        found = self._accounts.find(attributes_of(spending), spending.timestamp_ns)
        accounts = tuple(account for account in found if account not in but) if but else found
        for account in accounts:
            account.used_at_ns = spending.timestamp_ns
            add_spending(account, spending)
        return accounts


def _end(log: LogReader) -> str:
    return log.end()


def _next_turns(log: LogReader, after: str) -> tuple[Page[TurnSum], str]:
    """Return the next turns, and the cursor that they come after: the end of a log may be deleted."""
    try:
        return log.turn_sums(after, SPENDING_DIMENSIONS, limit=PAGE_TURNS), after
    except ConfigError:
        end = log.end()
        return Page((), end), end


def _oldest_start_ns(budgets: Iterable[Budget], now_ns: int) -> int | None:
    """Return where the oldest open period of these budgets begins; None when none outlives its execution."""
    lasting = [budget for budget in budgets if budget.window != "execution"]
    return min((Calendar(b.window, b.timezone).period_at(now_ns).start_ns for b in lasting), default=None)
