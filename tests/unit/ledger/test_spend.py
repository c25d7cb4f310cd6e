from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.clock import to_ns
from hivecost.errors import ConfigError
from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.ledger import Account, Budget, SpendAccounts, attributes_of

NOON_NS = to_ns(datetime(2026, 11, 22, 12, tzinfo=UTC))
HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS


def add(accounts, spent, *, at_ns=NOON_NS, **who):
    return [
        (crossing.budget, crossing.scope, crossing.fraction, crossing.exceeded)
        for crossing in accounts.add(who, at_ns, spent, spent)
    ]


def spent(accounts, **who):
    return [(account.budget.name, account.scope) for account in accounts.find(who, NOON_NS) if account.is_spent]


def settled(accounts):
    return {(row.budget, row.scope, row.period): row.settled for row in accounts.status()}


def test_each_execution_is_its_own_account():
    """One that spends its limit says nothing about another."""
    accounts = SpendAccounts([Budget("run", "100 tokens", window="execution")])
    assert add(accounts, 101, execution="e1")[-1] == ("run", "execution=e1", 1.0, True)
    assert add(accounts, 50, execution="e2") == []
    assert settled(accounts) == {("run", "execution=e1", "execution"): 101, ("run", "execution=e2", "execution"): 50}


def test_fractions_warn_once_and_the_limit_each_time():
    """Reaching a fraction is enough for it; the limit itself may be spent in full."""
    accounts = SpendAccounts([Budget("b", "100 tokens")])
    assert add(accounts, 79) == []
    assert add(accounts, 1) == [("b", "", 0.8, False)]
    assert add(accounts, 5) == []
    assert add(accounts, 15) == [("b", "", 0.9, False)]
    assert add(accounts, 1) == [("b", "", 1.0, True)]
    assert add(accounts, 0) == [("b", "", 1.0, True)]


def test_one_turn_may_cross_everything():
    """Each warning is said, then the limit; used and limit are those after the turn."""
    accounts = SpendAccounts([Budget("b", "$1", warn=(0.5, 0.8))])
    crossings = accounts.add({}, NOON_NS, 3 * 10**9, 0)
    assert [(c.fraction, c.exceeded) for c in crossings] == [(0.5, False), (0.8, False), (1.0, True)]
    assert {(c.used, c.limit, c.unit, c.period) for c in crossings} == {(3 * 10**9, 10**9, "usd", "total")}


def test_an_exhausted_account_stops_the_next_execution_too():
    """A second execution of the same user is reported at its first turn."""
    accounts = SpendAccounts([Budget("b", "10 tokens", per="user", warn=())])
    assert add(accounts, 11, user="ada", execution="e1") == [("b", "user=ada", 1.0, True)]
    assert add(accounts, 1, user="ada", execution="e2") == [("b", "user=ada", 1.0, True)]
    assert add(accounts, 1, user="bob", execution="e3") == []


def test_a_limit_spent_in_full_has_nothing_left_for_a_next_turn():
    """It is not exceeded yet, but the next turn would."""
    accounts = SpendAccounts([Budget("b", "2 calls", per="user", warn=()), Budget("all", "9 calls")])
    assert add(accounts, 1, user="ada") == []
    assert spent(accounts, user="ada") == []
    assert add(accounts, 1, user="ada") == []
    assert spent(accounts, user="ada") == [("b", "user=ada")]
    assert spent(accounts, user="bob") == []


def test_units_count_what_they_say():
    """USD, tokens and calls of the same turns, and how many of them each could not see."""
    accounts = SpendAccounts([Budget("usd", "$1"), Budget("tokens", "100 tokens"), Budget("calls", "5 calls")])
    accounts.add({}, NOON_NS, 7, 30)
    accounts.add({}, NOON_NS, None, 3, calls=2)
    accounts.add({}, NOON_NS, None, 0)
    rows = {row.budget: (row.settled, row.unpriced_calls) for row in accounts.status()}
    assert rows == {"usd": (7, 3), "tokens": (33, 1), "calls": (4, 0)}


def test_only_what_matches_counts():
    """All attributes of `match` must be there with one of the values given."""
    accounts = SpendAccounts([Budget("b", "9 calls", match={"org": ["acme", "umbrella"], "model": "gpt-4o"})])
    for who in [{"org": "acme"}, {"model": "gpt-4o"}, {"org": "x", "model": "gpt-4o"}, {}]:
        add(accounts, 1, **who)
    assert settled(accounts) == {}
    add(accounts, 1, org="umbrella", model="gpt-4o")
    assert settled(accounts) == {("b", "", "total"): 1}


def test_leaving_an_attribute_out_is_no_way_out():
    """Turns without a user share the account of no user."""
    accounts = SpendAccounts([Budget("b", "10 tokens", per=("user", "team"), warn=())])
    assert add(accounts, 6) == []
    assert add(accounts, 6) == [("b", "user=,team=", 1.0, True)]


def test_a_new_period_is_a_new_account():
    """At Berlin's midnight, with no reset job; late turns still count on the day they happened."""
    accounts = SpendAccounts([Budget("day", "10 tokens", window="day", timezone="Europe/Berlin", warn=())])
    last_ns = to_ns(datetime(2026, 11, 22, 23, tzinfo=UTC)) - 1
    assert add(accounts, 11, at_ns=last_ns) == [("day", "", 1.0, True)]
    assert add(accounts, 1, at_ns=last_ns + 1) == []
    assert add(accounts, 1, at_ns=last_ns) == [("day", "", 1.0, True)]
    assert settled(accounts) == {("day", "", "2026-11-22"): 12, ("day", "", "2026-11-23"): 1}
    assert accounts.status()[0].reset_at == datetime(2026, 11, 22, 23, tzinfo=UTC)


def test_old_periods_and_finished_executions_are_forgotten():
    """Memory holds the last two periods and the executions that run."""
    accounts = SpendAccounts(
        [Budget("day", "9 calls", window="day", per="user"), Budget("run", "9 calls", window="execution")]
    )
    for day in range(10):
        add(accounts, 1, at_ns=NOON_NS + day * DAY_NS, user=f"u{day % 3}", execution=f"e{day}")
        accounts.forget_execution(f"e{day}")
    assert settled(accounts) == {("day", "user=u2", "2026-11-30"): 1, ("day", "user=u0", "2026-12-01"): 1}


def test_a_forgotten_execution_starts_anew():
    """Its account is not kept alive behind the scenes."""
    accounts = SpendAccounts([Budget("run", "10 tokens", window="execution", warn=()), Budget("all", "1_000 tokens")])
    add(accounts, 9, execution="e1")
    accounts.forget_execution("e1")
    assert add(accounts, 9, execution="e1") == []
    assert settled(accounts) == {("run", "execution=e1", "execution"): 9, ("all", "", "total"): 18}


def test_too_many_accounts_cost_the_longest_unused_ones():
    """And the loss is counted."""
    accounts = SpendAccounts([Budget("b", "9 calls", window="session")], accounts_max=8)
    for n in range(9):
        add(accounts, 1, at_ns=NOON_NS + n, session=f"s{n}")
        add(accounts, 1, at_ns=NOON_NS + n, session="s0")
    assert accounts.evicted == 3
    assert [row.scope for row in accounts.status()] == [f"session=s{n}" for n in (0, 4, 5, 6, 7, 8)]


def test_a_raised_limit_keeps_what_was_spent():
    """Fractions of the new limit warn again; the same limit governs accounts to come."""
    accounts = SpendAccounts([Budget("b", "100 tokens", per="user")])
    add(accounts, 101, user="ada")
    accounts.set_limit("b", "200 tokens")
    assert add(accounts, 58, user="ada") == []
    assert add(accounts, 1, user="ada") == [("b", "user=ada", 0.8, False)]
    assert add(accounts, 159, user="bob") == []
    assert {row.limit for row in accounts.status()} == {200}
    assert accounts.budgets["b"].limit_amount == 200


def test_a_raised_limit_does_not_repeat_what_is_reached_already():
    """Only fractions of the new limit that are still ahead warn."""
    accounts = SpendAccounts([Budget("b", "100 tokens")])
    add(accounts, 101)
    accounts.set_limit("b", "120 tokens")
    assert add(accounts, 1) == []
    assert add(accounts, 6) == [("b", "", 0.9, False)]


def test_a_fraction_between_two_integers_is_reached_by_the_higher_one():
    """Half of three calls is not one call."""
    accounts = SpendAccounts([Budget("b", "3 calls", warn=(0.5,))])
    assert add(accounts, 1) == []
    assert add(accounts, 1) == [("b", "", 0.5, False)]


def test_each_budget_keeps_its_own_time():
    """The hour ends within the day."""
    accounts = SpendAccounts([Budget("day", "9 calls", window="day"), Budget("hour", "9 calls", window="hour")])
    add(accounts, 1, at_ns=NOON_NS)
    add(accounts, 1, at_ns=NOON_NS + DAY_NS // 24)
    assert settled(accounts) == {
        ("day", "", "2026-11-22"): 2,
        ("hour", "", "2026-11-22T12+00:00"): 1,
        ("hour", "", "2026-11-22T13+00:00"): 1,
    }


def test_two_budgets_of_one_name_are_refused():
    """Reports could not tell them apart."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.name"):
        SpendAccounts([Budget("b", "$1"), Budget("b", "$2")])


BUDGETS = [
    Budget("run", "50 tokens", window="execution"),
    Budget("user day", "80 tokens", window="day", per="user", warn=(0.33, 0.5)),
    Budget("team", "60 calls", window="hour", match={"team": ["a", "b"]}, per=("team", "user")),
    Budget("all", "$0.000000300", warn=()),
]
WHO = st.fixed_dictionaries(
    {}, optional={"execution": st.sampled_from("xyz"), "user": st.sampled_from("uv"), "team": st.sampled_from("abc")}
)


@given(st.lists(st.tuples(WHO, st.integers(0, 30 * 3600), st.integers(0, 40), st.integers(0, 40)), max_size=40))
def test_the_sums_are_those_of_a_plain_dict(turns):
    """Sums, warnings and exceeded limits, over any mix of attributes and two days of instants."""
    accounts, sums, warned = SpendAccounts(BUDGETS), defaultdict(int), set()
    start_ns = to_ns(datetime(2026, 11, 22, tzinfo=UTC))
    for who, at_s, nanousd, tokens in turns:
        at = datetime.fromtimestamp(start_ns // 10**9 + at_s, UTC)
        keys = {
            "run": ("run", f"execution={who.get('execution', '')}", "execution"),
            "user day": ("user day", f"user={who.get('user', '')}", f"{at:%Y-%m-%d}"),
            "all": ("all", "", "total"),
        }
        if who.get("team") in ("a", "b"):
            keys["team"] = ("team", f"team={who['team']},user={who.get('user', '')}", f"{at:%Y-%m-%dT%H+00:00}")
        expected = []
        for budget in BUDGETS:
            if key := keys.get(budget.name):
                sums[key] += {"usd": nanousd, "tokens": tokens, "calls": 1}[budget.unit]
                for fraction in budget.warn:
                    reached = sums[key] >= Fraction(str(fraction)) * budget.limit_amount
                    if reached and (key, fraction) not in warned:
                        warned.add((key, fraction))
                        expected.append((budget.name, key[1], fraction, False))
                if sums[key] > budget.limit_amount:
                    expected.append((budget.name, key[1], 1.0, True))
        crossings = accounts.add(who, start_ns + at_s * 10**9, nanousd, tokens)
        if all("T" not in key[2] for key in keys.values()):  # hours before the last two are forgotten
            assert [(c.budget, c.scope, c.fraction, c.exceeded) for c in crossings] == expected
    assert {key: n for key, n in sums.items() if "T" not in key[2]} == {
        key: n for key, n in settled(accounts).items() if "T" not in key[2]
    }


NAMES = st.sampled_from(["", "ada", "bob"])
ATTRIBUTES = st.sampled_from(["user", "org", "model", "team", "execution"])
MADE_TURNS = st.builds(
    LLMTurnComplete,
    timestamp_ns=st.integers(-2, 2).map(lambda days: NOON_NS + days * DAY_NS),
    execution_id=NAMES,
    user_id=NAMES,
    org_id=NAMES,
    model=NAMES,
    tags=st.sampled_from([{}, {"team": "ada"}, {"team": ""}, {"user": "bob"}]),
    usage=st.integers(1, 9).map(lambda tokens: Usage(tokens, tokens)),
    cost=st.sampled_from(
        [None, Cost(status=CostStatus.PRICED, nanousd=4 * 10**8), Cost(status=CostStatus.UNPRICED, reason="?")]
    ),
)
MADE_BUDGETS = st.builds(
    lambda number, per, match, window, limit: Budget(str(number), limit, per=per, match=match, window=window),
    st.integers(),
    st.lists(ATTRIBUTES, max_size=2, unique=True),
    st.dictionaries(ATTRIBUTES, st.sampled_from(["ada", ["ada", "bob"]]), max_size=1),
    st.sampled_from(["total", "day", "execution"]),
    st.sampled_from(["$1", "20 tokens", "3 calls"]),
)


@given(st.lists(MADE_BUDGETS, max_size=3, unique_by=lambda budget: budget.name), st.lists(MADE_TURNS, max_size=20))
def test_a_turn_counts_as_its_attributes_do(budgets, turns):
    """Whichever way an account is found, the sums are the same and so is what they say."""
    by_turn, by_attributes, mixed = SpendAccounts(budgets), SpendAccounts(budgets), SpendAccounts(budgets)
    for turn in turns:
        who, nanousd = attributes_of(turn), turn.cost and turn.cost.nanousd
        said = by_attributes.add(who, turn.timestamp_ns, nanousd, turn.usage.total_tokens)
        mixed.find(who, turn.timestamp_ns)
        assert by_turn.add_turn(turn) == mixed.add_turn(turn) == said
    assert by_turn.status() == mixed.status() == by_attributes.status()


def test_limits_of_values_are_found_without_a_walk(monkeypatch):
    """Of a hundred thousand customers with accounts and limits of their own, each costs what the first did."""
    accounts = SpendAccounts([Budget("b", "10 tokens", per="org", window="hour", warn=())])
    asked = []
    right = Account.set_own_limit
    monkeypatch.setattr(Account, "set_own_limit", lambda self, limit: (asked.append(self), right(self, limit)))
    for number in range(100_000):
        accounts.set_own_limit("b", (str(number),), 20)
    for number in range(5_000):
        accounts.add({"org": str(number)}, 0, 0, 15)
    for number in range(5_000):
        accounts.set_own_limit("b", (str(number),), 14 if number else None)
    assert len(asked) == 5_000
    assert accounts.add({"org": "1"}, 0, 0, 0)[0].limit == 14
    assert accounts.add({"org": "0"}, 0, 0, 0)[0].limit == 10
    assert accounts.add({"org": "99_999"}, 0, 0, 15)[0].limit == 10
    assert accounts.add({"org": "99999"}, 0, 0, 15) == []
    assert accounts.add({"org": "1"}, HOUR_NS, 0, 13) == []
    accounts.set_own_limit("b", ("1",), 12)
    assert [row.limit for row in accounts.status() if row.scope == "org=1"] == [12, 12]


def test_a_retired_budget_counts_nothing_and_an_added_one_from_then_on():
    """Under the name of one that was there too; of two at once with one name neither is added."""
    accounts = SpendAccounts([Budget("b", "10 tokens"), Budget("other", "5 calls")])
    accounts.add({}, 0, 0, 8)
    accounts.retire("b")
    assert accounts.add({"org": "x"}, 0, 0, 8) == []
    accounts.add_budgets([Budget("b", "10 tokens", per="org"), Budget("c", "3 calls", match={"org": "x"})])
    accounts.add({"org": "x"}, 0, 0, 8)
    stand = [(row.budget, row.scope, row.settled) for row in accounts.status()]
    assert stand == [("other", "", 3), ("b", "org=x", 8), ("c", "", 1)]
    for wrong in ([Budget("c", "9 calls")], [Budget("d", "9 calls")] * 2):
        with pytest.raises(ConfigError, match="a name that no other budget has"):
            accounts.add_budgets(wrong)
    assert list(accounts.budgets) == ["other", "b", "c"]
