"""`hivecost report SESSION`: what a session cost, per node and per model."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption


def report(
    session: Annotated[str, typer.Argument(help="A session id, or `latest`.")] = "latest",
    data: DataOption = DEFAULT_DATA,
    *,
    tools: Annotated[bool, typer.Option("--tools", help="What results of tools cost that were sent again.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what a session cost: per node, per model, in total, and what budgets did."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.cli.render import render_session, to_json  # noqa: PLC0415  # the same
    from hivecost.reports import load_session_report  # noqa: PLC0415  # the same

    async def show() -> None:
        loaded = await load_session_report(data, session)
        if json:
            typer.echo(to_json(loaded))
        else:
            render_session(loaded, tools=tools)

    anyio.run(show)
