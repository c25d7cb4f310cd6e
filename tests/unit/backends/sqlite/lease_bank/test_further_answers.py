"""H9: a further answer is paid by what its hold left, wherever that is now; only what is above is an overrun."""

from __future__ import annotations

import itertools

import anyio
import pytest

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank.status import read_accounts
from hivecost.errors import BudgetExceededError
from hivecost.signals import settled_late

pytestmark = pytest.mark.anyio

LIMIT, HELD, BILL = 100_000, 90_000, 30_000
#: Those that the ledger runs through.
FILES = (
    *(f"leasing/{name}.py" for name in ("atomic", "local_holds", "local_ledger", "journal", "leases", "ledger_hold")),
    *(f"ledger/{name}.py" for name in ("state", "book", "hold", "account")),
)


@pytest.fixture
def budgets():
    return [hc.Budget("all", "$0.0001", mode="hard"), hc.Budget("user", "$0.0001", per="user", mode="hard")]


async def answered(ledger, user="ada"):
    """A hold whose first answer is settled."""
    hold = await ledger.reserve({"user": user}, nanousd=HELD, key="attempt-7")
    hold.settle(nanousd=BILL)
    return hold


async def until_lent_to_nobody(hold):
    """Nobody has used the leases for a while: they are back."""
    with anyio.fail_after(30):
        while any(account.room for account in hold._entry.made_on):
            await anyio.sleep(0.05)


async def rows(ledger):
    return {row.budget: (row.settled, row.held, row.in_doubt, row.frozen) for row in await ledger.status()}


async def test_it_is_paid_when_the_lease_has_gone_back(base_path, budgets, tables):
    """A tool that works for long between two answers makes no overrun of the second."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await answered(ledger)
        await until_lent_to_nobody(hold)
        assert hold.settle_another(nanousd=BILL, calls=0).incidents == ()
        paid = dict.fromkeys(("all", "user"), (2 * BILL, 0, 0, False))
        assert await rows(ledger) == paid
        await until_lent_to_nobody(hold)
        hold.doubt_another()
        assert await rows(ledger) == dict.fromkeys(("all", "user"), (2 * BILL, 0, HELD - 2 * BILL, False))
        assert [doubt.key for doubt in await ledger.in_doubt()] == ["attempt-7"]
    assert tables() == []


async def test_what_it_leaves_can_be_had_at_once(base_path, budgets, tables):
    """To the last unit, also when whoever asks for it is the first to tell the database."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await answered(ledger)
        await until_lent_to_nobody(hold)
        hold.settle_another(nanousd=BILL, calls=0)
        rest = await ledger.reserve({"user": "ada"}, nanousd=LIMIT - 2 * BILL)
        assert await rows(ledger) == dict.fromkeys(("all", "user"), (2 * BILL, LIMIT - 2 * BILL, 0, False))
        rest.release()
    assert tables() == []


async def test_only_the_account_that_has_no_room_is_frozen(base_path, budgets, tables):
    """Each of them pays for itself; what comes to light in the database is told."""
    budgets[0] = hc.Budget("all", "$0.001", mode="hard")
    told = []
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await answered(ledger)
        other = await ledger.reserve({"user": "ada"}, nanousd=LIMIT - BILL - 1_000)
        with settled_late.connected_to(lambda sender, **facts: told.append(facts), sender=ledger):
            assert hold.settle_another(nanousd=5_000, calls=0).incidents == ()
            await ledger.status()
        (late,) = told
        assert late["hold"].hold_id == hold.hold_id
        (incident,) = late["settlement"].incidents
        assert (incident.budget, incident.scope, incident.held, incident.billed) == ("user", "user=ada", 1_000, 5_000)
        found = await rows(ledger)
        assert (found["all"][0], found["all"][3]) == (BILL + 5_000, False)
        assert (found["user"][0], found["user"][3]) == (BILL + 5_000, True)
        with pytest.raises(BudgetExceededError, match="'user'"):
            await ledger.reserve({"user": "ada"}, nanousd=1)
        other.release()
    assert tables() == []


async def test_what_others_have_taken_pays_for_nothing(base_path, budgets, tables):
    """Another process has leased what the hold gave back."""
    async with Ledger.open(base_path, budgets=budgets) as ledger, Ledger.open(base_path, budgets=budgets) as other:
        hold = await answered(ledger)
        theirs = await other.reserve({"user": "ada"}, nanousd=LIMIT - BILL - 1_000)
        hold.settle_another(nanousd=5_000, calls=0)
        assert await rows(ledger) == dict.fromkeys(("all", "user"), (BILL + 5_000, LIMIT - BILL - 1_000, 0, True))
        theirs.settle(nanousd=0)
        assert await rows(other) == dict.fromkeys(("all", "user"), (BILL + 5_000, 0, 0, True))
    assert tables() == []


@pytest.mark.parametrize("is_known", [True, False])
async def test_whoever_recovers_its_process_charges_it(base_path, budgets, tables, die, is_known):
    """It is in the journal when the call returns; without a bill it is in doubt there."""
    ledger = await Ledger.open(base_path, budgets=budgets).__aenter__()
    hold = await answered(ledger)
    if is_known:
        hold.settle_another(nanousd=BILL, calls=0)
    else:
        hold.doubt_another()
    await die(ledger)
    stands = (2 * BILL, 0) if is_known else (BILL, HELD - BILL)
    assert [(row.settled, row.in_doubt + row.held) for row in read_accounts(base_path, 0)] == [stands] * 2
    async with Ledger.open(base_path) as recovered:
        assert [(row.settled, row.in_doubt) for row in await recovered.status()] == [stands] * 2
    assert tables() == []


async def test_after_a_hold_in_doubt_it_is_charged_beside_it(base_path, budgets, tables):
    """What the first answer cost is not known, so the whole hold stays in doubt."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        for look_first in (False, True):
            hold = await ledger.reserve({"user": "ada"}, nanousd=10_000)
            hold.doubt()
            if look_first:
                await ledger.status()
            assert hold.settle_another(nanousd=4_000, calls=0).incidents == ()
        assert await rows(ledger) == dict.fromkeys(("all", "user"), (8_000, 0, 20_000, False))
    assert tables() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_finalizer_at_every_line(at_line, base_path, tables):
    """In the middle of the ledger's own work it is charged once that is done."""
    async with Ledger.open(base_path, budgets=[hc.Budget("all", "$1", mode="hard")]) as ledger:
        for number in itertools.count(1):
            hold, mine = await answered(ledger), await answered(ledger)
            (before, *_) = (await rows(ledger))["all"]
            with at_line(FILES, number, lambda hold=hold: hold.settle_another(nanousd=BILL)) as finalizer:
                mine.settle_another(nanousd=BILL)
            (after, *_) = (await rows(ledger))["all"]
            assert after - before == (BILL if finalizer.lines < number else 2 * BILL)
            if finalizer.lines < number:
                break
    assert number > 3
    assert tables() == []
