"""`hivecost advise SESSION`: what a session could save, with the arithmetic."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption, PricesOption


def advise(
    session: Annotated[str, typer.Argument(help="A session id, or `latest`.")] = "latest",
    *,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="MODEL", help="A cheaper model to compare with; may be repeated."),
    ] = None,
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Show what caching saved, what compaction did, and what cheaper models or batching would save.

    Without --to, nodes are compared with the other models that the session uses.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.backends import open_price_book  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_advice, to_json  # noqa: PLC0415  # the same
    from hivecost.reports import load_advice  # noqa: PLC0415  # the same

    book = open_price_book(data, prices)

    async def run() -> None:
        advice = await load_advice(data, book, session, to_models=to or ())
        if json:
            typer.echo(to_json(advice))
        else:
            render_advice(advice)

    anyio.run(run)
