"""What operators do to a Ledger while others spend: limits, freezes and doubts, and the record of who did it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from hivecost.backends import Ledger, read_log, read_place
from hivecost.backends.sqlite.lease_bank.database import ACCOUNTS_SPARE
from hivecost.errors import BudgetExhaustedError, ConfigError, LedgerUnavailableError
from hivecost.ledger import Budget
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

USD = 10**9
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOLLARS = Budget("dollars", "$1", mode="hard")
TOKENS = Budget("tokens", "1_000 tokens", window="day", timezone="Asia/Tokyo", per=("user", "model"), mode="hard")
CALLS = Budget("calls", "20 calls", mode="hard", shadow=True)
BUDGETS = [DOLLARS, TOKENS, CALLS]


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


async def limits(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """The limit in force and the configured one, by budget."""
    return {state.name: (state.limit, state.configured_limit) for state in await ledger.budgets()}


async def trail(ledger: Ledger) -> list[tuple[str, str, str, str]]:
    """Who did what, to what, in which words; the newest first."""
    return [(one.who, one.what, one.subject, one.detail) for one in await ledger.changes()]


# -- raising a limit -------------------------------------------------------------------------------------------------


async def test_of_raises_at_once_every_one_counts(base_path):
    """Two Ledgers raise one budget a hundred times from four tasks: the sum is exact, and each saw one of its own."""
    seen: list[int] = []

    async def raise_often(ledger: Ledger) -> None:
        for _ in range(25):
            seen.append(await ledger.raise_limit("dollars", "$0.01", by="ada"))

    async with Ledger.open(base_path, budgets=BUDGETS) as one, Ledger.open(base_path) as two:
        async with anyio.create_task_group() as group:
            for ledger in (one, one, two, two):
                group.start_soon(raise_often, ledger)
        assert (await limits(two))["dollars"] == (2 * USD, 1 * USD)
        assert sorted(seen) == [USD + step * USD // 100 for step in range(1, 101)]
        (await one.reserve({"user": "ada", "model": "m"}, usd="2", tokens=1)).settle()


@pytest.mark.parametrize(
    ("budget", "by_amount", "after"),
    [
        ("dollars", "$5", 6 * USD),
        ("dollars", "0.25 usd", 125 * USD // 100),
        ("dollars", 2, 3 * USD),
        ("dollars", "$0.000000001", USD + 1),
        ("tokens", 500, 1_500),
        ("tokens", "1_000 tokens", 2_000),
        ("calls", "1 call", 21),
    ],
)
async def test_a_raise_is_in_the_budgets_own_unit(base_path, budget, by_amount, after):
    """As a limit is, and it outlives a restart with the same configuration."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        assert await ledger.raise_limit(budget, by_amount, by="ada") == after
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        assert (await limits(ledger))[budget][0] == after


@pytest.mark.parametrize(
    ("budget", "by_amount", "problem"),
    [
        ("dollars", "$0", "budget 'dollars': amount: expected an amount above zero"),
        ("dollars", "$-1", "budget 'dollars': amount: expected an amount above zero"),
        ("dollars", -1, "budget 'dollars': amount: expected an amount in USD"),
        ("dollars", "5 tokens", "budget 'dollars': amount: expected an amount in usd"),
        ("dollars", True, "budget 'dollars': amount: expected an amount above zero"),
        ("dollars", "$1000000000", r"at most \$999,999,999\.0000: above that nothing is counted"),
        ("tokens", 1.5, "budget 'tokens': amount: expected a whole number of tokens"),
        ("tokens", "$5", "budget 'tokens': amount: expected an amount in tokens"),
        ("none", "$5", "budget: expected one of 'calls', 'dollars', 'tokens', got 'none'"),
        (None, "$5", "budget: expected one of 'calls', 'dollars', 'tokens'"),
        (["dollars"], "$5", "budget: expected one of 'calls', 'dollars', 'tokens'"),
    ],
)
async def test_a_raise_that_cannot_be_changes_nothing(base_path, budget, by_amount, problem):
    """The error names the budget and what was expected."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        before = await limits(ledger), await trail(ledger)
        with pytest.raises(ConfigError, match=problem):
            await ledger.raise_limit(budget, by_amount, by="ada")
        assert (await limits(ledger), await trail(ledger)) == before


async def test_where_no_budget_ever_was_the_error_says_so(base_path):
    """An empty list of names would help nobody."""
    async with Ledger.open(base_path) as ledger:
        with pytest.raises(ConfigError, match="no budgets: none with mode='hard' was ever configured here"):
            await ledger.set_limit("b", "$5", by="ada")


# -- configuring -----------------------------------------------------------------------------------------------------


async def test_a_configured_limit_is_in_force_here_and_after_a_restart(base_path):
    """In this very Ledger, at once, and as a configured one: opening it with the same budgets changes nothing."""
    changed = [DOLLARS.with_limit("$3"), TOKENS.with_limit(2_000)]
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        with pytest.raises(BudgetExhaustedError):
            await ledger.reserve({}, usd="2", tokens=1)
        await ledger.configure(changed, by="hivecost.toml")
        hold = ledger.reserve_nowait({}, usd="2", tokens=1) or await ledger.reserve({}, usd="2", tokens=1)
        hold.settle()
        assert await limits(ledger) == {"dollars": (3 * USD, 3 * USD), "tokens": (2_000, 2_000), "calls": (20, 20)}
        entries = await trail(ledger)
        assert entries[:2] == [
            ("hivecost.toml", "configure", "tokens", "2,000 tokens"),
            ("hivecost.toml", "configure", "dollars", "$3.0000"),
        ]
    async with Ledger.open(base_path, budgets=[*changed, CALLS]) as ledger:
        assert await trail(ledger) == entries


async def test_a_configured_limit_overrules_an_operators_only_where_it_is_another(base_path):
    """As opening does."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        await ledger.set_limit("dollars", "$7", by="ada")
        await ledger.set_limit("tokens", 7, by="ada")
        await ledger.configure([DOLLARS, TOKENS.with_limit(2_000)])
        assert await limits(ledger) == {"dollars": (7 * USD, 1 * USD), "tokens": (2_000, 2_000), "calls": (20, 20)}
        assert (await trail(ledger))[0][:2] == ("configuration", "configure")


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        (
            Budget("new", "$1", mode="stop_after"),
            r"budget 'new'\.mode: expected 'hard', to hold money before turns, got 'stop_after'",
        ),
        (Budget("calls", "20 calls", mode="hard"), r"budget 'calls'\.shadow: expected True: only a limit changes"),
        (Budget("dollars", "5 calls", mode="hard"), r"budget 'dollars'\.unit: expected 'usd': only a limit"),
        (Budget("dollars", "$5", mode="stop_after"), r"budget 'dollars'\.mode: expected 'hard': only a limit"),
    ],
)
async def test_of_known_budgets_only_limits_change_while_it_is_open(base_path, budget, problem):
    """All of them, or none."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        before = await limits(ledger), await trail(ledger)
        with pytest.raises(ConfigError, match=problem):
            await ledger.configure([DOLLARS.with_limit("$9"), budget])
        assert (await limits(ledger), await trail(ledger)) == before


async def test_budgets_that_come_and_go_are_on_record(base_path):
    """Who added and retired them; one to retire that is not there is named, with those that are."""
    new = Budget("new", "$1", per="user", limits={"ada": "$2"}, mode="hard")
    async with Ledger.open(base_path, budgets=[DOLLARS]) as ledger:
        await ledger.configure([new], retire=["dollars"], by="hivecost.toml")
        entries = [
            ("hivecost.toml", "configure", "new", "user=ada: $2.0000"),
            ("hivecost.toml", "configure", "new", "$1.0000"),
            ("hivecost.toml", "retire", "dollars", ""),
        ]
        assert (await trail(ledger))[:3] == entries
        for wrong, problem in (
            ({"retire": ["dollars"]}, "retire: expected one of 'new', got 'dollars'"),
            (
                {"retire": ["new"], "budgets": [new]},
                r"budget 'new'\.name: expected a name that is configured or retired",
            ),
            (
                {"budgets": [TOKENS, TOKENS]},
                r"budget 'tokens'\.name: expected a name that is configured or retired, and only once",
            ),
        ):
            with pytest.raises(ConfigError, match=problem):
                await ledger.configure(**{"budgets": (), **wrong})
        assert (await trail(ledger))[:3] == entries


async def test_a_turn_on_more_added_budgets_than_can_be_written_down_is_refused(base_path):
    """Its journal has room for eight more than the ledger was opened with; what does not fit is never held."""
    budgets = [Budget(f"b{number}", "9 calls", mode="hard") for number in range(ACCOUNTS_SPARE + 1)]
    async with Ledger.open(base_path) as ledger:
        await ledger.configure(budgets[:-1])
        (await ledger.reserve({})).settle()
        await ledger.configure(budgets[-1:])
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError, match=r"counts on 9 hard budgets, .* open it again"):
                await ledger.reserve({})
        await ledger.configure(retire=["b0"])
        (await ledger.reserve({})).settle()
        assert [row.settled for row in await ledger.status() if row.budget == "b1"] == [2]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        (await ledger.reserve({})).settle()


async def test_a_ledger_knows_by_itself_where_operators_overruled_it(base_path):
    """`status` marks the accounts with a limit of their own, and the trail says whose it is."""
    budget = Budget("user day", "$1", window="session", per="user", mode="hard")
    async with Ledger.open(base_path, budgets=[budget]) as ledger:
        await ledger.set_limit("user day", "$2", scope={"user": "ada"}, by="eve")
        await ledger.raise_limit("user day", "$0.50", scope={"session": "s", "user": "ada"}, by="eve")
        await ledger.unset_limit("user day", scope={"user": "ada"}, by="bob")
        for session in "st":
            (await ledger.reserve({"session": session, "user": "ada"}, usd=1)).settle()
        rows = {row.scope: (row.limit, row.has_own_limit) for row in await ledger.status()}
        assert rows == {"session=s,user=ada": (250 * USD // 100, True), "session=t,user=ada": (USD, False)}
        assert (await trail(ledger))[:3] == [
            ("bob", "unset_limit", "user day", "user=ada: $2.0000, now $1.0000"),
            ("eve", "raise_limit", "user day", "session=s,user=ada: by $0.5000 to $2.5000"),
            ("eve", "set_limit", "user day", "user=ada: $2.0000"),
        ]
        assert await ledger.limit_in_force("user day", scope={"session": "s", "user": "ada"}) == 250 * USD // 100


# -- on record -------------------------------------------------------------------------------------------------------


async def test_the_record_is_in_the_words_of_people(base_path):
    """Dollars, exactly, tokens and calls; the newest first."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        await ledger.set_limit("dollars", "$2.123456789", by="ada")
        await ledger.raise_limit("dollars", "$5", by="bob")
        await ledger.raise_limit("tokens", 1, by="bob")
        await ledger.freeze("calls", "a look", by="eve")
        await ledger.unfreeze("calls", by="ada")
        assert not await ledger.unfreeze("calls", by="ada")
        assert await trail(ledger) == [
            ("ada", "unfreeze", "calls", ""),
            ("eve", "freeze", "calls", "a look"),
            ("bob", "raise_limit", "tokens", "by 1 token to 1,001 tokens"),
            ("bob", "raise_limit", "dollars", "by $5.0000 to $7.123456789"),
            ("ada", "set_limit", "dollars", "$2.123456789"),
            ("configuration", "configure", "calls", "20 calls"),
            ("configuration", "configure", "tokens", "1,000 tokens"),
            ("configuration", "configure", "dollars", "$1.0000"),
        ]
        assert [change.what for change in await ledger.changes(limit=2)] == ["unfreeze", "freeze"]


@pytest.mark.parametrize(
    ("bill", "detail", "frozen"),
    [
        ({"usd": "0.10"}, "$0.1000", {}),
        ({"usd": 0, "tokens": 0, "calls": 0}, "$0.0000, 0 tokens, 0 calls", {}),
        ({}, "as held", {}),
        ({"nanousd": 250_000_001}, "$0.250000001", {"dollars": "a bill of $0.250000001 was above its hold of $0.2500"}),
        ({"tokens": 60}, "60 tokens", {"tokens": "a bill of 60 tokens was above its hold of 50 tokens"}),
    ],
)
async def test_a_resolved_hold_and_what_it_froze_are_on_record(base_path, bill, detail, frozen):
    """In dollars and tokens; a bill that was a hair above its hold reads as one that was."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        async with await ledger.reserve({}, usd="0.25", tokens=50):
            pass
        (hold,) = await ledger.in_doubt()
        await ledger.resolve(hold.hold_id, **bill, by="ada")
        assert (await trail(ledger))[0] == ("ada", "resolve", hold.hold_id, detail)
        assert {state.name: state.frozen for state in await ledger.budgets() if state.frozen} == frozen
        frozen_then = {(who, what, about, why) for who, what, about, why in await trail(ledger) if what == "freeze"}
        assert frozen_then == {("hivecost", "freeze", name, reason) for name, reason in frozen.items()}


@pytest.mark.parametrize("window", ["total", "day", "execution"])
async def test_a_refusal_by_a_frozen_budget_says_what_is_spent(base_path, window):
    """It is frozen, not used up."""
    async with Ledger.open(base_path, budgets=[Budget("dollars", "$1", window=window, mode="hard")]) as ledger:
        hold = await ledger.reserve({"execution": "e"}, usd="0.25")
        hold.settle(usd="0.25")
        await ledger.freeze("dollars", "a look", by="ada")
        with pytest.raises(BudgetExhaustedError, match="frozen until someone looks") as refused:
            await ledger.reserve({"execution": "e"}, usd="0.10")
        assert (refused.value.used, refused.value.limit) == (USD // 4, USD)


async def test_an_entry_says_when(base_path):
    """By the Ledger's own clock, in UTC."""
    clock = FakeClock(NOON)
    async with Ledger.open(base_path, budgets=[DOLLARS], clock=clock) as ledger:
        clock.advance(90)
        await ledger.set_limit("dollars", "$2", by="ada")
        assert [change.at for change in await ledger.changes()] == [NOON + timedelta(seconds=90), NOON]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_reads_alike_with_a_ledger_and_without(base_path, anyio_backend):
    """Those who only look at the file see what an open Ledger gives."""
    async with Ledger.open(base_path, budgets=BUDGETS) as ledger:
        await ledger.set_limit("tokens", 7, by="ada")
        await ledger.freeze("dollars", "a look", by="ada")
        states, changes = await ledger.budgets(), await ledger.changes()
        assert await read_place(base_path, lambda log, held: (held.budgets(), log.audit())) == (states, changes)
        calls, dollars, tokens = states
        assert (tokens.unit, tokens.window, tokens.timezone) == ("tokens", "day", "Asia/Tokyo")
        assert (tokens.limit, tokens.configured_limit, tokens.attributes) == (7, 1_000, ("user", "model"))
        assert [(state.frozen, state.shadow) for state in (calls, dollars)] == [("", True), ("a look", False)]
        for limit in (0, -1, 1.5, "5", True):
            with pytest.raises(ConfigError, match="limit: expected a whole number, 1 or more"):
                await read_log(base_path, lambda log, limit=limit: log.audit(limit=limit))


LOST = "\ud800"  # what becomes of bytes that are no text


@pytest.mark.parametrize(
    ("method", "arguments", "by", "problem"),
    [
        ("set_limit", ("dollars", "$5"), "", "by: expected the name of who does this"),
        ("set_limit", ("dollars", "$5"), None, "by: expected the name of who does this"),
        ("raise_limit", ("dollars", "$5"), LOST, "by: expected the name of who does this"),
        ("freeze", ("dollars", "a look"), "  ", "by: expected the name of who does this"),
        ("freeze", ("dollars", ""), "ada", "reason: expected why"),
        ("freeze", ("dollars", None), "ada", "reason: expected why"),
        ("freeze", ("dollars", LOST), "ada", "reason: expected why"),
        ("freeze", (LOST, "a look"), "ada", "budget: expected one of 'calls', 'dollars', 'frozen', 'tokens'"),
        ("unfreeze", ({},), "ada", "budget: expected one of"),
        ("unfreeze", ("frozen",), "", "by: expected the name"),
        ("resolve", ("9-9",), "ada", "hold '9-9': expected the id of a hold that is in doubt"),
        ("resolve", (LOST,), "ada", "expected the id of a hold that is in doubt"),
        ("resolve", ([],), "ada", r"hold \[\]: expected the id of a hold that is in doubt"),
        ("resolve", ("in doubt",), "", "by: expected the name"),
        ("changes", (0,), None, "limit: expected a whole number, 1 or more"),
    ],
)
async def test_an_operators_mistake_is_named_and_costs_nobody_else(base_path, method, arguments, by, problem):
    """It changes nothing, and those who wait for the same transaction get what they asked for."""
    budgets = [*BUDGETS, Budget("frozen", "1 call", match={"org": "x"}, mode="hard")]
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        await ledger.freeze("frozen", "a look", by="ada")
        async with await ledger.reserve({}, usd="0.10", tokens=1):
            pass
        (hold,) = await ledger.in_doubt()
        before = await trail(ledger), await ledger.budgets()
        arguments = tuple(hold.hold_id if one == "in doubt" else one for one in arguments)
        async with anyio.create_task_group() as group:
            group.start_soon(ledger.status)
            with pytest.raises(ConfigError, match=problem):
                await getattr(ledger, method)(*arguments, **({} if by is None and method == "changes" else {"by": by}))
        assert (await trail(ledger), await ledger.budgets(), await ledger.in_doubt()) == (*before, [hold])


async def test_closed_it_is_changed_by_nobody(base_path):
    """Every control says that it needs an open Ledger."""
    ledger = Ledger.open(base_path, budgets=BUDGETS)
    for control in (
        lambda: ledger.raise_limit("dollars", "$5", by="ada"),
        lambda: ledger.configure([DOLLARS]),
        ledger.budgets,
        ledger.changes,
    ):
        with pytest.raises(LedgerUnavailableError, match="not open"):
            await control()


async def test_a_bill_that_froze_a_budget_is_on_record_in_dollars(base_path):
    """The reason says both amounts, as people read them, to those who find it frozen."""
    async with Ledger.open(base_path, budgets=[DOLLARS]) as ledger:
        (await ledger.reserve({}, usd="0.10")).settle(usd="0.25")
        reason = "a bill of $0.2500 was above its hold of $0.1000"
        assert [state.frozen for state in await ledger.budgets()] == [reason]
        assert (await ledger.changes(1))[0].detail == reason
