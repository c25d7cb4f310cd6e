"""H4 and H5: wherever a turn is cut off, its money is settled or in doubt, never lost and never counted twice."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.errors import LedgerUnavailableError

pytestmark = pytest.mark.anyio

WHO = {"user": "ada", "execution": "e1"}
HELD, EXTENDED, BILL = 10_000_000, 400_000_000, 123_456_789


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Struck:
    """Awaits `coroutine`, and calls `strike` at its suspensions of these numbers, from 1."""

    def __init__(self, coroutine, numbers, strike):
        self.coroutine, self.numbers, self.strike = coroutine, numbers, strike
        self.suspensions = 0

    def __await__(self):
        steps = self.coroutine.__await__()
        resume = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                waits_for = resume()
            except StopIteration as stop:
                return stop.value
            self.suspensions += 1
            if self.suspensions in self.numbers:
                self.strike()
            try:
                answer = yield waits_for
                resume = lambda answer=answer: steps.send(answer)  # noqa: E731
            except BaseException as error:
                resume = lambda error=error: steps.throw(error)  # noqa: E731


async def turn(ledger, sent):
    """Reserves without a lease, extends beyond the lease, sends, settles."""
    async with await ledger.reserve(WHO, nanousd=HELD) as hold:
        await hold.extend(nanousd=EXTENDED)
        sent.append(hold)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        hold.settle(nanousd=BILL)


STRIKES = {
    "native cancel": lambda task, scope, number: ([number], task.cancel),
    "native cancel twice": lambda task, scope, number: ([number, number + 1], task.cancel),
    "anyio cancel": lambda task, scope, number: ([number], scope.cancel),
    "anyio and native cancel": lambda task, scope, number: ([number], lambda: (scope.cancel(), task.cancel())),
}


async def cut_off(ledger, how, number):
    """(the hold, if it was sent, and whether there were so many await points)."""
    sent, reached = [], []

    async def struck():
        with anyio.CancelScope() as scope:
            numbers, strike = STRIKES[how](asyncio.current_task(), scope, number)
            watched = Struck(turn(ledger, sent), numbers, lambda: (reached.append(True), strike()))
            await watched

    await asyncio.wait([asyncio.create_task(struck())])
    return (sent or [None])[0], bool(reached)


@pytest.mark.parametrize("how", STRIKES)
async def test_cut_off_at_every_await(base_path, budgets, tables, sums, how):
    """One way of cancelling, at one await point after the other; before a restart and after it."""
    number, reached = 0, True
    while reached:
        number += 1
        place = base_path / str(number)
        async with Ledger.open(place, budgets=budgets) as ledger:
            hold, reached = await cut_off(ledger, how, number)
            found = await sums(ledger)
            assert found[1] == 0
            if hold is not None:
                assert found == {"settled": (BILL, 0, 0), "in_doubt": (0, 0, HELD + EXTENDED)}[hold.state]
            else:
                assert found in [(0, 0, 0), (0, 0, HELD), (0, 0, HELD + EXTENDED)]
        async with Ledger.open(place, budgets=budgets) as ledger:
            assert await sums(ledger) == found
        assert tables(place) == []
    assert number > 4


async def test_a_generator_that_is_closed_leaves_its_hold_in_doubt(base_path, budgets, sums):
    """A stream whose reader stopped early was sent all the same."""

    async def stream(ledger):
        async with await ledger.reserve(WHO, nanousd=HELD) as hold:
            yield "a"
            yield "b"
            hold.settle(nanousd=BILL)

    async with Ledger.open(base_path, budgets=budgets) as ledger:
        chunks = stream(ledger)
        assert await anext(chunks) == "a"
        await chunks.aclose()
        assert await sums(ledger) == (0, 0, HELD)


async def test_usage_that_arrives_late_settles_what_was_in_doubt(base_path, budgets, sums):
    """Before the database knows of the doubt, and after."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        for look_first in (False, True):
            with suppress(ZeroDivisionError):
                async with await ledger.reserve(WHO, nanousd=HELD, key=str(look_first)) as hold:
                    raise ZeroDivisionError
            settled, _, _ = await sums(ledger) if look_first else (0, 0, 0)
            hold.settle(nanousd=HELD - 1)
            assert hold.settle(nanousd=HELD) is None
            assert await sums(ledger) == (settled + HELD - 1, 0, 0)
            assert await sums(ledger, "run") == (settled + HELD - 1, 0, 0)


#: What the ledger decides in memory.
FILES = (
    *(f"leasing/{name}.py" for name in ("local_holds", "local_ledger", "journal", "ledger_hold")),
    *(f"ledger/{name}.py" for name in ("state", "book", "hold")),
)


def interrupt():
    """As the signal handler does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["settle", "release", "doubt", "reserve"])
async def test_interrupted_at_every_line(at_line, base_path, budgets, tables, sums, step):
    """A ledger that was torn refuses, is recovered from its journal when it is closed: nothing is lost or doubled."""
    number, finished, made = 0, False, base_path / "made"
    async with Ledger.open(made, budgets=budgets):
        pass
    while not finished:
        number += 1
        place = base_path / str(number)
        shutil.copytree(made, place)
        async with Ledger.open(place, budgets=budgets) as ledger:
            first = await ledger.reserve(WHO, nanousd=HELD, key="first")
            interrupted = at_line(FILES, number, interrupt)
            with suppress(KeyboardInterrupt), interrupted:
                if step == "reserve":
                    second = ledger.reserve_nowait(WHO, nanousd=HELD)
                    assert second is not None
                else:
                    getattr(first, step)()
            finished = interrupted.lines < number
            with suppress(LedgerUnavailableError):
                assert first.settle(nanousd=0) is None or first.state == "settled"
        async with Ledger.open(place, budgets=budgets) as ledger:
            settled, held, in_doubt = await sums(ledger)
            assert held == 0
            assert settled in (0, HELD)
            assert settled + in_doubt in (0, HELD)
        assert tables(place) == []
    assert number > 5
