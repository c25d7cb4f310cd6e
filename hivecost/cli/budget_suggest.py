"""`hivecost budget suggest`: limits for the days of agents, as TOML to be copied."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption, TimezoneOption
from hivecost.plain_text import printable

if TYPE_CHECKING:
    from hivecost.reports.suggestion import Suggestion, SuggestionReport


def suggest(
    *,
    since: Annotated[str, typer.Option(metavar="SPAN", help="From its beginning on: 30d, 'last month', …")] = "30d",
    timezone: TimezoneOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Print a limit for the day of each agent: what 95 % of its days cost no more than, and half of it on top.

    It is TOML for hivecost.toml; nothing is changed. Days without spending do not count.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import read_place  # noqa: PLC0415  # the same
    from hivecost.cli.render import to_json  # noqa: PLC0415  # the same
    from hivecost.clock import SYSTEM_CLOCK  # noqa: PLC0415  # the same
    from hivecost.reports import require_log  # noqa: PLC0415  # the same
    from hivecost.reports.selection import select  # noqa: PLC0415  # the same
    from hivecost.reports.suggestion import suggest_budgets  # noqa: PLC0415  # the same

    selection = select(SYSTEM_CLOCK.now_ns(), since=since, timezone=timezone)

    async def load() -> None:
        await require_log(data)
        report = await read_place(data, lambda log, ledger: suggest_budgets(log, ledger, selection))
        typer.echo(to_json(report) if json else suggestion_toml(report))

    anyio.run(load)


def suggestion_toml(report: SuggestionReport) -> str:
    """Return the budgets as TOML, with what they come from in comments."""
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    when = f"From {report.since or 'the beginning'} to {report.until or 'now'} ({report.timezone})"
    notes = [f"{when}: the 95th percentile of each agent's days with any spending, and half of it on top."]
    notes += gap_notes(report.gaps)
    notes += [f"{agent or '(none)'}: no cost of it is known." for agent in report.unpriced_agents]
    if not report.rows:
        notes.append("No agent spent anything then: there is nothing to suggest.")
    lines = [line for note in notes for line in _comment(note)]
    for row in report.rows:
        lines += ["", *_budget(row, report.timezone)]
    return "\n".join(lines)


def _comment(note: str) -> list[str]:
    """Return a note as a comment that a narrow terminal does not break."""
    return wrap(printable(note), 80, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _budget(row: Suggestion, timezone: str) -> list[str]:
    from hivecost.usd_text import fixed_usd  # noqa: PLC0415  # as above

    days = "1 day" if row.days == 1 else f"{row.days} days"
    comment = f"# {days}: p95 {fixed_usd(row.p95_nanousd, 4)}, the dearest {fixed_usd(row.max_nanousd, 4)}"
    if not row.agent:
        return [comment.replace("#", "# Turns without an agent,", 1)]
    limit = fixed_usd(row.limit_nanousd, 2).replace(",", "")
    return [
        "[[budget]]",
        comment,
        f"name = {_text(f'day of {printable(row.agent)}')}",
        f'limit = "{limit}"',
        'window = "day"',
        f"timezone = {_text(timezone)}",
        f"match = {{ agent = {_text(row.agent)} }}",
        'mode = "hard"',
    ]


def _text(value: str) -> str:
    r"""Return a text as TOML writes it: with `\"` and `\\`, and what controls as `\u001b`."""
    letters = (
        f"\\{letter}"
        if letter in '"\\'
        else letter
        if letter.isprintable()
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 2**16
        else f"\\U{ord(letter):08x}"
        for letter in value
    )
    return f'"{"".join(letters)}"'
