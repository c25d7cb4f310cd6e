"""Time comes in from outside, so that tests and replays own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What hivecost asks of time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC, for events and periods."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never step back, for durations and pacing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or at once for zero and less."""
        ...


class SystemClock:
    """The machine's own time."""

    now_ns = staticmethod(time.time_ns)
    monotonic_s = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or at once for zero and less."""
        import anyio  # noqa: PLC0415  # what only reads the time starts quicker without

        await anyio.sleep(max(0.0, seconds))


SYSTEM_CLOCK = SystemClock()


def to_datetime(timestamp_ns: int) -> datetime:
    """Return the instant as an aware UTC datetime, to the microsecond."""
    seconds, rest_ns = divmod(timestamp_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)


def to_ns(moment: datetime) -> int:
    """Return nanoseconds since 1970-01-01 UTC; a naive datetime is taken as local time."""
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return int(whole.timestamp()) * 10**9 + moment.microsecond * 1000
