"""What stays of a hold that is in doubt: its money, in the database; here neither its key nor its memory."""

from __future__ import annotations

import anyio
import pytest

from hivecost.backends import Ledger
from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import Budget

pytestmark = pytest.mark.anyio


def hard(limit, name="cap", **more):
    return Budget(name, limit, mode="hard", **more)


async def test_of_several_refusals_the_one_that_lasts_longest_is_raised(base_path):
    """H7: what the user's budget can never pay is exhausted, however busy the organisation's is."""
    budgets = [hard("$1", "org"), hard("$0.02", "user", per="user")]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        kept = [await ledger.reserve({"user": f"u{number}"}, usd="0.02") for number in range(50)]
        with pytest.raises(BudgetExhaustedError, match="'user'"):
            await ledger.reserve({"user": "greedy"}, usd="0.03")
        assert {hold.state for hold in kept} == {"held"}


@pytest.mark.parametrize("end", ["doubt", "settle"])
async def test_settled_and_doubted_holds_keep_nobody_out(base_path, end):
    """No more than `holds_max` are open at once, so nobody is refused for it."""
    async with Ledger.open(base_path, budgets=[hard("$1")], holds_max=20) as ledger:

        async def spend():
            for _ in range(10):
                hold = await ledger.reserve({}, nanousd=1_000_000)
                getattr(hold, end)()

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(spend)
        (row,) = await ledger.status()
        assert row.settled + row.in_doubt == 200 * 1_000_000


async def test_a_retry_under_the_key_of_a_resolved_hold_holds_anew(base_path):
    """Its bill is charged, and not taken for the old hold's."""
    async with Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        (await ledger.reserve({}, nanousd=1_000, key="k")).doubt()
        (known,) = await ledger.in_doubt()
        await ledger.resolve(known.hold_id, nanousd=0, by="ada")
        retry = await ledger.reserve({}, nanousd=5_000, key="k")
        assert (retry.state, retry.amounts["usd"]) == ("held", 5_000)
        retry.settle(nanousd=4_000)
        (row,) = await ledger.status()
        assert row.settled == 4_000


@pytest.mark.parametrize("windows", [["total"], ["execution"], ["total", "execution"]])
@pytest.mark.parametrize("look_first", [True, False])
async def test_holds_in_doubt_leave_no_trace_in_memory(base_path, windows, look_first):
    """What the database has taken over, and whose execution is over, is forgotten here; its money is not."""
    budgets = [hard("$1", window, window=window) for window in windows]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        local, _ = ledger._opened
        for number in range(20):
            hold = await ledger.reserve({"execution": f"e{number}"}, nanousd=1_000, key=str(number))
            hold.doubt()
            if look_first:
                await ledger.status()
            ledger.forget_execution(f"e{number}")
        in_doubt = {row.budget: row.in_doubt for row in await ledger.status()}
        assert in_doubt == ({"total": 20_000} if "total" in windows else {})
        assert (len(local._state.open_holds), len(local._in_doubt_of)) == (0, 0)
        hold.settle(nanousd=700)
        if "total" in windows:
            (row,) = await ledger.status()
            assert (row.settled, row.in_doubt) == (700, 19_000)


async def test_a_hold_shows_its_bill_once_it_is_settled(base_path):
    """What was set aside while it is open, what it was charged afterwards."""
    async with Ledger.open(base_path, budgets=[hard("$1")]) as ledger:
        settled, doubted = [await ledger.reserve({}, usd="0.25") for _ in range(2)]
        assert repr(settled) == f"<LedgerHold {settled.hold_id} held {{'usd': 250000000, 'calls': 1}}>"
        settled.settle(usd="0.10")
        doubted.doubt()
    assert repr(settled) == f"<LedgerHold {settled.hold_id} settled {{'usd': 100000000, 'calls': 1}}>"
    assert repr(doubted) == f"<LedgerHold {doubted.hold_id} in_doubt {{'usd': 250000000, 'calls': 1}}>"
