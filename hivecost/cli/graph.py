"""`hivecost graph`: what the loops of a graph's nodes obey."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hivecost.cli.options import JsonOption
from hivecost.errors import ConfigError

if TYPE_CHECKING:
    from hivecost.runtime import GraphSpec

graph = typer.Typer(name="graph", help="What the loops of a graph's nodes obey.", no_args_is_help=True)


@graph.callback()
def _options() -> None:
    """Make `graph` a group of commands, also while it has a single one."""


@graph.command()
def show(
    file: Annotated[Path, typer.Argument(help="The configuration file that has a [graph].")] = Path("hivecost.toml"),
    *,
    everything: Annotated[bool, typer.Option("--all", help="The defaults, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the loop configuration of each node as it is in force, and whether node, graph or default say so."""
    from hivecost.cli.render import render_graph, to_json  # noqa: PLC0415  # `hivecost --help` is quicker without
    from hivecost.runtime import read_config_file  # noqa: PLC0415  # the same

    spec = read_config_file(file).runtime.graph
    if spec is None:
        raise ConfigError("graph", "a table [graph]: this file has none", file=str(file))
    if json:
        typer.echo(to_json(_document(spec)))
    else:
        render_graph(spec, everything=everything)


def _document(spec: GraphSpec) -> dict[str, Any]:
    nodes = []
    for node in spec.nodes:
        rules = spec.rules(node.id)
        loop_config = {key: {"value": rules.value(key), "from": origin} for key, origin in rules.origins.items()}
        nodes.append({"id": node.id, "model": node.model, "loop_config": loop_config})
    return {"id": spec.id, "nodes": nodes}
