"""`hivecost statusline`: one line for a shell prompt or an editor's status bar, quick, and never in its way."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Final

from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Option, amount, logged, now_ns, parsed, reset_of, usage
from hivecost.errors import ConfigError
from hivecost.plain_text import printable
from hivecost.reports.today import Today, load_today
from hivecost.usd_text import format_usd

OPTIONS: Final = {
    **SHARED,
    "format": Option("TEXT", "Such as '{today}, {rate}/h, {budget} {percent}%, resets {reset}, {unpriced} unpriced'."),
    "strict": Option("", "End with another status than 0 when something is wrong."),
}
_PLACE: Final = re.compile(r"\{([^{}]*)\}")


def run(arguments: Sequence[str]) -> None:
    """Print the line. What goes wrong is said on stderr, and ends with status 0 unless `--strict` is given."""
    try:
        print(_line(arguments))  # noqa: T201  # what this is for
    except Exception as error:
        if "--strict" in arguments:
            raise
        sys.stderr.write(f"hivecost: {printable(str(error))}\n")


def _line(arguments: Sequence[str]) -> str:
    options = parsed("statusline", arguments, OPTIONS)
    if "help" in options:
        return usage("statusline", COMMANDS["statusline"], OPTIONS)
    at_ns = now_ns()
    with logged(options, is_told=False) as log:
        today = load_today(log, at_ns, timezone=options.get("timezone"))
    values = _values(today, at_ns)
    if "json" in options:
        import json  # noqa: PLC0415  # a prompt takes none

        return json.dumps(values | {"cost_nanousd": today.total.cost_nanousd})
    return printable(_filled(options["format"], values) if "format" in options else _sentence(values))


def _values(today: Today, at_ns: int) -> dict[str, str | int]:
    """Return what a format can name."""
    account = today.tightest
    return {
        "today": amount(today.total),
        "rate": format_usd(today.last_hour.cost_nanousd, decimals=2),
        "calls": today.total.llm_calls,
        "tokens": today.total.total_tokens,
        "unpriced": today.total.unknown_calls,
        "budget": "" if account is None else " ".join(filter(None, (account.budget, account.scope))),
        "percent": "" if account is None else int(100 * account.used),
        "reset": "" if account is None else reset_of(account, at_ns),
    }


def _sentence(values: dict[str, str | int]) -> str:
    """Return `$104.00 today, $30.83/h, acme 78% (resets 00:00), 53 unpriced`, without what there is none of."""
    parts = [f"{values['today']} today", f"{values['rate']}/h"]
    if values["budget"]:
        reset = f" (resets {values['reset']})" if values["reset"] else ""
        parts.append(f"{values['budget']} {values['percent']}%{reset}")
    if values["unpriced"]:
        parts.append(f"{values['unpriced']} unpriced")
    return ", ".join(parts)


def _filled(text: str, values: dict[str, str | int]) -> str:
    """Return the text with values in its places: plain names only. Raise ConfigError for one that is none."""
    for name in _PLACE.findall(text):
        if name not in values:
            raise ConfigError("--format", f"some of {', '.join(f'{{{known}}}' for known in values)}", got=f"{{{name}}}")
    return _PLACE.sub(lambda place: str(values[place[1]]), text)
