"""What is kept beside a log: values by key, which others see, and whose time may be over."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import ConfigError
from hivecost.log import LogState, Page, StateTable
from hivecost.testing.clock import FakeClock
from hivecost.testing.contracts.checking import raises, same
from hivecost.testing.contracts.log.opening import OpensLogs, pages

#: So many try at once.
_CONTENDERS = 4


class StatePromises(OpensLogs):
    """What the small tables beside a log keep."""

    def state(self, place: Path, clock: Clock = SYSTEM_CLOCK) -> LogState:
        """Return the small tables of a place."""
        return self.backend(place).state(clock=clock)

    def test_what_is_put_is_there(self, tmp_path: Path) -> None:
        """In its own table alone, for whoever opens the place, until another value is put."""
        tables: tuple[StateTable, ...] = get_args(StateTable)
        same([self.state(tmp_path).get(table, "key") for table in tables], [None] * len(tables))
        for table in tables:
            self.state(tmp_path).put(table, "key", table.encode())
        same([self.state(tmp_path).get(table, "key") for table in tables], [table.encode() for table in tables])
        self.state(tmp_path).put("alerts", "key", b"")
        same([self.state(tmp_path).get(table, "key") for table in tables[:2]], [b"", tables[1].encode()])
        same(self.state(tmp_path).get("alerts", "another"), None)

    def test_reading_no_state_makes_none(self, tmp_path: Path) -> None:
        """Of a place that is not there."""
        place = tmp_path / "nothing"
        same((self.state(place).get("outbox", "key"), self.state(place).items("outbox")), (None, Page((), "")))
        same(place.exists(), False)

    def test_of_all_who_swap_at_once_one_does(self, tmp_path: Path) -> None:
        """What is not there yet, what is, and what is taken away: each time exactly one of them is told so."""
        steps = ((None, b"first"), (b"first", b"second"), (b"second", None), (None, b"again"))
        with ThreadPoolExecutor(_CONTENDERS) as threads:
            for before, value in steps:
                tried = [
                    threads.submit(self.state(tmp_path).swap, "import_keys", "key", before, value)
                    for _ in range(_CONTENDERS)
                ]
                same(sorted(one.result() for one in tried), [False] * (_CONTENDERS - 1) + [True])
                same(self.state(tmp_path).get("import_keys", "key"), value)
        same(self.state(tmp_path).swap("import_keys", "key", b"another", b"lost"), False)
        same(self.state(tmp_path).get("import_keys", "key"), b"again")

    def test_a_value_whose_time_is_over_is_not_there(self, tmp_path: Path) -> None:
        """To nobody: it is not read, not listed, and does not stand in the way of another; put again it is new."""
        clock = FakeClock()
        state, end_ns = self.state(tmp_path, clock), clock.now_ns() + 10**9
        state.put("response_cache", "short", b"1", until_ns=end_ns)
        state.put("response_cache", "long", b"2")
        same(state.items("response_cache").rows, (("long", b"2"), ("short", b"1")))
        clock.advance(1)
        same((state.get("response_cache", "short"), state.get("response_cache", "long")), (None, b"2"))
        same(state.items("response_cache").rows, (("long", b"2"),))
        same(state.swap("response_cache", "short", b"1", b"3"), False)
        same(state.swap("response_cache", "short", None, b"3", until_ns=end_ns + 1), True)
        same(state.get("response_cache", "short"), b"3")
        state.put("response_cache", "short", b"4")
        clock.advance(1)
        same(state.get("response_cache", "short"), b"4")

    def test_values_are_listed_by_key(self, tmp_path: Path) -> None:
        """Each once, in pages of any size; a cursor of another table is named."""
        state = self.state(tmp_path)
        keys = ["b", "a", "ü", "Z", "10", "9", "a b", "漢"]
        for key in keys:
            state.put("forward_cursors", key, key.encode())
        state.put("outbox", "other", b"")
        for limit in (1, 3, 100):
            found = pages(partial(state.items, "forward_cursors", limit=limit))
            same(found, [(key, key.encode()) for key in sorted(keys)])
        for wrong in ("17", state.items("outbox").cursor):
            with raises(ConfigError):
                state.items("forward_cursors", wrong)

    def test_state_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        """A table that is none, an empty key, one that is no text, a value of more than 16 MiB, a limit below 1."""
        state = self.state(tmp_path)
        wrong: tuple[Callable[[], object], ...] = (
            lambda: state.put("colours", "key", b""),  # type: ignore[arg-type]  # that is what is tested
            lambda: state.get("colours", "key"),  # type: ignore[arg-type]  # the same
            lambda: state.put("alerts", "", b""),
            lambda: state.put("alerts", "\ud800", b""),
            lambda: state.put("alerts", "key", bytes(2**24 + 1)),
            lambda: state.items("alerts", limit=0),
        )
        for ask in wrong:
            with raises(ConfigError):
                ask()
        same(state.items("alerts").rows, ())
