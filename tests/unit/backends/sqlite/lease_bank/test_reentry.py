"""A finalizer or a signal handler that comes in the middle of the ledger's own work, in the same thread."""

from __future__ import annotations

import itertools

import pytest

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.errors import LedgerUnavailableError
from hivecost.signals import settled_late

pytestmark = pytest.mark.anyio

WHO = {"user": "ada", "execution": "e1"}
HELD, BILL = 10_000_000, 4_000_000


@pytest.fixture
def budgets():
    return [
        hc.Budget("all", "$1000", mode="hard"),
        hc.Budget("user day", "1_000_000 calls", window="day", per="user", mode="hard"),
        hc.Budget("run", "$1000", window="execution", mode="hard"),
    ]


@pytest.fixture
def anyio_backend():
    return "asyncio"


#: Those that the ledger runs through.
FILES = (
    *(f"leasing/{name}.py" for name in ("atomic", "local_holds", "local_ledger", "journal", "leases", "ledger_hold")),
    *(f"ledger/{name}.py" for name in ("state", "book", "hold", "account")),
)

STEPS = {
    "reserve": lambda ledger, hold: ledger.reserve_nowait(WHO, nanousd=HELD),
    "settle": lambda ledger, hold: hold.settle(nanousd=BILL),
    "settle above": lambda ledger, hold: hold.settle(nanousd=3 * HELD),
    "release": lambda ledger, hold: hold.release(),
    "doubt": lambda ledger, hold: hold.doubt(),
    "forget": lambda ledger, hold: ledger.forget_execution("e1"),
    "sync": lambda ledger, hold: ledger._opened[0].put_back(ledger._opened[0].collect([], {1, 2})),
    "status": lambda ledger, hold: ledger._opened[0].status_of_executions(),
}
ENDS = {
    "settle": (lambda hold: hold.settle(nanousd=BILL), "settled", {"settled": BILL, "in_doubt": 0}),
    "release": (lambda hold: hold.release(), "released", {"settled": 0, "in_doubt": 0}),
    "doubt": (lambda hold: hold.doubt(), "in_doubt", {"settled": 0, "in_doubt": HELD}),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_finalizer_at_every_line(at_line, base_path, budgets, tables, step, end):
    """Whatever the ledger is in the middle of, the finalizer's hold ends as it said, and so does the step itself."""
    finalize, state, expected = ENDS[end]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        first = await ledger.reserve({"user": "eve"}, nanousd=HELD)
        first.release()
        before = {row.budget: row for row in await ledger.status()}["all"]
        for number in itertools.count(1):
            mine = await ledger.reserve(WHO, nanousd=HELD)
            theirs = await ledger.reserve({"user": "eve", "execution": "e2"}, nanousd=HELD)
            with at_line(FILES, number, lambda theirs=theirs: finalize(theirs)) as finalizer:
                outcome = STEPS[step](ledger, mine)
            if finalizer.lines < number:
                theirs.release()
            else:
                assert theirs.state == state
            for left in (mine, outcome if step == "reserve" else None):
                if left is not None and left.state == "held":
                    left.release()
            after = {row.budget: row for row in await ledger.status()}["all"]
            ended = expected if finalizer.lines >= number else {"settled": 0, "in_doubt": 0}
            own = {"settle": (BILL, 0), "settle above": (3 * HELD, 0), "doubt": (0, HELD)}.get(step, (0, 0))
            assert after.settled - before.settled == ended["settled"] + own[0]
            assert after.in_doubt - before.in_doubt == ended["in_doubt"] + own[1]
            assert after.held == 0
            assert after.frozen == (step == "settle above")
            if after.frozen:
                for name in ("all", "run"):
                    await ledger.unfreeze(name, by="the test")
            if finalizer.lines < number:
                break
            ledger.forget_execution("e1")
            ledger.forget_execution("e2")
            before = after
    assert number > 3
    assert tables() == []


async def test_what_a_finalizer_settled_late_is_told(at_line, base_path, budgets):
    """Its settle() gives None; its incidents are told by whoever does it."""
    told = []
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        mine, theirs = await ledger.reserve(WHO, nanousd=HELD), await ledger.reserve(WHO, nanousd=HELD)
        answers = []
        local = ledger._opened[0]
        with settled_late.connected_to(lambda sender, **facts: told.append(facts), sender=ledger):
            with at_line(FILES, 1, lambda: None) as counter:
                mine.doubt()
            other = await ledger.reserve(WHO, nanousd=HELD)
            with at_line(FILES, counter.lines // 2, lambda: answers.append(theirs.settle(nanousd=5 * HELD))):
                other.doubt()
        assert answers == [None]
        (late,) = told
        assert late["hold"].hold_id == theirs.hold_id
        assert {incident.budget for incident in late["settlement"].incidents} == {"all", "run"}
        assert set(local._state.frozen) == {"all", "run"}


async def test_what_cannot_be_put_off_is_refused(at_line, base_path, budgets):
    """reserve_nowait gives None there, as when the database has to be asked; anything else says why not."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold, answers = await ledger.reserve(WHO, nanousd=HELD), []
        local = ledger._opened[0]

        def finalize():
            answers.append(ledger.reserve_nowait(WHO, nanousd=HELD))
            with pytest.raises(LedgerUnavailableError, match="came in the middle of the ledger's own work"):
                local.status_of_executions()

        with at_line(FILES, 12, finalize):
            hold.release()
        assert answers == [None]


async def test_the_collector_at_its_busiest(base_path, budgets, busiest_collector):
    """Turns that are dropped unfinished are doubted by the garbage collector, wherever it runs; nothing hangs."""

    async def dropped(ledger):
        async with await ledger.reserve(WHO, nanousd=1_000):
            await never()

    async with Ledger.open(base_path, budgets=budgets) as ledger:
        (await ledger.reserve(WHO, nanousd=1_000)).release()
        with busiest_collector():
            for _ in range(2_000):
                left = dropped(ledger).__await__()
                left.send(None)
                cycle = [left]
                cycle.append(cycle)
                del left, cycle
                (await ledger.reserve(WHO, nanousd=1_000)).settle(nanousd=700)
        row = next(row for row in await ledger.status() if row.budget == "all")
        assert (row.settled, row.held, row.in_doubt) == (2_000 * 700, 0, 2_000 * 1_000)


class never:  # noqa: N801  # reads as what is awaited
    def __await__(self):
        yield
