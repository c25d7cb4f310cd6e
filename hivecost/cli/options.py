"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hivecost.backends.data_place import told_place

DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        "-d",
        metavar="PATH",
        envvar="HIVECOST_DATA",
        callback=told_place,
        show_default="data of hivecost.toml, else where something is",
        help="The folder of the runtime log, or the URL of where else it is (an AgentRuntime's base_path).",
    ),
]
PricesOption = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="Your own price table (TOML); it wins, by model name or pattern."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable, one JSON document.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPAN", help="From its beginning on: yesterday, 24h, 7d, 'last month', 2026-10, 2026-11-22, …"
    ),
]
UntilOption = Annotated[str | None, typer.Option(metavar="SPAN", help="To its end; of a moment, up to it.")]
TimezoneOption = Annotated[
    str | None, typer.Option(metavar="ZONE", help="Whose days, such as Europe/Berlin; this machine's own without.")
]

DEFAULT_DATA = ""
