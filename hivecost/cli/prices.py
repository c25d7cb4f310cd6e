"""`hivecost prices`: the rates in use; looked up, compared, and renewed when asked to."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, JsonOption, PricesOption
from hivecost.errors import ConfigError

if TYPE_CHECKING:
    from hivecost.pricing import RateShift

_SHIFTS_SHOWN: Final = 20

prices = typer.Typer(name="prices", help="The rates in use: show, list, update, diff.", no_args_is_help=True)

_AtOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        help="The rates of this moment, in UTC unless it says otherwise.",
    ),
]
_ProviderOption = Annotated[str, typer.Option(help="Only at this provider.")]


@prices.command()
def show(
    model: Annotated[str, typer.Argument(help="Any name that a provider or a gateway uses.")],
    *,
    at: _AtOption = None,
    provider: _ProviderOption = "",
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """Show what a model costs: every service tier and long-context step, with source and validity."""
    from hivecost.backends import open_price_book  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_rates, to_json  # noqa: PLC0415  # the same
    from hivecost.pricing import describe  # noqa: PLC0415  # `hivecost --help` is quicker without

    book = open_price_book(data, prices)
    rows = describe(book, model, provider=provider, at_ns=_instant_ns(at))
    if json:
        typer.echo(to_json({"snapshot": book.snapshot, "rates": rows}))
    else:
        render_rates(model, rows, book.snapshot)


@prices.command("list")
def list_(
    *,
    at: _AtOption = None,
    provider: _ProviderOption = "",
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
    json: JsonOption = False,
) -> None:
    """List every model that has a price; with --json every rate of it."""
    from hivecost.backends import open_price_book  # noqa: PLC0415  # as above
    from hivecost.cli.render import render_rate_list, to_json  # noqa: PLC0415  # as above
    from hivecost.pricing import list_rates  # noqa: PLC0415  # as above

    book = open_price_book(data, prices)
    every = list(list_rates(book, at_ns=_instant_ns(at)))
    rows = [row for row in every if provider in {"", row.provider}]
    if not rows:
        known = sorted({row.provider for row in every if row.provider})
        raise ConfigError("--provider", f"one of {', '.join(known)}", got=provider)
    if json:
        typer.echo(to_json({"snapshot": book.snapshot, "rates": rows}))
    else:
        render_rate_list(rows, book.snapshot)


@prices.command()
def update(
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL|FILE", help="Elsewhere than where genai-prices publishes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Use them also where prices vanish or move threefold.")] = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Fetch the published rates, check them and use them from now on. Nothing else of hivecost goes online for rates.

    Where models become free, lose their price or cost more than three times as much or as little, it shows them and
    asks first. Rates are kept in the data folder, and those before them, too. Turns that are logged keep theirs.
    """
    from hivecost.backends import open_backend, open_price_book  # noqa: PLC0415  # as above
    from hivecost.cli.fetching import fetch_rates, published_url  # noqa: PLC0415  # as above
    from hivecost.clock import SYSTEM_CLOCK  # noqa: PLC0415  # as above
    from hivecost.errors import PriceUpdateError  # noqa: PLC0415  # as above
    from hivecost.pricing import believable_book, rate_shifts  # noqa: PLC0415  # as above

    source = source or published_url()
    rates, in_use = open_backend(data).rates, open_price_book(data)
    try:
        content = fetch_rates(source)
    except PriceUpdateError as error:
        raise PriceUpdateError(f"{error}\nNothing was changed: rates {in_use.snapshot} stay in use.") from error
    try:
        book = believable_book(content, in_use, at_ns=SYSTEM_CLOCK.now_ns())
    except PriceUpdateError as error:
        raise PriceUpdateError(
            f"{source}: refused, {error}\nNothing was changed: rates {in_use.snapshot} stay in use."
        ) from error
    shifts = rate_shifts(in_use, book, at_ns=SYSTEM_CLOCK.now_ns())
    if shifts:
        _show_shifts(shifts)
        if not yes and not (sys.stdin.isatty() and typer.confirm("Use these rates?")):
            raise PriceUpdateError(
                f"{source}: not taken over without your word (--yes).\n"
                f"Nothing was changed: rates {in_use.snapshot} stay in use."
            )
    if not rates.save(content):
        typer.echo(f"Nothing new: rates {book.snapshot} are in use already.")
        return
    models = sum(1 for _ in book.models())
    typer.echo(f"Rates {book.snapshot} are in use now: {models:,} models, kept in {rates.name}.")
    typer.echo(f"Before: {in_use.snapshot}. `hivecost prices diff` shows what changed.")


@prices.command()
def diff(*, data: DataOption = DEFAULT_DATA, json: JsonOption = False) -> None:
    """Show which rates the last update changed, against the update before it or else the shipped rates."""
    from hivecost.backends import open_backend  # noqa: PLC0415  # as above
    from hivecost.cli.render import render_rate_changes, to_json  # noqa: PLC0415  # as above
    from hivecost.errors import PriceUpdateError  # noqa: PLC0415  # as above
    from hivecost.pricing import PriceBook, diff_rates  # noqa: PLC0415  # as above

    rates = open_backend(data).rates
    current = rates.current()
    if current is None:
        typer.echo("[]" if json else "The shipped rates are in use: nothing was updated yet.")
        return
    before, after = PriceBook(data=rates.previous()), PriceBook(data=current)
    try:
        changes = list(diff_rates(before, after))
    except ValueError as error:
        raise PriceUpdateError(
            f"{rates.name}, or what was there before, is damaged; `hivecost prices update` renews it"
        ) from error
    if json:
        typer.echo(to_json(changes))
    else:
        render_rate_changes(changes, before.snapshot, after.snapshot)


def _show_shifts(shifts: list[RateShift]) -> None:
    typer.echo(f"Prices change more than is usual, {len(shifts):,} in all:")
    for shift in shifts[:_SHIFTS_SHOWN]:
        typer.echo(f"  {shift}")
    if len(shifts) > _SHIFTS_SHOWN:
        typer.echo(f"  … and {len(shifts) - _SHIFTS_SHOWN:,} more")


def _instant_ns(moment: datetime | None) -> int | None:
    from hivecost.clock import to_ns  # noqa: PLC0415  # as above

    if moment is None:
        return None
    try:
        return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        raise ConfigError("--at", "a moment that is on the calendar in UTC, too", got=str(moment)) from None
