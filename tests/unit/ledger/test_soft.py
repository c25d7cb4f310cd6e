"""Soft limits as pure policy: what stands between a turn and the provider, by what is settled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.clock import to_datetime
from hivecost.errors import BudgetExhaustedError
from hivecost.ledger import AccountDetails, Budget, SoftLimits, SoftStep, SpendAccounts, soft_refusal

WHO = {"execution": "e1", "user": "ada"}


def spent(settled: int, *budgets: Budget) -> list[AccountDetails]:
    """How the accounts of these budgets stand, with so many calls on them."""
    accounts = SpendAccounts(budgets)
    if settled:
        accounts.add(WHO, 1, 0, 0, settled)
    return details(accounts)


def details(accounts: SpendAccounts, at_ns: int = 1, **who: str) -> list[AccountDetails]:
    return [account.details() for account in accounts.find(WHO | who, at_ns)]


def step_of(settled: int, *budgets: Budget, model: str = "dear", done=()) -> SoftStep | None:
    return SoftLimits(budgets).next_step(spent(settled, *budgets), ("e1",), model, done)


def soft(on_soft: str, name: str = "b", **settings) -> Budget:
    given = {
        "limit": "10 calls",
        "soft_limit": 7,
        "window": "day",
        "on_soft": on_soft,
        "mode": "stop_after",
        **settings,
    }
    return Budget(name, **given)


def action(settled: int, *budgets: Budget, **more) -> str | None:
    step = step_of(settled, *budgets, **more)
    return None if step is None else step.action


def refuses(limits: SoftLimits, accounts: list[AccountDetails], *executions: str) -> bool:
    step = limits.next_step(accounts, executions or ("e1",), "dear", ())
    assert step is None or step.action == "refuse"
    return step is not None


@pytest.mark.parametrize(
    ("on_soft", "expected"),
    [("alert", None), ("throttle", "throttle"), ("finish", "refuse"), ("downgrade:cheap", "downgrade")],
)
@pytest.mark.parametrize("mode", ["stop_after", "hard"])
@given(settled=st.integers(0, 12))
def test_the_action_begins_at_the_soft_limit(on_soft, expected, mode, settled):
    """Below it nothing happens; from it on, what `on_soft` says."""
    assert action(settled, soft(on_soft, mode=mode)) == (expected if settled >= 7 else None)


def test_a_shadow_budget_only_decides():
    """It lets everything pass."""
    for on_soft in ("throttle", "finish", "downgrade:cheap"):
        assert action(9, soft(on_soft, shadow=True)) is None
    assert action(12, soft("alert", shadow=True, on_exceed="throttle")) is None


def test_a_turn_of_the_cheaper_model_passes():
    """It is where the downgrade leads to."""
    budget = soft("downgrade:cheap")
    assert (action(8, budget, model="dear"), action(8, budget, model="cheap")) == ("downgrade", None)


def test_each_budget_has_its_say_once():
    """Two that downgrade to each other's model do not send a turn to and fro."""
    budgets = soft("downgrade:x", "one"), soft("downgrade:y", "two")
    assert action(8, *budgets, model="x", done={"one"}) == "downgrade"
    assert action(8, *budgets, model="y", done={"one", "two"}) is None


def test_a_turn_that_is_refused_does_not_wait_first():
    """Of several steps the final one, whatever the order of the budgets."""
    for budgets in ((soft("throttle", "one"), soft("finish", "two")), (soft("finish", "two"), soft("throttle", "one"))):
        assert action(8, *budgets) == "refuse"


def test_finish_is_for_those_that_began_before():
    """An execution that passed below the soft limit goes on beyond it, others are refused; forgotten, it is new."""
    budget = soft("finish")
    limits, accounts = SoftLimits([budget]), spent(8, budget)
    limits.passed(spent(6, budget), ("e1",))
    assert not refuses(limits, accounts, "e1")
    assert refuses(limits, accounts, "e2")
    limits.forget_execution("e1")
    assert refuses(limits, accounts, "e1")


@pytest.mark.parametrize("first", [("root",), ("root/one", "root"), ("root/one/two", "root/one", "root")])
def test_what_a_run_that_may_finish_starts_may_too(first):
    """Sub-agents count as the run that they are inside of, whichever of them had the first turn."""
    budget = soft("finish")
    limits, past = SoftLimits([budget]), spent(8, budget)
    limits.passed(spent(6, budget), first)
    assert not refuses(limits, past, "root")
    assert not refuses(limits, past, "root/other", "root")
    assert refuses(limits, past, "other")


def test_of_many_executions_those_that_began_last_are_remembered(monkeypatch):
    """Whoever is forgotten is refused as one that begins: no more is spent by it."""
    monkeypatch.setattr("hivecost.ledger.soft.EXECUTIONS_MAX", 3)
    budget = soft("finish")
    limits, past = SoftLimits([budget]), spent(8, budget)
    for number in range(10):
        limits.passed(spent(0, budget), (f"e{number}",))
    assert [refuses(limits, past, f"e{number}") for number in range(10)] == [True] * 7 + [False] * 3


def test_of_an_execution_that_never_ends_only_the_newest_periods_are_remembered():
    """It may finish what it began today, and not go on tomorrow because it began yesterday."""
    limits, accounts = SoftLimits([soft("finish")]), SpendAccounts([soft("finish")])
    for day in range(100):
        limits.passed(details(accounts, day * 86_400 * 10**9), ("e1",))
    assert sum(map(len, limits._begun.values())) == 1
    for day, expected in ((99, False), (100, True)):
        accounts.add(WHO, day * 86_400 * 10**9, 0, 0, 8)
        assert refuses(limits, details(accounts, day * 86_400 * 10**9)) == expected


def test_finish_looks_at_each_account():
    """Having had a turn on one account opens no other."""
    budget = soft("finish", per="user")
    limits, accounts = SoftLimits([budget]), SpendAccounts([budget])
    limits.passed(spent(6, budget), ("e1",))
    accounts.add({**WHO, "user": "bob"}, 1, 0, 0, 8)
    assert refuses(limits, details(accounts, user="bob"))


@given(settled=st.integers(0, 15))
def test_past_the_limit_a_budget_may_throttle(settled):
    """on_exceed="throttle" of stop_after: one by one from the limit on, whatever happened before it."""
    plain = Budget("b", limit="10 calls", on_exceed="throttle", mode="stop_after")
    assert action(settled, plain) == ("throttle" if settled >= 10 else None)
    cheaper = soft("downgrade:cheap", on_exceed="throttle")
    expected = None if settled < 7 else "downgrade" if settled < 10 else "throttle"
    assert action(settled, cheaper) == expected
    assert action(settled, soft("finish", on_exceed="throttle")) == (None if settled < 7 else "refuse")


def test_a_soft_limit_above_a_lowered_limit_is_out_of_reach():
    """What was lowered below it applies; raised again, the soft limit is back."""
    budget = soft("throttle", on_exceed="alert")
    limits, accounts = SoftLimits([budget]), SpendAccounts([budget])
    accounts.set_limit("b", "5 calls")
    assert [c.fraction for c in accounts.add(WHO, 1, 0, 0, 4)] == [0.8]
    assert limits.next_step(details(accounts), ("e1",), "dear", ()) is None
    accounts.set_limit("b", "20 calls")
    assert [c.fraction for c in accounts.add(WHO, 1, 0, 0, 4)] == [0.35]
    assert limits.next_step(details(accounts), ("e1",), "dear", ()).action == "throttle"


def test_of_a_limit_of_its_own_the_soft_limit_is_the_same_part():
    """Configured or set later, rounded up; the warning and the refusal go by it."""
    budget = soft("finish", per="user", limits={"ada": "100 calls"}, warn=())
    limits, accounts = SoftLimits([budget]), SpendAccounts([budget])
    accounts.set_own_limit("b", ("bob",), 5)
    users = (details(accounts, user=user) for user in ("ada", "bob", "eve"))
    assert [one.soft_limit for (one,) in users] == [70, 4, 7]
    assert accounts.add(WHO, 1, 0, 0, 69) == []
    assert not refuses(limits, details(accounts))
    assert [crossing.fraction for crossing in accounts.add(WHO, 1, 0, 0, 1)] == [0.7]
    step = limits.next_step(details(accounts), ("e1",), "dear", ())
    assert "past its soft limit of 70 calls" in str(soft_refusal(step, "e1"))
    accounts.set_own_limit("b", ("ada",), None)
    assert details(accounts)[0].soft_limit == 7


def test_reaching_it_warns_once():
    """Like the fractions of `warn`, in their order, and once where it is one of them."""
    accounts = SpendAccounts([soft("alert", warn=(0.5, 0.9)), soft("alert", "same", warn=(0.7,))])
    seen = [[(c.budget, c.fraction, c.exceeded) for c in accounts.add(WHO, 1, 0, 0)] for _ in range(10)]
    assert seen[4] == [("b", 0.5, False)]
    assert seen[6] == [("b", 0.7, False), ("same", 0.7, False)]
    assert seen[8] == [("b", 0.9, False)]
    assert [crossings for crossings in seen if crossings] == [seen[4], seen[6], seen[8]]


def test_the_refusal_names_budget_amounts_and_the_way_out():
    """And when the period begins anew."""
    error = soft_refusal(step_of(8, soft("finish", per="user")), "e2")
    assert isinstance(error, BudgetExhaustedError)
    assert str(error) == (
        "budget 'b' (user=ada) is past its soft limit of 7 calls for the day 1970-01-01, and lets only executions "
        "finish that began before: 8 calls of 10 calls are settled; it resets at 1970-01-02T00:00Z"
    )
    assert (error.budget, error.execution_id, error.scope, error.used, error.limit) == ("b", "e2", "user=ada", 8, 10)
    assert error.reset_at == to_datetime(24 * 3600 * 10**9)
