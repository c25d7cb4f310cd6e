"""How a log stands: when nothing is there, while it is written, and when it is asked wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hivecost.errors import ConfigError, SessionNotFoundError
from hivecost.events import EventType, ExecutionStarted, LLMTurnComplete
from hivecost.log import Filter, Page
from hivecost.testing.contracts.checking import raises, same
from hivecost.testing.contracts.log.history import START_NS, history
from hivecost.testing.contracts.log.opening import OpensLogs, ids, pages, same_sums


class StandingPromises(OpensLogs):
    """What a reader says of the log as a whole."""

    def test_a_log_that_is_missing_is_empty(self, tmp_path: Path) -> None:
        """Everything answers, nothing is made, and a session that is asked for is named as not found."""
        place = tmp_path / "nothing"
        with self.opened(place) as log:
            same((log.as_of(), log.sums(), log.sums(["day", "model"]), log.latencies()), (None, [], [], []))
            same((log.nodes("s"), log.steps("s"), log.alerts(), log.budgets(), log.audit()), ([], [], [], [], []))
            same((log.accounts(START_NS), log.end(), log.pruned_before(), log.repriced("s")), ([], "", None, None))
            same([log.sessions(), log.executions(), log.turns(), log.events()], [Page((), "")] * 4)
            same((log.compactions("s"), log.carried_results("s")), ([], []))
            same(log.version(), log.version())
            with raises(SessionNotFoundError) as missing:
                log.session("nobody")
            same("'nobody'" in str(missing.error), True)
        same(place.exists(), False)

    def test_a_snapshot_stays_what_it_is(self, tmp_path: Path) -> None:
        """Whatever is written meanwhile; the reader beside it sees it at once."""
        events = history(60)
        with self.written(tmp_path, events[:40]) as (log, oracle), log.snapshot() as view:
            self.write(tmp_path, events[40:])
            same_sums(view.sums(["model"]), oracle.sums(["model"]))
            same(ids(pages(view.turns)), ids(oracle.turns()))
            oracle.add(events[40:])
            same_sums(log.sums(["model"]), oracle.sums(["model"]))
            with view.snapshot() as again:
                same(again.sums(), view.sums())

    def test_the_version_tells_of_a_change(self, tmp_path: Path) -> None:
        """Of the first event, and of every later one; reading is no change."""
        with self.opened(tmp_path) as log:
            seen = [log.version()]
            for event in history(2):
                self.write(tmp_path, [event])
                seen.append(log.version())
                log.sums()
                same(log.version(), seen[-1])
            same(len({*seen}), len(seen))

    def test_as_of_is_the_newest_instant(self, tmp_path: Path) -> None:
        """Of turns and of other events."""
        for number, kind in enumerate((LLMTurnComplete, ExecutionStarted)):
            place = tmp_path / str(number)
            older = LLMTurnComplete(timestamp_ns=START_NS), ExecutionStarted(timestamp_ns=START_NS + 1, session_id="s")
            with self.written(place, [kind(timestamp_ns=START_NS + 5, session_id="s"), *older]) as (log, _):
                same(log.as_of(), START_NS + 5)

    def test_what_is_asked_wrongly_is_named(self, tmp_path: Path) -> None:
        """A dimension, a zone, a filter or a limit that is none: a ConfigError, and not an empty answer."""
        with self.written(tmp_path, history(5)) as (log, _):
            wrong: tuple[Callable[[], object], ...] = (
                lambda: log.sums(["colour"]),
                lambda: log.sums(["model", "model"]),
                lambda: log.sums(["day"], zone="Mars/Olympus"),
                lambda: log.events(filter=Filter(model="small")),
                lambda: log.turns(filter=Filter(agent="\ud800")),
                lambda: log.turns(limit=0),
                lambda: log.audit(limit=0),
                lambda: log.turn_sums(dimensions=["colour"]),
                lambda: log.alerts(types=[EventType.LLM_TURN_COMPLETE]),
            )
            for ask in wrong:
                with raises(ConfigError):
                    ask()
