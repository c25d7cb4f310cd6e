"""`hivecost compact`: a request in, the same request with a conversation that fits out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, PricesOption
from hivecost.errors import ConfigError

if TYPE_CHECKING:
    from hivecost.compaction import Compaction


def compact(
    file: Annotated[Path, typer.Argument(help="JSON: messages, or a whole request. `-` is stdin.")],
    *,
    max_tokens: Annotated[int, typer.Option(min=1, help="The context budget.")],
    strategy: Annotated[list[str] | None, typer.Option(help="How; several are tried in their order.")] = None,
    compact_to: Annotated[float, typer.Option(help="How much of the budget is left in use, 0.1 to 0.75.")] = 0.5,
    keep_tool_results: Annotated[int, typer.Option(min=0, help="How many of the newest are never replaced.")] = 3,
    model: Annotated[str, typer.Option(help="Whose tokens and prices count; else the one in the request.")] = "",
    provider: Annotated[str, typer.Option(help="Whose messages they are, where they do not show it.")] = "",
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a conversation fit its context budget: calls keep their results, and the user's last words stay.

    The request goes to stdout; what was done, and after how many turns it pays, to stderr. Nothing is summarized: that
    takes a model.
    """
    from hivecost.backends import open_price_book  # noqa: PLC0415  # `hivecost --help` is quicker without
    from hivecost.cli.render import to_json  # noqa: PLC0415  # the same
    from hivecost.compaction import Counter, read_prompt  # noqa: PLC0415  # the same
    from hivecost.compaction import compact as compacted  # noqa: PLC0415  # the same

    given = _read(file)
    prompt = read_prompt(given, provider=provider)
    if prompt is None:
        raise ConfigError("file", "a list of messages, or a request with `messages` or `input`", file=str(file))
    model = model or (str(prompt.request.get("model", "")) if prompt.request else "")
    result = compacted(
        prompt.messages,
        shape=prompt.shape,
        budget=max_tokens,
        config={
            "compact_to": compact_to,
            "keep_tool_results": keep_tool_results,
            **({"context_overflow_strategy": strategy} if strategy else {}),
        },
        count=Counter(model, provider=provider, around=prompt.around),
        rates=open_price_book(data, prices).quote(model, provider=provider) if model else None,
    )
    typer.echo(to_json(prompt.with_messages(result.messages)))
    typer.echo(_said(result, max_tokens), err=True)


def _read(file: Path) -> Any:
    import msgspec  # noqa: PLC0415  # as above

    text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError("file", f"JSON ({error})", file=str(file)) from None


def _said(result: Compaction, budget: int) -> str:
    before, after = f"{result.tokens_before:,}", f"{result.tokens_after:,}"
    if result.status == "unchanged":
        return f"{before} tokens ({result.count_source}) are within {budget:,}: nothing was changed"
    steps = " > ".join(step.strategy for step in result.steps if step.status == "done")
    share = 100 * result.tokens_saved / result.tokens_before
    turns = result.breaks_even_after
    pays = "never pays" if turns is None else f"pays after {turns:.1f} turns with a warm prompt cache"
    return f"{before} → {after} tokens ({result.count_source}), {share:.0f} % less, {pays}: {steps}"
