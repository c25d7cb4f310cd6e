"""The commands that change hard budgets, in force at once for every process."""

from __future__ import annotations

import getpass
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from hivecost.cli.options import DEFAULT_DATA, DataOption
from hivecost.errors import ConfigError
from hivecost.log.rows import KEPT_DIMENSIONS
from hivecost.money import require_no_leftover, without_separators
from hivecost.plain_text import printable

if TYPE_CHECKING:
    from hivecost.ledger import AccountStatus, BudgetState, DoubtfulHold, LedgerStore

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The budget's name.")]
_ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the audit; your login name unless given.")]
_ForOption = Annotated[
    list[str] | None,
    typer.Option(
        "--for", metavar="ATTRIBUTE=VALUE", help="One value alone, such as agent=planner; all that `per` names."
    ),
]
_AMOUNT_HELP = "With its unit: 5usd, '$5' (in single quotes), 1000 tokens, 20 calls."
_NEGATIVE: Final = re.compile(r"-[$.\d].*")


class AmountCommand(TyperCommand):
    """A command with an amount among its arguments: one below zero looks like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raise ConfigError for an amount below zero, or that a login shell has mangled."""
        for word in args:
            if word.startswith("-"):
                require_no_leftover(word, key="amount")
            if _NEGATIVE.fullmatch(word):
                expected = "an amount above zero; `hivecost budget set NAME LIMIT` gives a budget a lower limit"
                raise ConfigError("amount", expected, got=word)
        return super().parse_args(ctx, args)


def set_(
    name: _NameArgument,
    limit: Annotated[list[str], typer.Argument(metavar="LIMIT", help=_AMOUNT_HELP)],
    *,
    whose: _ForOption = None,
    by: _ByOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Give a budget, or with --for one value of its attributes, another limit; what was spent stays."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    async def change() -> None:
        scope = _scope(whose, data)
        async with _opened(data, name) as (ledger, before):
            limit_before = await ledger.limit_in_force(name, scope=scope)
            after = await ledger.set_limit(name, _amount(limit, before, "limit"), scope=scope, by=_who(by))
            await _show_limit(ledger, before, (limit_before, after), scope)
            await _say_if_unseen(ledger, before, scope, data)

    anyio.run(change)


def unset(
    name: _NameArgument, *, whose: _ForOption = None, by: _ByOption = "", data: DataOption = DEFAULT_DATA
) -> None:
    """Take back what `set` and `raise` did to a limit: the configured one is in force again."""
    import anyio  # noqa: PLC0415  # as above

    async def change() -> None:
        scope = _scope(whose, data)
        async with _opened(data, name) as (ledger, before):
            limit_before = await ledger.limit_in_force(name, scope=scope)
            after = await ledger.unset_limit(name, scope=scope, by=_who(by))
            await _show_limit(ledger, before, (limit_before, after), scope)

    anyio.run(change)


def raise_(
    name: _NameArgument,
    amount: Annotated[list[str], typer.Argument(metavar="AMOUNT", help=_AMOUNT_HELP)],
    *,
    whose: _ForOption = None,
    by: _ByOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Raise the limit of a budget by an amount, such as +5usd; paused executions go on."""
    import anyio  # noqa: PLC0415  # as above

    from hivecost.ledger.amounts import to_amount  # noqa: PLC0415  # as above

    async def change() -> None:
        scope = _scope(whose, data)
        async with _opened(data, name) as (ledger, before):
            more = _amount(amount, before, "amount")
            after = await ledger.raise_limit(name, more, scope=scope, by=_who(by))
            # Somebody else may have changed it since `before`.
            await _show_limit(ledger, before, (after - to_amount(more, before.unit, key="amount"), after), scope)
            await _say_if_unseen(ledger, before, scope, data)

    anyio.run(change)


def freeze(
    name: _NameArgument,
    *,
    reason: Annotated[str, typer.Option(help="For those who find it frozen.")] = "by hand",
    by: _ByOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Grant nothing more on a budget until it is unfrozen; what is held may still be settled."""
    import anyio  # noqa: PLC0415  # as above

    async def change() -> None:
        async with _opened(data, name) as (ledger, _):
            await ledger.freeze(name, reason, by=_who(by))
        _say(f"{name}: frozen, nothing more is granted until `hivecost budget unfreeze`.")

    anyio.run(change)


def unfreeze(name: _NameArgument, *, by: _ByOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Someone has looked: grant again."""
    import anyio  # noqa: PLC0415  # as above

    async def change() -> None:
        async with _opened(data, name) as (ledger, before):
            done = await ledger.unfreeze(name, by=_who(by))
        _say(f"{name}: granted again; it was frozen: {before.frozen}" if done else f"{name}: was not frozen.")

    anyio.run(change)


def resolve(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="As `hivecost budget doubts` lists it.")],
    *,
    usd: Annotated[str | None, typer.Option(help="What it really cost, in USD.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="The tokens it really used.")] = None,
    never_sent: Annotated[bool, typer.Option("--never-sent", help="It cost nothing.")] = False,
    by: _ByOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Settle a hold in doubt at what it really cost. A unit that is not named is charged as it was held."""
    import anyio  # noqa: PLC0415  # as above

    from hivecost.money import to_nanousd  # noqa: PLC0415  # as above

    if never_sent == (usd is not None or tokens is not None):
        raise ConfigError("resolve", "what it cost (--usd 0.01, --tokens 500), or else --never-sent")
    billed = {"tokens": tokens, "usd": None if usd is None else to_nanousd(usd, key="--usd")}
    if never_sent:
        billed = {"usd": 0, "tokens": 0, "calls": 0}

    async def change() -> None:
        async with _opened(data) as (ledger, _):
            hold = next((hold for hold in await ledger.in_doubt() if hold.hold_id == hold_id), None)
            if hold is None:
                expected = "the id of a hold that is in doubt; `hivecost budget doubts` lists them"
                raise ConfigError("hold", expected, got=hold_id)
            known = {unit: amount for unit, amount in billed.items() if amount is not None}
            _require_units(hold, () if never_sent else tuple(known))
            await ledger.resolve(
                hold_id, nanousd=known.get("usd"), tokens=known.get("tokens"), calls=known.get("calls"), by=_who(by)
            )
        await _show_resolved(hold, known, data)

    anyio.run(change)


@asynccontextmanager
async def _opened(data: str, name: str = "") -> AsyncIterator[tuple[LedgerStore, BudgetState]]:
    """Open the ledger, and give it with the budget as it is now. Raise ConfigError where there is no such budget."""
    from hivecost.backends import open_backend, read_log  # noqa: PLC0415  # as above
    from hivecost.reports import require_ledger  # noqa: PLC0415  # as above

    modes = {known.budget.name: known.budget.mode for known in await read_log(data, lambda log: log.budgets())}
    if modes.get(name, "hard") != "hard":
        expected = (
            "a budget of mode 'hard'; any other is changed in its configuration, or with runtime.budgets.set_limit"
        )
        raise ConfigError(f"budget {name!r}", expected, got=modes[name])
    known = await require_ledger(data)
    if name and name not in known:
        names = ", ".join(map(repr, known))
        raise ConfigError("budget", f"one of {names} (only those of mode 'hard' are in the ledger)", got=name)
    async with open_backend(data).ledger() as ledger:
        yield ledger, known[name or next(iter(known))]


async def _show_limit(
    ledger: LedgerStore, before: BudgetState, limits: tuple[int, int], scope: Mapping[str, str] | None
) -> None:
    from hivecost.ledger.amounts import format_exactly  # noqa: PLC0415  # as above

    shown = " → ".join(format_exactly(limit, before.unit) for limit in limits)
    whose = _written(scope, before)
    _say(f"{before.name}{f' ({whose})' if whose else ''}: limit {shown}")
    for account in await _accounts_of(ledger, before, whose):
        if not account.remaining:
            reset = "" if account.reset_at is None else f" before {account.reset_at.astimezone():%Y-%m-%d %H:%M}"
            _say(f"Nothing remains{f' for {account.scope}' if account.scope else ''}{reset}.")
    if before.frozen:
        _say(f"It is still frozen: {before.frozen}")


async def _say_if_unseen(ledger: LedgerStore, budget: BudgetState, scope: Mapping[str, str] | None, data: str) -> None:
    """Note values that no turn was ever logged of, as far as the log is summed by them: they may be misspelt."""
    from hivecost.backends import SpendStore  # noqa: PLC0415  # as above

    if not scope or await _accounts_of(ledger, budget, _written(scope, budget)):
        return
    for name, value in scope.items():
        if name in KEPT_DIMENSIONS:  # it is quickly known whether anything was ever logged of a value
            logged = {row.group[name] for row in await SpendStore(data).totals(by=(name,))}
            if value not in logged:
                _say(f"Note: no turn of {name}={value} was logged yet; mind the spelling if it is not new.")


async def _accounts_of(ledger: LedgerStore, budget: BudgetState, whose: str) -> list[AccountStatus]:
    return [
        account
        for account in await ledger.status()
        if account.budget == budget.name and f",{account.scope}".endswith(f",{whose}" if whose else "")
    ]


def _written(scope: Mapping[str, str] | None, budget: BudgetState) -> str:
    return ",".join(f"{name}={scope[name]}" for name in budget.attributes if name in scope) if scope else ""


async def _show_resolved(hold: DoubtfulHold, billed: dict[str, int], data: str) -> None:
    from hivecost.ledger.amounts import format_exactly  # noqa: PLC0415  # as above
    from hivecost.reports import require_ledger  # noqa: PLC0415  # as above

    now = await require_ledger(data)
    for part in hold.amounts:
        account = f"{part.budget} ({part.scope})" if part.scope else part.budget
        charged = format_exactly(billed.get(part.unit, part.amount), part.unit)
        _say(f"{account}: charged {charged}, {format_exactly(part.amount, part.unit)} was in doubt")
        if now[part.budget].frozen:
            _say(f"{part.budget} is frozen: {now[part.budget].frozen}")


def _require_units(hold: DoubtfulHold, named: tuple[str, ...]) -> None:
    counted = {part.unit for part in hold.amounts}
    for unit in named:
        if unit not in counted:
            raise ConfigError(f"--{unit}", f"an amount in {' or '.join(sorted(counted))}: that is what was held")


def _say(line: str) -> None:
    """Print a line in which names and reasons stand that somebody else may have chosen."""
    typer.echo(printable(line))


def _amount(words: list[str], budget: BudgetState, key: str) -> Decimal:
    """Return the number that the words say, in the budget's unit.

    The unit must be written: where a shell has eaten the `$1` of an unquoted `$15`, 5 is left.
    """
    from hivecost.ledger.amounts import parse_limit  # noqa: PLC0415  # as above

    text = " ".join(words).strip()
    require_no_leftover(text, key=key)
    without_separators(text.removeprefix("+"), key=key)
    if not any(letter == "$" or letter.isalpha() for letter in text):
        expected = "an amount with its unit, such as 5usd, '$5' in single quotes, or 1000 tokens"
        raise ConfigError(key, expected, got=text)
    number, unit = parse_limit(text.removeprefix("+"), "", key=key)
    if unit != budget.unit:
        raise ConfigError(key, f"an amount in {budget.unit}, which budget {budget.name!r} counts", got=text)
    return number


def _scope(named: list[str] | None, data: str) -> Mapping[str, str] | None:
    """Return whose limit it is, as `--for` says; None for the budget's. Raise ConfigError."""
    scope: dict[str, str] = {}
    for text in named or ():
        attribute, equals, value = text.partition("=")
        if not equals or attribute in scope:
            raise ConfigError("--for", "ATTRIBUTE=VALUE, such as agent=planner, each attribute once", got=text)
        scope[attribute] = value
    if not {"model", "provider"} & scope.keys():
        return scope or None
    from hivecost.backends import open_price_book  # noqa: PLC0415  # the same
    from hivecost.runtime import placed_scope  # noqa: PLC0415  # loads the rates, which other changes do not need

    return placed_scope(scope, open_price_book(data))


def _who(by: str) -> str:
    """Return the name given, or the login name. Raise ConfigError where there is neither."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise ConfigError("--by", "your name: this machine does not know who is logged in") from None
