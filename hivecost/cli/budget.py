"""`hivecost budget`: how budgets stand, also while runtimes in other processes spend them."""

from __future__ import annotations

from typing import Annotated

import typer

from hivecost.cli.budget_changes import AmountCommand, freeze, raise_, resolve, set_, unfreeze, unset
from hivecost.cli.budget_suggest import suggest
from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption

budget = typer.Typer(
    name="budget",
    help=(
        "How budgets stand, and changing hard ones while agents run.\n\n"
        "Hard ones are in the ledger of the data folder; one that a runtime opens itself (open_ledger=…) is not seen "
        "here."
    ),
    no_args_is_help=True,
)


@budget.command()
def status(*, data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """Show every account: limit, settled, held, in doubt, remaining, and when it resets.

    Of stop_after and observe budgets it shows what the log says was spent in the present period.
    """
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.cli.render import render_budgets, to_json  # noqa: PLC0415  # the same
    from hivecost.reports import load_budget_report  # noqa: PLC0415  # the same

    report = anyio.run(load_budget_report, data)
    if json:
        typer.echo(to_json(report))
    else:
        render_budgets(report)


@budget.command()
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The budget's name.")],
    *,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Say why a budget grants no more: who holds what of each account, what is in doubt, and what it refused last."""
    import anyio  # noqa: PLC0415  # as above

    from hivecost.cli.render import render_explanation, to_json  # noqa: PLC0415  # as above
    from hivecost.reports import explain_budget  # noqa: PLC0415  # as above

    async def load() -> None:
        explanation = await explain_budget(data, name)
        if json:
            typer.echo(to_json(explanation))
        else:
            render_explanation(explanation)

    anyio.run(load)


budget.command("set", cls=AmountCommand)(set_)
budget.command("raise", cls=AmountCommand)(raise_)
budget.command()(unset)
budget.command()(freeze)
budget.command()(unfreeze)


@budget.command()
def doubts(*, data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """List the holds in doubt: they may have been sent, and nobody knows the bill."""
    import anyio  # noqa: PLC0415  # as above

    from hivecost.cli.render import render_doubts, to_json  # noqa: PLC0415  # as above
    from hivecost.clock import SYSTEM_CLOCK, to_datetime  # noqa: PLC0415  # as above
    from hivecost.reports import load_doubts  # noqa: PLC0415  # as above

    holds = anyio.run(load_doubts, data)
    if json:
        typer.echo(to_json(holds))
    else:
        render_doubts(holds, to_datetime(SYSTEM_CLOCK.now_ns()))


budget.command()(resolve)
budget.command()(suggest)


@budget.command()
def audit(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many entries at most.")] = 50,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """List who changed what and when, the newest first."""
    import anyio  # noqa: PLC0415  # as above

    from hivecost.cli.render import render_changes, to_json  # noqa: PLC0415  # as above
    from hivecost.reports import load_budget_changes  # noqa: PLC0415  # as above

    async def load() -> None:
        changes = await load_budget_changes(data, limit=limit)
        if json:
            typer.echo(to_json(changes))
        else:
            render_changes(changes)

    anyio.run(load)
