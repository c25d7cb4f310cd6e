from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.ledger import Budget


@pytest.mark.parametrize(
    ("limit", "unit", "expected"),
    [
        ("$0.50", "", (500_000_000, "usd")),
        ("$ 1,200.25", "", (1_200_250_000_000, "usd")),
        ("5 USD", "", (5_000_000_000, "usd")),
        (0.5, "", (500_000_000, "usd")),
        (Decimal("0.000000001"), "", (1, "usd")),
        ("1_000_000 tokens", "", (1_000_000, "tokens")),
        ("1,000 Tokens", "tokens", (1_000, "tokens")),
        ("200 calls", "", (200, "calls")),
        ("1 call", "", (1, "calls")),
        (1_000, "tokens", (1_000, "tokens")),
        ("1000", "calls", (1_000, "calls")),
        (2e3, "tokens", (2_000, "tokens")),
    ],
)
def test_limits_as_people_write_them(limit, unit, expected):
    """In USD, tokens or calls; the amount is an integer of nano-USD, tokens or calls."""
    budget = Budget("b", limit=limit, unit=unit)
    assert (budget.limit_amount, budget.unit) == expected


@pytest.mark.parametrize(
    ("limit", "unit"),
    [
        (0, ""),
        ("$0", ""),
        (-1, ""),
        ("$-1", ""),
        ("$0.0000000001", ""),
        (math.nan, ""),
        (math.inf, "tokens"),
        (True, ""),
        (None, ""),
        ("", ""),
        ("plenty", ""),
        ("$5 tokens", ""),
        ("5 apples", ""),
        ("5 calls", "tokens"),
        (1.5, "tokens"),
        (10**19, "tokens"),
        (Decimal("1e999999999"), "tokens"),
        (Decimal("sNaN"), ""),
        ([5], ""),
    ],
)
def test_a_limit_that_cannot_be_is_refused(limit, unit):
    """The error names the budget, the field and what was expected."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.limit: expected"):
        Budget("b", limit=limit, unit=unit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("window", "fortnight"),
        ("window", None),
        ("timezone", "Mars/Olympus"),
        ("match", ["org"]),
        ("match", {"org": []}),
        ("match", {"org": 5}),
        ("match", {"": "acme"}),
        ("match", {"org": [""]}),
        ("per", ""),
        ("per", ["user", 5]),
        ("per", {"user": "ada"}),
        ("mode", "strict"),
        ("warn", (0,)),
        ("warn", (1.0,)),
        ("warn", (80,)),
        ("warn", 0.8),
        ("warn", (math.nan,)),
        ("on_short", "beg"),
        ("wait_s", 0),
        ("wait_s", -1.0),
        ("wait_s", "60"),
        ("wait_s", True),
        ("wait_s", float("nan")),
        ("on_short", "downgrade:"),
        ("on_short", None),
        ("on_exceed", "explode"),
        ("cancel", "later"),
        ("shadow", "no"),
        ("shadow", 1),
    ],
)
def test_a_field_that_cannot_be_is_refused(field, value):
    """The error names the budget and the field."""
    with pytest.raises(ConfigError, match=rf"budget 'b'\.{field}"):
        Budget("b", limit="$1", **{field: value})


@pytest.mark.parametrize("unit", [5, 0, None, False, True, b"usd", [], ["usd"], "apples", " ", Decimal(1)])
def test_a_unit_that_is_none_is_refused(unit):
    """By its own name, with those there are."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.unit: expected one of 'usd', 'tokens', 'calls'"):
        Budget("b", limit=5, unit=unit)


WORDS = ["$5", "1e999999999", "1_000 tokens", "usd", "day", "hard", "UTC", "pause", "downgrade:m", Budget, object()]
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.dates()
    | st.sampled_from(WORDS),
    lambda parts: st.lists(parts, max_size=3) | st.tuples(parts) | st.dictionaries(st.text() | st.none(), parts),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(Budget.__struct_fields__), odd, min_size=1))
@example({"unit": 5})
@example({"shadow": Decimal("sNaN")})
@example({"limit": 10**5000})
def test_whatever_it_is_given_is_a_budget_or_a_named_mistake(fields):
    """Never another exception than a ConfigError, and if one field alone is wrong, it names that one."""
    problem = ""
    try:
        made = Budget(**{"name": "b", "limit": 5} | fields)
    except ConfigError as error:
        problem = str(error)
    if problem:
        assert len(fields) > 1 or f".{next(iter(fields))}" in problem
    else:
        assert 0 < made.limit_amount <= 10**18
        assert msgspec.structs.replace(made, shadow=False).limit_amount == made.limit_amount


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_a_budget_has_a_name(name):
    """Every report and error speaks of it by that name."""
    with pytest.raises(ConfigError, match=r"budget\.name"):
        Budget(name, limit="$1")


def test_fields_are_put_in_one_form():
    """A single name is a list of one, warnings are in order, and an execution is an account of its own."""
    budget = Budget("b", "$0.50", window="execution", per="user", match={"org": "acme"}, warn=[0.9, 0.5, 0.9])
    assert budget.per == ("user",)
    assert budget.match == {"org": ("acme",)}
    assert budget.warn == (0.5, 0.9)
    assert budget.account_attributes == ("execution", "user")
    assert Budget("b", "$1", window="session", per="session").account_attributes == ("session",)
    assert Budget("b", "$1", on_short="downgrade:gpt-4o-mini").on_short == "downgrade:gpt-4o-mini"


@given(st.decimals("0.000000001", "1000000", places=9), st.sampled_from(["usd", "tokens", "calls"]))
def test_a_budget_survives_its_own_form(amount, unit):
    """Replacing a field, or a trip through JSON, changes nothing else: no limit is scaled twice."""
    budget = Budget("b", amount if unit == "usd" else max(1, int(amount)), unit=unit, match={"org": ["a", "b"]})
    assert msgspec.structs.replace(budget, shadow=False) == budget
    assert msgspec.json.decode(msgspec.json.encode(budget), type=Budget) == budget
    assert budget.with_limit(7).unit == unit


def test_a_new_limit_may_not_change_the_unit():
    """Dollars spent cannot be measured in tokens."""
    with pytest.raises(ConfigError, match=r"budget 'b'\.limit"):
        Budget("b", "$1").with_limit("5 tokens")


def test_a_budget_is_hard_unless_it_says_otherwise():
    """The strength that holds is the one without a word; the others are asked for by name."""
    assert Budget("b", "$1") == Budget("b", "$1", mode="hard")
    assert (Budget("b", "$1").mode, Budget("b", "$1").on_unpriced) == ("hard", "")
    assert [Budget("b", "$1", mode=mode).mode for mode in ("observe", "stop_after")] == ["observe", "stop_after"]


@pytest.mark.parametrize(
    "settings",
    [{"on_exceed": "alert"}, {"on_exceed": "throttle"}, *({"on_unpriced": on} for on in ("ignore", "refuse"))],
)
def test_what_only_stop_after_goes_by_says_so(settings):
    """Who wrote it for the default of before reads which mode to write beside it."""
    (field,) = settings
    with pytest.raises(ConfigError, match=rf"budget 'b'\.{field}: .*mode='stop_after'"):
        Budget("b", "$1", **settings)
    assert Budget("b", "$1", mode="stop_after", **settings).mode == "stop_after"


@pytest.mark.parametrize(("mode", "on_exceed"), [("stop_after", "pause"), ("observe", "pause"), ("hard", "alert")])
def test_what_a_mode_cannot_do_is_refused(mode, on_exceed):
    """Only what holds money before a turn can pause it, and what holds it always refuses."""
    with pytest.raises(ConfigError, match="on_exceed"):
        Budget("b", "$1", mode=mode, on_exceed=on_exceed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"soft_limit": "$1"}, r"soft_limit: expected less than the limit, got '1'"),
        ({"soft_limit": "5 tokens"}, r"soft_limit: expected an amount in usd, .*, got '5 tokens'"),
        ({"soft_limit": 0}, r"soft_limit: expected"),
        ({"soft_limit": "$0.5", "on_soft": "beg"}, r"on_soft: expected one of 'alert', 'throttle', 'finish'"),
        ({"soft_limit": "$0.5", "on_soft": "downgrade:"}, r"on_soft: expected one of 'alert', 'throttle', 'finish'"),
        ({"on_soft": "throttle"}, r"on_soft: expected a soft_limit beside it"),
        ({"soft_limit": "$0.5", "on_soft": "finish", "mode": "observe"}, r"on_soft: expected 'alert'"),
        ({"soft_limit": "$0.5", "on_soft": "finish", "window": "execution"}, r"on_soft: expected a window"),
        ({"throttle_s": 0}, r"throttle_s: expected seconds above 0 and below 1,000,000, got 0"),
        ({"wait_s": 1e12}, r"wait_s: expected seconds above 0 and below 1,000,000, got 1000000000000"),
        ({"per": ["org", "org"]}, r"per: expected each attribute once, got \['org', 'org'\]"),
        ({"mode": "stop_after", "on_exceed": "pause"}, r"on_exceed: expected 'cancel', 'throttle' or 'alert'"),
        ({"throttle_s": math.inf}, r"throttle_s: expected seconds above 0"),
        ({"throttle_s": True}, r"throttle_s: expected seconds above 0"),
        ({"on_exceed": "throttle", "mode": "hard"}, r"on_exceed: .* a soft_limit with on_soft='throttle'"),
        ({"on_exceed": "throttle", "mode": "observe"}, r"on_exceed: .* mode='stop_after' can throttle"),
    ],
)
def test_a_soft_limit_that_cannot_be_is_refused(settings, message):
    """The error names the field and the way out."""
    with pytest.raises(ConfigError, match=r"budget 'b'\." + message):
        Budget("b", "$1", **settings)


def test_a_soft_limit_is_written_like_the_limit():
    """A number counts in the budget's unit; without one there is no amount."""
    assert Budget("b", "$1").soft_amount is None
    assert Budget("b", "$1", soft_limit="$0.75").soft_amount == 750_000_000
    assert Budget("b", "1000 tokens", soft_limit=750).soft_amount == 750
    cheaper = Budget("b", "$1", soft_limit=0.5, on_soft="downgrade:m:1", on_short="downgrade:n")
    assert (cheaper.soft_model, cheaper.short_model) == ("m:1", "n")
    assert (Budget("b", "$1").soft_model, Budget("b", "$1").short_model) == ("", "")


def test_a_limit_may_be_lowered_below_the_soft_one_while_it_runs():
    """Nothing raises then, and raised again, both are as they were."""
    budget = Budget("b", "$1", soft_limit="$0.75", on_soft="throttle")
    lowered = budget.with_limit("$0.50")
    assert (lowered.limit_amount, lowered.soft_amount) == (500_000_000, 750_000_000)
    assert lowered.with_limit("$1") == budget


@pytest.mark.parametrize(
    ("settings", "written", "own"),
    [
        ({"per": "agent", "limits": {"planner": "$5"}}, {"planner": Decimal(5)}, {("planner",): 5 * 10**9}),
        ({"per": "agent", "limits": {"": 1}}, {"": Decimal(1)}, {("",): 10**9}),
        ({"per": "model", "limits": {"a=b,c": 1}}, {"a=b,c": Decimal(1)}, {("a=b,c",): 10**9}),
        (
            {"per": ("user", "model"), "limits": {"model=gpt-4.1,user=x=y,z": "0.5 usd"}},
            {"user=x=y,z,model=gpt-4.1": Decimal("0.5")},
            {("x=y,z", "gpt-4.1"): 5 * 10**8},
        ),
        (
            {"per": "agent", "window": "execution", "limits": {"planner": 5}},
            {"planner": Decimal(5)},
            {(None, "planner"): 5 * 10**9},
        ),
        (
            {"per": ("session", "agent"), "window": "session", "limits": {"planner": 5}},
            {"planner": Decimal(5)},
            {(None, "planner"): 5 * 10**9},
        ),
        ({"per": "execution", "limits": {"e": 5}}, {"e": Decimal(5)}, {("e",): 5 * 10**9}),
    ],
)
def test_limits_of_values_as_people_write_them(settings, written, own):
    """By the value, or by the names of several attributes in whatever order; in the budget's own unit."""
    budget = Budget("b", "$1", **settings)
    assert (budget.limits, budget.own_limits) == (written, own)
    assert Budget("b", "$1", **settings | {"limits": written}) == budget
    assert msgspec.structs.replace(budget, shadow=True).own_limits == own
    assert budget.with_limit("$3").own_limits == own


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limits": {"planner": 5}}, r"budget 'b'\.limits\.planner: expected a `per` beside it"),
        ({"window": "session", "limits": {"s": 5}}, r"budget 'b'\.limits\.s: expected a `per` beside it"),
        ({"per": "agent", "limits": "$5"}, r"budget 'b'\.limits: expected a table such as"),
        (
            {"per": "agent", "limits": {5: 5}},
            r"budget 'b'\.limits\.5: expected a key of the form a value of agent, once",
        ),
        (
            {"per": "agent", "limits": {"\ud800": 5}},
            r"budget 'b'\.limits\..*: expected a key of the form a value of agent",
        ),
        ({"per": "agent", "limits": {"x": 0}}, r"budget 'b'\.limits\.x: expected an amount above zero"),
        ({"per": "agent", "limits": {"x": "5 calls"}}, r"budget 'b'\.limits\.x: expected an amount in usd"),
        ({"per": "agent", "limits": {"x": None}}, r"budget 'b'\.limits\.x: expected an amount above zero"),
        *(
            (
                {"per": ("user", "model"), "limits": {key: 5}},
                r"limits\..*: expected a key of the form user=…,model=…, once",
            )
            for key in (
                "",
                "ada",
                "user=ada",
                "user=ada,org=x",
                "user=a,model=m,user=b",
                "x,user=a,model=m",
                ("a", "m"),
            )
        ),
        (
            {"per": ("user", "model"), "limits": {"user=a,model=m": 5, "model=m,user=a": 6}},
            r"limits\.model=m,user=a: expected a key of the form",
        ),
    ],
)
def test_limits_of_values_that_cannot_be_are_refused(settings, message):
    """The error names the budget, the key, and its form."""
    with pytest.raises(ConfigError, match=message):
        Budget("b", "$1", **settings)


@pytest.mark.parametrize(
    ("name", "meant"), [("user_id", "user"), ("org_id", "org"), ("modle", "model"), ("agents", "agent"), ("Org", "org")]
)
@pytest.mark.parametrize("field", ["per", "match"])
def test_a_slip_of_an_attribute_is_no_tag(field, name, meant):
    """It would be a tag that nobody has: a budget that binds nothing, or everybody together."""
    given = name if field == "per" else {name: "ada"}
    with pytest.raises(ConfigError, match=f"expected '{meant}'"):
        Budget("b", 1, **{field: given})


@pytest.mark.parametrize("name", ["customer", "team", "plan", "region"])
def test_any_other_name_is_that_of_a_tag(name):
    assert Budget("b", 1, per=name).per == (name,)
