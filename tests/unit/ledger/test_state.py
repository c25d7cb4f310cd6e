from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from hivecost.clock import to_ns
from hivecost.errors import BudgetBusyError, BudgetExhaustedError, ConfigError
from hivecost.ledger import Budget, Hold, LedgerState, Refusal

NOON_NS = to_ns(datetime(2026, 11, 22, 12, tzinfo=UTC))
HOUR_NS = 3600 * 10**9


def tokens(limit, name="b", **fields):
    return Budget(name, limit, unit="tokens", mode="hard", **fields)


def reserve(ledger, amount, at_ns=NOON_NS, key=None, **who):
    answer = ledger.reserve(who, at_ns, {"tokens": amount}, key)
    assert isinstance(answer, Hold), answer
    return answer


def refusal(ledger, amount, at_ns=NOON_NS, **who):
    answer = ledger.reserve(who, at_ns, {"tokens": amount})
    assert isinstance(answer, Refusal), answer
    return answer


def sums(ledger):
    return {(row.budget, row.scope, row.period): (row.settled, row.held, row.in_doubt) for row in ledger.status()}


def test_all_matching_accounts_or_none():
    """One account that refuses leaves nothing held on the others."""
    ledger = LedgerState([tokens(100, "roomy"), tokens(10, "tight"), tokens(100, "roomy too")])
    assert refusal(ledger, 11).budget == "tight"
    assert set(sums(ledger).values()) == {(0, 0, 0)}
    reserve(ledger, 10)
    assert set(sums(ledger).values()) == {(0, 10, 0)}


def test_a_hold_is_settled_once():
    """The bill is charged, the rest comes back, and a second settlement changes nothing."""
    ledger = LedgerState([tokens(100)])
    hold = reserve(ledger, 60)
    assert ledger.settle(hold, {"tokens": 40}) is not None
    assert ledger.settle(hold, {"tokens": 60}) is None
    assert not ledger.release(hold)
    assert not ledger.doubt(hold)
    assert sums(ledger) == {("b", "", "total"): (40, 0, 0)}
    reserve(ledger, 60)


def test_the_period_is_that_of_the_reservation():
    """A turn that is held before midnight and billed after it counts on the day it was held."""
    ledger = LedgerState([tokens(100, window="day")])
    hold = reserve(ledger, 60)
    reserve(ledger, 50, at_ns=NOON_NS + 12 * HOUR_NS)
    ledger.settle(hold, {"tokens": 55})
    assert sums(ledger) == {("b", "", "2026-11-22"): (55, 0, 0), ("b", "", "2026-11-23"): (0, 50, 0)}


def test_busy_and_exhausted_are_told_apart():
    """Busy while others hold what may come back; exhausted when it is spent or in doubt, with the time of the reset."""
    ledger = LedgerState([tokens(100, window="day", per="user")])
    hold = reserve(ledger, 60, user="ada")
    busy = refusal(ledger, 50, user="ada")
    assert (busy.kind, busy.needed, busy.remaining, busy.limit, busy.reset_at) == ("busy", 50, 40, 100, None)
    error = busy.error("exec_1")
    assert isinstance(error, BudgetBusyError)
    assert (error.budget, error.execution_id, error.retry_after_s > 0) == ("b", "exec_1", True)
    assert (
        "budget 'b' (user=ada) is held by other turns just now: needs up to 50 tokens, 40 tokens of 100 tokens remain"
        in str(error)
    )

    ledger.doubt(hold)
    exhausted = refusal(ledger, 50, user="ada").error()
    assert isinstance(exhausted, BudgetExhaustedError)
    assert exhausted.reset_at == datetime(2026, 11, 23, tzinfo=UTC)
    assert refusal(ledger, 101, user="bob").reset_at is None  # no day has that much


ALL_RUNS = (
    "; it counts all runs and never resets (one with another window does: execution, session, hour, day, week, month)"
)


@pytest.mark.parametrize(
    ("window", "whose", "period", "reset"),
    [
        ("execution", " (execution=e)", "", ""),
        ("session", " (session=s)", "", ""),
        ("total", "", "", ALL_RUNS),
        ("hour", "", " for the hour 2026-11-22T13+01:00", "; it resets at 2026-11-22T13:00Z"),
        ("day", "", " for the day 2026-11-22", "; it resets at 2026-11-22T23:00Z"),
        ("week", "", " for the week 2026-W47", "; it resets at 2026-11-22T23:00Z"),
        ("month", "", " for the month 2026-11", "; it resets at 2026-11-30T23:00Z"),
    ],
)
def test_a_refusal_says_for_how_long(window, whose, period, reset):
    """The period in words and when it ends; of one that never ends, which windows do."""
    ledger = LedgerState([tokens(3, window=window, timezone="Europe/Berlin")])
    ledger.settle(reserve(ledger, 2, execution="e", session="s"), {"tokens": 2})
    assert str(refusal(ledger, 2, execution="e", session="s").error()) == (
        f"budget 'b'{whose} is exhausted{period}: needs up to 2 tokens, 1 token of 3 tokens remain{reset}"
    )


def test_waiting_for_what_no_period_has_is_not_advised():
    """Neither for a turn beyond the limit, nor for a budget that someone has to look at."""
    ledger = LedgerState([tokens(3, window="day")])
    assert str(refusal(ledger, 4).error()) == (
        "budget 'b' is exhausted for the day 2026-11-22: needs up to 4 tokens, 3 tokens of 3 tokens remain"
    )
    ledger.freeze("b", "a look")
    assert str(refusal(ledger, 1).error()) == (
        "budget 'b' is frozen until someone looks (a look): needs up to 1 token, 3 tokens of 3 tokens remain; "
        "`hivecost budget unfreeze b` grants again"
    )


def test_of_several_refusals_the_most_final_one_is_given():
    """Nobody waits for a busy account while another is exhausted."""
    ledger = LedgerState([tokens(100, "busy"), tokens(30, "spent")])
    reserve(ledger, 30)
    assert refusal(ledger, 80).budget == "spent"
    ledger.freeze("busy", "a look")
    assert (refusal(ledger, 80).kind, refusal(ledger, 80).budget) == ("frozen", "busy")


def test_a_bill_above_its_hold_is_charged_in_full_and_freezes():
    """It is an incident; the overrun is on record, and nothing more is granted until someone looks."""
    ledger = LedgerState([tokens(100), tokens(1_000, "wide")])
    hold = reserve(ledger, 90)
    settlement = ledger.settle(hold, {"tokens": 120})
    incident = settlement.incidents[0]
    assert (incident.budget, incident.held, incident.billed) == ("b", 90, 120)
    assert [crossing.exceeded for crossing in settlement.crossings if crossing.budget == "b"] == [False, False, True]
    assert ledger.frozen.keys() == {"b", "wide"}
    assert refusal(ledger, 0).kind == "frozen"
    assert "frozen until someone looks" in str(refusal(ledger, 1).error())
    assert {row.frozen for row in ledger.status()} == {True}
    ledger.set_limit("b", 200)
    assert ledger.unfreeze("b")
    assert ledger.unfreeze("wide")
    reserve(ledger, 80)


def test_a_bill_above_a_partial_hold_freezes_nothing():
    """It is charged, an incident, and on record as an overrun; a restart forgets nothing of it."""
    budgets = [tokens(100)]
    ledger = LedgerState(budgets)
    hold = ledger.reserve({}, NOON_NS, {"tokens": 10}, is_partial=True)
    ledger = LedgerState.restore(budgets, ledger.snapshot())
    (hold,) = ledger.open_holds.values()
    (incident,) = ledger.settle(hold, {"tokens": 30}).incidents
    assert (incident.held, incident.billed, incident.freezes) == (10, 30, False)
    assert ledger.frozen == {}
    assert sums(ledger) == {("b", "", "total"): (30, 0, 0)}
    assert [account.overrun for account in ledger.accounts("b")] == [20]


def test_a_bill_for_a_released_hold_is_an_incident():
    """It was not sure, after all, that nothing was sent; the money is charged, not lost."""
    ledger = LedgerState([tokens(100)])
    hold = reserve(ledger, 10)
    assert ledger.release(hold)
    assert ledger.settle(hold, {"tokens": 4}).incidents[0].held == 0
    assert sums(ledger) == {("b", "", "total"): (4, 0, 0)}
    assert ledger.settle(hold, {"tokens": 4}) is None


def test_what_is_in_doubt_stays_charged_until_the_bill_is_known():
    """A late bill, or an operator, settles it; nothing is refunded on a guess."""
    ledger = LedgerState([tokens(100)])
    late, lost = reserve(ledger, 50), reserve(ledger, 50)
    assert ledger.doubt(late)
    assert ledger.doubt(lost)
    assert not ledger.release(late)
    assert sums(ledger) == {("b", "", "total"): (0, 0, 100)}
    ledger.settle(late, {"tokens": 20})
    ledger.resolve(lost.hold_id, {"tokens": 0})
    assert sums(ledger) == {("b", "", "total"): (20, 0, 0)}
    with pytest.raises(ConfigError, match="a hold that is in doubt"):
        ledger.resolve(lost.hold_id, {"tokens": 0})
    with pytest.raises(ConfigError, match="a hold that is in doubt"):
        ledger.resolve(reserve(ledger, 1).hold_id, {"tokens": 0})


def test_a_unit_the_bill_does_not_name_is_charged_as_held():
    """Unknown is never zero."""
    ledger = LedgerState([tokens(100), Budget("usd", "$1", mode="hard"), Budget("calls", "5 calls", mode="hard")])
    hold = ledger.reserve({}, NOON_NS, {"tokens": 10, "usd": 7})
    ledger.settle(hold, {"tokens": 3})
    assert {row.budget: row.settled for row in ledger.status()} == {"b": 3, "usd": 7, "calls": 1}


def test_a_stream_extends_its_hold_or_is_told_to_stop():
    """More is granted on all accounts or on none; the bill is measured against the whole hold."""
    ledger = LedgerState([tokens(100), tokens(70, "tight")])
    hold = reserve(ledger, 50)
    assert ledger.extend(hold, {"tokens": 20}) is None
    assert ledger.extend(hold, {"tokens": 1}).budget == "tight"
    assert {row.held for row in ledger.status()} == {70}
    assert ledger.settle(hold, {"tokens": 70}).incidents == ()
    with pytest.raises(ConfigError, match="still held"):
        ledger.extend(hold, {"tokens": 1})


def test_a_key_is_held_once():
    """A retry of the same attempt gets the hold it has; after that, the key is free."""
    ledger = LedgerState([tokens(100)])
    hold = reserve(ledger, 60, key="attempt-1")
    assert reserve(ledger, 60, key="attempt-1") is hold
    ledger.settle(hold, {"tokens": 10})
    assert reserve(ledger, 60, key="attempt-1") is not hold


def test_shadow_budgets_say_what_they_would_have_done():
    """They never refuse nor freeze, and count what passes."""
    ledger = LedgerState([tokens(10, "trial", shadow=True), tokens(100)])
    hold = reserve(ledger, 20)
    assert [(would.budget, would.kind) for would in hold.shadowed] == [("trial", "exhausted")]
    assert ledger.extend(hold, {"tokens": 5}) is None
    assert len(hold.shadowed) == 2
    assert [incident.budget for incident in ledger.settle(hold, {"tokens": 30}).incidents] == ["trial", "b"]
    assert ledger.frozen.keys() == {"b"}


def test_remaining_is_what_a_turn_could_hold():
    """The least over all enforced accounts, by unit; nothing where a budget is frozen."""
    ledger = LedgerState(
        [tokens(100), tokens(50, "user", per="user"), Budget("usd", "$1", mode="hard"), tokens(1, "trial", shadow=True)]
    )
    hold = ledger.reserve({"user": "ada"}, NOON_NS, {"tokens": 20, "usd": 1})
    assert ledger.remaining({"user": "ada"}, NOON_NS) == {"tokens": 30, "usd": 10**9 - 1}
    assert ledger.remaining({"user": "bob"}, NOON_NS) == {"tokens": 50, "usd": 10**9 - 1}
    ledger.release(hold)
    ledger.freeze("usd", "a look")
    assert ledger.remaining({"user": "ada"}, NOON_NS) == {"tokens": 50, "usd": 0}


def test_an_execution_is_forgotten_with_its_last_hold():
    """A bill that comes after its end still finds the account, even if nothing was held in its unit."""
    ledger = LedgerState([tokens(100, window="execution"), tokens(1_000, "all")])
    settled, free = reserve(ledger, 10, execution="e1"), reserve(ledger, 0, execution="e1")
    ledger.settle(settled, {"tokens": 10})
    ledger.forget_execution("e1")
    assert ("b", "execution=e1", "execution") in sums(ledger)
    assert ledger.settle(free, {"tokens": 3}).incidents
    assert sums(ledger) == {("all", "", "total"): (13, 0, 0)}


def test_an_execution_that_goes_on_is_not_forgotten():
    """A turn that comes after all keeps the account, with what was spent."""
    ledger = LedgerState([tokens(100, window="execution")])
    first = reserve(ledger, 10, execution="e1")
    ledger.forget_execution("e1")
    second = reserve(ledger, 10, execution="e1")
    ledger.settle(first, {"tokens": 10})
    ledger.settle(second, {"tokens": 10})
    assert sums(ledger) == {("b", "execution=e1", "execution"): (20, 0, 0)}
    ledger.forget_execution("e1")
    assert sums(ledger) == {}


def test_old_periods_are_forgotten_when_nothing_is_open():
    """A hold keeps its period; the period goes when the page is turned after it."""
    ledger = LedgerState([tokens(100, window="hour")])
    hold = reserve(ledger, 10)
    for hours in range(1, 5):
        ledger.settle(reserve(ledger, 1, at_ns=NOON_NS + hours * HOUR_NS), {"tokens": 1})
    assert len(ledger.status()) == 3
    ledger.settle(hold, {"tokens": 10})
    assert [row.period for row in ledger.status()] == ["2026-11-22T15+00:00", "2026-11-22T16+00:00"]


@pytest.mark.parametrize(
    "amounts", [{}, {"usd": 5}, {"tokens": -1}, {"tokens": 1.5}, {"tokens": True}, {"tokens": None}]
)
def test_an_amount_that_cannot_be_is_refused(amounts):
    """The error names the amount; nothing is held, charged or lost."""
    ledger = LedgerState([tokens(100)])
    with pytest.raises(ConfigError, match=r"amounts\['tokens'\]"):
        ledger.reserve({}, NOON_NS, amounts)
    hold = reserve(ledger, 5)
    if amounts.get("tokens", 0) != 0:
        with pytest.raises(ConfigError, match=r"amounts\['tokens'\]"):
            ledger.settle(hold, amounts)
    assert sums(ledger) == {("b", "", "total"): (0, 5, 0)}


def test_only_hard_budgets_hold_money():
    """The other strengths are weaker, so the error says what to write."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.mode: expected 'hard'"):
        LedgerState([Budget("b", "$1", mode="stop_after")])


def test_an_unknown_budget_is_named():
    """With those that there are."""
    ledger = LedgerState([tokens(1)])
    for act in (lambda: ledger.freeze("x", ""), lambda: ledger.unfreeze("x"), lambda: ledger.set_limit("x", 1)):
        with pytest.raises(ConfigError, match="expected one of 'b', got 'x'"):
            act()


def test_a_restart_keeps_money_under_changed_limits():
    """Limits may change and budgets go; open holds are found by id and key."""
    ledger = LedgerState([tokens(100), tokens(100, "gone"), tokens(100, "new limit", per="user")])
    hold = reserve(ledger, 30, key="k", user="ada")
    ledger.settle(reserve(ledger, 85 - 30, user="ada"), {"tokens": 55})
    again = LedgerState.restore([tokens(100), tokens(200, "new limit", per="user")], ledger.snapshot())
    assert sums(again) == {("b", "", "total"): (55, 30, 0), ("new limit", "user=ada", "total"): (55, 30, 0)}
    found = reserve(again, 30, key="k", user="ada")
    assert found.hold_id == hold.hold_id
    assert again.doubt(found)
    assert again.resolve(hold.hold_id, {"tokens": 30}).crossings != ()
    assert reserve(again, 1).hold_id > hold.hold_id


@pytest.mark.parametrize(
    ("field", "value"), [("limit", "$1"), ("window", "month"), ("timezone", "Asia/Tokyo"), ("per", ("user",))]
)
def test_a_budget_that_counts_something_else_needs_a_new_name(field, value):
    """Its sums would mean nothing there."""
    budget = tokens(100, window="day")
    ledger = LedgerState([budget])
    reserve(ledger, 1)
    changed = msgspec.structs.replace(budget, **{field: value}, **({"unit": "usd"} if field == "limit" else {}))
    with pytest.raises(ConfigError, match=rf"budget 'b'\.{field}"):
        LedgerState.restore([changed], ledger.snapshot())
