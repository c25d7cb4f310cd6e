"""`hivecost sessions`: the newest sessions, a line each."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption

_Status = Literal["running", "completed", "failed", "cancelled", "interrupted"]


def sessions(
    data: DataOption = DEFAULT_DATA,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    since: Annotated[str | None, typer.Option(help="From this local day or moment on, such as 2026-11-22.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this moment, or to the end of this day.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only sessions of this agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    status: Annotated[_Status | None, typer.Option(help="Only those that ended, or stand, like this.")] = None,
    json: JsonOption = False,
) -> None:
    """List sessions, the newest first, with what each of them cost."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import SessionStore  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_sessions, to_json  # noqa: PLC0415  # the same
    from hivecost.reports import require_log  # noqa: PLC0415  # the same

    async def load() -> None:
        found = await SessionStore(data).list_sessions(
            status=status, agent_id=agent, user_id=user, since=since, until=until, limit=limit
        )
        await require_log(data)
        if json:
            typer.echo(to_json(found))
        else:
            render_sessions(found, data)

    anyio.run(load)
