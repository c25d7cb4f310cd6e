"""docs/errors.md has every error that hivecost raises on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import hivecost as hc

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()


def tree(error: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
    """How deep each class is, in the order in which they are defined."""
    here = [(depth, error.__name__)]
    for child in error.__subclasses__():
        if child.__module__ == "hivecost.errors":
            here += tree(child, depth + 1)
    return here


def test_every_error_is_there_below_its_parent():
    """With when it is raised, and what to do."""
    rows = re.findall(r"^\| ((?:· )*)`(\w+)` \| (.+\.) \| (.+\.) \|$", PAGE, re.MULTILINE)
    documented = [(dots.count("·"), name) for dots, name, _, _ in rows]
    assert documented == [(max(depth - 1, 0), name) for depth, name in tree(hc.HiveCostError)]


def test_what_an_error_carries_is_there():
    """Each attribute that it is said to have is one of it."""
    for error, attributes in {
        hc.BudgetExceededError(): "budget scope period used limit needed remaining",
        hc.BudgetExhaustedError(""): "reset_at",
        hc.BudgetBusyError(""): "retry_after_s",
        hc.PriceUnknownError(""): "suggestions",
        hc.ConfigError("", ""): "file key expected",
        hc.PluginError("", ""): "plugin",
    }.items():
        for name in attributes.split():
            assert hasattr(error, name), (error, name)
            assert f"`{name}`" in PAGE
