"""`hivecost prune`: old turns leave the log, what they add up to stays."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption
from hivecost.errors import ConfigError

_AGE: Final = re.compile(r"(\d{1,5})([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24}


def prune(
    data: DataOption = DEFAULT_DATA,
    *,
    keep: Annotated[str, typer.Option(metavar="AGE", help="Keep what is younger: 90d, 12w or 48h.")] = "",
    before: Annotated[str, typer.Option(metavar="DATE", help="Or: prune up to this local day, month or moment.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how much that is, and delete nothing.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option("--vacuum", help="Give the space back to the disk; needs twice the file's size, writers wait."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Delete old turns and events; the sums of sessions, nodes and days stay exactly as they are.

    Accounts of hard budgets whose period was over go, too. Budgets count on as before. Steps, repricings and what
    budgets did in those turns are gone for good.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import open_backend, read_place  # noqa: PLC0415  # the same
    from hivecost.cli.render import to_json  # noqa: PLC0415  # the same
    from hivecost.reports import require_log  # noqa: PLC0415  # the same

    before_ns = _before_ns(keep, before)

    async def run() -> None:
        if not await read_place(data, lambda _, ledger: ledger.budgets()):
            await require_log(data)
        pruned = await open_backend(data).writer().prune(before_ns, dry_run=dry_run, compact=vacuum)
        if json:
            typer.echo(to_json(pruned))
            return
        rows = f"{pruned.turns:,} turns and {pruned.events:,} other events"
        if pruned.accounts:
            rows += f", and {pruned.accounts:,} accounts of budgets whose period was over"
        size = f"{pruned.bytes_freed / 1e6:,.1f} MB"
        if dry_run:
            typer.echo(f"Would prune {rows}, about {size} of {pruned.file_bytes / 1e6:,.1f} MB. Nothing was deleted.")
        elif vacuum:
            typer.echo(f"Pruned {rows}. The file is {size} smaller: {pruned.file_bytes / 1e6:,.1f} MB.")
        else:
            typer.echo(f"Pruned {rows}. {size} came free in the file for what is logged next (--vacuum shrinks it).")

    anyio.run(run)


def _before_ns(keep: str, before: str) -> int:
    from hivecost.clock import SYSTEM_CLOCK  # noqa: PLC0415  # as above
    from hivecost.log.instants import find_zone  # noqa: PLC0415  # as above
    from hivecost.log.spans import local_zone, span_of  # noqa: PLC0415  # as above

    if bool(keep) == bool(before):
        raise ConfigError("prune", "one of --keep AGE (such as 90d) and --before DATE (such as 2026-08-01)")
    if before:
        return span_of("--before", before, SYSTEM_CLOCK.now_ns(), find_zone(local_zone())).first_ns
    age = _AGE.fullmatch(keep)
    if age is None:
        raise ConfigError("--keep", "a number of hours, days or weeks such as 48h, 90d or 12w", got=keep)
    # Nothing was logged before 1970, and SQLite knows no year much before.
    return max(0, SYSTEM_CLOCK.now_ns() - int(age[1]) * _HOURS[age[2]] * 3600 * 10**9)
