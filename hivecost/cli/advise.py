"""`hivecost advise`: what a session, or the turns of a time, could save, with the arithmetic."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.options import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    PricesOption,
    SinceOption,
    TimezoneOption,
    UntilOption,
)


def advise(
    session: Annotated[str | None, typer.Argument(help="A session id, or `latest`.", show_default="latest")] = None,
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    timezone: TimezoneOption = None,
    agent: Annotated[str | None, typer.Option(help="With --since or --until: only this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="With --since or --until: only this user.")] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="MODEL", help="A cheaper model to compare with; may be repeated."),
    ] = None,
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Show what caching saved, what compaction did, and what cheaper models or batching would save.

    Of a session, or with --since and --until of all turns of a time. Without --to, nodes are compared with the other
    models that are used there.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import open_price_book  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_advice, to_json  # noqa: PLC0415  # the same
    from hivecost.clock import SYSTEM_CLOCK  # noqa: PLC0415  # the same
    from hivecost.errors import ConfigError  # noqa: PLC0415  # the same
    from hivecost.log import Filter  # noqa: PLC0415  # the same
    from hivecost.reports import load_advice, require_log  # noqa: PLC0415  # the same
    from hivecost.reports.advice import load_advice_of  # noqa: PLC0415  # the same
    from hivecost.reports.selection import select  # noqa: PLC0415  # the same

    book = open_price_book(data, prices)
    selection = None
    if since or until or agent or user:
        if session is not None:
            raise ConfigError("advise", "a session, or --since and --until, not both", got=session)
        whose = Filter(agent=agent, user=user)
        selection = select(SYSTEM_CLOCK.now_ns(), since=since, until=until, timezone=timezone, filter=whose)

    async def run() -> None:
        if selection is None:
            advice = await load_advice(data, book, session or "latest", to_models=to or ())
        else:
            await require_log(data)
            advice = await load_advice_of(data, book, selection, to_models=to or ())
        if json:
            typer.echo(to_json(advice))
        else:
            render_advice(advice, "" if selection is None else selection.range)

    anyio.run(run)
