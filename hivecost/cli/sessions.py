"""`hivecost sessions`: the newest sessions, a line each."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption, SinceOption, TimezoneOption, UntilOption

_Status = Literal["running", "completed", "failed", "cancelled", "interrupted"]


def sessions(
    data: DataOption = DEFAULT_DATA,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    since: SinceOption = None,
    until: UntilOption = None,
    timezone: TimezoneOption = None,
    agent: Annotated[str | None, typer.Option(help="Only sessions of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    status: Annotated[_Status | None, typer.Option(help="Only those that ended, or stand, like this.")] = None,
    json: JsonOption = False,
) -> None:
    """List sessions, the newest first, with what each of them cost."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import read_log  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_sessions, to_json  # noqa: PLC0415  # the same
    from hivecost.clock import SYSTEM_CLOCK  # noqa: PLC0415  # the same
    from hivecost.reports import require_log  # noqa: PLC0415  # the same
    from hivecost.reports.selection import select  # noqa: PLC0415  # the same

    selection = select(SYSTEM_CLOCK.now_ns(), since=since, until=until, timezone=timezone)

    async def load() -> None:
        page = await read_log(
            data,
            lambda log: log.sessions(window=selection.window, status=status, agent=agent, user=user, limit=limit),
        )
        found = list(page.rows)
        await require_log(data)
        if json:
            typer.echo(to_json(found))
        else:
            render_sessions(found, data)

    anyio.run(load)
