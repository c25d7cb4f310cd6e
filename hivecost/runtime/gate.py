"""The gate: what is asked before a turn is sent, and told when its bill is known."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.events import Cost, Event, LLMTurnComplete, Usage
from hivecost.gate_contract import GateCheck, GatePass, TurnEnd, TurnOutcome, TurnRequest
from hivecost.ledger import Budget, ClosesInTime, LedgerStore, Limit, OpenLedger, Refusal, Unit, attributes_of
from hivecost.ledger.caps import Cap, CapHold, CapMode, new_cap
from hivecost.loops import Loop, current_loop
from hivecost.pricing import PriceBook, has_tokenizer, import_tokenizer
from hivecost.runtime.admission import NOT_SENT, Admission, Passes
from hivecost.runtime.capped_turns import WAIT_S, CappedTurns
from hivecost.runtime.closing import GRACE_S, Closing
from hivecost.runtime.hard_budgets import HardBudgets
from hivecost.runtime.turn_bound import TurnTokens
from hivecost.signals import settled_late

_log = logging.getLogger("hivecost.runtime")


class Gate:
    """Awaits the checks that plugins added, then holds money on the hard budgets."""

    #: Whether every turn passes as it is asked for, and so nothing of it is changed on the way here either.
    passes_all = False

    def __init__(
        self,
        hard: Iterable[Budget],
        open_ledger: OpenLedger,
        *,
        prices: PriceBook,
        clock: Clock,
    ) -> None:
        self._budgets = tuple(hard)
        self._open_ledger = open_ledger
        self._prices = prices
        self._clock = clock
        self._capped = CappedTurns(prices, clock)
        self._checks: dict[object, GateCheck] = {}
        #: What says of a check that it need not be awaited; without it, it is.
        self._passes: dict[object, GatePass] = {}
        self._ledger: LedgerStore | None = None
        self._hard: HardBudgets | None = None
        self._loop: Loop | None = None
        #: Whether it was said that a turn which did not ask counts on no hard budget.
        self._told_unasked = False
        #: Opens the ledger while turns run; None: it is open from the start, or nothing runs.
        self._open_late: Callable[[], Awaitable[None]] | None = None

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The hard budgets, as configured last."""
        return self._budgets

    @property
    def uses_ledger(self) -> bool:
        """Whether there is a ledger to ask, or must be one."""
        return bool(self._budgets) or self._ledger is not None

    @property
    def ledger(self) -> LedgerStore:
        """The ledger of the hard budgets. Raises LedgerUnavailableError where there are none, or while it is closed."""
        if self._ledger is None:
            raise LedgerUnavailableError("no ledger is open: it is, while a runtime with mode='hard' budgets runs")
        return self._ledger

    @asynccontextmanager
    async def open(
        self, base_path: str | Path, *, publish: Callable[[Event], None], closing: Closing
    ) -> AsyncIterator[None]:
        """Open the ledger, if any budget is hard, now or later: without it nothing may be spent on one.

        Raise LedgerUnavailableError.
        """
        self._loop, self._hard = current_loop(), None
        if self._budgets and has_tokenizer():
            await anyio.to_thread.run_sync(import_tokenizer)  # turns import nothing
        self._capped.open(self._loop, publish)
        opened = partial(self._opened, base_path, publish, closing)
        async with opened() if self._budgets else self._openable(opened):
            yield

    @asynccontextmanager
    async def _opened(
        self, base_path: str | Path, publish: Callable[[Event], None], closing: Closing
    ) -> AsyncIterator[None]:
        async with _closed_in_time(
            self._open_ledger(base_path, budgets=self._budgets, clock=self._clock), closing
        ) as ledger:
            hard = HardBudgets(
                ledger,
                self._budgets,
                prices=self._prices,
                clock=self._clock,
                publish=publish,
                for_model=self.for_model,
                loop=current_loop(),
            )
            try:
                with settled_late.connected_to(hard.bills.on_settled_late, sender=ledger):
                    self._ledger, self._hard = ledger, hard
                    yield
            finally:
                with anyio.move_on_after(closing.left_s(at_least_s=GRACE_S), shield=True):
                    await hard.bills.answers.charged()
                self._ledger = None

    @asynccontextmanager
    async def _openable(self, opened: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
        """Keep the ledger ready to be opened until this ends, in a task of its own: who asks for it may end before."""
        over = anyio.Event()
        tasks = await anyio.create_task_group().__aenter__()

        async def keep_open(*, task_status: TaskStatus[None]) -> None:
            async with opened():
                task_status.started()
                with anyio.CancelScope(shield=True):
                    await over.wait()

        self._open_late = partial(tasks.start, keep_open)
        try:
            yield
        finally:
            self._open_late = None
            over.set()
            await tasks.__aexit__(None, None, None)  # not told of an error, which a task group would wrap

    async def configure(self, budgets: Collection[Budget], *, retire: Collection[str] = (), by: str) -> None:
        """Bring other limits and other hard budgets into force; while closed, from the next opening on.

        One that is new binds the next turn, and where there was none before, the ledger is opened for it. All of it, or
        nothing. Raise LedgerUnavailableError, and ConfigError for budgets that the ledger does not take.
        """
        before = self._budgets
        known = {budget.name: budget for budget in (*before, *budgets)}
        after = tuple(budget for budget in known.values() if budget.name not in retire)
        if self._ledger is None or self._hard is None:
            self._budgets = after
            if after and self._open_late is not None:
                await self._open_now(self._open_late, before)
        elif budgets or retire:
            # A budget is known here before the ledger refuses by it, and as long as it does.
            self._hard.set_budgets(known.values())
            try:
                with anyio.CancelScope(shield=True):  # it is in force either here and there, or nowhere
                    await self._ledger.configure(budgets, retire=retire, by=by)
            except BaseException:
                self._hard.set_budgets(before)
                raise
            self._budgets = after
            self._hard.set_budgets(after)

    async def _open_now(self, open_late: Callable[[], Awaitable[None]], before: tuple[Budget, ...]) -> None:
        try:
            await open_late()
        except BaseException:
            self._budgets = before
            raise

    def tell_unasked(self, turn: LLMTurnComplete) -> None:
        """Say, once, that a turn which was published and did not ask counts on none of these hard budgets."""
        if self._told_unasked or not self._budgets:
            return
        who = attributes_of(turn)
        names = [repr(budget.name) for budget in self._budgets if budget.applies_to(who)]
        if names:
            self._told_unasked = True
            _log.warning(
                "a turn of %r was published that no ctx.turn(...) asked for: budget %s, which is hard, does not count "
                "it; mode='stop_after' counts what is published",
                *(turn.model, ", ".join(names)),
            )

    def add_check(self, check: GateCheck, passes: GatePass | None = None) -> Callable[[], None]:
        """Await `check(request)` before each turn, but for those that all checks say of, at once, that they pass.

        Call the result to remove it, once or more often.
        """
        addition = object()  # one check may be added twice, and is asked as often as it was not removed
        self._checks[addition] = check
        if passes is not None:
            self._passes[addition] = passes

        def remove() -> None:
            self._checks.pop(addition, None)
            self._passes.pop(addition, None)

        return remove

    def resolved(self, request: TurnRequest) -> TurnRequest:
        """Return the request with the model and the provider as the price book understands them."""
        if request.is_charge:
            return request
        provider, model = self._prices.resolve(request.model, request.provider)
        if (provider, model) == (request.resolved_provider, request.resolved_model):
            return request
        return replace(request, resolved_provider=provider, resolved_model=model)

    def for_model(self, request: TurnRequest, model: str) -> TurnRequest:
        """Return the request for another model, at the host that was named for it if that has the model."""
        provider, model = self._prices.beside(request.model, model, request.provider)
        return self.resolved(request.for_model(model, provider))

    def cap(self, name: str, limit: Limit, *, mode: CapMode = "hard") -> Cap | None:
        """Return a new cap for `admit`; None where nothing is held. Raise ConfigError for a limit that cannot be."""
        return new_cap(name, limit, mode=mode)

    async def admit(self, request: TurnRequest, caps: Sequence[Cap] = ()) -> Admission:
        """Return when the turn may be sent, as it may be sent, with money held on `caps`; raise when it may not."""
        passes = Passes(self._checks.values(), self._end, self.resolved)
        try:
            request = await passes.take(self.resolved(request))
            hold = self._hold_capped(request, caps, passes) if caps else self._hold(request, passes)
            admission = await hold
        except BaseException:
            passes.give_back()
            raise
        return replace(admission, ends=tuple(passes.ends)) if passes.ends else admission

    def admit_nowait(self, request: TurnRequest, caps: Sequence[Cap] = ()) -> Admission | None:
        """Do as `admit` does where no check has to be awaited and memory alone can decide; None elsewhere."""
        if len(self._passes) < len(self._checks):
            return None
        request = self.resolved(request)
        for passes in list(self._passes.values()):
            if not passes(request):
                return None
        admission = Admission(request) if self._hard is None else self._hard.admit_nowait(request)
        if admission is None or not caps:
            return admission
        held = self._held_on_caps(admission, caps)
        return held if isinstance(held, Admission) else None

    def _held_on_caps(self, admission: Admission, caps: Sequence[Cap]) -> Admission | Refusal:
        """Return the admission with money held on the caps as well; where they refuse, it is released."""
        try:
            held = self._capped.hold(admission.request, caps)
        except BaseException:
            self._release(admission)
            raise
        if isinstance(held, CapHold):
            return replace(admission, request=self._capped.fitted(admission.request), cap_hold=held)
        self._release(admission)
        return held

    async def _hold(self, request: TurnRequest, passes: Passes) -> Admission:
        return Admission(request) if self._hard is None else await self._hard.admit(request, passes)

    async def _hold_capped(self, request: TurnRequest, caps: Sequence[Cap], passes: Passes) -> Admission:
        """Hold on hard budgets and on caps, or on none: whoever waits for one holds nothing of the other."""
        left_s = WAIT_S
        while True:
            freed = self._capped.freed
            held = self._held_on_caps(await self._hold(request, passes), caps)
            if isinstance(held, Admission):
                return held
            if held.kind != "busy" or left_s <= 0:
                raise self._capped.error(request, held)
            passes.give_back()
            since_s = self._clock.monotonic_s()
            await self._capped.wait(freed, left_s)
            left_s -= self._clock.monotonic_s() - since_s
            request = await passes.take(request)

    def tokens_held(self, admission: Admission) -> TurnTokens | None:
        """Return the tokens with which a turn begins; None where no hold counts them, or nothing bounds them."""
        units: set[Unit] = set()
        if admission.hold is not None:
            units |= admission.hold.units
        if admission.cap_hold is not None:
            units |= {cap.unit for cap in admission.cap_hold.caps if cap.mode == "hard"}
        if not units & {"usd", "tokens"}:
            return None
        try:
            return self._capped.tokens(admission.request)
        except ConfigError:  # it is free, or only shadow budgets count it
            return None

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what so many tokens can cost, where less is held. Raise as `admit` does."""
        if admission.cap_hold is not None:
            self._capped.extend(admission.request, admission.cap_hold, (input_tokens, output_tokens))
        if self._hard is not None:
            await self._hard.extend(admission, input_tokens, output_tokens)

    def settle(
        self,
        admission: Admission,
        usage: Usage,
        cost: Cost,
        *,
        is_final: bool,
        answered: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Tell what the turn used, and which model `answered`; `is_final` False keeps what is held in doubt.

        Synchronous, from any thread.
        """
        if admission.cap_hold is not None:
            self._capped.settle(admission.request, admission.cap_hold, usage, cost, is_final=is_final)
        if self._hard is not None:
            self._hard.bills.settle(admission, usage, cost, is_final=is_final, answered=answered)
        if admission.ends:
            tokens = usage.total_tokens if is_final else None
            self._end(admission.ends, TurnOutcome(total_tokens=tokens, retry_after_s=retry_after_s))

    def settle_late(self, admission: Admission, usage: Usage, cost: Cost, *, answered: str = "") -> None:
        """Charge the bill of what was settled as in doubt, whose end its checks know already. From any thread."""
        self.settle(replace(admission, ends=()), usage, cost, is_final=True, answered=answered)

    def settle_another(
        self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, answered: str = ""
    ) -> None:
        """Charge one more answer of an admission, whose end its checks know already. Synchronous, from any thread."""
        if admission.cap_hold is not None:
            self._capped.settle_another(admission.request, admission.cap_hold, usage, cost, is_final=is_final)
        if self._hard is not None:
            self._hard.bills.settle_another(admission, usage, cost, is_final=is_final, answered=answered)

    def release(self, admission: Admission) -> None:
        """Release the admission, because nothing was sent."""
        self._release(admission)
        self._end(admission.ends, NOT_SENT)

    def _release(self, admission: Admission) -> None:
        if admission.cap_hold is not None:
            self._capped.release(admission.cap_hold)
        if self._hard is not None:
            self._hard.bills.release(admission)

    def _end(self, ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
        if not ends:
            return
        if self._loop is None or self._loop.is_here():
            _call_each(ends, outcome)
        else:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waits for a place
                self._loop.call_threadsafe(lambda: _call_each(ends, outcome))

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over; they are not asked for again."""
        if self._hard is not None:
            self._hard.forget_execution(execution_id)
        if self._ledger is not None:
            self._ledger.forget_execution(execution_id)


@asynccontextmanager
async def _closed_in_time(ledger: LedgerStore, closing: Closing) -> AsyncIterator[LedgerStore]:
    """Open the ledger; closing it is cancelled when it takes longer than is left."""
    error: BaseException | None = None
    with anyio.CancelScope() as scope:
        async with ledger as opened:
            try:
                yield opened
            finally:
                error, left_s = sys.exc_info()[1], closing.left_s()
                if isinstance(opened, ClosesInTime):
                    opened.close_timeout_s = left_s
                    left_s += GRACE_S
                scope.shield, scope.deadline = True, anyio.current_time() + left_s
    if scope.cancelled_caught:
        _log.error("the ledger took too long to close and was given up")
        if error is not None:
            raise error


def _call_each(ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
    for end in ends:
        try:
            end(outcome)
        except Exception:  # the edge: a plugin's fault is its own
            _log.exception("%r failed at the end of a turn", end)
