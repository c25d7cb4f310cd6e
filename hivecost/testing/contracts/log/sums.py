"""M1, S3 and S7: sums are exact in every window, zone and dimension."""

from __future__ import annotations

from pathlib import Path

from hivecost.events import LLMTurnComplete
from hivecost.log import DIMENSIONS, Filter
from hivecost.testing.contracts.checking import same
from hivecost.testing.contracts.log.history import DAY_NS, SESSIONS, START_NS, ZONES, history
from hivecost.testing.contracts.log.opening import FILTERS, WINDOWS, OpensLogs, same_sums


class SumPromises(OpensLogs):
    """What sums are."""

    def test_sums_are_the_fold_of_the_turns(self, tmp_path: Path) -> None:
        """For every dimension, window and filter, to the nano-dollar; each event counts once, however often it came."""
        events = history()
        with self.written(tmp_path, [*events, *events[::3]]) as (log, oracle):
            self.write(tmp_path, events[::7])
            for dimensions in (
                (),
                *((name,) for name in (*DIMENSIONS, "tag:team", "tag:none")),
                ("entry_point", "kind", "tag:tier"),
                ("user", "model"),
                ("day", "task", "node"),
                ("reason", "tags"),
            ):
                for window in WINDOWS:
                    same_sums(log.sums(dimensions, window), oracle.sums(dimensions, window))
            for only in FILTERS:
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

    def test_sums_end_where_a_cursor_is(self, tmp_path: Path) -> None:
        """Of what was logged up to there, in every window; pruned turns are nowhere in the log, and count."""
        events = history(80)
        with self.written(tmp_path, events[:50]) as (log, oracle):
            end = log.end()
            self.write(tmp_path, events[50:])
            for dimensions in ((), ("model",), ("node", "day"), ("session", "node")):
                for window in WINDOWS:
                    same_sums(log.sums(dimensions, window, until=end), oracle.sums(dimensions, window))
            same(log.sums(until=""), [])
            of_one = Filter(session=SESSIONS[1])
            same_sums(log.sums(["node"], filter=of_one, until=end), oracle.sums(["node"], filter=of_one))

    def test_costs_are_counted_in_buckets(self, tmp_path: Path) -> None:
        """By model, of calls alone whose cost is known."""
        with self.written(tmp_path) as (log, oracle):
            for window in WINDOWS:
                same(log.costs(window), oracle.costs(window))
            for only in FILTERS:
                same(log.costs(filter=only), oracle.costs(filter=only))

    def test_what_context_budgets_did_is_the_fold_of_the_log(self, tmp_path: Path) -> None:
        """By node: compactions that were done, what later turns were spared, and results that were sent again.

        Each event counts once; what was pruned counts on, and what was deleted does not.
        """
        events = history()
        with self.written(tmp_path, [*events[:150], *events[:50]]) as (log, oracle):
            self.write(tmp_path, events[100:])
            oracle.add(events)
            same(sum(len(log.compactions(name)) > 1 for name in SESSIONS), len(SESSIONS))
            for name in (*SESSIONS, "", "nobody"):
                same(log.compactions(name), oracle.compactions(name))
                same(log.carried_results(name), oracle.carried_results(name))
            self.prune(tmp_path, START_NS + 6 * DAY_NS)
            self.delete(tmp_path, SESSIONS[1])
            oracle.delete(SESSIONS[1])
            for name in SESSIONS:
                same(log.compactions(name), oracle.compactions(name))
                same(log.carried_results(name), oracle.carried_results(name))

    def test_latencies_are_counted_in_buckets(self, tmp_path: Path) -> None:
        """By model, of calls alone: a charge takes no time."""
        with self.written(tmp_path) as (log, oracle):
            for window in WINDOWS:
                same(log.latencies(window), oracle.latencies(window))
            for only in FILTERS:
                same(log.latencies(filter=only), oracle.latencies(filter=only))
