"""Print the rates that genai-prices rewrote between editions without a date: what pricing/history.py is made of.

    python tools/rate_history.py 0.0.36 0.0.37 0.0.56 0.2.3

Each edition is installed into a folder of its own and read by a process of its own. Printed are the rates of models
whose only price has no date in either of two neighbours and differs. Whether a rewrite is a new price or a correction
is for a person to say; `pip index versions genai-prices --uploaded-prior-to DAY` tells when an edition was published.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

#: Their rates change by the hour, or are somebody else's.
LEFT_OUT = {"openrouter", "quicksilverpro"}

DUMP = """
import json, sys, types

class Absent(types.ModuleType):  # the rates need no HTTP client
    def __getattr__(self, name): return Absent(name)
    def __call__(self, *args, **kwargs): return None

sys.modules["httpx"] = sys.modules["httpx2"] = Absent("httpx")
from genai_prices.data import providers

def rate(value):
    tiers = [[tier.start, str(tier.price)] for tier in getattr(value, "tiers", ())]
    return [str(value.base), tiers] if tiers else str(value)

undated = {}
for provider in providers:
    for model in provider.models:
        if not isinstance(model.prices, list):
            undated[f"{provider.id} {model.id}"] = {k: rate(v) for k, v in vars(model.prices).items() if v is not None}
print(json.dumps(undated))
"""

Rates = dict[str, dict[str, Any]]


def undated_rates(edition: str) -> Rates:
    """Return the rates of every model of this edition that has one price for all time, by `provider model`."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        subprocess.run([*pip, f"genai-prices=={edition}"], check=True)
        script = Path(folder, "dump.py")
        script.write_text(DUMP)
        done = subprocess.run([sys.executable, script], check=True, capture_output=True, cwd=folder)
    rates: Rates = json.loads(done.stdout)
    return rates


def rewritten(before: Rates, after: Rates) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each model whose rates differ, and (before, after) of those that do; a unit that came or went is no change."""
    for name in sorted(before.keys() & after.keys()):
        shared = before[name].keys() & after[name].keys()
        changed = {unit: (before[name][unit], after[name][unit]) for unit in sorted(shared)}
        changed = {unit: pair for unit, pair in changed.items() if pair[0] != pair[1]}
        if changed and name.split()[0] not in LEFT_OUT:
            yield name, changed


def main(editions: list[str]) -> None:
    """Compare each edition with the next."""
    rates = {edition: undated_rates(edition) for edition in editions}
    for old, new in pairwise(editions):
        for name, changed in rewritten(rates[old], rates[new]):
            print(f"{old} -> {new}  {name}  {changed}")


if __name__ == "__main__":
    main(sys.argv[1:])
