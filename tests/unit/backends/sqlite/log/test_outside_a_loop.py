"""A Store may be made anywhere; only opening it needs an event loop."""

from __future__ import annotations

from hivecost.backends.sqlite import Store


def test_a_store_can_be_made_at_module_level(tmp_path):
    """Programs make their objects before they run a loop."""
    assert Store(tmp_path).statistics().queued == 0
