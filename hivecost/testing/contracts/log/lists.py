"""What is given one by one: each once, in order, in pages of any size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hivecost.errors import ConfigError
from hivecost.events import EventType, ExecutionStarted, LLMTurnComplete
from hivecost.log import Filter, Page, SumRow, Window
from hivecost.testing.contracts.checking import raises, same
from hivecost.testing.contracts.log.history import DAY_NS, SESSIONS, START_NS
from hivecost.testing.contracts.log.opening import FILTERS, WINDOWS, OpensLogs, ids, names, pages
from hivecost.testing.contracts.log.oracle import LogOracle, sum_row


class ListPromises(OpensLogs):
    """What lists are."""

    def test_each_turn_is_given_once_in_the_order_of_the_log(self, tmp_path: Path) -> None:
        """In pages of any size, as it was; what is logged later comes after the cursor."""
        with self.written(tmp_path) as (log, oracle):
            for limit in (1, 7, 1_000):
                same(pages(partial(log.turns, limit=limit)), oracle.turns())
            for only in FILTERS:
                same(ids(pages(partial(log.turns, filter=only, limit=50))), ids(oracle.turns(only)))
            for window in WINDOWS:
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

    def test_executions_of_one_instant_are_in_the_order_of_the_log(self, tmp_path: Path) -> None:
        """The start that was logged last comes first, whatever they are called, in pages of any size."""
        logged = [("b", "2"), ("c", "1"), ("a", "3"), ("a", "0")]
        starts = [
            ExecutionStarted(timestamp_ns=START_NS, session_id=session_id, execution_id=execution_id)
            for session_id, execution_id in logged
        ]
        self.write(tmp_path, starts[:3])
        self.write(tmp_path, starts[3:])
        with self.opened(tmp_path) as log:
            for limit in (1, 3, 10):
                found = pages(partial(log.executions, limit=limit))
                same([(run.session_id, run.execution_id) for run in found], logged[::-1])

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


def _seen(turn: LLMTurnComplete) -> tuple[object, ...]:
    return turn.event_id, turn.usage, None if turn.cost is None else turn.cost.nanousd
