"""Rates on a terminal."""

from __future__ import annotations

import pytest

from hivecost.cli.render import render_rates
from hivecost.pricing import RateRow


@pytest.mark.parametrize(
    ("fees", "said"),
    [
        ({"page": "0.002"}, "page: USD for one."),
        ({"web_search": "1", "audio_hour": "2"}, "web_search, audio_hour: USD"),
    ],
)
def test_what_is_for_one_is_named(capsys, fees, said):
    """All rates that are shown and are not for tokens, and no other."""
    rates = {"input": "1", "output": "4", **fees}
    row = RateRow(provider="p", model="m", source="user", tier="", above=0, rates=rates)
    render_rates("m", [row], "s")
    assert said in capsys.readouterr().out
    render_rates("m", [RateRow(provider="p", model="m", source="user", tier="", above=0, rates={"input": "1"})], "s")
    assert "USD for one" not in capsys.readouterr().out
