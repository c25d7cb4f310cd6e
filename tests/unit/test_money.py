"""Amounts go in as people write them and come out exact."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.ledger.amounts import parse_limit
from hivecost.money import USD, format_usd, to_nanousd, to_usd


@pytest.mark.parametrize(
    ("amount", "nanousd"),
    [
        ("$0.50", 5 * 10**8),
        ("1,200", 1_200 * 10**9),
        (0.1, 10**8),
        (3, 3 * 10**9),
        (Decimal("0.000000001"), 1),
        ("0", 0),
        ("0.50usd", 5 * 10**8),
        ("5$", 5 * 10**9),
        ("1,234,567.5", 1_234_567_500_000_000),
        ("1_000", 1_000 * 10**9),
    ],
)
def test_amounts_as_people_write_them(amount, nanousd):
    """Strings, ints, floats and Decimals mean what they say."""
    assert to_nanousd(amount) == nanousd


@pytest.mark.parametrize("amount", ["ten", "NaN", "inf", "-1", -0.5, True, "$$5", float("nan"), "1e30"])
def test_what_is_no_amount_names_the_setting(amount):
    """The error says which setting it was and what was expected."""
    with pytest.raises(ConfigError, match=r"budget\.limit: expected an amount in USD"):
        to_nanousd(amount, key="budget.limit")


MISPLACED = {
    "0,50": "0.50",
    "1,5": "1.5",
    ",50": "0.50",
    "5,": "5",
    "0,500": "0.500",
    "00,500": "0.500",
    "1,00,000": "100000",
    "1,0000": "1.0000",
    "1.000,50": "1000.50",
    "0,500.00": "500.00",
    "1_000,50": "1000.50",
}
LEFTOVERS = [
    *(
        "bash.50",
        "-bash.50",
        "/bin/bash.50",
        "/usr/bin/zsh.50",
        "sh",
        "-zsh",
        "dash.5",
        "./deploy.sh.50",
        "bash.exe.50",
    ),
    *("/day", ".50/day", "bash.50/day", "sh/month", " / day"),
    *("", " "),
]


@pytest.mark.parametrize(("amount", "meant"), MISPLACED.items())
def test_a_comma_is_no_decimal_point(amount, meant):
    """`0,50` is never $50: a comma stands before three digits, and the error says what to write."""
    for written in (amount, f"${amount}"):
        with pytest.raises(ConfigError, match=rf"limit: expected .*: write {re.escape(meant)}, got"):
            to_nanousd(written, key="limit")
    for written in (amount, f"${amount}", f"{amount} usd", f"{amount} tokens"):
        with pytest.raises(ConfigError, match=rf"limit: expected .*: write {re.escape(meant)}, got"):
            parse_limit(written, "", key="limit")


@pytest.mark.parametrize("amount", LEFTOVERS)
def test_what_a_shell_leaves_of_an_amount_is_recognised(amount):
    """`"$0.50"` in double quotes reaches us as `bash.50`, `"$5/day"` as `/day`, `"$5"` as nothing."""
    for read in (to_nanousd, lambda text, key: parse_limit(text, "", key=key)):
        with pytest.raises(ConfigError, match=r"limit: expected .* single quotes, '\$0\.50', or 0\.50usd, got"):
            read(amount, key="limit")


@given(st.integers(0, 10**17))
def test_nanousd_round_trip_exactly(nanousd):
    """USD holds every nano-USD."""
    assert to_nanousd(to_usd(nanousd)) == nanousd


def test_round_amounts_keep_their_places():
    """Five cents are $0.05: more decimals come only where they say something."""
    assert format_usd(50_000_000, decimals=2) == "$0.05"
    assert format_usd(51_000_000, decimals=2) == "$0.051"


@given(st.integers(-(10**18), 10**18), st.integers(1, 9))
def test_amounts_are_written_as_decimals_are(nanousd, decimals):
    """Rounded half-even, with separators, and with more places where a small cost needs them."""
    amount = Decimal(nanousd).scaleb(-9)
    while decimals < 9 and abs(amount) < Decimal(10).scaleb(-decimals) and amount != round(amount, decimals):
        decimals += 1
    sign = "-" if nanousd < 0 else ""
    assert format_usd(nanousd, decimals=decimals) == f"{sign}${abs(amount):,.{decimals}f}"


def test_usd_adds_to_floats_and_to_itself():
    """A running total may start at 0.0, as they do; exact amounts stay exact."""
    total = 0.0
    total += to_usd(88_500_000)
    assert total == 0.0885
    assert sum([to_usd(1), to_usd(2)]) == to_usd(3)
    assert isinstance(to_usd(1) + to_usd(2), USD)
    assert f"{to_usd(88_500_000):.4f}" == "0.0885"


@pytest.mark.parametrize(
    ("nanousd", "shown"),
    [
        (0, "$0.0000"),
        (88_500_000, "$0.0885"),
        (1_234_567_890_000, "$1,234.5679"),
        (15, "$0.000000015"),
        (45_000, "$0.000045"),
        (-5 * 10**8, "-$0.5000"),
    ],
)
def test_a_small_cost_is_never_shown_as_zero(nanousd, shown):
    """More decimals appear where fewer would read as nothing."""
    assert format_usd(nanousd) == shown
