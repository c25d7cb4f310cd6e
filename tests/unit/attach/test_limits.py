"""Limits as people write them for a command."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import hivecost as hc
from hivecost.attach.limits import KEPT_WINDOWS, read_limit, read_limits, system_timezone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$0.50", (Decimal("0.50"), "usd", None)),
        ("0.5", (Decimal("0.5"), "usd", None)),
        ("5usd/day", (Decimal(5), "usd", "day")),
        ("$20/total", (Decimal(20), "usd", "total")),
        ("200k tokens", (Decimal(200_000), "tokens", None)),
        ("1.5M tokens / week", (Decimal(1_500_000), "tokens", "week")),
        ("100 calls/hour", (Decimal(100), "calls", "hour")),
        ("$1,000/Month", (Decimal(1_000), "usd", "month")),
    ],
)
def test_an_amount_and_a_window(text: str, expected: tuple[Decimal, str, str | None]) -> None:
    """A window stands after a slash; k and m are thousands and millions."""
    assert read_limit(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *["0", "-1", "$0/day", "much", "/day", "$5/", "$5/year", "$5/execution", "1e18", "$5/day/2", "nan", "inf"],
        *("", "9" * 30, "$1 tokens", "5kk tokens", "5 kg", "0.5 calls", "5 tokens calls"),
        "$\N{ARABIC-INDIC DIGIT FIVE} 5",
    ],
)
def test_nonsense_is_explained(text: str) -> None:
    """Nothing is taken for a limit that is none, and the flag is named."""
    with pytest.raises(hc.ConfigError, match="--budget"):
        read_limit(text)


def test_budgets_that_say_the_same_have_one_name() -> None:
    """The name is made from unit, window and zone, never from the amount."""
    first, second = (read_limit(text).budget("Europe/Berlin") for text in ("$5/day", "7 USD/day"))
    assert first.name == second.name == "usd per day, Europe/Berlin"
    assert (first.limit, first.window, first.timezone, first.mode) == (5, "day", "Europe/Berlin", "hard")
    assert read_limit("3 calls/total").budget("UTC").name == "calls in total"
    names = {
        read_limit(f"{amount}/{window}").budget("UTC").name for amount in ("$1", "1 call") for window in KEPT_WINDOWS
    }
    assert len(names) == 2 * len(KEPT_WINDOWS)


def test_a_limit_of_one_command_is_no_budget() -> None:
    """It has no window to be kept by."""
    with pytest.raises(hc.ConfigError, match="window"):
        read_limit("$5").budget("UTC")


def test_the_lower_of_two_that_count_the_same_is_kept() -> None:
    """Both would have to hold."""
    limits = read_limits(["$5", "$3", "$4/day", "10 calls"])
    assert [(limit.amount, limit.unit, limit.window) for limit in limits] == [
        (3, "usd", None),
        (4, "usd", "day"),
        (10, "calls", None),
    ]


def test_the_zone_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ wins, then where the system's file leads; what names no zone is UTC."""
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    monkeypatch.delenv("TZ", raising=False)
    assert system_timezone(link) == "Europe/Berlin"
    assert system_timezone(tmp_path / "none") == "UTC"
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert system_timezone(link) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "CET-1CEST")
    assert system_timezone(link) == "Europe/Berlin"
