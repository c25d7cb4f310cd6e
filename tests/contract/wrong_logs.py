"""Mistakes of a log: each is the embedded reader, writer or state, wrong in one way, and names tests that say so."""

from __future__ import annotations

from contextlib import contextmanager

from msgspec.structs import replace

from hivecost.backends.sqlite import SQLiteLogReader, Store
from hivecost.backends.sqlite.log_state import SQLiteLogState
from hivecost.log import ALWAYS, EVERYTHING, CostRow, LatencyRow, Page, Window
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.records import RepricedTotals

#: name → (the reader, the writer or the state of a place, the tests that catch it)
MISTAKES = {}


def caught_by(*tests):
    def register(wrong):
        MISTAKES[wrong.__name__] = wrong, tests
        return wrong

    return register


class Wrong(SQLiteLogReader):
    """A snapshot of a wrong reader is as wrong."""

    @contextmanager
    def snapshot(self):
        with super().snapshot() as right:
            view = type(self).__new__(type(self))
            view._source, view._watch = right._source, right._watch
            yield view


@caught_by("test_a_log_that_is_missing_is_empty")
class MakesAFolder(Wrong):
    def as_of(self):
        self._source.path.parent.mkdir(exist_ok=True)
        return super().as_of()


@caught_by("test_sums_are_the_fold_of_the_turns", "test_what_was_pruned_still_counts")
class WidensWindows(Wrong):
    """To whole quarter-hours, as the sums are kept."""

    def sums(self, dimensions=(), window=ALWAYS, zone="UTC", filter=EVERYTHING):
        first_ns = window.first_ns // QUARTER_HOUR_NS * QUARTER_HOUR_NS
        end_ns = -(-window.end_ns // QUARTER_HOUR_NS) * QUARTER_HOUR_NS
        if window == ALWAYS:
            first_ns, end_ns = window
        return super().sums(dimensions, Window(first_ns, end_ns), zone, filter)


@caught_by("test_sums_are_the_fold_of_the_turns")
class TakesUnknownForNothing(Wrong):
    """A turn without a cost is not counted as one."""

    def sums(self, *args, **kwargs):
        return [row._replace(unpriced_calls=0) for row in super().sums(*args, **kwargs)]


@caught_by("test_periods_are_those_of_the_zone", "test_periods_come_in_the_order_of_time")
class KnowsNoZones(Wrong):
    def sums(self, dimensions=(), window=ALWAYS, zone="UTC", filter=EVERYTHING):
        return super().sums(dimensions, window, "UTC", filter)


@caught_by("test_periods_come_in_the_order_of_time")
class SortsByName(Wrong):
    """The second 02:00 has the smaller offset."""

    def sums(self, *args, **kwargs):
        return sorted(super().sums(*args, **kwargs))


@caught_by("test_what_was_pruned_still_counts", "test_a_deleted_session_is_in_no_sum")
class SumsOnceAndForAll(Wrong):
    """What it has read before, it does not read again."""

    def __init__(self, place):
        super().__init__(place)
        self._seen = {(): super().sums(["model", "session"]), "turns": super().turns(limit=1_000)}

    def turns(self, after="", filter=EVERYTHING, *, limit=200):
        return super().turns(after, filter, limit=limit) if after else self._seen["turns"]


@caught_by("test_each_turn_is_given_once_in_the_order_of_the_log")
class SkipsATurnBetweenPages(Wrong):
    def turns(self, after="", filter=EVERYTHING, *, limit=200):
        page = super().turns(after, filter, limit=limit + 1)
        return Page(page.rows[:limit], page.cursor)


@caught_by("test_each_turn_is_given_once_in_the_order_of_the_log")
class GivesTurnsByTime(Wrong):
    def turns(self, after="", filter=EVERYTHING, *, limit=200):
        page = super().turns(after, filter, limit=limit)
        return Page(tuple(sorted(page.rows, key=lambda turn: turn.timestamp_ns)), page.cursor)


@caught_by("test_what_context_budgets_did_is_the_fold_of_the_log")
class TakesWhatWasSkippedForDone(Wrong):
    def compactions(self, session_id):
        return [replace(row, compactions=row.compactions + 1) for row in super().compactions(session_id)]


@caught_by("test_what_context_budgets_did_is_the_fold_of_the_log")
class ForgetsWhatIsSentAgain(Wrong):
    """Once its turns were pruned."""

    def carried_results(self, session_id):
        return [] if self.pruned_before() else super().carried_results(session_id)


@caught_by("test_sums_end_where_a_cursor_is")
class AddsWhatComesLater(Wrong):
    def sums(self, *args, until=None, **kwargs):
        return super().sums(*args, **kwargs)


@caught_by("test_each_turn_is_what_it_adds")
class GivesTheNextTurnAgain(Wrong):
    """The cursor of a turn is that of the turn before it."""

    def turn_sums(self, after="", dimensions=(), *, limit=200):
        page = super().turn_sums(after, dimensions, limit=limit)
        cursors = (after, *(turn.cursor for turn in page.rows))
        rows = (turn._replace(cursor=cursor) for turn, cursor in zip(page.rows, cursors, strict=False))
        return Page(tuple(rows), page.cursor)


@caught_by("test_what_turns_would_cost_is_kept_beside_what_they_did")
class AddsEveryRepricing(Wrong):
    """Also those that came before the last one."""

    def repriced(self, session_id):
        sql = "SELECT count(*), sum(old_nanousd), sum(new_nanousd), 0, 0, '' FROM repricings WHERE session_id = :it"
        ((calls, *sums),) = self._source.select(sql, {"it": session_id})
        return (
            RepricedTotals(**dict(zip(RepricedTotals.__struct_fields__, (calls, *sums), strict=True)))
            if calls
            else None
        )


@caught_by("test_each_event_is_given_once_in_the_order_of_the_log")
class GivesEveryType(Wrong):
    def events(self, after="", filter=EVERYTHING, *, types=(), limit=200):
        return super().events(after, filter, limit=limit)


@caught_by("test_cursors_are_opaque")
class GivesRowIds(Wrong):
    """Cursors that are numbers of rows."""

    def turns(self, after="", filter=EVERYTHING, *, limit=200):
        page = super().turns("", filter, limit=limit)
        return Page(page.rows, str(len(page.rows)))


@caught_by("test_cursors_are_opaque")
class StartsAnewWithoutAWord(Wrong):
    """What it does not understand is the beginning to it."""

    def events(self, after="", filter=EVERYTHING, *, types=(), limit=200):
        try:
            return super().events(after, filter, types=types, limit=limit)
        except ValueError:
            return super().events("", filter, types=types, limit=limit)


@caught_by("test_a_snapshot_stays_what_it_is")
class TakesNoSnapshot(Wrong):
    @contextmanager
    def snapshot(self):
        yield self


@caught_by("test_the_version_tells_of_a_change")
class NeverChanges(Wrong):
    def version(self):
        return "1"


@caught_by("test_the_version_tells_of_a_change")
class AlwaysChanges(Wrong):
    count = 0

    def version(self):
        self.count += 1
        return str(self.count)


@caught_by("test_as_of_is_the_newest_instant")
class LooksAtTurnsAlone(Wrong):
    def as_of(self):
        return max((turn.timestamp_ns for turn in self.turns().rows), default=None)


@caught_by("test_sessions_and_what_they_came_to")
class ListsTheOldestFirst(Wrong):
    def sessions(self, after="", **asked):
        page = super().sessions(after, **asked)
        return Page(page.rows[::-1], page.cursor)


@caught_by("test_executions_and_what_they_came_to")
class ForgetsTheSession(Wrong):
    def executions(self, after="", *, session_id=None, **asked):
        return super().executions(after, **asked)


@caught_by("test_executions_of_one_instant_are_in_the_order_of_the_log")
class OrdersExecutionsByName(Wrong):
    def executions(self, after="", **asked):
        page = super().executions(after, **asked)
        return Page(tuple(sorted(page.rows, key=lambda run: run.execution_id, reverse=True)), page.cursor)


@caught_by("test_nodes_and_steps_of_a_session")
class HasOneNode(Wrong):
    def nodes(self, session_id):
        return super().nodes(session_id)[:1]


@caught_by("test_latencies_are_counted_in_buckets")
class RoundsToDoublings(Wrong):
    def latencies(self, window=ALWAYS, filter=EVERYTHING):
        return [LatencyRow(row.model, row.bucket // 8 * 8, row.calls) for row in super().latencies(window, filter)]


@caught_by("test_costs_are_counted_in_buckets")
class RoundsCostsToDoublings(Wrong):
    def costs(self, window=ALWAYS, filter=EVERYTHING):
        return [CostRow(row.model, row.bucket // 8 * 8, row.calls) for row in super().costs(window, filter)]


@caught_by("test_alerts_are_the_newest_first")
class HearsAlertsAlone(Wrong):
    def alerts(self, *, limit=50):
        return [event for event in super().alerts(limit=limit) if event.type == "alert_raised"]


@caught_by("test_what_is_asked_wrongly_is_named")
class AnswersAnything(Wrong):
    def sums(self, dimensions=(), *args, **kwargs):
        known = [name for name in dimensions if name != "colour"]
        return super().sums(known, *args, **kwargs)


@caught_by("test_what_is_written_is_counted")
class CountsLateOnesAsKnown(Store):
    def statistics(self):
        right = super().statistics()
        return replace(right, duplicates=right.duplicates + right.late, late=0)


@caught_by("test_what_was_pruned_still_counts")
class SaysNothingOfWhatItPruned(Store):
    async def prune(self, before_ns, **how):
        return replace(await super().prune(before_ns, **how), turns=0)


@caught_by("test_what_turns_would_cost_is_kept_beside_what_they_did")
class KeepsNoRepricings(Store):
    async def reprice(self, repricings):
        """Nothing is kept."""


@caught_by("test_sums_are_kept_by_tags_that_are_named")
class NamesNoTags(Store):
    async def sum_tags(self, names):
        """The first that turns have are enough."""


@caught_by("test_budgets_are_as_they_were_written_down_last")
class KeepsTheFirstDefinition(Store):
    async def define(self, budgets, at_ns):
        if not SQLiteLogReader(self._base_path).budgets():
            await super().define(budgets, at_ns)


@caught_by("test_what_is_put_is_there", "test_values_are_listed_by_key")
class HasOneTable(SQLiteLogState):
    def _named(self, table, key):
        return super()._named("outbox", key)


@caught_by("test_reading_no_state_makes_none")
class MakesAPlaceToRead(SQLiteLogState):
    def get(self, table, key):
        self._source.path.parent.mkdir(exist_ok=True)
        return super().get(table, key)


@caught_by("test_of_all_who_swap_at_once_one_does")
class SwapsWithoutALook(SQLiteLogState):
    def swap(self, table, key, before, value, *, until_ns=None):
        super().swap(table, key, self.get(table, key), value, until_ns=until_ns)
        return True


@caught_by("test_a_value_whose_time_is_over_is_not_there")
class KeepsEverythingForEver(SQLiteLogState):
    def put(self, table, key, value, *, until_ns=None):
        super().put(table, key, value)


@caught_by("test_values_are_listed_by_key")
class SkipsAValueBetweenPages(SQLiteLogState):
    def items(self, table, after="", *, limit=200):
        page = super().items(table, after, limit=limit + 1)
        return Page(page.rows[:limit], page.cursor)


@caught_by("test_state_that_cannot_be_is_named")
class TakesAnyKey(SQLiteLogState):
    def put(self, table, key, value, *, until_ns=None):
        super().put(table, key or "none", value, until_ns=until_ns)
