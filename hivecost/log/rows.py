"""What a log is asked by, and the rows it answers with where a prompt waits: tuples with names, quick to import.

Annotations are no texts here: each text would be compiled when its tuple is made.
"""

from typing import Final, Generic, NamedTuple, TypeVar

from hivecost.attribute_names import ATTRIBUTES
from hivecost.log.periods import QUARTER_HOUR_NS

T_co = TypeVar("T_co", covariant=True)

#: What `sums` groups by: periods of a time zone, and who or what a turn belongs to.
PERIOD_DIMENSIONS: Final = ("quarter_hour", "hour", "day", "week", "month")
VALUE_DIMENSIONS: Final = tuple(name for name in ATTRIBUTES if name != "execution")
#: What else a turn is known by. `model` and `provider` are those that are counted, these here are as they were asked,
#: answered and resolved; "" where nobody said. `tags` is a JSON object, `reason` is why a cost is not known or
#: estimated, `entry_point` is that of the execution, `kind` is "" for a call of a model and "charge" for anything else.
#: `pruned` is "yes" for turns that are no longer in the log: of those, execution, reason, entry_point and kind are "".
DETAIL_DIMENSIONS: Final = (
    *("execution", "tags", "asked_model", "answered_model", "answered_provider"),
    *("resolved_model", "resolved_provider", "reason", "entry_point", "kind", "pruned"),
)
#: Before the name of a tag, as `tag:feature`: its value, "" where a turn has no such tag.
TAG: Final = "tag:"
DIMENSIONS: Final = (*PERIOD_DIMENSIONS, *VALUE_DIMENSIONS, *DETAIL_DIMENSIONS)
#: Of the values those that the sums of quarter-hours are kept by.
KEPT_DIMENSIONS: Final = ("model", "provider", "agent", "user", "org")
#: What events can be filtered by that are no turns.
EVENT_ATTRIBUTES: Final = ("session", "node", "agent", "user", "org")

#: What a filter asks for: one value, one of several, any.
Wanted = str | tuple[str, ...] | None


_EARLIEST_NS: Final = -(2**63)
_LATEST_NS: Final = 2**63 - 1


class Window(NamedTuple):
    """From `first_ns` up to, not including, `end_ns`, in nanoseconds since 1970 UTC; without them, always."""

    first_ns: int = _EARLIEST_NS
    end_ns: int = _LATEST_NS

    def widened(self) -> "Window":
        """Return the quarter-hours that it has a part of, whole."""
        first_ns = self.first_ns // QUARTER_HOUR_NS * QUARTER_HOUR_NS
        end_ns = -(-self.end_ns // QUARTER_HOUR_NS) * QUARTER_HOUR_NS
        return Window(max(first_ns, _EARLIEST_NS), min(end_ns, _LATEST_NS))


class Filter(NamedTuple):
    """Only turns or events with this value, or with one of these; None: with any.

    The model and the provider are those that are counted.
    """

    session: Wanted = None
    node: Wanted = None
    agent: Wanted = None
    user: Wanted = None
    org: Wanted = None
    task: Wanted = None
    model: Wanted = None
    provider: Wanted = None


ALWAYS: Final = Window()
EVERYTHING: Final = Filter()


class Page(NamedTuple, Generic[T_co]):
    """Some rows, and the cursor to go on from: opaque text, good for this log alone."""

    rows: tuple[T_co, ...]
    cursor: str


class SumRow(NamedTuple):
    """What the turns of one group add up to; the sums are those of `hivecost.Totals`."""

    #: One value for each dimension, in the order they were asked for.
    group: tuple[str, ...]
    llm_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanousd: int = 0
    unpriced_calls: int = 0
    invalid_calls: int = 0
    estimated_calls: int = 0
    latency_ms: int = 0
    charges: int = 0
    charged_nanousd: int = 0
    notional_nanousd: int = 0

    @property
    def total_tokens(self) -> int:
        """Return the tokens that went in and came out."""
        return self.input_tokens + self.output_tokens

    @property
    def unknown_calls(self) -> int:
        """Return how many turns and charges are missing in `cost_nanousd`."""
        return self.unpriced_calls + self.invalid_calls

    @property
    def is_unpriced(self) -> bool:
        """Return whether there are turns or charges and nobody knows what any of them cost."""
        return 0 < self.llm_calls + self.charges <= self.unknown_calls


SUM_NAMES: Final = SumRow._fields[1:]


class TurnSum(NamedTuple):
    """What one turn adds to the sums."""

    event_id: str
    #: The place of this turn in the log: what comes after it, and what is up to it.
    cursor: str
    sums: SumRow


class LatencyRow(NamedTuple):
    """How many calls of a model took about as long: bucket `latency_bucket(ms)`, which is off by 9 % at most."""

    model: str
    bucket: int
    calls: int


class CostRow(NamedTuple):
    """How many calls of a model cost about as much: bucket `cost_bucket(nanousd)`, which is off by 9 % at most."""

    model: str
    bucket: int
    calls: int


class AccountRow(NamedTuple):
    """An account of a hard budget as it is committed. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    budget: str
    #: `user=ada`; "" for the one account of a budget.
    scope: str
    period: str
    unit: str
    limit: int
    settled: int
    in_doubt: int
    #: Lent to processes: as much may be held or, for a moment, be settled and not committed yet.
    leased: int
    #: Why nothing is granted; "" while it is.
    frozen: str
    #: The budget only says what it would do.
    is_shadow: bool
    #: When the period ends; None: never.
    reset_ns: int | None

    @property
    def used(self) -> float:
        """Return the fraction of the limit that is settled or in doubt; of a limit of 0, all of it."""
        return (self.settled + self.in_doubt) / self.limit if self.limit > 0 else 1.0


def latency_bucket(latency_ms: int) -> int:
    """Return floor(8 · log2(ms + 1)), exactly: eight buckets for each doubling, 0 for nothing.

    2^(b/8) ≤ x is compared as 2^b ≤ x^8 in integers, so that every backend counts a call in the same bucket.
    """
    return ((max(latency_ms, 0) + 1) ** 8).bit_length() - 1


def cost_bucket(nanousd: int) -> int:
    """Return floor(8 · log2(nanousd + 1)), likewise."""
    return latency_bucket(nanousd)
