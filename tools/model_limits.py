"""Write hivecost/pricing/model_limits.json anew: `python tools/model_limits.py litellm-….whl 2026-11-28`.

The wheel is litellm's (`pip download --no-deps litellm`), of which one JSON file is read. Only models that the price
book's catalog knows are kept, by the catalog's names; of several names of one model, the largest numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from hivecost.pricing import PriceBook
from hivecost.pricing.model_limits import larger, own_name

TABLE: Final = Path(__file__).parent.parent / "hivecost" / "pricing" / "model_limits.json"
_MEMBER: Final = "litellm/model_prices_and_context_window_backup.json"

#: litellm's providers, and the catalog's.
_PROVIDERS: Final = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "cohere_chat": "cohere",
    "azure_ai": "azure",
    "xai": "x-ai",
    "text-completion-openai": "openai",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "voyage": "voyageai",
    "github_copilot": "github-copilot",
    "moonshot": "moonshotai",
    "together_ai": "together",
}
_MODES: Final = ("chat", "responses", "completion", "embedding", "rerank")
_WITHOUT_OUTPUT: Final = ("embedding", "rerank")

_Limits = tuple[int | None, int | None]
_UNKNOWN: Final[_Limits] = (None, None)


def main(wheel: str, day: str) -> None:
    """Write the table of the wheel, read on this day."""
    with ZipFile(wheel) as opened:
        rows = json.loads(opened.read(_MEMBER))
    prices = PriceBook()
    providers = {provider for provider, _ in prices.models()}
    limits: dict[str, dict[str, _Limits]] = {}
    by_own_name: dict[str, _Limits] = {}
    for key, row in rows.items():
        if row.get("mode") not in _MODES or (said := _said(row)) == _UNKNOWN:
            continue
        _widen(by_own_name, own_name(key), said)
        host = row.get("litellm_provider") or ""
        provider = "google" if host.startswith("vertex_ai") else _PROVIDERS.get(host, host)
        known = prices.resolve(key.removeprefix(f"{host}/"), provider)
        if known.model and known.provider == provider and provider in providers:
            _widen(limits.setdefault(provider, {}), known.model, said)
    listed = {own_name(model) for provider, model in prices.models() if model not in limits.get(provider, {})}
    elsewhere = {name: said for name, said in by_own_name.items() if name in listed}
    TABLE.write_text(
        _written(f"litellm {Path(wheel).name.split('-')[1]}, {Path(_MEMBER).name}", day, limits, elsewhere)
    )


def _said(row: Mapping[str, Any]) -> _Limits:
    """Return the tokens of a prompt and of an answer that a row names."""
    output = 0 if row["mode"] in _WITHOUT_OUTPUT else _count(row.get("max_output_tokens"))
    return _count(row.get("max_input_tokens")), output


def _count(number: object) -> int | None:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return int(number) if is_number and number >= 1 else None  # type: ignore[call-overload,operator]


def _widen(limits: dict[str, _Limits], name: str, said: _Limits) -> None:
    window, output = limits.get(name, _UNKNOWN)
    limits[name] = larger(window, said[0]), larger(output, said[1])


def _written(
    source: str, day: str, limits: Mapping[str, Mapping[str, _Limits]], elsewhere: Mapping[str, _Limits]
) -> str:
    """As JSON with a line for each model, so that two editions can be compared."""
    providers = ",\n".join(f"{json.dumps(name)}: {_lines(limits[name])}" for name in sorted(limits))
    head = f'"source": {json.dumps(source)},\n"read": {json.dumps(day)}'
    return f'{{\n{head},\n"limits": {{\n{providers}\n}},\n"elsewhere": {_lines(elsewhere)}\n}}\n'


def _lines(models: Mapping[str, _Limits]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(models[name])}" for name in sorted(models)) + "\n}"


if __name__ == "__main__":
    main(*sys.argv[1:])
