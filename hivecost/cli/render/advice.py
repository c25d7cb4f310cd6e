"""Advice as text for a terminal."""

from __future__ import annotations

from hivecost.cli.render.console import report_console, safe
from hivecost.cli.render.sums import counted, notional_note
from hivecost.money import format_usd
from hivecost.reports import Advice


def render_advice(advice: Advice, time: str = "") -> None:
    """Print what the session, or the turns of a time, could save, each suggestion with its arithmetic."""
    console = report_console()
    cost = "cost unknown" if advice.left_out_calls and not advice.cost_nanousd else format_usd(advice.cost_nanousd)
    console.print(f"\n[bold]What could be saved[/bold]  {safe(advice.session_id or time)}, {cost}\n")
    if advice.notional_nanousd:
        console.print(f"[bold]Notional[/bold]    {notional_note(advice.notional_nanousd)}; nothing to save there")
    verb = "saved" if advice.cache_saved_nanousd >= 0 else "cost more than it saved:"
    console.print(
        f"[bold]Caching[/bold]     {verb} {format_usd(abs(advice.cache_saved_nanousd))}   "
        f"{advice.cached_tokens:,} tokens from cache, {advice.cache_hit_ratio:.1%} of the input"
    )
    for line in advice.caching:
        console.print(f"            {safe(line.model)}: {safe(line.arithmetic)}", style="dim")
    compression = advice.compression
    if compression.compactions:
        console.print(
            f"[bold]Compaction[/bold]  {compression.tokens_before:,} → {compression.tokens_after:,} tokens "
            f"in {counted(compression.compactions, 'compaction')}, ratio {compression.compression_ratio:.2f}"
        )
    else:
        console.print("[bold]Compaction[/bold]  none happened")
    for pruning in advice.pruning:
        console.print(
            f"[bold]Tools[/bold]       {safe(pruning.tool or 'results of unknown tools')} in "
            f"{safe(pruning.node_id or '(no node)')} cost {format_usd(pruning.cost_nanousd)} again in "
            f"{counted(pruning.turns, 'turn')}: pruned after {pruning.keep} it is up to "
            f"{format_usd(pruning.saved_nanousd)} less (tool_result_budget = {pruning.keep}, done only where it pays)"
        )
        console.print(f"            {safe(pruning.arithmetic)}", style="dim")
    for downgrade in advice.could_downgrade:
        node = downgrade.node_id or "(no node)"
        console.print(
            f"[bold]Downgrade[/bold]   {safe(node)} could use {safe(downgrade.to_model)}: "
            f"{format_usd(downgrade.saved_nanousd)} less, at {downgrade.mean_output_tokens:,} tokens an answer"
        )
        console.print(f"            {safe(downgrade.arithmetic)}", style="dim")
    if not advice.could_downgrade:
        console.print("[bold]Downgrade[/bold]   nothing found; name a cheaper model with --to MODEL to compare with it")
    console.print(f"            Rule: {advice.downgrade_rule}.", style="dim")
    for batching in advice.batching:
        console.print(
            f"[bold]Batching[/bold]    {safe(batching.model)}: {format_usd(batching.saved_nanousd)} less, "
            "where an answer can wait"
        )
        console.print(f"            {safe(batching.arithmetic)}", style="dim")
    if not advice.batching:
        console.print("[bold]Batching[/bold]    no call was dearer than a known batch rate")
    if advice.left_out_calls:
        console.print(f"{counted(advice.left_out_calls, 'call')} without a known cost: left out.", style="yellow")
    if advice.pruned_calls:
        console.print(f"{counted(advice.pruned_calls, 'call')} pruned from the log: left out.", style="yellow")
