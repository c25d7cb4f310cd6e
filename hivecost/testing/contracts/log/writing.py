"""S2 and S3: what is written counts once, and what is taken out leaves the sums as they must be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hivecost.errors import SessionNotFoundError
from hivecost.events import LLMTurnComplete
from hivecost.ledger import Budget
from hivecost.log import Filter, LogWriter
from hivecost.log.records import Repricing
from hivecost.testing.contracts.checking import raises, same
from hivecost.testing.contracts.log.history import DAY_NS, SESSIONS, START_NS, history
from hivecost.testing.contracts.log.opening import MINUTE_NS, WINDOWS, OpensLogs, ids, pages, same_sums


class WritingPromises(OpensLogs):
    """What a writer does."""

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

    def test_what_was_pruned_still_counts(self, tmp_path: Path) -> None:
        """At the start of its quarter-hour, in every sum; the turns and events themselves are gone."""
        with self.written(tmp_path) as (log, oracle):
            before_ns = START_NS + 4 * DAY_NS + 5 * MINUTE_NS
            pruned = self.prune(tmp_path, before_ns)
            same(pruned.turns, sum(turn.timestamp_ns < before_ns for turn in oracle.turns()))
            same(pruned.events, sum(event.timestamp_ns < before_ns for event in oracle.others()))
            oracle.prune(before_ns)
            same(log.pruned_before(), before_ns)
            for dimensions in ((), ("model",), ("day", "session"), ("task", "node", "user"), ("pruned", "execution")):
                for window in WINDOWS:
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

    def test_sums_are_kept_by_tags_that_are_named(self, tmp_path: Path) -> None:
        """Whatever was logged before and is logged later, by these tags and others."""
        events = history()
        with self.written(tmp_path, events[:200]) as (log, oracle):
            self.ask_writer(tmp_path, partial(_sum_tags, ["tier", "none"]))
            self.write(tmp_path, events[200:])
            oracle.add(events[200:])
            same({"tier", "none"} <= {*log.summed_tags()}, True)
            for dimensions in (("tag:tier",), ("day", "tag:none"), ("tag:team", "tag:tier")):
                same_sums(log.sums(dimensions), oracle.sums(dimensions))


async def _sum_tags(names: Sequence[str], writer: LogWriter) -> None:
    await writer.sum_tags(names)


async def _reprice(repricings: Sequence[Repricing], writer: LogWriter) -> None:
    await writer.reprice(repricings)


async def _define(budgets: Sequence[Budget], at_ns: int, writer: LogWriter) -> None:
    await writer.define(budgets, at_ns)
