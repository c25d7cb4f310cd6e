"""What a period will have cost at its end, from the days before: a profile by quarter-hour, or a straight line."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from hivecost.log.periods import QUARTER_HOUR_NS

#: Quarter-hours in a day.
DAY_QUARTERS: Final = 96
#: Days that a profile is of, and fewer than which make none.
PROFILE_DAYS: Final = 7
_PROFILE_DAYS_MIN: Final = 3
#: Too early to say: of a period this part is not over, or there were fewer turns.
_ELAPSED_MIN: Final = 24
_TURNS_MIN: Final = 20
#: How far a day may be from those before.
_FACTOR_MAX: Final = 4


class Course(NamedTuple):
    """What a period is on course for."""

    #: `profile`, `linear`, or "" where it is too early to say.
    method: str
    #: In the unit that was given; None where it is too early.
    projected: int | None


def course(  # noqa: PLR0917  # all of them are needed, and none has a default
    used: int, turns: int, start_ns: int, end_ns: int, now_ns: int, midnight_ns: int, spent: Mapping[int, int]
) -> Course:
    """Return what a period that has `used` so much, in so many turns, is on course for.

    `spent` is quarter-hour (in quarter-hours since 1970 UTC) → amount, of at least the seven days before `midnight_ns`,
    when the present day began. To what is used comes, for each quarter-hour left, the mean of the same quarter-hour of
    those days, times how today compares with them so far, at least a quarter and at most four times. With fewer than
    three days it is used / elapsed. Before a 24th of the period is over, or 20 turns, nothing is said.
    """
    elapsed, whole = now_ns - start_ns, end_ns - start_ns
    if elapsed * _ELAPSED_MIN < whole or turns < _TURNS_MIN:
        return Course("", None)
    midnight, now = midnight_ns // QUARTER_HOUR_NS, now_ns // QUARTER_HOUR_NS
    since = max(midnight - PROFILE_DAYS * DAY_QUARTERS, min(spent, default=midnight))
    if midnight - since < _PROFILE_DAYS_MIN * DAY_QUARTERS:
        return Course("linear", used * whole // elapsed)
    typical = _profile(spent, since, midnight)
    expected = sum(typical[quarter % DAY_QUARTERS] for quarter in range(midnight, now))
    so_far = sum(spent.get(quarter, 0) for quarter in range(midnight, now))
    factor = min(max(so_far / expected, 1 / _FACTOR_MAX), _FACTOR_MAX) if expected else 1.0
    rest_of_this = ((now + 1) * QUARTER_HOUR_NS - now_ns) / QUARTER_HOUR_NS
    to_come = typical[now % DAY_QUARTERS] * rest_of_this
    to_come += sum(typical[quarter % DAY_QUARTERS] for quarter in range(now + 1, end_ns // QUARTER_HOUR_NS))
    return Course("profile", used + round(to_come * factor))


def _profile(spent: Mapping[int, int], since: int, midnight: int) -> list[float]:
    """Return the mean of each quarter-hour of a day."""
    sums, days = [0] * DAY_QUARTERS, [0] * DAY_QUARTERS
    for quarter in range(since, midnight):
        sums[quarter % DAY_QUARTERS] += spent.get(quarter, 0)
        days[quarter % DAY_QUARTERS] += 1
    return [amount / count for amount, count in zip(sums, days, strict=True)]
