"""Limits as people write them for a command: `'$0.50'`, `5usd/day`, `'200k tokens'`, `'100 calls/hour'`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple, get_args

from hivecost.errors import ConfigError
from hivecost.ledger import Budget, Unit
from hivecost.ledger.amounts import parse_limit
from hivecost.ledger.period import Window

#: The windows of which the accounts outlive a command.
KEPT_WINDOWS: Final = tuple(window for window in get_args(Window) if window not in ("execution", "session"))
_KEY: Final = "--budget"
_LOCALTIME: Final = Path("/etc/localtime")


class WrittenLimit(NamedTuple):
    """A limit as it was written."""

    amount: Decimal
    unit: Unit
    #: None: of one command, and gone with it.
    window: Window | None

    @property
    def text(self) -> str:
        """The amount as a Budget takes it."""
        return f"{self.amount:f} {self.unit}"

    def budget(self, timezone: str) -> Budget:
        """Return the hard budget that keeps it, named after unit, window and zone: all who say the same share it.

        Raises ConfigError for a limit without a window.
        """
        if self.window is None:
            raise ConfigError(_KEY, f"a window after a slash, one of {', '.join(KEPT_WINDOWS)}", got=self.text)
        if self.window == "total":
            return Budget(f"{self.unit} in total", limit=self.text, window="total")
        name = f"{self.unit} per {self.window}, {timezone}"
        return Budget(name, limit=self.text, window=self.window, timezone=timezone)


def read_limit(text: str) -> WrittenLimit:
    """Read an amount as a Budget's limit is written, and a window after a slash: hour, day, week, month or total.

    Raises ConfigError for anything else.
    """
    amount, slash, window = text.rpartition("/") if "/" in text else (text, "", "")
    kept = window.strip().lower()
    if slash and kept not in KEPT_WINDOWS:
        raise ConfigError(_KEY, f"after the slash one of {', '.join(KEPT_WINDOWS)}", got=text)
    number, unit = parse_limit(amount, "", key=_KEY)
    return WrittenLimit(number, unit, next((known for known in KEPT_WINDOWS if known == kept), None))


def read_limits(texts: Iterable[str]) -> list[WrittenLimit]:
    """Read several limits. Of two with one unit and window the lower one is kept: both would have to hold."""
    lowest: dict[tuple[Unit, Window | None], WrittenLimit] = {}
    for limit in map(read_limit, texts):
        known = lowest.get((limit.unit, limit.window))
        if known is None or limit.amount < known.amount:
            lowest[limit.unit, limit.window] = limit
    return list(lowest.values())


def system_timezone(localtime: Path = _LOCALTIME) -> str:
    """Return the IANA name of this machine's zone: that of TZ, else of /etc/localtime; UTC where neither says one."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  # only a window needs a zone

    said = os.environ.get("TZ", "").removeprefix(":")
    linked = str(localtime.resolve()) if localtime.is_symlink() else ""
    for name in (said, linked.partition("zoneinfo/")[2]):
        try:
            if name and not name.startswith("/"):
                return ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return "UTC"
