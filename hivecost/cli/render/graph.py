"""A graph's loop configuration as text for a terminal."""

from __future__ import annotations

from typing import Any

from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.runtime import GraphSpec


def render_graph(spec: GraphSpec, *, everything: bool) -> None:
    """Print a line for each value that a node or the graph says; with `everything` the defaults, too."""
    console = report_console()
    console.print(f"\n[bold]{safe(spec.id)}[/bold]   {len(spec.nodes)} nodes")
    table = report_table("Node", "Setting", "Value", last=("From",))
    for node_id, name in (*((node.id, node.id) for node in spec.nodes), ("", "(any other)")):
        rules = spec.rules(node_id)
        said = [(key, origin) for key, origin in rules.origins.items() if everything or origin != "default"]
        for number, (key, origin) in enumerate(said):
            shown_origin = f"[dim]{origin}[/dim]" if origin == "default" else origin
            table.add_row("" if number else safe(name), key, safe(_shown(rules.value(key))), shown_origin)
        if not said:
            table.add_row(safe(name), "[dim]nothing but the defaults[/dim]", "", "")
    print_table(console, table)


def _shown(value: Any) -> str:
    if value is None:
        return "unlimited"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value) or "none"
