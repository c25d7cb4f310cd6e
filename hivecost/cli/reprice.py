"""`hivecost reprice`: what logged turns would have cost at the rates in use now."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption, PricesOption, TimezoneOption, UntilOption


def reprice(
    *,
    since: Annotated[str, typer.Option(metavar="SPAN", help="From its beginning on: 7d, 2026-10, 2026-11-22, …")],
    until: UntilOption = None,
    timezone: TimezoneOption = None,
    model: Annotated[str | None, typer.Option(help="Only turns of this model, by its name in the log.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, and write nothing.")] = False,
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Price logged turns again and show old and new side by side; both are kept, and no turn is rewritten.

    Each turn is priced as of when it happened. What the provider billed itself stays.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import open_price_book  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_repricing, to_json  # noqa: PLC0415  # the same
    from hivecost.clock import SYSTEM_CLOCK, to_datetime  # noqa: PLC0415  # the same
    from hivecost.reports import reprice_log, require_log  # noqa: PLC0415  # the same
    from hivecost.reports.selection import select  # noqa: PLC0415  # the same

    book = open_price_book(data, prices)
    window = select(SYSTEM_CLOCK.now_ns(), since=since, until=until, timezone=timezone).window
    first, end = to_datetime(window.first_ns), None if until is None else to_datetime(window.end_ns)

    async def run() -> None:
        await require_log(data)
        report = await reprice_log(data, book, since=first, until=end, model=model, dry_run=dry_run)
        if json:
            typer.echo(to_json(report))
        else:
            render_repricing(report)

    anyio.run(run)
