"""The line of turns that wait for money which others hold: who tries first when some of it comes back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import anyio
import msgspec

from hivecost.clock import Clock
from hivecost.ledger import AccountStatus, Unit
from hivecost.loops import current_loop

#: Budget, scope and period.
AccountName = tuple[str, str, str]

#: Once this part of its patience is over, nobody who came later gets what a turn waits for.
_PATIENT_PART: Final = 0.5
#: Those behind the first look so much more rarely whether they are it by now.
_REST_POLLS: Final = 10
#: Less is no time to wait.
_MOMENT_S: Final = 1e-6


class Waiter(msgspec.Struct, eq=False):
    """A turn in the line, from the first time that it was refused until it is admitted or gives up."""

    #: The accounts that were short of what it needs, and what that is.
    needs: dict[AccountName, int] = {}
    #: For so long it stood in the line before it was called last, and for so long it is willing to.
    waited_s: float = 0.0
    wait_s: float = math.inf
    #: Since when it stands there.
    since_s: float = 0.0
    #: `MoneyLine.times_freed` as it was before it tried last.
    seen: int = 0
    #: The round in which it tried last.
    tried: int = 0
    #: `called` once it found enough, and before it holds it: it may have to wait for something else.
    state: Literal["new", "standing", "trying", "called"] = "new"
    turn: anyio.Event | None = None

    def left_s(self, now_s: float) -> float:
        """Return how much longer the turn may wait."""
        is_there = self.state in ("standing", "trying")
        return self.wait_s - self.waited_s - (now_s - self.since_s if is_there else 0.0)

    def is_due(self, now_s: float) -> bool:
        """Tell whether nobody may pass the waiter any more."""
        return self.left_s(now_s) <= self.wait_s * _PATIENT_PART


class MoneyLine:
    """First come, first served; but a turn may pass those before it that need more, as long as they are patient.

    Money that comes back in this process begins a round: one after the other tries to hold what it needs, until nobody
    is left whom it could suffice. What other processes hold is asked for by the first in the line, now and then.
    Belongs to the loop that made it, but for `freed`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = current_loop()
        #: In the order in which they came.
        self.waiters: list[Waiter] = []
        self._rounds = itertools.count(1)
        self._round = 0
        self._is_scheduled = False
        #: Changes whenever money comes back.
        self.times_freed = 0

    def freed(self) -> None:
        """Let those who wait try again: somebody holds less than before. From any thread."""
        self.times_freed += 1
        if not self.waiters or self._is_scheduled:
            return
        self._is_scheduled = True
        (self._loop.call_soon if self._loop.is_here() else self._loop.call_threadsafe)(self._begin_round)

    def stands_before(self, accounts: Iterable[AccountStatus], amounts: Mapping[Unit, int]) -> AccountStatus | None:
        """Return the account on which a turn that comes now would pass somebody who waits; None where there is none."""
        now_s = self._clock.monotonic_s()
        for account in accounts:
            name = account.budget, account.scope, account.period
            for waiter in self.waiters:
                need = waiter.needs.get(name)
                if need is not None and (amounts[account.unit] >= need or waiter.is_due(now_s)):
                    return account
        return None

    async def wait(self, waiter: Waiter, account: AccountName, need: int, *, wait_s: float, poll_s: float) -> bool:
        """Return when the waiter should try to hold `need`; False once it has waited for `wait_s`, and tried again.

        Every `poll_s` the first in the line tries anyhow.
        """
        waiter.wait_s = wait_s
        if self._left_s(waiter) <= _MOMENT_S:
            return False
        if waiter.state == "new":
            self.waiters.append(waiter)
        if waiter.state != "trying":
            waiter.since_s = self._clock.monotonic_s()
        waiter.needs[account] = need
        turn = waiter.turn = anyio.Event()
        waiter.state = "standing"
        waiter.tried = self._round  # just now, in vain
        if waiter.seen != self.times_freed:
            self.freed()
        self._serve_next()
        try:
            while not turn.is_set() and (left_s := self._left_s(waiter)) > _MOMENT_S:
                pause_s = poll_s if self._is_first(waiter) else _REST_POLLS * poll_s
                await self._set_or_sleep(turn, min(pause_s, left_s))
                if not turn.is_set() and self._is_first(waiter):
                    self._begin_round()
        finally:
            waiter.state = "trying"
        return True

    def called(self, waiter: Waiter) -> None:
        """Mark a waiter that found enough money; it gave that back, and takes it once its other checks let it pass."""
        if waiter.state != "new":
            waiter.waited_s = waiter.wait_s - self._left_s(waiter)
            waiter.state = "called"

    def leave(self, waiter: Waiter) -> None:
        """Take out a waiter that is admitted, or has given up, and let the next try."""
        self.waiters.remove(waiter)
        self._begin_round()  # whoever is the first now asks for what other processes hold

    def spent(self) -> None:
        """Let the waiters try again, because money that one of them waited for was spent."""
        self._begin_round()

    def _begin_round(self) -> None:
        self._is_scheduled = False
        self._round = next(self._rounds)
        self._serve_next()

    def _serve_next(self) -> None:
        """Let the first one try who has not tried in this round, and passes nobody whom it must not pass."""
        now_s = self._clock.monotonic_s()
        needed: dict[AccountName, float] = {}
        for waiter in self.waiters:
            if waiter.state == "called":
                continue
            if waiter.state == "standing" and waiter.tried != self._round and _passes_nobody(waiter, needed):
                waiter.tried, waiter.state = self._round, "trying"
                if waiter.turn is not None:
                    waiter.turn.set()
                return
            is_due = waiter.is_due(now_s)
            for name, need in waiter.needs.items():
                if is_due or need < needed.get(name, math.inf):
                    needed[name] = 0 if is_due else need

    def _is_first(self, waiter: Waiter) -> bool:
        return next((one for one in self.waiters if one.state == "standing"), None) is waiter

    def _left_s(self, waiter: Waiter) -> float:
        return waiter.left_s(self._clock.monotonic_s())

    async def _set_or_sleep(self, turn: anyio.Event, seconds: float) -> None:
        async with anyio.create_task_group() as both:

            async def sleep() -> None:
                await self._clock.sleep(seconds)
                both.cancel_scope.cancel()

            both.start_soon(sleep)
            await turn.wait()
            both.cancel_scope.cancel()


def _passes_nobody(waiter: Waiter, needed: Mapping[AccountName, float]) -> bool:
    """Tell whether the waiter needs less than those before it, as far as they need the same."""
    for name, need in waiter.needs.items():  # noqa: SIM110  # all(…) takes twice as long
        if need >= needed.get(name, math.inf):
            return False
    return True
