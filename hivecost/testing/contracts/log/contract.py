"""The contract of a log: what the author of a backend subclasses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from hivecost.backends import Backend
from hivecost.errors import ConfigError, SessionNotFoundError
from hivecost.events import Event, EventType, ExecutionStarted, LLMTurnComplete
from hivecost.ledger import Budget
from hivecost.log import ALWAYS, DIMENSIONS, EVERYTHING, Filter, LogReader, LogWriter, Page, SumRow, Window
from hivecost.log.records import Pruned, Repricing
from hivecost.testing.contracts.checking import raises, same
from hivecost.testing.contracts.log.history import DAY_NS, SESSIONS, START_NS, ZONES, history
from hivecost.testing.contracts.log.oracle import LogOracle, sum_row

T = TypeVar("T")

_MINUTE_NS = 60 * 10**9
#: From and to the middle of quarter-hours, over one, inside one, whole, and empty.
_WINDOWS = (
    ALWAYS,
    Window(START_NS + DAY_NS + 7 * _MINUTE_NS + 1, START_NS + 4 * DAY_NS + 22 * _MINUTE_NS),
    Window(START_NS + 3 * DAY_NS, START_NS + 9 * DAY_NS),
    Window(START_NS + 2 * DAY_NS + _MINUTE_NS, START_NS + 2 * DAY_NS + 14 * _MINUTE_NS),
    Window(START_NS, START_NS),
)
_FILTERS = (
    EVERYTHING,
    Filter(model="large"),
    Filter(agent="planner", user=""),
    Filter(session=SESSIONS[1], provider="openai"),
    Filter(session=(SESSIONS[0], SESSIONS[4]), user=("ada", "")),
    Filter(task="t1", node="plan"),
)


class LogContract(ABC):
    """What every log keeps, as tests for pytest: `hivecost.log.LogReader` and `LogWriter`.

    class TestMyLog(LogContract):
        def backend(self, place):
            return MyBackend(f"mine://host/{place.name}")

    Each test has a place of its own, where nothing is yet. Accounts and the audit trail are written by a ledger, so
    that only their absence is tested here.
    """

    @abstractmethod
    def backend(self, place: Path) -> Backend:
        """Return the backend of a place. One that keeps no files takes `place` as a name."""

    def open(self, place: Path) -> LogReader:
        """Return a reader of the log of a place."""
        return self.backend(place).reader()

    def write(self, place: Path, events: Sequence[Event]) -> int:
        """Commit these events to the log of a place; return how many were new."""
        return self.ask_writer(place, lambda writer: writer.write(events))

    def ask_writer(self, place: Path, work: Callable[[LogWriter], Coroutine[None, None, T]]) -> T:
        """Return what a writer of the log answers."""

        async def ask() -> T:
            async with self.backend(place).writer() as writer:
                return await work(writer)

        return anyio.run(ask)

    def prune(self, place: Path, before_ns: int) -> Pruned:
        """Delete the turns and events from before, and keep their sums."""
        return self.ask_writer(place, lambda writer: writer.prune(before_ns))

    def delete(self, place: Path, session_id: str) -> bool:
        """Delete a session, and take it out of every sum."""
        return self.ask_writer(place, lambda writer: writer.delete(session_id))

    @contextmanager
    def opened(self, place: Path) -> Iterator[LogReader]:
        """Give a reader, and close it, twice: the second time changes nothing."""
        log = self.open(place)
        try:
            yield log
        finally:
            log.close()
            log.close()

    @contextmanager
    def written(self, place: Path, events: Sequence[Event] | None = None) -> Iterator[tuple[LogReader, LogOracle]]:
        """Give a reader of a history, and what it must answer."""
        events = history() if events is None else events
        self.write(place, events)
        with self.opened(place) as log:
            yield log, LogOracle(events)

    def test_a_log_that_is_missing_is_empty(self, tmp_path: Path) -> None:
        """Everything answers, nothing is made, and a session that is asked for is named as not found."""
        place = tmp_path / "nothing"
        with self.opened(place) as log:
            same((log.as_of(), log.sums(), log.sums(["day", "model"]), log.latencies()), (None, [], [], []))
            same((log.nodes("s"), log.steps("s"), log.alerts(), log.budgets(), log.audit()), ([], [], [], [], []))
            same((log.accounts(START_NS), log.end(), log.pruned_before(), log.repriced("s")), ([], "", None, None))
            same([log.sessions(), log.executions(), log.turns(), log.events()], [Page((), "")] * 4)
            same(log.version(), log.version())
            with raises(SessionNotFoundError) as missing:
                log.session("nobody")
            same("'nobody'" in str(missing.error), True)
        same(place.exists(), False)

    def test_sums_are_the_fold_of_the_turns(self, tmp_path: Path) -> None:
        """For every dimension, window and filter, to the nano-dollar; each event counts once, however often it came."""
        events = history()
        with self.written(tmp_path, [*events, *events[::3]]) as (log, oracle):
            self.write(tmp_path, events[::7])
            for dimensions in (
                (),
                *((name,) for name in DIMENSIONS),
                ("user", "model"),
                ("day", "task", "node"),
                ("reason", "tags"),
            ):
                for window in _WINDOWS:
                    same_sums(log.sums(dimensions, window), oracle.sums(dimensions, window))
            for only in _FILTERS:
                for dimensions in ((), ("model",), ("node", "org"), ("node", "model", "provider")):
                    same_sums(log.sums(dimensions, filter=only), oracle.sums(dimensions, filter=only))

    def test_periods_are_those_of_the_zone(self, tmp_path: Path) -> None:
        """S7: also where clocks go back, and where a zone differs from UTC by 30 or 45 minutes."""
        with self.written(tmp_path) as (log, oracle):
            for zone in ZONES:
                for period in ("quarter_hour", "hour", "day", "week", "month"):
                    same_sums(log.sums([period], zone=zone), oracle.sums([period], zone=zone))

    def test_periods_come_in_the_order_of_time(self, tmp_path: Path) -> None:
        """The hour that comes twice has its first half first; in each period the other values are in their order."""
        at_ns = START_NS + DAY_NS  # 02:00 in Berlin, and again an hour later
        turns = [
            LLMTurnComplete(event_id=f"{hour}{model}", timestamp_ns=at_ns + hour * 3600 * 10**9, model=model)
            for hour in (2, 1, 0)
            for model in ("b", "a")
        ]
        with self.written(tmp_path, turns) as (log, _):
            found = [row.group for row in log.sums(["model", "hour"], zone="Europe/Berlin")]
            hours = [f"2025-10-26T{hour}" for hour in ("02:00+02:00", "02:00+01:00", "03:00+01:00")]
            same(found, [(model, hour) for hour in hours for model in ("a", "b")])

    def test_what_was_pruned_still_counts(self, tmp_path: Path) -> None:
        """At the start of its quarter-hour, in every sum; the turns and events themselves are gone."""
        with self.written(tmp_path) as (log, oracle):
            before_ns = START_NS + 4 * DAY_NS + 5 * _MINUTE_NS
            pruned = self.prune(tmp_path, before_ns)
            same(pruned.turns, sum(turn.timestamp_ns < before_ns for turn in oracle.turns()))
            same(pruned.events, sum(event.timestamp_ns < before_ns for event in oracle.others()))
            oracle.prune(before_ns)
            same(log.pruned_before(), before_ns)
            for dimensions in ((), ("model",), ("day", "session"), ("task", "node", "user"), ("pruned", "execution")):
                for window in _WINDOWS:
                    same_sums(log.sums(dimensions, window), oracle.sums(dimensions, window))
            same(ids(pages(log.turns)), ids(oracle.turns()))
            same(ids(pages(log.events)), ids(oracle.others()))
            same(log.latencies(), oracle.latencies())

    def test_a_deleted_session_is_in_no_sum(self, tmp_path: Path) -> None:
        """Nor in any list."""
        with self.written(tmp_path) as (log, oracle):
            same(self.delete(tmp_path, SESSIONS[2]), True)
            same(self.delete(tmp_path, SESSIONS[2]), False)
            oracle.delete(SESSIONS[2])
            same_sums(log.sums(["model", "session"]), oracle.sums(["model", "session"]))
            same_sums(log.sums(["day"]), oracle.sums(["day"]))
            same(SESSIONS[2] in {state.session_id for state in log.sessions().rows}, False)
            same(ids(pages(log.turns)), ids(oracle.turns()))
            with raises(SessionNotFoundError):
                log.session(SESSIONS[2])

    def test_each_turn_is_given_once_in_the_order_of_the_log(self, tmp_path: Path) -> None:
        """In pages of any size, as it was; what is logged later comes after the cursor."""
        with self.written(tmp_path) as (log, oracle):
            for limit in (1, 7, 1_000):
                same(pages(partial(log.turns, limit=limit)), oracle.turns())
            for only in _FILTERS:
                same(ids(pages(partial(log.turns, filter=only, limit=50))), ids(oracle.turns(only)))
            for window in _WINDOWS:
                inside = [turn for turn in oracle.turns() if window.first_ns <= turn.timestamp_ns < window.end_ns]
                same(ids(pages(partial(log.turns, window=window))), ids(inside))
            end = log.turns(limit=1_000).cursor
            same((log.turns(end), log.end()), (Page((), end), end))
            late = LLMTurnComplete(event_id="late", timestamp_ns=START_NS - DAY_NS, session_id="late", model="small")
            self.write(tmp_path, [late])
            same(log.turns(end).rows, (late,))

    def test_each_turn_is_what_it_adds(self, tmp_path: Path) -> None:
        """By any dimension, in the order of the log, each with the cursor of its place."""
        dimensions = ("user", "quarter_hour", "answered_model", "tags")
        with self.written(tmp_path) as (log, oracle):
            for limit in (7, 1_000):
                found = pages(partial(log.turn_sums, dimensions=dimensions, limit=limit))
                same([turn.event_id for turn in found], ids(oracle.turns()))
                for turn, logged in zip(found, oracle.turns(), strict=True):
                    same([turn.sums], LogOracle([logged]).sums(dimensions))
            same(found[-1].cursor, log.end())
            same(ids(log.turns(found[100].cursor, limit=3).rows), ids(oracle.turns()[101:104]))

    def test_sums_end_where_a_cursor_is(self, tmp_path: Path) -> None:
        """Of what was logged up to there, in every window; pruned turns are nowhere in the log, and count."""
        events = history(80)
        with self.written(tmp_path, events[:50]) as (log, oracle):
            end = log.end()
            self.write(tmp_path, events[50:])
            for dimensions in ((), ("model",), ("node", "day"), ("session", "node")):
                for window in _WINDOWS:
                    same_sums(log.sums(dimensions, window, until=end), oracle.sums(dimensions, window))
            same(log.sums(until=""), [])
            of_one = Filter(session=SESSIONS[1])
            same_sums(log.sums(["node"], filter=of_one, until=end), oracle.sums(["node"], filter=of_one))

    def test_what_is_written_is_counted(self, tmp_path: Path) -> None:
        """New, known by their id, or from before what was pruned: of every event one of these is said."""
        events = [LLMTurnComplete(event_id=f"turn-{n}", timestamp_ns=START_NS + n * DAY_NS) for n in range(4)]
        same(self.write(tmp_path, events[2:]), 2)
        self.prune(tmp_path, START_NS + 2 * DAY_NS)

        async def counted(writer: LogWriter) -> tuple[int, ...]:
            new = await writer.write([*events, LLMTurnComplete(event_id="new", timestamp_ns=START_NS + 9 * DAY_NS)])
            await writer.flush()
            counts = writer.statistics()
            return new, counts.written, counts.duplicates, counts.late, counts.lost, counts.queued

        same(self.ask_writer(tmp_path, counted), (1, 1, 2, 2, 0, 0))

    def test_what_turns_would_cost_is_kept_beside_what_they_did(self, tmp_path: Path) -> None:
        """Of each turn as it was priced last, while it is in the log; their own costs stay."""
        with self.written(tmp_path) as (log, oracle):
            first, second, *_ = oracle.turns(Filter(session=SESSIONS[0]))
            before = log.sums(["model"])
            for at_ns, snapshot, new_nanousd in ((1, "old rates", 5), (2, "new rates", None)):
                turns = [first, second] if at_ns == 1 else [second]
                repricings = [
                    Repricing(
                        run_id=snapshot,
                        event_id=turn.event_id,
                        session_id=turn.session_id,
                        old_nanousd=3,
                        new_nanousd=new_nanousd,
                        cost_status="priced",
                        rate="",
                        snapshot=snapshot,
                        repriced_ns=at_ns,
                    )
                    for turn in turns
                ]
                self.ask_writer(tmp_path, partial(_reprice, repricings))
            repriced = log.repriced(SESSIONS[0])
            assert repriced is not None, "it was priced again"  # noqa: S101  # a test
            same((repriced.calls, repriced.old_nanousd, repriced.new_nanousd), (2, 6, 5))
            same((repriced.old_unpriced_calls, repriced.new_unpriced_calls, repriced.snapshot), (0, 1, "new rates"))
            same(log.sums(["model"]), before)
            same(log.repriced(SESSIONS[1]), None)

    def test_budgets_are_as_they_were_written_down_last(self, tmp_path: Path) -> None:
        """By name, of every mode, with when they were seen first and last."""
        for at_ns, limit in ((START_NS, "$5"), (START_NS + 1, "$6")):
            budgets = [Budget("week", limit, window="week", mode="observe"), Budget("all", "3 calls", mode="hard")]
            self.ask_writer(tmp_path, partial(_define, budgets, at_ns))
        with self.opened(tmp_path) as log:
            found = [(one.budget.name, one.budget.mode, one.budget.limit_amount) for one in log.budgets()]
            same(found, [("all", "hard", 3), ("week", "observe", 6 * 10**9)])
            same({(one.first_seen_ns, one.last_seen_ns) for one in log.budgets()}, {(START_NS, START_NS + 1)})

    def test_each_event_is_given_once_in_the_order_of_the_log(self, tmp_path: Path) -> None:
        """Of the types that are asked for, and with the values."""
        with self.written(tmp_path) as (log, oracle):
            same(pages(partial(log.events, limit=4)), oracle.others())
            types = (EventType.ALERT_RAISED, EventType.TOOL_CALL_COMPLETED)
            of_types = [event for event in oracle.others() if event.type in types]
            same(pages(partial(log.events, types=types, limit=4)), of_types)
            of_one = [event for event in oracle.others() if event.session_id == SESSIONS[3]]
            same(list(log.events(filter=Filter(session=SESSIONS[3], agent="planner")).rows), of_one)

    def test_cursors_are_opaque(self, tmp_path: Path) -> None:
        """No number that a caller could count on; a text that is no cursor of these rows is named."""
        with self.written(tmp_path) as (log, _):
            reads: tuple[Callable[[str], Page[object]], ...] = (log.turns, log.events, log.sessions, log.executions)
            cursors = [read("").cursor for read in reads]
            for number, read in enumerate(reads):
                same(cursors[number].isdecimal(), False)
                for wrong in ("17", "nonsense", "5b5d", "\ud800", cursors[number] + "0", cursors[number - 1]):
                    with raises(ConfigError) as refused:
                        read(wrong)
                    same(refused.error.key, "after")

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

    def test_sessions_and_what_they_came_to(self, tmp_path: Path) -> None:
        """The newest first, in pages and by filter; a session's sums are those of its turns."""
        with self.written(tmp_path) as (log, oracle):
            started = {
                name: min(
                    event.timestamp_ns for event in (*oracle.turns(), *oracle.others()) if event.session_id == name
                )
                for name in SESSIONS
            }
            newest_first = sorted(SESSIONS, key=lambda name: (started[name], name), reverse=True)
            found = pages(partial(log.sessions, limit=2))
            same([state.session_id for state in found], newest_first)
            same([log.session(state.session_id) for state in found], found)
            for state in found:
                of_session = sum_row((), oracle.turns(Filter(session=state.session_id)))
                same(SumRow((), *(getattr(state.metrics, name) for name in SumRow._fields[1:])), of_session)
            first_ns = started[newest_first[1]]
            same(names(log.sessions(window=Window(first_ns, started[newest_first[0]]))), [newest_first[1]])
            same(len(log.sessions(status="completed", agent="nobody").rows), 0)

    def test_executions_and_what_they_came_to(self, tmp_path: Path) -> None:
        """The newest first, in pages, of one session or of all."""
        with self.written(tmp_path) as (log, oracle):
            found = pages(partial(log.executions, limit=2))
            same(sorted(run.execution_id for run in found), [f"execution_{number}" for number in range(len(SESSIONS))])
            same(found, sorted(found, key=lambda run: run.started_at, reverse=True))
            for run in found:
                of_run = sum_row((), (turn for turn in oracle.turns() if turn.execution_id == run.execution_id))
                same(SumRow((), *(getattr(run, name) for name in SumRow._fields[1:])), of_run)
                same(log.executions(session_id=run.session_id).rows, (run,))
            same({run.status for run in found}, {"completed"})
            same(log.executions(status="failed").rows, ())

    def test_nodes_and_steps_of_a_session(self, tmp_path: Path) -> None:
        """Nodes by name, with the sums of their turns; steps in the order of the log, each what its turn was."""
        with self.written(tmp_path) as (log, oracle):
            turns = oracle.turns(Filter(session=SESSIONS[0]))
            nodes = log.nodes(SESSIONS[0])
            same([node.node_id for node in nodes], sorted({turn.node_id for turn in turns}))
            for node in nodes:
                of_node = sum_row((), (turn for turn in turns if turn.node_id == node.node_id))
                same(SumRow((), *(getattr(node, name) for name in SumRow._fields[1:])), of_node)
            steps = log.steps(SESSIONS[0])
            same([(step.event_id, step.usage, step.cost_nanousd) for step in steps], [_seen(turn) for turn in turns])
            planned = [turn.event_id for turn in turns if turn.node_id == "plan"]
            same([step.event_id for step in log.steps(SESSIONS[0], node_id="plan", limit=3)], planned[:3])

    def test_latencies_are_counted_in_buckets(self, tmp_path: Path) -> None:
        """By model, of calls alone: a charge takes no time."""
        with self.written(tmp_path) as (log, oracle):
            for window in _WINDOWS:
                same(log.latencies(window), oracle.latencies(window))
            for only in _FILTERS:
                same(log.latencies(filter=only), oracle.latencies(filter=only))

    def test_alerts_are_the_newest_first(self, tmp_path: Path) -> None:
        """Alerts, warnings and refusals; as many as asked for."""
        with self.written(tmp_path) as (log, oracle):
            types = (EventType.ALERT_RAISED, EventType.BUDGET_WARNING, EventType.BUDGET_EXCEEDED)
            said = [event for event in oracle.others() if event.type in types][::-1]
            same(log.alerts(), said)
            same(log.alerts(limit=3), said[:3])
            refused = [event for event in said if event.type == EventType.BUDGET_EXCEEDED]
            same(log.alerts(types=[EventType.BUDGET_EXCEEDED], budget="day"), refused)
            same(log.alerts(budget="another"), [])

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


async def _reprice(repricings: Sequence[Repricing], writer: LogWriter) -> None:
    await writer.reprice(repricings)


async def _define(budgets: Sequence[Budget], at_ns: int, writer: LogWriter) -> None:
    await writer.define(budgets, at_ns)


def pages(read: Callable[[str], Page[T]]) -> list[T]:
    """Return all rows, a page after the other, until one is empty."""
    found: list[T] = []
    page = read("")
    while page.rows:
        found += page.rows
        page = read(page.cursor)
    return found


def ids(events: Sequence[Event]) -> list[str]:
    """Return the ids of events."""
    return [event.event_id for event in events]


def names(page: Page[T]) -> list[str]:
    """Return the ids of a page of sessions."""
    return [state.session_id for state in page.rows]  # type: ignore[attr-defined]


def same_sums(found: Sequence[SumRow], expected: Sequence[SumRow]) -> None:
    """They must be the same groups with the same sums; another test looks at their order."""
    same(sorted(found), sorted(expected))


def _seen(turn: LLMTurnComplete) -> tuple[object, ...]:
    return turn.event_id, turn.usage, None if turn.cost is None else turn.cost.nanousd
