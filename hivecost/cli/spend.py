"""`hivecost spend`: who spent what, over days and over sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption
from hivecost.errors import ConfigError
from hivecost.log.rows import KEPT_DIMENSIONS, PERIOD_DIMENSIONS


def spend(
    data: DataOption = DEFAULT_DATA,
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUPS",
            help=f"Of {', '.join((*PERIOD_DIMENSIONS, *KEPT_DIMENSIONS))}; `--by a --by b` is `--by a,b`.",
            show_default="day,user",
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day or moment on, such as 2026-11-22.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this moment, or to the end of this day.")] = None,
    timezone: Annotated[str, typer.Option(help="Whose days, such as Europe/Berlin.")] = "UTC",
    agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    org: Annotated[str | None, typer.Option(help="Only this organisation.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet: a line of names, then the groups.")] = False,
    json: JsonOption = False,
) -> None:
    """Show who spent what: per day and user unless --by says otherwise, such as --by org or --by month,agent,model.

    It adds up the sums of quarter-hours, which --since and --until are widened to: quick in a large log, and whole
    after `hivecost prune`. Amounts are rounded here; --csv and --json are exact.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.cli.render import render_spend, spend_csv, to_json  # noqa: PLC0415  # the same
    from hivecost.reports import load_spend, require_log  # noqa: PLC0415  # the same

    if csv and json:
        raise ConfigError("spend", "one of --csv and --json")
    groups = [name.strip() for names in by or ["day,user"] for name in names.split(",")]

    async def show() -> None:
        report = await load_spend(
            data,
            by=groups,
            since=since,
            until=until,
            timezone=timezone,
            agent=agent,
            user=user,
            org=org,
            model=model,
        )
        await require_log(data)
        if csv:
            typer.echo(spend_csv(report), nl=False)
        elif json:
            typer.echo(to_json(report))
        else:
            render_spend(report, data)

    anyio.run(show)
